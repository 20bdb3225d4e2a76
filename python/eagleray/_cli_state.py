"""`eagleray list | get | summary | memory | logs | timeline | explain`: the state API for the terminal."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import click

from ._events import INTERNAL
from .util.state import api
from .util.state.common import (
    DEFAULT_LIMIT,
    DEFAULT_LOG_LIMIT,
    DEFAULT_RPC_TIMEOUT,
    GetApiOptions,
    ListApiOptions,
    StateResource,
    StateSchema,
    SummaryApiOptions,
    SummaryResource,
    resource_to_schema,
)
from .util.state.exception import RayStateApiException

FORMATS = ("default", "json", "table", "yaml")
_RESOURCES = [each.value.replace("_", "-") for each in StateResource]
_BY_ID = [each for each in _RESOURCES if each not in ("runtime-envs", "cluster-events")]

_address = click.option("--address", help="auto, or HOST:PORT of a cluster on this machine.")
_timeout = click.option(
    "--timeout", type=click.FloatRange(min=0.001), default=DEFAULT_RPC_TIMEOUT, show_default=True,
    help="Seconds for all processes to answer.",
)  # fmt: skip


def _format(default: str) -> Callable[[Any], Any]:
    return click.option(
        "--format",
        "form",
        type=click.Choice(FORMATS),
        default=default,
        show_default=True,
        help="json and yaml are for programs.",
    )


@contextlib.contextmanager
def asking(address: str | None) -> Iterator[None]:
    """Connected; warnings and errors as one line each."""
    import eagleray as ray

    connected = ray.is_initialized()
    here = False
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        try:
            api.connect(address, f"{INTERNAL}state")
            here = True
            yield
        except (RayStateApiException, ValueError, ConnectionError) as error:
            lost = here and isinstance(error, ConnectionError)
            raise click.ClickException(
                f"the cluster has ended ({error})" if lost else str(error)
            ) from None
        finally:
            for each in said:
                if each.category is UserWarning:
                    click.echo(f"eagleray: {each.message}", err=True)
            if not connected:
                ray.shutdown()


def _resource(text: str) -> StateResource:
    return StateResource(text.replace("-", "_"))


def _filter(resource: StateResource, text: str) -> tuple[str, str, str]:
    key, equals, value = text.partition("=")
    predicate = "!=" if key.endswith("!") else "="
    key = key.removesuffix("!")
    if not equals or not key or not value or value.startswith("="):
        raise click.BadParameter(
            f"{text!r} is no filter: write key=value or key!=value", param_hint="--filter"
        )
    known = {each.lower(): each for each in resource_to_schema(resource).filterable_columns()}
    if key.lower() not in known:
        raise click.BadParameter(
            f"Invalid filter key {key!r} for resource {resource.value!r}. Available filter keys are: "
            + ", ".join(sorted(known.values())),
            param_hint="--filter",
        )
    return known[key.lower()], predicate, value


def _plain(value: Any) -> Any:
    return value.asdict() if isinstance(value, StateSchema) else value


def _cell(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, default=str)
    return "" if value is None else " ".join(str(value).splitlines())


def table_of(rows: list[dict[str, Any]], columns: list[str]) -> str:
    """Columns as wide as what stands in them."""
    cells = [["", *(column.upper() for column in columns)]]
    cells += [[str(i), *(_cell(row[c]) for c in columns)] for i, row in enumerate(rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    )


def yaml_of(value: Any, indent: int = 0) -> str:
    """YAML without a library: strings are quoted as JSON has them where they could be taken for something else."""
    pad = " " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, inner in value.items():
            nested = isinstance(inner, (dict, list)) and inner
            text = yaml_of(inner, indent + 4)
            lines.append(f"{pad}{_scalar(str(key))}:" + (f"\n{text}" if nested else f" {text}"))
        return "\n".join(lines)
    if isinstance(value, list) and value:
        lines = []
        for inner in value:
            text = yaml_of(inner, indent + 4)
            nested = isinstance(inner, (dict, list)) and inner
            lines.append(f"{pad}-   {text.lstrip()}" if nested else f"{pad}-   {text}")
        return "\n".join(lines)
    return _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        plain = value and value.replace("_", "").replace(".", "").replace("-", "").isalnum()
        wordlike = plain and value[0].isalpha() and value.lower() not in _NOT_WORDS
        return value if wordlike else json.dumps(value)
    return json.dumps(value, default=str)


_NOT_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"}


def show(
    rows: list[dict[str, Any]],
    schema: type[StateSchema],
    form: str,
    detail: bool,
    total: int | None = None,
) -> str:
    """JSON and YAML have the values as they are in the API but for times and sizes, as Ray has them. total: of rows,
    listed or not."""
    columns = schema.list_columns(detail)
    rows = [schema.humanify({c: row.get(c) for c in columns}) for row in rows]
    if form == "json":
        return json.dumps(rows, default=str)
    if form == "yaml":
        return "---\n" + yaml_of(rows) + "\n..."
    if not rows:
        return "No resource in the cluster"
    return "\n".join(
        [
            "",
            f"{'=' * 8} List: {datetime.datetime.now()} {'=' * 8}",
            "Stats:",
            "-" * 30,
            f"Total: {len(rows) if total is None else total}",
            "",
            "Table:",
            "-" * 30,
            table_of(rows, columns),
        ]
    )


@click.command("list")
@click.argument("resource", type=click.Choice(_RESOURCES))
@_format("default")
@click.option("-f", "--filter", "filters", multiple=True, help="key=value or key!=value; all hold.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=DEFAULT_LIMIT, show_default=True,
    help="Rows at most; tasks: those that have not ended, then the newest.",
)  # fmt: skip
@click.option(
    "--detail", is_flag=True, help="All columns; as yaml, unless --format says otherwise."
)
@_timeout
@_address
def list_command(
    resource: str,
    form: str,
    filters: tuple[str, ...],
    limit: int,
    detail: bool,
    timeout: float,
    address: str | None,
) -> None:
    """List what there is: tasks with their history, actors, objects, workers, nodes ...

    \b
    Examples:
      eagleray list tasks --filter state=FAILED --detail
      eagleray list actors --filter class_name=Learner --format json
      eagleray list objects --limit 1000

    \b
    Exit status 1 when no cluster runs, or a process did not answer in time.
    """
    what = _resource(resource)
    options = ListApiOptions(
        limit=limit, timeout=timeout, detail=detail, filters=[_filter(what, f) for f in filters]
    )
    with asking(address):
        client = api.StateApiClient(address)
        rows = [_plain(row) for row in client.list(what, options)]
    if client.total > len(rows):
        said = f"eagleray: {len(rows)} of {client.total} are listed (--limit {limit})"
        click.echo(said, err=True)
    given = click.get_current_context().get_parameter_source("form")
    if detail and given == click.core.ParameterSource.DEFAULT:
        form = "yaml"
    click.echo(show(rows, resource_to_schema(what), form, detail, client.total))


@click.command("get")
@click.argument("resource", type=click.Choice(_BY_ID))
@click.argument("id")
@_format("yaml")
@_timeout
@_address
def get_command(resource: str, id: str, form: str, timeout: float, address: str | None) -> None:
    """Show one of them with all that is known of it.

    \b
    Examples:
      eagleray get actors 01000001000000000001000001000000
      eagleray get tasks ID --format json

    \b
    Exit status 1 when there is none with this id.
    """
    what = _resource(resource)
    with asking(address):
        found = api.StateApiClient(address).get(what, id, GetApiOptions(timeout=timeout))
    rows = [_plain(row) for row in (found if isinstance(found, list) else [found]) if row]
    if not rows:
        raise click.ClickException(f"Resource with id={id} not found in the cluster.")
    click.echo(show(rows, resource_to_schema(what), form, True))


@click.group("summary")
def summary_group() -> None:
    """Count tasks, actors or objects by what they are.

    \b
    Example:
      eagleray summary tasks
    """


def _add_summary(what: SummaryResource, title: str, by: str) -> None:
    @summary_group.command(
        what.value, help=f"{title}\n\n\b\nExample:\n  eagleray summary {what.value}"
    )
    @_format("default")
    @_timeout
    @_address
    def command(form: str, timeout: float, address: str | None) -> None:
        with asking(address):
            made = api.StateApiClient(address).summary(
                what, options=SummaryApiOptions(timeout=timeout)
            )["cluster"]
        if form == "json":
            click.echo(json.dumps(made))
            return
        if form == "yaml":
            click.echo("---\n" + yaml_of(made) + "\n...")
            return
        summary = made["summary"].items()
        rows = [row if key in row.values() else {by: key, **row} for key, row in summary]
        totals = {k: v for k, v in made.items() if k not in ("summary", "summary_by")}
        click.echo(
            f"\n{'=' * 8} {what.value.capitalize()} Summary: {datetime.datetime.now()} {'=' * 8}"
        )
        click.echo("Stats:\n" + "-" * 36 + "\n" + yaml_of(totals))
        click.echo(f"\nTable (group by {made['summary_by']}):\n" + "-" * 36)
        click.echo(table_of(rows, list(rows[0])) if rows else "No resource in the cluster")


_add_summary(SummaryResource.TASKS, "Count attempts of tasks by function and state.", "name")
_add_summary(SummaryResource.ACTORS, "Count actors by class and state.", "class")
_add_summary(SummaryResource.OBJECTS, "Count references by the place that made them.", "call_site")


@click.command("memory")
@click.option(
    "--group-by",
    type=click.Choice(["NODE_ADDRESS", "STACK_TRACE"]),
    default="NODE_ADDRESS",
    help="STACK_TRACE: by the place that made the object.",
)
@click.option(
    "--sort-by",
    type=click.Choice(["OBJECT_SIZE", "PID", "REFERENCE_TYPE"]),
    default="OBJECT_SIZE",
    help="Within a group.",
)
@click.option(
    "--units",
    type=click.Choice(["B", "KB", "MB", "GB"]),
    default="B",
    show_default=True,
    help="Of sizes.",
)
@click.option("--no-format", is_flag=True, hidden=True)
@click.option("--stats-only", is_flag=True, help="No list of references.")
@click.option(
    "-n", "--num-entries", "--n", type=click.IntRange(min=0), help="References of a group."
)
@_format("default")
@_timeout
@_address
def memory_command(
    group_by: str,
    sort_by: str,
    units: str,
    no_format: bool,
    stats_only: bool,
    num_entries: int | None,
    form: str,
    timeout: float,
    address: str | None,
) -> None:
    """Show who holds which object, and what in the program holds it.

    A reference that only a traceback or a closure holds is named as a leak. To see where objects were made, run the
    program with RAY_record_ref_creation_sites=1.

    \b
    Examples:
      eagleray memory --units MB
      eagleray memory --group-by STACK_TRACE --sort-by PID
      eagleray memory --format json

    \b
    Exit status 1 when no cluster runs.
    """
    from . import _memory
    from ._state_rows import Lookout

    with asking(address):
        look = Lookout(timeout)
        rows = _memory.facts(look, not stats_only)
        missing = look.say_what_is_missing()
    if missing:
        click.echo(f"eagleray: {missing}", err=True)
    if form == "json":
        click.echo(json.dumps(rows))
    elif form == "yaml":
        click.echo("---\n" + yaml_of(rows) + "\n...")
    else:
        click.echo(f"{'=' * 8} Object references status: {datetime.datetime.now()} {'=' * 8}")
        click.echo(_memory.text_of(rows, group_by, sort_by, units, stats_only, num_entries))


@click.command("timeline")
@click.argument("file", required=False)
@_address
def timeline_command(file: str | None, address: str | None) -> None:
    """Write what ran where and when, to be opened with ui.perfetto.dev or chrome://tracing.

    \b
    Examples:
      eagleray timeline
      eagleray timeline trace.json
    """
    from . import _timeline

    path = file or time.strftime("ray-timeline-%Y-%m-%d_%H-%M-%S.json")
    with asking(address):
        try:
            _timeline.timeline(path)
        except OSError as error:
            raise click.ClickException(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"Trace file written to {path}; open it with https://ui.perfetto.dev")


@click.command("explain")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_timeout
@_address
def explain_command(id: str, as_json: bool, timeout: float, address: str | None) -> None:
    """Say why a task waits, or where it ran, how long each phase took and what it cost.

    ID: of a task, an object (ref.hex()) or an actor.

    \b
    Examples:
      eagleray explain 0100000c00000000ffffffffffffffffffffffff01000000
      eagleray list tasks --filter state=PENDING_NODE_ASSIGNMENT --format json

    \b
    Exit status 1 when nothing is known of it.
    """
    from ._explain import explain

    with asking(address):
        made = explain(id, timeout)
    click.echo(json.dumps(made.asdict()) if as_json else str(made))


class _Logs(click.Group):
    """`logs FILE` is short for `logs cluster FILE`."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            args = ["cluster", *args]
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ("--help", "-h")):
            args = ["cluster", *args]
        return super().parse_args(ctx, args)


