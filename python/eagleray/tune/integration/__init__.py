"""Callbacks of other libraries under their old names. Follows `ray.tune.integration`."""
