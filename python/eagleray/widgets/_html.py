"""Tables as HTML. Colours are the notebook's own, so that dark themes stay dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

ROWS_MAX = 200  # of a table; the rest is counted
_CELL_CHARS_MAX = 300


def table_of(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], *, max_height: str = "none"
) -> str:
    """Everything in it is escaped."""
    kept = list(rows)
    head = "".join(f"<th style='text-align:left'>{escape(c)}</th>" for c in columns)
    body = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{_cell(v)}</td>" for v in row) + "</tr>"
        for row in kept[:ROWS_MAX]
    )
    more = len(kept) - ROWS_MAX
    note = f"<p>... and {more} more</p>" if more > 0 else ""
    return (
        f"<div style='overflow:auto;max-height:{escape(max_height)}'><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{note}</div>"
    )


def _cell(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else "" if value is None else str(value)
    return escape(text if len(text) <= _CELL_CHARS_MAX else text[: _CELL_CHARS_MAX - 3] + "...")


class Rows(list[Any]):
    """A list of dicts, or of objects with attributes, that a notebook shows as a table."""

    def _repr_html_(self) -> str:
        items = [item if isinstance(item, dict) else vars(item) for item in self]
        columns: dict[str, None] = {}
        for item in items[:ROWS_MAX]:
            columns.update(dict.fromkeys(map(str, item)))
        used = [c for c in columns if any(item.get(c) not in (None, "", {}, []) for item in items)]
        return table_of(used, [[item.get(c) for c in used] for item in items])
