"""The commands of the command line, and the examples that their help gives."""

import re

import click
from eagleray import _cli


def every_command(group=_cli.cli, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        found = group.get_command(context, name)
        yield (*path, name), found
        if isinstance(found, click.Group):
            yield from every_command(found, (*path, name))


def examples():
    """(command, its words) of every line of help that calls eagleray itself; comments, and what a pipe does with
    it, cut off."""
    for path, found in every_command():
        text = found.get_help(click.Context(found, info_name=f"eagleray {' '.join(path)}"))
        for line in text.split("\nOptions:")[0].splitlines():
            called = re.match(r"    (?:python -m )?eagleray (.*)", line)
            if called is not None:
                yield path, re.split(r"\s{2,}| \| | && ", called[1])[0]
