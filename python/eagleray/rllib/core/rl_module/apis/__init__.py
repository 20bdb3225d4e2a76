"""What RLModules can do besides acting."""
