"""Where programs for Ray find what Ray gives no public name; as much of it as they use."""
