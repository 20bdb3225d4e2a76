"""`eagleray.util.state.api` by the name that it had in Ray before."""

from __future__ import annotations

from ...util.state.api import *  # noqa: F403
