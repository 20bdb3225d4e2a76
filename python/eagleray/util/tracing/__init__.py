"""Set-ups of tracing that can be named as hooks: `init(_tracing_startup_hook="module:function")`."""
