"""Types of Ray's `ray.experimental.util`."""
