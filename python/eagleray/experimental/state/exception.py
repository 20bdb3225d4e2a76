"""`eagleray.util.state.exception` by the name that it had in Ray before."""

from __future__ import annotations

from ...util.state.exception import *  # noqa: F403
