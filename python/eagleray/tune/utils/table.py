"""Tables of text, in psql's style."""

from __future__ import annotations

from typing import Any


def cell(value: Any, width: int = 20) -> str:
    """A value, short: numbers with 6 digits, long texts with an ellipsis in the middle."""
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value)
    if hasattr(value, "__float__") and not isinstance(value, (str, int)):
        return f"{float(value):.6g}"
    text = str(value)
    if len(text) > width and width > 6:
        keep = (width - 3) // 2
        text = f"{text[:keep]}...{text[-keep:]}"
    return text


def text_table(header: list[str], rows: list[list[str]], right: set[int]) -> str:
    """The rows under the header; the columns in `right` are aligned to the right."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]

    def line(cells: list[str], left_edge: str = "| ", between: str = " | ") -> str:
        padded = [
            text.rjust(width) if i in right else text.ljust(width)
            for i, (text, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return left_edge + between.join(padded) + " |"

    edge = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    under = "|" + "+".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([edge, line(header), under, *(line(row) for row in rows), edge])


def html_table(header: list[str], rows: list[list[str]]) -> str:
    from html import escape

    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
