"""`eagleray.util.state.common` by the name that it had in Ray before."""

from __future__ import annotations

from ...util.state.common import *  # noqa: F403
