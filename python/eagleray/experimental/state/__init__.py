"""`eagleray.util.state` by the name that it had in Ray before."""