@click.group("logs", cls=_Logs)
def logs_group() -> None:
    """List logs, or print and follow one.

    \b
    Examples:
      eagleray logs                        which there are
      eagleray logs node.log --tail 50
      eagleray logs actor --id ID --follow
      eagleray logs worker --pid 4711 --err
    """


def _log_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--follow", "-f", is_flag=True, help="Go on as it grows."),
        click.option(
            "--tail", type=int, default=DEFAULT_LOG_LIMIT, show_default=True, help="Lines; -1: all."
        ),
        click.option(
            "--interval",
            type=click.FloatRange(min=0.01),
            help="Seconds between looks with --follow.",
        ),
        click.option("--node-id", "-id", help="Of the node that has it."),
        click.option("--node-ip", "-ip", help="Likewise."),
        click.option("--err", is_flag=True, help="What was written to stderr."),
        click.option("--encoding", default="utf-8", show_default=True, help="Of the log."),
        click.option(
            "--encoding-errors", default="replace", show_default=True, help="As Python names them."
        ),
        _timeout,
        _address,
    ):
        command = option(command)
    return command


def _print_log(given: dict[str, Any], **wanted: Any) -> None:
    address = given["address"]
    with asking(address):
        chunks = api.get_log(
            address=address,
            node_id=given["node_id"],
            node_ip=given["node_ip"],
            follow=given["follow"],
            tail=given["tail"],
            timeout=given["timeout"],
            suffix="err" if given["err"] else "out",
            encoding=given["encoding"],
            errors=given["encoding_errors"],
            _interval=given["interval"],
            **wanted,
        )
        for chunk in chunks:
            click.echo(chunk, nl=False)
            sys.stdout.flush()


