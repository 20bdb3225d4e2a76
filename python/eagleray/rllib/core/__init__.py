"""RLModules and their column names, as Ray 2.x has them."""

from __future__ import annotations

from .columns import Columns

__all__ = ["DEFAULT_AGENT_ID", "DEFAULT_MODULE_ID", "DEFAULT_POLICY_ID", "Columns"]

DEFAULT_AGENT_ID = "default_agent"
DEFAULT_MODULE_ID = DEFAULT_POLICY_ID = "default_policy"
