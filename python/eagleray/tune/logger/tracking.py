"""What the loggers of tracking services have in common."""

from __future__ import annotations

import importlib
import math
from typing import Any

from ..utils.flatten import flatten


def need(module: str, package: str, who: str) -> Any:
    """A library's module. ImportError that names the package."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{who} needs the package {package}: pip install {package}") from error


def numbers_of(result: dict[str, Any]) -> dict[str, float]:
    """The finite numbers in a result, by their path with slashes; the config left out."""
    found: dict[str, float] = {}
    for name, value in flatten(result, leave_out=("config",)).items():
        shape: Any = getattr(value, "shape", None)
        if isinstance(value, (str, bytes, bool)) or shape:
            continue
        if hasattr(value, "__float__") and math.isfinite(float(value)):
            found[name] = value.item() if hasattr(value, "item") else value
    return found


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """A config flat, what is no number, string, bool or None as its repr."""
    plain = (str, int, float, bool, type(None))
    return {
        name: value if isinstance(value, plain) else repr(value)
        for name, value in flatten(config).items()
    }


def session_names() -> tuple[str | None, str | None]:
    """The name of the trial and of the experiment whose process this is; None outside of one."""
    from .. import session

    if not session.is_session_enabled():
        return None, None
    context = session.get_context()
    return context.get_trial_name(), context.get_experiment_name()
