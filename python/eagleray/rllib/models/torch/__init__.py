"""Nets and distributions in PyTorch."""
