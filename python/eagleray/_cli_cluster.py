"""Commands about the cluster on this machine beside start, stop and status."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import click

from . import _node, _token
from ._events import INTERNAL

_ADDRESS = click.option("--address", help="auto, or HOST:PORT of a cluster on this machine.")
LOG_BYTES_MAX = 16 << 20  # of a file in a dump: its end


@contextlib.contextmanager
def connected(address: str | None, namespace: str | None = None) -> Iterator[Any]:
    """A connection for one command. No cluster: one line, and exit status 1."""
    import eagleray as ray

    where = namespace or f"{INTERNAL}command"
    try:
        ray.init(address=address or "auto", namespace=where, log_to_driver=False)
    except (ConnectionError, NotImplementedError) as error:
        raise click.ClickException(str(error)) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _running() -> dict[str, Any]:
    found = _node.find_running(None)
    if found is None:
        raise click.ClickException(
            "Could not find any running cluster on this machine. Start one with `eagleray start --head`."
        )
    return found


@click.command("kill-actor")
@_ADDRESS
@click.option("--name", required=True, help="Of the actor.")
@click.option("--namespace", help="Where its name belongs to.")
@click.option(
    "--force", is_flag=True, help="End it at once; otherwise after what it has been given."
)
@click.option("--no-restart", is_flag=True, help="With --force: it is not started again.")
def kill_actor(
    address: str | None, name: str, namespace: str | None, force: bool, no_restart: bool
) -> None:
    """End a named actor.

    \b
    Examples:
      eagleray kill-actor --name counter --namespace mine
      eagleray kill-actor --name counter --namespace mine --force --no-restart

    \b
    Exit status 1: there is no such actor, or no cluster.
    """
    if no_restart and not force:
        click.echo("--no-restart counts only with --force", err=True)
    with connected(address, namespace) as ray:
        try:
            handle = ray.get_actor(name, namespace=namespace)
        except ValueError:
            raise click.ClickException(
                f"No named actor found: {name} (namespace={namespace})"
            ) from None
        if force:
            ray.kill(handle, no_restart=no_restart)
            click.echo(f"Actor killed (force): {name}")
        else:
            ended = handle.__ray_terminate__.remote()
            ray.wait([ended], timeout=1)
            click.echo(f"Requested graceful termination for actor: {name}")


@click.command("get-head-ip")
@click.argument("cluster_config_file", required=False)
def get_head_ip(cluster_config_file: str | None) -> None:
    """Print the address of the cluster's head.

    \b
    Example:
      eagleray get-head-ip

    \b
    Exit status 1 when no cluster runs. A file that describes a cluster is for several machines.
    """
    _no_config(cluster_config_file)
    click.echo(_running().get("address") or _node.node_ip())


@click.command("get-worker-ips")
@click.argument("cluster_config_file", required=False)
def get_worker_ips(cluster_config_file: str | None) -> None:
    """Print the addresses of the other machines, a line each: none here.

    \b
    Example:
      eagleray get-worker-ips
    """
    _no_config(cluster_config_file)
    _running()


def _no_config(path: str | None) -> None:
    if path is not None:
        raise click.ClickException(
            f"{path}: files that describe clusters are not implemented yet in eagleray (part of: clusters of "
            "several machines)"
        )


@click.command("get-auth-token")
@click.option("--generate", is_flag=True, help="Make ~/.ray/auth_token if there is no token yet.")
def get_auth_token(generate: bool) -> None:
    """Print the token that the job end point wants: the running cluster's, or else your own.

    \b
    Example:
      curl -H "Authorization: Bearer $(eagleray get-auth-token)" http://127.0.0.1:8265/api/version

    \b
    Exit status 1: there is none.
    """
    found = _node.find_running(None)
    try:
        if found is not None:
            token = _token.read(os.path.join(found["session_dir"], _token.FILE))
        else:
            token = _token.given(os.environ) or ""
        if not token and generate:
            token = _token.make()
            _token.write(_token.default_path(), token)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if not token:
        raise click.ClickException(
            "No authentication token found. Use `eagleray get-auth-token --generate` to create one."
        )
    click.echo(token, nl=False)
    click.echo("", err=True)


@click.command("check-open-ports")
@click.option("-y", "--yes", is_flag=True, hidden=True)
@click.option("--service-url", hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check_open_ports(yes: bool, service_url: str | None, as_json: bool) -> None:
    """List what a cluster listens on, and whether other machines can reach it.

    \b
    Example:
      eagleray check-open-ports

    \b
    Nobody outside is asked, unlike Ray's. Exit status 1: something listens beyond loopback, or no cluster runs.
    """
    from . import _ports
    from ._status import descendants

    found = _ports.listening(descendants(int(_running()["pid"])))
    open_ones = [each for each in found if not each["loopback"]]
    if as_json:
        click.echo(json.dumps(found))
    else:
        for each in found:
            reach = "this machine only" if each["loopback"] else "OTHER MACHINES"
            click.echo(f"{each['address']}:{each['port']}  process {each['pid']}  {reach}")
        if not found:
            click.echo("nothing listens")
    sys.exit(1 if open_ones else 0)


@click.command("cluster-dump")
@click.argument("cluster_config_file", required=False)
@click.option("-o", "--output", help="The archive (collected_logs_TIME.tar.gz).")
@click.option("--logs/--no-logs", default=True, help="Logs of the session.")
@click.option("--pip/--no-pip", default=True, help="Installed packages.")
@click.option("--processes/--no-processes", default=True, help="The cluster's processes.")
@click.option("--debug-state/--no-debug-state", default=True, hidden=True)
@click.option("--processes-verbose/--no-processes-verbose", default=True, hidden=True)
@click.option("-L", "--local", is_flag=True, hidden=True)
def cluster_dump(
    cluster_config_file: str | None,
    output: str | None,
    logs: bool,
    pip: bool,
    processes: bool,
    debug_state: bool,
    processes_verbose: bool,
    local: bool,
) -> None:
    """Pack what somebody needs who looks for a fault: status, logs, versions. No tokens, no environments.

    \b
    Example:
      eagleray cluster-dump -o report.tar.gz

    \b
    Exit status 1 when no cluster runs.
    """
    from . import _status

    _no_config(cluster_config_file)
    found = _running()
    path = output or time.strftime("collected_logs_%Y-%m-%d_%H-%M-%S.tar.gz")
    with connected("auto"):
        facts = _status.facts()
    if not processes:
        facts.pop("processes")
    with tarfile.open(path, "w:gz") as archive:
        _add(archive, "status.json", json.dumps(facts, indent=1).encode())
        if pip:
            _add(archive, "packages.txt", _packages().encode())
        if logs:
            _add_logs(archive, os.path.join(found["session_dir"], "logs"))
    os.chmod(path, 0o600)
    click.echo(f"Created archive: {path}")


def _packages() -> str:
    from importlib.metadata import distributions

    lines = {f"{each.metadata['Name']}=={each.version}" for each in distributions()}
    return "\n".join([f"python {sys.version}", *sorted(lines), ""])


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = len(data), int(time.time()), 0o600
    archive.addfile(entry, io.BytesIO(data))


def _add_logs(archive: tarfile.TarFile, folder: str) -> None:
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - LOG_BYTES_MAX))
            _add(archive, f"logs/{name}", file.read())


@click.command("health-check", hidden=True)
@_ADDRESS
@click.option("--component", hidden=True)
@click.option("--skip-version-check", is_flag=True, hidden=True)
def health_check(address: str | None, component: str | None, skip_version_check: bool) -> None:
    """Exit with 0 if a cluster is there and its control answers.

    \b
    Example:
      eagleray health-check && echo well
    """
    with connected(address) as ray:
        ray.nodes()


@click.command("sanity-check", hidden=True)
def sanity_check() -> None:
    """Run one task in a cluster of its own.

    \b
    Example:
      eagleray sanity-check
    """
    import eagleray as ray

    ray.init("local", num_cpus=1)
    click.echo(ray.get(ray.remote(lambda: "Success!").remote()))
    ray.shutdown()


@click.command("microbenchmark")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def microbenchmark(as_json: bool) -> None:
    """Measure calls, tasks and objects a second on this machine; half a minute.

    \b
    Examples:
      eagleray microbenchmark
      eagleray microbenchmark --json

    \b
    Rows are named as Ray's, so that both can be put side by side.
    """
    from . import _microbenchmark

    rows = []
    for row in _microbenchmark.measure():
        rows.append(row)
        if not as_json:
            click.echo(f"{row['name']} per second {row['rate']:.2f} +- {row['deviation']:.2f}")
    if as_json:
        click.echo(json.dumps(rows))


@click.command(
    "symmetric-run",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--address", required=True, help="HOST:PORT of the head, on this machine.")
@click.option("--min-nodes", type=int, default=1, help="How many nodes to wait for (1).")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def symmetric_run(address: str, min_nodes: int, arguments: tuple[str, ...]) -> None:
    """Start a cluster, run a command in it, end the cluster.

    \b
    Example:
      eagleray symmetric-run --address 127.0.0.1:6379 --num-cpus 4 -- python train.py

    \b
    What stands before `--` goes to `eagleray start --head`. Exit status: the command's.
    """
    if "--" not in sys.argv:
        raise click.UsageError("separate the options of start from the command with '--'")
    words = sys.argv[sys.argv.index("--") + 1 :]
    given = list(arguments)[: len(arguments) - len(words)]
    host, separator, port = address.rpartition(":")
    if not separator or not port.isdigit():
        raise click.ClickException(f"Invalid address format: {address}, should be `host:port`")
    if min_nodes > 1 or host not in ("127.0.0.1", "localhost", _node.node_ip()):
        raise click.ClickException(
            "symmetric-run with other nodes is not implemented yet in eagleray (part of: clusters of several "
            "machines)"
        )
    if not words:
        raise click.UsageError("no command behind '--'")
    ours = [sys.executable, "-m", "eagleray"]
    started = [*ours, "start", "--head", f"--port={port}", *(g for g in given if g != "--")]
    if subprocess.run(started).returncode != 0:
        sys.exit(1)
    try:
        status = subprocess.run(words, env={**os.environ, "RAY_ADDRESS": "auto"}).returncode
    except OSError as error:
        raise click.ClickException(str(error)) from None
    except KeyboardInterrupt:
        status = 130
    finally:
        subprocess.run([*ours, "stop"])
    sys.exit(status)
