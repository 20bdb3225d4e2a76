"""`eagleray metrics`, and what Ray has below that name."""

from __future__ import annotations

import click


@click.group("metrics", invoke_without_command=True)
@click.option("--address", help="auto, or HOST:PORT of a cluster on this machine.")
@click.pass_context
def metrics(context: click.Context, address: str | None) -> None:
    """Print a cluster's metrics as Prometheus reads them; its end point is started if there is none.

    \b
    Examples:
      eagleray metrics
      eagleray metrics | grep ray_resources

    \b
    Exit status 1: no cluster runs.
    """
    if context.invoked_subcommand is not None:
        return
    from ._cli_cluster import connected

    with connected(address) as ray:
        from .util._metrics_server import server

        click.echo(ray.get(server().text.remote()), nl=False)


def _prometheus(what: str) -> None:
    raise click.ClickException(
        f"`metrics {what}-prometheus` is not implemented yet in eagleray (part of: the dashboard); point a "
        "Prometheus of yours at the end point of ray.util.metrics"
    )


@metrics.command("launch-prometheus")
def launch_prometheus() -> None:
    """Download and start Prometheus.

    \b
    Example:
      eagleray metrics launch-prometheus

    \b
    Exit status: 1, it comes with the dashboard.
    """
    _prometheus("launch")


@metrics.command("shutdown-prometheus")
def shutdown_prometheus() -> None:
    """Stop it.

    \b
    Example:
      eagleray metrics shutdown-prometheus

    \b
    Exit status: 1, it comes with the dashboard.
    """
    _prometheus("shutdown")
