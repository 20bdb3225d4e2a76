"""The names of plugins of runtime environments (docs/user/runtime-environments.md)."""
