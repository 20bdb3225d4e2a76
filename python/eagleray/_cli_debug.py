"""`eagleray debug`: attaches to a worker that waits at a breakpoint (util/rpdb.py), of any cluster of this user."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
import time
from typing import Any

import click

from . import _node
from ._processes import runs

LOOK_S = 0.05  # how often one that follows looks whether it is there
QUIET_S = 0.1  # output that stops without a line's end is a prompt


def waiting(temp_dir: str | None) -> list[dict[str, Any]]:
    """What waits, the oldest first: id, pid, name, filename, lineno, function, error, time, socket."""
    root, found = _node.temp_root(temp_dir), []
    try:
        sessions = [os.path.join(root, n) for n in os.listdir(root) if n.startswith("session_2")]
    except OSError:
        return []
    for session in sessions:
        try:
            names = [n for n in os.listdir(session) if n.startswith("debug-")]
        except OSError:
            continue
        for name in filter(lambda n: n.endswith(".json"), names):
            path = os.path.join(session, name)
            try:
                if os.lstat(path).st_uid != os.geteuid():
                    continue
                with open(path) as file:
                    facts = json.load(file)
                socket_path = path[: -len(".json")] + ".sock"
                if runs(int(facts["pid"])):
                    found.append({**facts, "socket": socket_path})
                    continue
                for left in (path, socket_path):  # of a worker that was killed
                    os.unlink(left)
            except (OSError, ValueError, KeyError):
                continue  # it has just ended
    return sorted(found, key=lambda each: each["time"])


def _line(each: dict[str, Any]) -> str:
    why = each["error"].strip().rsplit("\n", 1)[-1] or "breakpoint"
    where = f"{each['filename']}:{each['lineno']} in {each['function']}()"
    return f"{each['id']}  pid {each['pid']:<8} {each['name']:20} {where}: {why}"


def _chosen(found: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    if not found:
        raise click.ClickException("nothing waits at a breakpoint")
    if wanted is None and len(found) == 1:
        return found[0]
    for number, each in enumerate(found):
        click.echo(f"{number}: {_line(each)}")
    if wanted is None:
        wanted = click.prompt("which", default="0")
    for number, each in enumerate(found):
        if wanted in (str(number), each["id"]):
            return each
    raise click.ClickException(f"nothing waits as {wanted}")


@click.command()
@click.argument("which", required=False)
@click.option("--list", "only_list", is_flag=True, help="Only say what waits.")
@click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")
@click.option("--temp-dir", help="As given to start or init.")
@click.option("--address", hidden=True, expose_value=False)
@click.option("-v", "--verbose", is_flag=True, hidden=True, expose_value=False)
def debug(which: str | None, only_list: bool, as_json: bool, temp_dir: str | None) -> None:
    """Attach to a task or actor that waits at breakpoint(), or where it failed.

    It is Python's pdb: `n`, `s`, `p x`, `where`, `c` to go on, `q` to fail the task. Ctrl-D leaves it waiting.
    `remote` goes on to the next call of a remote function and follows it; `get` to whoever gets this task's result.
    With RAY_DEBUG_POST_MORTEM=1 in the driver's environment, tasks that fail wait, too.

    \b
    Examples:
      eagleray debug                     the one that waits, or a list to choose from
      eagleray debug --list
      eagleray debug 4f1d2c09

    \b
    Exit status 1: nothing waits.
    """
    found = waiting(temp_dir)
    if as_json:
        click.echo(json.dumps(found))
        return
    if only_list:
        for each in found:
            click.echo(_line(each))
        return
    _attach(_chosen(found, which))


def _attach(facts: dict[str, Any]) -> None:
    while True:
        if not _attach_once(facts):
            return  # left waiting: it will be announced again
        following = facts["socket"][: -len("sock")] + "follow"
        if os.path.exists(following):
            click.echo("following it ... (Ctrl-C leaves)")
        found = _followed(facts, following)
        if found is None:
            return
        facts = found


def _followed(facts: dict[str, Any], following: str) -> dict[str, Any] | None:
    """Where the session goes on, once it is there; None: nowhere."""
    announced = facts["socket"][: -len("sock")] + "json"
    try:
        while True:
            coming = os.path.exists(following)
            if os.path.exists(announced):
                with open(announced) as file:
                    return {**json.load(file), "socket": facts["socket"]}
            if not coming:
                return None
            with open(following) as file:
                if not runs(int(json.load(file)["pid"])):
                    return None
            time.sleep(LOOK_S)
    except (OSError, ValueError, KeyboardInterrupt):
        return None


def _attach_once(facts: dict[str, Any]) -> bool:
    """Whether it has gone on."""
    click.echo(_line(facts))
    if facts["error"]:
        click.echo(facts["error"].rstrip())
    from .util.rpdb import short_path

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            with short_path(facts["socket"]) as path:
                connection.connect(path)
        except OSError:
            raise click.ClickException("it waits no more") from None
        try:
            import readline  # noqa: F401  (lines that are typed can be edited)
        except ImportError:
            pass
        return _talk(connection)


def _talk(connection: socket.socket) -> bool:
    while True:
        text, open_line, ended = _answer(connection)
        sys.stdout.write(text)
        sys.stdout.flush()
        if ended:
            click.echo("it goes on")
            return True
        line = _typed(open_line)
        if line is None:
            click.echo("\nleft waiting")
            return False
        try:
            connection.sendall(line.encode() + b"\n")
        except OSError:
            return True


def _typed(prompt: str) -> str | None:
    """A line; None for Ctrl-D."""
    while True:
        try:
            return input(prompt)
        except EOFError:
            return None
        except KeyboardInterrupt:
            click.echo()


def _answer(connection: socket.socket) -> tuple[str, str, bool]:
    """Whole lines, then the prompt, when output has stopped for a moment; and whether it has ended."""
    received = b""
    while True:
        ready, _, _ = select.select([connection], [], [], QUIET_S if received else None)
        if not ready:
            if received.endswith(b"\n"):  # a command that takes its time: what it has said is shown
                sys.stdout.write(received.decode(errors="replace"))
                sys.stdout.flush()
                received = b""
                continue
            lines, _, prompt = received.rpartition(b"\n")
            text = lines.decode(errors="replace") + ("\n" if lines else "")
            return text, prompt.decode(errors="replace"), False
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            return received.decode(errors="replace"), "", True
        received += data
