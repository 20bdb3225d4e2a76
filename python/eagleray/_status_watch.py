"""`eagleray status --watch`: resources, memory, queues, and what waits and why, again and again. On a terminal it is
drawn by rich in place; piped, each look is plain text, or a line of JSON."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import click

from . import _status

_WIDTH = 24  # of a bar
_ROWS_MAX = 20  # of processes


def watch(seconds: float, as_json: bool, verbose: bool, temp_dir: str | None) -> None:
    """Until Ctrl-C, or the end of the cluster (ConnectionError)."""
    if as_json or not sys.stdout.isatty():
        while True:
            facts = _status.facts(temp_dir)
            click.echo(json.dumps(facts) if as_json else _status.text_of(facts, verbose) + "\n")
            time.sleep(seconds)
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        raise click.ClickException(
            "--watch draws with rich, which is not installed: pip install 'eagleray[default]'; or `watch "
            "eagleray status`"
        ) from None
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(drawn(_status.facts(temp_dir)), refresh=True)
            time.sleep(seconds)


def drawn(facts: dict[str, Any]) -> Any:
    """The facts as something that rich prints."""
    from rich.console import Group
    from rich.text import Text

    parts = [
        Text(f"eagleray  {facts['time']}   Ctrl-C ends this, not the cluster", style="bold"),
        _resources(facts),
        _waiting(facts),
        _processes(facts),
    ]
    return Group(*parts)


def _table(title: str, *columns: str) -> Any:
    from rich.table import Table

    table = Table(title=title, title_justify="left", expand=True, box=None, title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _resources(facts: dict[str, Any]) -> Any:
    table = _table("Resources", "name", "used", "total", "")
    for name, used, total, _ in _status.resources(facts):
        if name.startswith("node:"):
            continue
        share = used / total if total else 0.0
        full = round(_WIDTH * min(1.0, share))
        colour = "red" if share > 0.9 else "yellow" if share > 0.6 else "green"
        bar = f"[{colour}]{'█' * full}[/][dim]{'░' * (_WIDTH - full)}[/] {share:.0%}"
        table.add_row(name, _status.amount(name, used), _status.amount(name, total), bar)
    return table


def _waiting(facts: dict[str, Any]) -> Any:
    table = _table("Waiting", "how many", "what", "asks for", "why it waits")
    for demand in facts["demands"]:
        wants = ", ".join(f"{k}: {v:g}" for k, v in demand["resources"].items())
        table.add_row(f"{demand['count']}", demand["what"], wants, demand["reason"])
    for group in facts["placement_groups"]:
        if group["state"] == "PENDING":
            bundles = f"{len(group['bundles'])} bundles, {group['strategy']}"
            why = group["stats"].get("why", "no node has room for it now")
            table.add_row("1", "placement group", bundles, why)
    if not table.row_count:
        table.add_row("nothing")
    return table


def _processes(facts: dict[str, Any]) -> Any:
    busy = [p for p in facts["processes"] if p["what"] != "idle"]
    idle = [p for p in facts["processes"] if p["what"] == "idle"]
    table = _table("Processes", "pid", "kind", "memory", "what it does")
    for process in sorted(busy, key=lambda p: -p["memory"])[:_ROWS_MAX]:
        memory = _status.amount("memory", process["memory"])
        table.add_row(str(process["pid"]), process["kind"], memory, process["what"])
    if len(busy) > _ROWS_MAX:
        table.add_row("...", "", "", f"{len(busy) - _ROWS_MAX} more")
    if idle:
        memory = _status.amount("memory", sum(p["memory"] for p in idle))
        table.add_row("", "worker", memory, f"{len(idle)} idle")
    return table
