"""Policies and batches."""
