"""The command line: `eagleray COMMAND`."""

from __future__ import annotations

import json
import os
import runpy
import sys
from typing import Any

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """eagleray: tasks, actors and objects across processes, with Ray's API."""


@cli.command()
@click.option("--head", is_flag=True, help="Start the first node of a cluster on this machine.")
@click.option("--address", help="Join the cluster at HOST:PORT (comes with many machines).")
@click.option("--num-cpus", type=float, help="CPUs to offer; the number of cores by default.")
@click.option("--num-gpus", type=float, help="GPUs to offer.")
@click.option("--resources", help="Custom resources as JSON, e.g. '{\"disk\": 2}'.")
@click.option("--labels", help="Node labels as key=value,key=value.")
@click.option(
    "--object-store-memory", type=int, help="Bytes of the object store (30 % of free memory)."
)
@click.option(
    "--system-config",
    help="Settings as JSON, e.g. '{\"worker_idle_ms\": 5000}' (docs/user/settings.md).",
)
@click.option("--temp-dir", help="Where session directories live (/tmp/eagleray).")
@click.option("--block", is_flag=True, help="Stay in the foreground until the node ends.")
def start(
    head: bool,
    address: str | None,
    num_cpus: float | None,
    num_gpus: float | None,
    resources: str | None,
    labels: str | None,
    object_store_memory: int | None,
    system_config: str | None,
    temp_dir: str | None,
    block: bool,
) -> None:
    """Start a cluster that outlives this command.

    \b
    Example:
      eagleray start --head --num-cpus 8
      python -c "import eagleray as ray; ray.init(address='auto'); print(ray.cluster_resources())"
      eagleray stop
    """
    from . import _daemon

    if address:
        raise click.ClickException("joining a cluster on another machine is not implemented yet")
    if not head:
        raise click.UsageError("give --head to start a cluster on this machine")
    try:
        node = _daemon.start_head(
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            resources=json.loads(resources) if resources else None,
            labels=dict(x.split("=", 1) for x in labels.split(",")) if labels else None,
            object_store_memory=object_store_memory,
            system_config=json.loads(system_config) if system_config else None,
            temp_dir=temp_dir,
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"started: process {node.process.pid}, session {node.session_dir}")
    click.echo("connect with ray.init(address='auto'); end it with `eagleray stop`")
    if block:
        node.process.wait()


@cli.command()
@click.option("-f", "--force", is_flag=True, help="Kill at once instead of asking.")
@click.option("--temp-dir", help="As given to start.")
def stop(force: bool, temp_dir: str | None) -> None:
    """End your clusters on this machine; returns when every process is gone."""
    from . import _daemon

    ended = _daemon.stop(temp_dir, force)
    for each in ended:
        click.echo(f"ended: {each}")
    if not ended:
        click.echo("nothing runs")


@cli.command()
@click.option("--temp-dir", help="As given to start.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(temp_dir: str | None, as_json: bool) -> None:
    """Show the cluster's nodes and what is free."""
    import eagleray as ray

    try:
        ray.init(address="auto", log_to_driver=False, _temp_dir=temp_dir)
    except ConnectionError as error:
        raise click.ClickException(str(error)) from None
    total, free = ray.cluster_resources(), ray.available_resources()
    rows: list[dict[str, Any]] = [
        {"resource": name, "free": free.get(name, 0.0), "total": amount}
        for name, amount in sorted(total.items())
    ]
    if as_json:
        click.echo(json.dumps({"nodes": ray.nodes(), "resources": rows}))
    else:
        click.echo(f"{len(ray.nodes())} node(s)")
        for row in rows:
            click.echo(f"  {row['resource']:28} {row['free']:>16g} of {row['total']:g} free")
    ray.shutdown()


@cli.command()
def doctor() -> None:
    """Check this machine's limits; each finding says what to do. Exit status 1 if something is wrong."""
    from . import _doctor

    findings = _doctor.examine()
    for finding in findings:
        click.echo(f"{'ok ' if finding.good else 'BAD'} {finding.what}")
        if not finding.good:
            click.echo(f"     {finding.advice}")
    sys.exit(0 if all(f.good for f in findings) else 1)


@cli.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("script", type=click.Path(exists=True, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(script: str, arguments: tuple[str, ...]) -> None:
    """Run a Ray program on eagleray: its `import ray` becomes `import eagleray`.

    \b
    Example:
      eagleray run train.py --epochs 3
    """
    from . import _ray_alias

    _ray_alias.install()
    sys.argv = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    runpy.run_path(script, run_name="__main__")


@cli.command()
def version() -> None:
    """Print the version."""
    import eagleray

    click.echo(eagleray.__version__)


def main() -> None:
    cli(prog_name="eagleray")
