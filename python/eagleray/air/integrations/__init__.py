"""Callbacks of other libraries. Follows `ray.air.integrations`."""
