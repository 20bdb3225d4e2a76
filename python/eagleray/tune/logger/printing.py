"""A result as people read it."""

from __future__ import annotations

import json
from typing import Any

from ..utils import to_json

_LEFT_OUT = ("config", "hist_stats")


def pretty_print(result: dict[str, Any], exclude: tuple[str, ...] | None = None) -> str:
    """The fields of a result, sorted, one a line, nested ones indented (YAML that any reader takes)."""
    left_out = set(_LEFT_OUT) | set(exclude or ())
    plain = json.loads(
        to_json.dumps({key: value for key, value in result.items() if key not in left_out})
    )
    return "\n".join(_lines(plain, 0)) + "\n"


def _lines(value: dict[str, Any], depth: int) -> list[str]:
    lines = []
    for key in sorted(value):
        inner = value[key]
        if inner is None:
            continue
        if isinstance(inner, dict) and inner:
            lines += [f"{'  ' * depth}{key}:", *_lines(inner, depth + 1)]
        elif isinstance(inner, str):
            lines.append(f"{'  ' * depth}{key}: {inner}")
        else:
            lines.append(f"{'  ' * depth}{key}: {json.dumps(inner)}")
    return lines
