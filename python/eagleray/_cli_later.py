"""Commands of `ray` that cannot act on one machine, or not yet: each says so by its name, with exit status 1. Those
whose wish is granted anyway do nothing."""

from __future__ import annotations

import click

_CLUSTERS = "clusters of several machines"
# name: (what it belongs to, what to do in place of it, or "")
_LATER = {
    "up": (_CLUSTERS, "on this machine: `eagleray start --head`"),
    "down": (_CLUSTERS, "on this machine: `eagleray stop`"),
    "attach": (_CLUSTERS, ""),
    "exec": (_CLUSTERS, "on this machine: `eagleray job submit -- COMMAND`"),
    "submit": (_CLUSTERS, "on this machine: `eagleray job submit -- python SCRIPT`"),
    "rsync-up": (_CLUSTERS, ""),
    "rsync-down": (_CLUSTERS, ""),
    "monitor": (_CLUSTERS, "on this machine: `eagleray status --watch`"),
    "drain-node": (_CLUSTERS, "on this machine: `eagleray stop`"),
    "kill-random-node": (_CLUSTERS, ""),
    "kuberay-autoscaler": (_CLUSTERS, ""),
    "dashboard": ("the dashboard", "in a terminal: `eagleray status --watch`"),
    "serve": ("eagleray.serve", ""),
    "cpp": ("the C++ API", ""),
}
_HIDDEN = {"drain-node", "kill-random-node", "kuberay-autoscaler"}


def _refusing(name: str) -> click.Command:
    feature, instead = _LATER[name]
    says = f"`{name}` is not implemented yet in eagleray (part of: {feature})"
    if instead:
        says += f"; {instead}"

    @click.pass_context
    def refuse(_context: click.Context, arguments: tuple[str, ...]) -> None:
        raise click.ClickException(says)

    return click.Command(
        name,
        callback=refuse,
        params=[click.Argument(["arguments"], nargs=-1, type=click.UNPROCESSED)],
        help=f"Comes with {feature}{'; ' + instead if instead else ''}.\n\n\b\nExample:\n  eagleray {name}"
        "\n\n\b\nExit status: 1.",
        short_help=f"(comes with {feature})",
        context_settings={"ignore_unknown_options": True},
        hidden=name in _HIDDEN,
    )


COMMANDS = {name: _refusing(name) for name in _LATER}


@click.command("enable-usage-stats")
def enable_usage_stats() -> None:
    """Say that usage may be reported. eagleray reports nothing to anybody.

    \b
    Example:
      eagleray enable-usage-stats

    \b
    Exit status 1: there is nothing to enable.
    """
    raise click.ClickException("eagleray reports no usage to anybody; there is nothing to enable")


@click.command("disable-usage-stats")
def disable_usage_stats() -> None:
    """Say that usage must not be reported. It never is.

    \b
    Example:
      eagleray disable-usage-stats
    """
    click.echo("eagleray reports no usage to anybody")
