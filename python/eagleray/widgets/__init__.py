"""HTML for notebooks, made with the standard library: no ipywidgets, no scripts, nothing to install. Follows
`ray.widgets` in its two names."""

from __future__ import annotations

from html import escape
from typing import Any

from ._html import table_of

__all__ = ["Template", "make_table_html_repr"]


class Template:
    """A piece of HTML with `{{ name }}` in it. `text` is the HTML itself; Ray takes names of files of its own."""

    def __init__(self, text: str) -> None:
        self.template = text

    def render(self, **kwargs: str | list[str]) -> str:
        """With values in place of names; lists are joined. What it is given is HTML already."""
        rendered = self.template
        for key, value in kwargs.items():
            text = "".join(value) if isinstance(value, list) else value or ""
            rendered = rendered.replace("{{ " + key + " }}", text)
        return rendered


def make_table_html_repr(obj: Any, title: str | None = None, max_height: str = "none") -> str:
    """A table of an object's attributes that are plain values, or dicts and objects of such."""
    rows = []
    for name, value in vars(obj).items():
        if isinstance(value, (str, bool, int, float)):
            rows.append((name, value))
        elif isinstance(value, dict) or hasattr(value, "__dict__"):
            inner = value if isinstance(value, dict) else vars(value)
            rows.append((name, ", ".join(f"{k}: {v}" for k, v in inner.items())))
    made = table_of(("Setting", "Value"), rows, max_height=max_height)
    return f"<h3>{escape(title)}</h3>{made}" if title else made
