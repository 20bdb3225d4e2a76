"""A runtime environment as text, and how two become one. Every worker in one loads this: it stays light."""

from __future__ import annotations

import json
import re
from typing import Any

DEFAULT_TIMEOUT_S = 600
HOOK = "_worker_process_setup_hook"  # the pickled function, base64
NOT_SENT = ("excludes", "config")
_INSTALLERS = ("pip", "uv", "conda")
# What the loader and the interpreter read before any code of ours runs.
EARLY = ("LD_", "PYTHON", "MALLOC_", "GLIBC_")
# Before the host of a URL, which conda prints without its colon, too, or of a proxy, which may have no scheme.
_USER = re.compile(r"(?<=//)[^/\s@'\"]+(?=@)|(?<![^\s='\"])[^/\s@:='\"]+:[^/\s@'\"]+(?=@)")


def merge(parent: dict[str, Any], child: dict[str, Any]) -> dict[str, Any]:
    """As Ray: per field, and env_vars per variable. Of pip, uv and conda there is one: the child's."""
    merged = {**parent, **child}
    if any(child.get(name) for name in _INSTALLERS):
        for name in _INSTALLERS:
            if name in merged and not child.get(name):
                del merged[name]
    if "worker_process_setup_hook" in child and HOOK not in child:
        merged.pop(HOOK, None)
    variables = {**(parent.get("env_vars") or {}), **(child.get("env_vars") or {})}
    if variables:
        merged["env_vars"] = variables
    return merged


def needs_setup(env: dict[str, Any]) -> bool:
    """Whether a node has to prepare something: not for variables and a hook, which a worker sees to."""
    if any(name.startswith(EARLY) for name in env.get("env_vars") or ()):
        return True
    simple = ("env_vars", "worker_process_setup_hook", HOOK, *NOT_SENT)
    return any(value and name not in simple for name, value in env.items())


def to_text(env: dict[str, Any]) -> str:
    """As src/message/runtime_env.h says. "" for an empty one."""
    sent = {name: value for name, value in env.items() if value and name not in NOT_SENT}
    if not sent:
        return ""
    text = json.dumps(sent, sort_keys=True)
    if not needs_setup(sent):
        return text
    config = env.get("config") or {}
    seconds = max(0, config.get("setup_timeout_seconds", DEFAULT_TIMEOUT_S))
    return f"{seconds}\n{text}"


def from_text(text: str) -> dict[str, Any]:
    head, newline, rest = text.partition("\n")
    if not newline or not head.isdigit():
        head, rest = "", text
    env: dict[str, Any] = json.loads(rest or "{}")
    if head and int(head) != DEFAULT_TIMEOUT_S:
        env["config"] = {"setup_timeout_seconds": int(head) or -1}
    return env


def visible(env: dict[str, Any]) -> dict[str, Any]:
    """As users see it."""
    return {name: value for name, value in env.items() if name not in (HOOK, "config")}


def masked(text: str) -> str:
    """Without users and passwords in URLs."""
    return _USER.sub("****", text)
