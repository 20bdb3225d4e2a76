"""Experience in files."""
