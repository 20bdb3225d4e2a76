"""`eagleray --install-completion`: click's completion for bash, zsh and fish, put where the shell looks for it."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import get_completion_class

PROGRAM = "eagleray"
VARIABLE = "_EAGLERAY_COMPLETE"
SHELLS = ("bash", "zsh", "fish")


def script_of(shell: str, command: click.Command) -> str:
    """What the shell is to read. RuntimeError: click has none for it, or the shell is too old."""
    made = get_completion_class(shell)
    if made is None:
        raise RuntimeError(f"there is no completion for {shell}; for {', '.join(SHELLS)} there is")
    return made(command, {}, PROGRAM, VARIABLE).source()


def install(shell: str, command: click.Command, home: str) -> list[str]:
    """The files that were written, for a new shell to find."""
    script = script_of(shell, command)
    if shell == "fish":
        path = os.path.join(home, ".config", "fish", "completions", f"{PROGRAM}.fish")
        _write(path, script)
        return [path]
    path = os.path.join(home, f".{shell}_completions", f"{PROGRAM}.sh")
    start = os.path.join(home, f".{shell}rc")
    lines = [f"[ -f '{path}' ] && . '{path}'"]
    if shell == "zsh":
        lines.insert(0, "autoload -Uz compinit && compinit")
    _write(path, script)
    return [path, *([start] if _append(start, lines) else [])]


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


def _append(path: str, lines: list[str]) -> bool:
    """What is not there yet; False: all is."""
    try:
        with open(path) as file:
            there = file.read()
    except FileNotFoundError:
        there = ""
    if lines[-1] in there.splitlines():
        return False
    with open(path, "a") as file:
        if there and not there.endswith("\n"):
            file.write("\n")
        file.write("\n".join(lines) + "\n")
    return True


def _shell_of(wanted: str) -> str:
    shell = os.path.basename(os.environ.get("SHELL") or "") if wanted == "auto" else wanted
    if shell not in SHELLS:
        raise click.ClickException(f"name your shell, one of {', '.join(SHELLS)}, not {shell!r}")
    return shell


def _installing(context: click.Context, _parameter: Any, wanted: str | None) -> None:
    if wanted is None or context.resilient_parsing:
        return
    shell = _shell_of(wanted)
    try:
        written = install(shell, context.command, os.path.expanduser("~"))
    except (OSError, RuntimeError) as error:
        raise click.ClickException(str(error)) from None
    for path in written:
        click.echo(f"wrote {path}")
    click.echo(f"open a new {shell}")
    context.exit()


def _showing(context: click.Context, _parameter: Any, wanted: str | None) -> None:
    if wanted is None or context.resilient_parsing:
        return
    try:
        click.echo(script_of(_shell_of(wanted), context.command))
    except RuntimeError as error:
        raise click.ClickException(str(error)) from None
    context.exit()


def options(command: Any) -> Any:
    """The options of the group that install and show it."""
    for name, callback, says in (
        ("--show-completion", _showing, "Print completion for a shell (yours by default)."),
        ("--install-completion", _installing, "Install it: bash, zsh or fish (yours by default)."),
    ):
        command = click.option(
            name,
            metavar="[SHELL]",
            is_flag=False,
            flag_value="auto",
            is_eager=True,
            expose_value=False,
            callback=callback,
            help=says,
        )(command)
    return command
