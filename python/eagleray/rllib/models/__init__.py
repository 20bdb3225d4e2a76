"""Nets, distributions, preprocessors."""
