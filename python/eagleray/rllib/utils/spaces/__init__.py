"""Spaces beyond gymnasium's, and what to do with spaces."""
