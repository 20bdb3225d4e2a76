"""Call-backs, under their current name."""
