"""Settings of a cluster: the environment and `_system_config`, read once, where it is started. The table of
them is the core's (src/config/settings.cc)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from . import _core


def text_of(system_config: Mapping[str, Any] | None, store_bytes: int | None) -> str:
    """The settings as eagleray-node takes them, from EAGLERAY_NAME and RAY_name in the environment, then
    system_config. ValueError for an unknown name (saying the nearest) and for what is out of range (saying
    the range); TypeError if system_config is no dict.

    store_bytes: of init(object_store_memory=), or None: what was set, else a share of the free memory.
    """
    given: dict[str, str] = {}
    for name, _default, _min, _max, _unit, _meaning, rays in _core.settings_table():
        for variable in (f"RAY_{rays or name}", f"EAGLERAY_{name.upper()}"):
            if os.environ.get(variable):
                given[name] = _text(os.environ[variable])
    if system_config is not None and not isinstance(system_config, Mapping):
        raise TypeError(f"_system_config must be a dict, not {type(system_config).__name__}")
    for name, value in (system_config or {}).items():
        given[str(name)] = _text(value)
    if store_bytes is not None:
        given["object_store_memory"] = str(store_bytes)
    elif "object_store_memory" not in given:
        given["object_store_memory"] = str(_default_store_bytes())
    return _core.settings_text(list(given.items()))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(int(value))
    text = str(value).strip()
    return {"true": "1", "false": "0"}.get(text.lower(), text)


def _default_store_bytes() -> int:
    from . import _node

    return max(75 << 20, min(_node.default_memory()[1], 200 * 10**9))
