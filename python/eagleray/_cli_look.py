"""`eagleray stack` and `eagleray flamegraph`: what live workers do, seen from outside by py-spy, or by memray where
their memory goes. A task that hangs can be looked at; nothing of it changes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import click

from ._processes import runs, tracer_of
from ._status import title

ANSWER_S = 60.0  # of py-spy or memray, for one process
LEAVE_S = 5.0  # how long one that is told to end may take to let go of the process


def workers_of_user() -> list[dict[str, Any]]:
    """pid and what it runs, of every worker of yours on this machine, those of init()'s clusters too."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{name}").st_uid != os.geteuid():
                continue
            with open(f"/proc/{name}/cmdline", "rb") as file:
                title = file.read(4096).rstrip(b"\0 ").decode(errors="replace")
            if not title.startswith("ray::"):
                continue
            # Ray's own workers have such titles, too.
            with open(f"/proc/{name}/maps", "rb") as file:
                ours = any(b"/eagleray/_core." in line for line in file)
        except OSError:
            continue  # it has just ended
        if ours:
            found.append({"pid": int(name), "what": title[len("ray::") :].split("\0")[0].strip()})
    return sorted(found, key=lambda each: each["pid"])


def _chosen(wanted: tuple[str, ...], idle: bool) -> list[dict[str, Any]]:
    """By process id, or by a part of the name of what it runs."""
    workers = workers_of_user()
    if not wanted:
        return [w for w in workers if idle or w["what"] != "IDLE"]
    chosen = []
    for each in wanted:
        if each.isdigit():
            known = [w for w in workers if w["pid"] == int(each)]
            chosen += known or [{"pid": int(each), "what": "process"}]
        else:
            chosen += [w for w in workers if each in w["what"]]
    if not chosen:
        names = ", ".join(f"{w['pid']} {w['what']}" for w in workers) or "none"
        raise click.ClickException(f"no worker runs {' or '.join(wanted)}; there are: {names}")
    return chosen


def _tool(name: str, package: str) -> str:
    """Its program: on the path, or beside this Python."""
    beside = os.path.join(os.path.dirname(sys.executable), name)
    path = shutil.which(name) or (beside if os.access(beside, os.X_OK) else None)
    if path is None:
        raise click.ClickException(
            f"{name} is not installed: pip install {package}, or pip install 'eagleray[debug]'"
        )
    return path


def _run(call: list[str], limit: float) -> subprocess.CompletedProcess[str] | None:
    """What it says; None if it takes longer than `limit` seconds. Then it is ended, and told first: a debugger has
    to take its breakpoints out of the process, which would die of them."""
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as tool:
        try:
            out, err = tool.communicate(timeout=limit)
            return subprocess.CompletedProcess(call, tool.returncode, out, err)
        except subprocess.TimeoutExpired:
            os.killpg(tool.pid, signal.SIGTERM)
        except BaseException:
            os.killpg(tool.pid, signal.SIGTERM)
            raise
        try:
            tool.communicate(timeout=LEAVE_S)
        except subprocess.TimeoutExpired:
            os.killpg(tool.pid, signal.SIGKILL)
    return None


def _forbidden(said: str) -> bool:
    return "Permission" in said or "permitted" in said or "EPERM" in said


def _why_not(pid: int, said: str) -> str:
    if _forbidden(said) and (tracer := tracer_of(pid)):
        return (
            f"process {pid} is being looked into by process {tracer} ({title(tracer)}), and the system lets only one "
            f"do so: wait until that has ended, or end it (kill {tracer}), then ask again"
        )
    if _forbidden(said):
        return (
            f"the system does not let you look into process {pid}: run it as root, or allow it with `sysctl "
            "kernel.yama.ptrace_scope=0`, in a container with --cap-add SYS_PTRACE"
        )
    return said.strip().removeprefix("Error: ") or f"process {pid} could not be looked into"


@click.command("stack")
@click.argument("wanted", nargs=-1, metavar="[PID|NAME]...")
@click.option("--idle", is_flag=True, help="Workers that have nothing to do as well.")
@click.option("--locals", "show_locals", is_flag=True, help="With the values of local variables.")
@click.option("--native", is_flag=True, help="With frames of C and C++.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stack(
    wanted: tuple[str, ...], idle: bool, show_locals: bool, native: bool, as_json: bool
) -> None:
    """Show where your workers are in their code, without stopping them for more than a moment.

    \b
    Examples:
      eagleray stack                     every worker that does something
      eagleray stack 4711                one process, a driver too
      eagleray stack train --locals      those that run something named so

    \b
    Needs py-spy. Exit status 1: there is none, or a process cannot be looked into; the others are shown all the same,
    and with --json that one has "error" in place of "threads".
    """
    program = _tool("py-spy", "py-spy")
    chosen = _chosen(wanted, idle)
    flags = [*(["--locals"] if show_locals else []), *(["--native"] if native else [])]
    flags += ["--json"] if as_json else []
    rows: list[dict[str, Any]] = []
    for worker in chosen:
        said, why_not = _dump([program, "dump", *flags], worker["pid"])
        if why_not and not runs(worker["pid"]) and str(worker["pid"]) not in wanted:
            continue  # it has ended since it was found
        if as_json:
            rows.append(
                {**worker, **({"error": why_not} if why_not else {"threads": json.loads(said)})}
            )
            continue
        click.echo(f"======== {worker['what']} ========")
        click.echo(why_not or said, err=bool(why_not))
        rows.append({**worker, "error": why_not})
    if as_json:
        click.echo(json.dumps(rows))
    elif not chosen:
        click.echo("no worker of yours does anything (--idle shows those, too)")
    failed = [row["error"] for row in rows if row.get("error")]
    if failed and len(rows) == 1 and not as_json:
        sys.exit(1)  # why has been said
    if failed:
        raise click.ClickException(
            failed[0]
            if len(rows) == 1
            else f"{len(failed)} of {len(rows)} processes could not be looked into"
        )


