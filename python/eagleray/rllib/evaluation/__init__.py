"""Sampling: rollout workers and what they do."""