@logs_group.command("cluster")
@click.argument("glob_filter", required=False, default="*")
@_log_options
def logs_cluster(glob_filter: str, **given: Any) -> None:
    """List log files; print it where only one has such a name.

    \b
    Examples:
      eagleray logs cluster
      eagleray logs cluster "worker-*.err"
    """
    with asking(given["address"]):
        groups = api.list_logs(
            given["address"], given["node_id"], given["node_ip"], glob_filter, given["timeout"]
        )
    names = [name for group in groups.values() for name in group]
    if len(names) == 1 and glob_filter != "*":
        return _print_log(given, filename=names[0])
    if not names:
        raise click.ClickException(f"no log is named like {glob_filter!r}")
    click.echo(yaml_of(groups))


@logs_group.command("actor")
@click.option("--id", "-a", "actor_id", help="Of the actor.")
@click.option("--pid", "-pid", type=int, help="Of its process.")
@_log_options
def logs_actor(actor_id: str | None, pid: int | None, **given: Any) -> None:
    """Print what an actor has printed.

    \b
    Example:
      eagleray logs actor --id 01000001000000000001000001000000
    """
    if not actor_id and not pid:
        raise click.MissingParameter(
            "At least one of `--pid` and `--id` has to be set", param_type="option"
        )
    _print_log(given, actor_id=actor_id, pid=pid)


@logs_group.command("worker")
@click.option("--pid", "-pid", type=int, required=True, help="Of the worker.")
@_log_options
def logs_worker(pid: int, **given: Any) -> None:
    """Print what a worker has printed.

    \b
    Example:
      eagleray logs worker --pid 4711 --follow
    """
    _print_log(given, pid=pid)


@logs_group.command("job")
@click.option("--id", "submission_id", required=True, help="Of a submitted job.")
@_log_options
def logs_job(submission_id: str, **given: Any) -> None:
    """Print what a submitted job has printed.

    \b
    Example:
      eagleray logs job --id raysubmit_abc
    """
    _print_log(given, filename=f"job-driver-{submission_id}.log")


@logs_group.command("task")
@click.option("--id", "task_id", required=True, help="Of the task.")
@click.option(
    "--attempt-number", "-a", type=int, default=0, show_default=True, help="0: the first."
)
@_log_options
def logs_task(task_id: str, attempt_number: int, **given: Any) -> None:
    """Print what the worker has printed that ran a task: other tasks that it ran, too.

    \b
    Example:
      eagleray logs task --id 0100000c00000000ffffffffffffffffffffffff01000000
    """
    _print_log(given, task_id=task_id, attempt_number=attempt_number)