def _dump(call: list[str], pid: int) -> tuple[str, str]:
    """What py-spy says of the process; or why it says nothing."""
    call = [*call, "--pid", str(pid)]
    done = _run(call, ANSWER_S)
    if done and done.returncode != 0 and _forbidden(done.stderr) and not tracer_of(pid):
        done = _run(call, ANSWER_S)  # another py-spy takes a moment only, and may have been it
    if done is None:
        return "", f"process {pid} could not be looked into within {ANSWER_S:.0f} s"
    return (done.stdout, "") if done.returncode == 0 else ("", _why_not(pid, done.stderr))


@click.command("flamegraph")
@click.argument("wanted", metavar="PID|NAME")
@click.option("-o", "--output", help="The picture (flame_PID.svg, with --memory flame_PID.html).")
@click.option("-d", "--duration", type=click.IntRange(1), default=5, help="Seconds to look (5).")
@click.option("--memory", is_flag=True, help="Where memory is allocated, in place of time.")
@click.option("--native", is_flag=True, help="With frames of C and C++.")
@click.option("--idle", is_flag=True, help="Threads that wait as well.")
def flamegraph(
    wanted: str, output: str | None, duration: int, memory: bool, native: bool, idle: bool
) -> None:
    """Draw where a live worker spends its time, or its memory.

    \b
    Examples:
      eagleray flamegraph 4711 -d 10 -o train.svg
      eagleray flamegraph train --memory

    \b
    Needs py-spy. --memory needs memray, in the worker's Python too, and gdb or lldb; it shows what is allocated in
    those seconds and is there at their end. Exit status 1: it is missing, or the process cannot be looked into.
    """
    program = _tool("memray", "memray") if memory else _tool("py-spy", "py-spy")
    chosen = _chosen((wanted,), idle=True)
    if len(chosen) > 1:
        names = ", ".join(f"{w['pid']} {w['what']}" for w in chosen)
        raise click.ClickException(f"{len(chosen)} workers run {wanted}: name one of {names}")
    pid = chosen[0]["pid"]
    path = output or f"flame_{pid}.{'html' if memory else 'svg'}"
    if memory:
        if chosen[0]["what"] == "IDLE":
            raise click.ClickException(f"worker {pid} has nothing to do: it allocates nothing")
        _draw_memory(program, pid, path, duration, native)
    else:
        flags = [f"--{n}" for n, v in (("native", native), ("idle", idle)) if v]
        _draw_time(program, pid, path, duration, flags)
    click.echo(path)


def _draw_time(program: str, pid: int, path: str, duration: int, flags: list[str]) -> None:
    call = [program, "record", "--pid", str(pid), "-d", str(duration), "-o", path, *flags]
    done = _run(call, duration + ANSWER_S)
    if done is None:
        raise click.ClickException(f"py-spy has drawn nothing of process {pid} in time")
    if done.returncode != 0 or not os.path.exists(path):
        raise click.ClickException(_why_not(pid, done.stderr))


def _draw_memory(program: str, pid: int, path: str, duration: int, native: bool) -> None:
    record = os.path.abspath(f"{path}.memray")  # the process itself writes it
    attach = [program, "attach", "--duration", str(duration), "-f", "-o", record, str(pid)]
    done = _run([*attach, *(["--native"] if native else [])], ANSWER_S)
    if done is None or done.returncode != 0:
        said = "" if done is None else (done.stderr or done.stdout).strip()
        raise click.ClickException(
            f"memray could not be started in process {pid}: its Python must have memray (pip install memray), gdb or "
            f"lldb must be here, and a process that waits for ever allocates nothing. {_why_not(pid, said)}"
        )
    time.sleep(duration + 1)  # attach returns at once
    try:
        done = _run([program, "flamegraph", "-f", "-o", path, record], ANSWER_S)
        if done is None or done.returncode != 0:
            said = "" if done is None else done.stderr.strip() or done.stdout.strip()
            raise click.ClickException(f"memray has drawn nothing: {said}")
    finally:
        if os.path.exists(record):
            os.unlink(record)
