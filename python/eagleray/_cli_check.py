"""`eagleray check`: what a Ray program uses, and what it finds here."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from . import _check

_WORDS = {
    _check.WORKS: ("works", "green"),
    _check.NEEDS: ("needs", "yellow"),
    _check.LATER: ("later", "yellow"),
    _check.PRIVATE: ("inside", "red"),
    _check.UNKNOWN: ("UNKNOWN", "red"),
}


@click.command("check")
@click.argument("programs", nargs=-1, required=True, type=click.Path(exists=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json"]),
    default="text",
    help="json: a list of files with their names.",
)
@click.option("--json", "as_json", is_flag=True, hidden=True)
@click.option("--problems", is_flag=True, help="Only what does not work.")
def check(programs: tuple[str, ...], form: str, as_json: bool, problems: bool) -> None:
    """List the Ray names that programs use, and their state here. Nothing is run.

    \b
    Examples:
      eagleray check train.py
      eagleray check src/ --problems
      eagleray check train.py --format json

    \b
    works: is here. later: raises NotImplementedError by name. needs: works once a package is installed.
    inside: a private name of Ray. UNKNOWN: no such name or argument, or a value that is refused; Ray may have it
    in some release.
    Exit status: 0 all works, 1 something does not or a file is not Python, 2 the command line is wrong.
    """
    reports = [_report(path, problems) for path in _files(programs)]
    if form == "json" or as_json:
        click.echo(json.dumps(reports))
    else:
        for report in reports:
            _tell(report)
    sys.exit(0 if all(report["works"] for report in reports) else 1)


def _files(programs: tuple[str, ...]) -> Iterator[str]:
    for program in programs:
        if not os.path.isdir(program):
            yield program
            continue
        for folder, folders, names in os.walk(program):
            folders[:] = sorted(f for f in folders if not f.startswith("."))
            yield from (os.path.join(folder, n) for n in sorted(names) if n.endswith(".py"))


def _report(path: str, problems: bool) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            found = _check.check(file.read().decode(), path)
    except (SyntaxError, ValueError, RecursionError) as error:
        return {"file": path, "works": False, "error": f"not Python: {error}", "names": []}
    fine = (_check.WORKS, _check.NEEDS)
    names = [vars(each) for each in found if not problems or each.state not in fine]
    works = all(each.state in fine for each in found)
    return {"file": path, "works": works, "used": len(found), "names": names}


def _tell(report: dict[str, Any]) -> None:
    if "error" in report:
        click.echo(f"{report['file']}: {report['error']}")
        return
    if not report["used"]:
        click.echo(f"{report['file']}: uses nothing of Ray")
        return
    counts: dict[str, int] = {}
    click.echo(f"{report['file']}:")
    for each in report["names"]:
        word, colour = _WORDS[each["state"]]
        counts[word] = counts.get(word, 0) + 1
        where = ",".join(map(str, each["lines"][:4])) + ("..." if len(each["lines"]) > 4 else "")
        mark = click.style(f"{word:8}", fg=colour)
        said = f"  {each['message']}" if each["message"] else ""
        plain = False if "NO_COLOR" in os.environ else None
        click.echo(f"  {mark} {each['name']}  (line {where}){said}", color=plain)
    click.echo("  " + (", ".join(f"{n} {word}" for word, n in counts.items()) or "all works"))
