"""The command line: `eagleray COMMAND`. Exit status: 0 done, 1 it could not be done (one line says why), 2 the
command line is wrong."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from . import _completion

# Options of `ray start` that cannot act yet, by the feature that they belong to.
_LATER = {
    "clusters of several machines": "--autoscaling-config --node-name --redis-username --redis-password "
    "--redis-shard-ports --no-monitor",
    "the dashboard": "--proxy-server-url",
    "spilling to disk": "--plasma-directory --object-spilling-directory --enable-object-reconstruction",
    "resource isolation": "--enable-resource-isolation --system-reserved-cpu --system-reserved-memory "
    "--cgroup-path",
    "the debugger": "--ray-debugger-external",
}
_LATER_FLAGS = {
    "--no-monitor",
    "--enable-object-reconstruction",
    "--enable-resource-isolation",
    "--ray-debugger-external",
}
# Options of `ray start` whose wish is granted whatever they say: nothing listens on these ports.
_PORTS = (
    "--object-manager-port --node-manager-port --min-worker-port --max-worker-port --worker-port-list "
    "--ray-client-server-port --dashboard-agent-listen-port --dashboard-agent-grpc-port "
    "--runtime-env-agent-port"
)
# Likewise.
_NO_MATTER = (
    ("--disable-usage-stats",),
    ("--no-redirect-output",),
    ("-v", "--verbose"),
)


def _refuse(feature: str) -> Callable[..., Any]:
    def callback(_context: Any, parameter: click.Parameter, value: Any) -> Any:
        if value not in (None, False):
            raise click.ClickException(
                f"{parameter.opts[0]} is not implemented yet in eagleray (part of: {feature})"
            )
        return value

    return callback


def _rest_of_ray(command: Any) -> Any:
    """Accepts the options of `ray start` that have no help here."""
    for feature, listed in _LATER.items():
        for name in listed.split():
            flag = name in _LATER_FLAGS
            command = click.option(
                name,
                is_flag=flag,
                default=None,
                hidden=True,
                expose_value=False,
                callback=_refuse(feature),
            )(command)
    for names in _NO_MATTER:
        command = click.option(*names, is_flag=True, hidden=True, expose_value=False)(command)
    for name in ("--log-style", "--log-color", "--include-log-monitor", *_PORTS.split()):
        command = click.option(name, hidden=True, expose_value=False)(command)
    return command


def json_object(_context: Any, parameter: click.Parameter, text: str | None) -> Any:
    """Callback of options whose value is a JSON object."""
    if text is None:
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not JSON: {error}", param=parameter) from None
    if not isinstance(value, dict):
        raise click.BadParameter(f'{text!r} is no JSON object, as {{"name": 2}}', param=parameter)
    return value


def _pairs(_context: Any, parameter: click.Parameter, text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    pairs = [entry.split("=", 1) for entry in text.split(",") if entry]
    if not all(len(pair) == 2 and pair[0] for pair in pairs):
        raise click.BadParameter(
            f"{text!r} is not key=value,key=value, as zone=a,tier=gold", param=parameter
        )
    return {key.strip(): value.strip() for key, value in pairs}


def _labels_file(
    _context: Any, parameter: click.Parameter, path: str | None
) -> dict[str, str] | None:
    if path is None:
        return None
    with open(path) as file:
        lines = [line.split("#")[0].strip() for line in file]
    pairs = [line.split(":", 1) for line in lines if line]
    if not all(len(pair) == 2 for pair in pairs):
        raise click.BadParameter(f"{path} has other lines than `key: value`", param=parameter)
    return {key.strip(" \"'"): value.strip(" \"'") for key, value in pairs}


class _WithLibraries(click.Group):
    """Finds the commands of libraries in their own modules, which are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from . import _cli_later

        own = {*super().list_commands(ctx), *_installed_libraries(), *_ELSEWHERE}
        return [*sorted(own), *sorted(set(_cli_later.COMMANDS) - own)]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _ELSEWHERE:
            module, _, attribute = _ELSEWHERE[name].partition(":")
            found: click.Command = getattr(importlib.import_module(module, __package__), attribute)
            return found
        if name in _installed_libraries():
            command: click.Command = importlib.import_module(_LIBRARIES[name]).cli
            return command
        own = super().get_command(ctx, name)
        if own is not None:
            return own
        from . import _cli_later

        return _cli_later.COMMANDS.get(name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Those that are there, then those that come later."""
        from . import _cli_later

        shown = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        for title, later in (("Commands", False), ("Commands of Ray that come later", True)):
            rows = [
                (name, command.get_short_help_str(66))
                for name, command in shown
                if command is not None
                and not command.hidden
                and (command is _cli_later.COMMANDS.get(name)) is later
            ]
            with formatter.section(title):
                formatter.write_dl(rows)


# name of the command: module and attribute; imported when it is used
_ELSEWHERE = {
    "job": "._cli_jobs:job",
    "kill-actor": "._cli_cluster:kill_actor",
    "get-head-ip": "._cli_cluster:get_head_ip",
    "get-worker-ips": "._cli_cluster:get_worker_ips",
    "get-auth-token": "._cli_cluster:get_auth_token",
    "check-open-ports": "._cli_cluster:check_open_ports",
    "cluster-dump": "._cli_cluster:cluster_dump",
    "health-check": "._cli_cluster:health_check",
    "sanity-check": "._cli_cluster:sanity_check",
    "microbenchmark": "._cli_cluster:microbenchmark",
    "symmetric-run": "._cli_cluster:symmetric_run",
    "stack": "._cli_look:stack",
    "flamegraph": "._cli_look:flamegraph",
    "enable-usage-stats": "._cli_later:enable_usage_stats",
    "disable-usage-stats": "._cli_later:disable_usage_stats",
    "metrics": "._cli_metrics:metrics",
    "debug": "._cli_debug:debug",
    "check": "._cli_check:check",
    "list": "._cli_state:list_command",
    "get": "._cli_state:get_command",
    "summary": "._cli_state:summary_group",
    "memory": "._cli_state:memory_command",
    "logs": "._cli_state:logs_group",
    "timeline": "._cli_state:timeline_command",
    "explain": "._cli_state:explain_command",
}
# name of the command: module whose `cli` it is
_LIBRARIES = {"tune": "eagleray.tune.cli", "rllib": "eagleray.rllib.cli"}


def _installed_libraries() -> list[str]:
    here = os.path.dirname(__file__)
    return [name for name in _LIBRARIES if os.path.exists(os.path.join(here, name, "cli.py"))]


def _print_version(context: click.Context, _parameter: Any, wanted: bool) -> None:
    if wanted:
        from . import __version__

        click.echo(f"eagleray, version {__version__}")
        context.exit()


@click.group(cls=_WithLibraries, context_settings={"help_option_names": ["-h", "--help"]})
@_completion.options
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def cli() -> None:
    """eagleray: tasks, actors and objects across processes, with Ray's API.

    \b
    A first session:
      eagleray doctor                    is this machine fit for it?
      eagleray run train.py              run a Ray program here, nothing else is needed
      eagleray start --head              or: a cluster that several programs share
      eagleray status --watch            what it has, what is used, what waits
      eagleray job submit -- python train.py
      eagleray stop

    \b
    Moving from Ray:
      eagleray check train.py            which of Ray's names it uses, and their state here

    \b
    Exit status of every command: 0 done, 1 it could not be done (one line says why), 2 the command line is
    wrong. Colours only on a terminal, and never with NO_COLOR set. --json, where it is, prints JSON.
    """


@cli.command()
@click.option("--head", is_flag=True, help="Start the first node of a cluster on this machine.")
@click.option("--address", help="Join the cluster at HOST:PORT (comes with many machines).")
@click.option("--num-cpus", type=float, help="CPUs to offer; the number of cores by default.")
@click.option("--num-gpus", type=float, help="GPUs to offer.")
@click.option(
    "--resources", callback=json_object, help="Custom resources as JSON: '{\"disk\": 2}'."
)
@click.option("--memory", type=int, help="Bytes of memory that tasks may ask for.")
@click.option("--labels", callback=_pairs, help="Labels of the node: zone=a,tier=gold.")
@click.option(
    "--labels-file",
    type=click.Path(exists=True, dir_okay=False),
    callback=_labels_file,
    help="A file of labels, a line `key: value` each; --labels goes before it.",
)
@click.option(
    "--object-store-memory", type=int, help="Bytes of the object store (30 % of free memory)."
)
@click.option(
    "--system-config",
    callback=json_object,
    help="Settings as JSON: '{\"worker_idle_ms\": 5000}' (docs/user/settings.md).",
)
@click.option(
    "--temp-dir",
    help="Where session directories live (/tmp/eagleray, or /tmp/eagleray-UID if that is not yours).",
)
@click.option("--node-ip-address", help="The node's address, as nodes() shows it (127.0.0.1).")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="For address='HOST:PORT' in programs on this machine; nothing listens there.",
)
@click.option(
    "--dashboard-host",
    help="Where jobs are submitted (127.0.0.1); elsewhere tokens go unencrypted.",
)
@click.option(
    "--dashboard-port",
    type=click.IntRange(0, 65535),
    help="Of the end point for jobs (the first free one from 8265 on).",
)
@click.option("--include-dashboard", type=bool, hidden=True)
@click.option(
    "--metrics-export-port",
    type=click.IntRange(0, 65535),
    help="Serve metrics on this port of the loopback device (0: any); otherwise with the first metric.",
)
@click.option(
    "--tracing-startup-hook",
    help="module:function that sets OpenTelemetry up, run in all programs and workers.",
)
@click.option("--block", is_flag=True, help="Stay until the node ends; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_rest_of_ray
def start(head: bool, address: str | None, block: bool, as_json: bool, **options: Any) -> None:
    """Start a cluster that outlives this command.

    \b
    Examples:
      eagleray start --head --num-cpus 8
      eagleray start --head --resources '{"disk": 2}' --labels zone=a
      python -c "import eagleray as ray; ray.init(address='auto'); print(ray.cluster_resources())"
      eagleray stop

    \b
    Exit status 1: one of yours runs already, or it cannot start. Options of `ray start` that are not
    listed here are accepted; those that cannot act yet say so by name.
    """
    from . import _daemon, _init_arguments

    if address:
        raise click.ClickException(
            "--address is not implemented yet in eagleray (part of: clusters of several machines)"
        )
    if not head:
        raise click.UsageError("give --head to start a cluster on this machine")
    labels = {**(options.pop("labels_file") or {}), **(options.pop("labels") or {})}
    dashboard = options.pop("include_dashboard")
    options["jobs"] = dashboard is not False
    if dashboard:
        click.echo(f"eagleray: {_init_arguments.NO_DASHBOARD}", err=True)
    try:
        node = _daemon.start_head(labels=labels, **options)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    vigil = _daemon.Vigil(node) if block else None
    _say_started(node, as_json)
    if vigil:
        sys.exit(vigil.wait())


def _say_started(node: Any, as_json: bool) -> None:
    if as_json:
        facts = {"pid": node.process.pid, "session_dir": node.session_dir, "jobs": node.jobs_url}
        click.echo(json.dumps(facts))
        return
    click.echo(f"started: process {node.process.pid}, session {node.session_dir}")
    click.echo("connect with ray.init(address='auto'), look with `eagleray status`;")
    if node.jobs_url:
        click.echo(f"submit jobs with `eagleray job submit -- COMMAND` ({node.jobs_url})")
    click.echo("end it with `eagleray stop`")


@cli.command()
@click.option("-f", "--force", is_flag=True, help="Kill at once instead of asking.")
@click.option(
    "-g",
    "--grace-period",
    type=click.FloatRange(0),
    help="Seconds until what does not end is killed (10).",
)
@click.option("--temp-dir", help="As given to start.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def stop(force: bool, grace_period: float | None, temp_dir: str | None, as_json: bool) -> None:
    """End your clusters on this machine; returns when every process is gone.

    \b
    Examples:
      eagleray stop
      eagleray stop --force              do not wait for what hangs

    \b
    Exit status 0, also when nothing ran.
    """
    from . import _daemon

    ended = _daemon.stop(temp_dir, force, grace_period)
    if as_json:
        click.echo(json.dumps({"ended": ended}))
        return
    for each in ended:
        click.echo(f"ended: {each}")
    if not ended:
        click.echo("nothing runs")


@cli.command()
@click.option("--temp-dir", help="As given to start.")
@click.option("--address", help="auto, or HOST:PORT of a cluster on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="All resources, labels and groups.")
@click.option("-w", "--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option(
    "--interval", type=click.FloatRange(0.1), default=1.0, help="Seconds between two looks (1)."
)
def status(
    temp_dir: str | None,
    address: str | None,
    as_json: bool,
    verbose: bool,
    watch: bool,
    interval: float,
) -> None:
    """Show a cluster's nodes, what is used, what waits, and its processes.

    \b
    Examples:
      eagleray status
      eagleray status --json | python -m json.tool
      eagleray status --watch            as it goes on: resources, memory, what waits and why

    \b
    Exit status 1 when no cluster of yours runs that `eagleray start --head` began.
    """
    import eagleray as ray

    from . import _status
    from ._events import INTERNAL

    try:
        ray.init(
            address=address or "auto",
            namespace=f"{INTERNAL}status",
            log_to_driver=False,
            _temp_dir=temp_dir,
        )
    except (ConnectionError, NotImplementedError) as error:
        raise click.ClickException(str(error)) from None
    try:
        if watch:
            _watch(interval, as_json, verbose, temp_dir)
        else:
            facts = _status.facts(temp_dir)
            click.echo(json.dumps(facts) if as_json else _status.text_of(facts, verbose))
    finally:
        ray.shutdown()


def _watch(interval: float, as_json: bool, verbose: bool, temp_dir: str | None) -> None:
    from . import _status_watch, exceptions

    try:
        _status_watch.watch(interval, as_json, verbose, temp_dir)
    except KeyboardInterrupt:
        return
    except BrokenPipeError:  # whoever read this has gone: click ends quietly
        raise
    except (ConnectionError, exceptions.RayError) as error:
        raise click.ClickException(f"the cluster has ended ({error})") from None


@cli.command()
@click.option("--temp-dir", help="Where sessions would live, as for start.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(temp_dir: str | None, as_json: bool) -> None:
    """Check this machine's limits; each finding says what to do.

    \b
    Examples:
      eagleray doctor
      eagleray doctor && eagleray start --head

    \b
    Exit status 1 if something is wrong.
    """
    from . import _doctor

    findings = _doctor.examine(temp_dir)
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings]))
    else:
        for finding in findings:
            mark = click.style("ok ", fg="green") if finding.good else click.style("BAD", fg="red")
            click.echo(f"{mark} {finding.what}", color=False if "NO_COLOR" in os.environ else None)
            if not finding.good:
                click.echo(f"     {finding.advice}")
    sys.exit(0 if all(f.good for f in findings) else 1)


class _Runs(click.Command):
    """What stands behind a module's name is the module's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if len(args) > 2 and args[0] in ("-m", "--module"):
            args = [*args[:2], "--", *args[2:]]
        return super().parse_args(ctx, args)


@cli.command(
    cls=_Runs,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("-m", "--module", help="Run a module of this name, as `python -m` does.")
@click.argument("script", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(module: str | None, script: str | None, arguments: tuple[str, ...]) -> None:
    """Run a Ray program on eagleray: its `import ray` becomes `import eagleray`.

    \b
    Examples:
      eagleray run train.py --epochs 3
      eagleray run -m pytest tests/      a package's own tests
      python -m eagleray run train.py --epochs 3

    \b
    So do its workers and the Python programs that it starts; the command `ray` is eagleray there.
    Exit status: the program's.
    """
    from . import _ray_alias

    if module is None and script is None:
        raise click.UsageError("name a program, or a module with -m")
    if module is None and not os.path.exists(str(script)):
        raise click.UsageError(f"the program {script} does not exist")
    _ray_alias.install()
    _ray_alias.install_in_children()
    if module is not None:
        _ray_alias.run_module(module, [*([script] if script else []), *arguments])
    else:
        _ray_alias.run_script(str(script), list(arguments))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(as_json: bool) -> None:
    """Print the version.

    \b
    Example:
      eagleray version
    """
    import eagleray

    if as_json:
        click.echo(json.dumps({"version": eagleray.__version__, "commit": eagleray.__commit__}))
    else:
        click.echo(eagleray.__version__)


def main() -> None:
    cli(prog_name="eagleray")
