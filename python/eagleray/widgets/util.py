"""Helpers of notebook output, under Ray's path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from . import make_table_html_repr

__all__ = ["in_ipython_shell", "in_notebook", "make_table_html_repr", "repr_with_fallback"]


def _shell_name() -> str:
    if "IPython" not in sys.modules:
        return ""
    return type(sys.modules["IPython"].get_ipython()).__name__


def in_notebook(shell_name: str | None = None) -> bool:
    """Whether this program runs in a notebook's kernel."""
    return (shell_name or _shell_name()) == "ZMQInteractiveShell"


def in_ipython_shell(shell_name: str | None = None) -> bool:
    """Whether this program runs in a terminal with IPython."""
    return (shell_name or _shell_name()) == "TerminalInteractiveShell"


def repr_with_fallback(*notebook_deps: Any) -> Callable[[Any], Any]:
    """Decorates a `_repr_mimebundle_`: outside of notebooks, and where one of the packages (name, or name and
    version) is not installed, it gives plain text only. The versions are not looked at."""
    names = [each if isinstance(each, str) else each[0] for each in notebook_deps]

    def decorate(function: Any) -> Any:
        rich = in_notebook() and all(map(importlib.util.find_spec, names))

        @wraps(function)
        def shown(self: Any, *args: Any, **kwargs: Any) -> Any:
            return function(self, *args, **kwargs) if rich else {"text/plain": repr(self)}

        return shown

    return decorate
