"""Runtime environments behind the scenes (docs/design/environments.md): what a driver ships, what the node's
builder sets up, what a worker applies. Nothing here is public; `eagleray.runtime_env` is."""
