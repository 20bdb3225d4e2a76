"""What environments can do besides stepping."""
