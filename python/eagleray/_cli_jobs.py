"""`eagleray job`: jobs of the cluster that `eagleray start --head` has started, over its end point. Exit status: 0 done,
and a job that was waited for has succeeded or was stopped; 1 it failed, or it could not be done; 2 the command line
is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from ._cli import json_object

if TYPE_CHECKING:
    from .job_submission import JobDetails, JobSubmissionClient

STATUS_EVERY_S = 0.1


def _verify(_context: Any, _parameter: Any, text: str) -> bool | str:
    return {"true": True, "false": False}.get(text.lower(), text)


def _where(command: Any) -> Any:
    """The options that say which cluster."""
    for option in (
        click.option(
            "--verify",
            default="true",
            callback=_verify,
            help="For https: true, false, or the path of certificates to trust.",
        ),
        click.option("--headers", callback=json_object, help="Headers to send along, as JSON."),
        click.option(
            "--address",
            help="The end point's URL, or auto: the cluster on this machine. RAY_API_SERVER_ADDRESS or "
            "RAY_ADDRESS go before it.",
        ),
        click.option("--log-style", hidden=True, expose_value=False),
        click.option("--log-color", hidden=True, expose_value=False),
        click.option("-v", "--verbose", is_flag=True, hidden=True, expose_value=False),
    ):
        command = option(command)
    return command


@contextlib.contextmanager
def _client(
    address: str | None, headers: dict[str, Any] | None, verify: bool | str
) -> Iterator[JobSubmissionClient]:
    """A client; what goes wrong is one line and exit status 1."""
    from .exceptions import RayError
    from .job_submission import JobSubmissionClient

    try:
        yield JobSubmissionClient(address, headers=headers, verify=verify)
    except (OSError, RuntimeError, TypeError, ValueError, NotImplementedError, RayError) as error:
        raise click.ClickException(str(error)) from None


@click.group()
def job() -> None:
    """Run commands on a cluster, and look after them.

    \b
    Examples:
      eagleray start --head
      eagleray job submit --working-dir . -- python train.py --epochs 3
      eagleray job list

    \b
    The end point wants a token, which is found where the cluster runs (`eagleray get-auth-token`).
    Exit status: 0 done, 1 it failed, 2 the command line is wrong.
    """


@job.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@_where
@click.option("--submission-id", "--job-id", help="The job's name; made up by default.")
@click.option(
    "--runtime-env",
    type=click.Path(exists=True, dir_okay=False),
    help="A YAML or JSON file with its runtime environment.",
)
@click.option("--runtime-env-json", callback=json_object, help="The same, as JSON.")
@click.option("--working-dir", help="A directory to send along and to run in, as it is now.")
@click.option(
    "--metadata-json", callback=json_object, help='Strings to keep with it: \'{"who": "me"}\'.'
)
@click.option("--entrypoint-num-cpus", type=float, help="CPUs that the command itself holds.")
@click.option("--entrypoint-num-gpus", type=float, help="GPUs, likewise.")
@click.option("--entrypoint-memory", type=int, help="Bytes of memory, likewise.")
@click.option("--entrypoint-resources", callback=json_object, help="Custom resources, as JSON.")
@click.option("--entrypoint-label-selector", callback=json_object, help="Where to run, as JSON.")
@click.option("--no-wait", is_flag=True, help="Return at once; otherwise its output is followed.")
@click.argument("entrypoint", nargs=-1, required=True, type=click.UNPROCESSED)
def submit(
    address: str | None,
    headers: dict[str, Any] | None,
    verify: bool | str,
    entrypoint: tuple[str, ...],
    no_wait: bool,
    metadata_json: dict[str, str] | None,
    submission_id: str | None,
    **options: Any,
) -> None:
    """Submit a job: a command that the cluster runs once.

    \b
    Examples:
      eagleray job submit -- python train.py --epochs 3
      eagleray job submit --working-dir . --no-wait -- eagleray run uses_ray.py
      eagleray job submit --runtime-env-json '{"env_vars": {"X": "1"}}' -- sh -c 'echo $X'

    \b
    Exit status 0 when it succeeded or was stopped, 1 when it failed. Ctrl-C leaves it running.
    """
    from .job_submission import _supervisor

    env = _runtime_env(
        options.pop("runtime_env"), options.pop("runtime_env_json"), options.pop("working_dir")
    )
    with _client(address, headers, verify) as client:
        made = client.submit_job(
            entrypoint=_supervisor.command_of(entrypoint),
            submission_id=submission_id,
            runtime_env=env,
            metadata=metadata_json,
            **options,
        )
        click.echo(f"Job '{made}' submitted successfully")
        click.echo(f"  eagleray job logs --follow {made}")
        click.echo(f"  eagleray job status {made}")
        click.echo(f"  eagleray job stop {made}")
        if not no_wait:
            _follow(client, made)


def _runtime_env(
    path: str | None, given: dict[str, Any] | None, working_dir: str | None
) -> dict[str, Any]:
    if path is not None and given is not None:
        raise click.UsageError("Only one of --runtime-env and --runtime-env-json can be provided.")
    env = dict(given or {})
    if path is not None:
        env = _read_env(path)
    if working_dir is not None:
        env["working_dir"] = working_dir
    return env


def _read_env(path: str) -> dict[str, Any]:
    with open(path) as file:
        text = file.read()
    try:
        found = json.loads(text)
    except ValueError:
        try:
            import yaml
        except ImportError:
            raise click.ClickException(
                f"{path} is not JSON, and for YAML the package pyyaml is missing"
            ) from None
        try:
            found = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise click.ClickException(f"{path} is neither JSON nor YAML: {error}") from None
    if not isinstance(found, dict):
        raise click.ClickException(f"{path} holds no mapping of fields to values")
    return found


def _follow(client: JobSubmissionClient, job_id: str) -> None:
    """Prints the log until the job has ended. Ends with status 1 if it failed."""

    async def follow() -> None:
        async for text in client.tail_job_logs(job_id):
            click.echo(text, nl=False)

    try:
        asyncio.run(follow())
    except KeyboardInterrupt:
        click.echo(f"\nthe job goes on; end it with `eagleray job stop {job_id}`", err=True)
        sys.exit(130)
    _show_status(client, job_id)
    if client.get_job_status(job_id) == "FAILED":
        sys.exit(1)


def _show_status(client: JobSubmissionClient, job_id: str) -> None:
    info = client.get_job_info(job_id)
    click.echo(f"Job '{job_id}': {info.status}")
    if info.message:
        click.echo(f"  {info.message}")


def _one(action: Callable[..., None]) -> Any:
    """The decorators of a command about one job."""
    return job.command()(_where(click.argument("job-id")(action)))


@_one
@click.option("--json", "as_json", is_flag=True, help="All that is known of it, as JSON.")
def status(
    address: str | None, headers: Any, verify: bool | str, job_id: str, as_json: bool
) -> None:
    """Show a job's status.

    \b
    Example:
      eagleray job status raysubmit_4LamXRuQpYdSMg7J

    \b
    Exit status 0, whatever the job's is; 1 when there is no such job.
    """
    with _client(address, headers, verify) as client:
        if as_json:
            click.echo(json.dumps(client.get_job_info(job_id).dict()))
        else:
            _show_status(client, job_id)


@_one
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
def stop(address: str | None, headers: Any, verify: bool | str, job_id: str, no_wait: bool) -> None:
    """Stop a job: SIGTERM, and SIGKILL three seconds later.

    \b
    Example:
      eagleray job stop raysubmit_4LamXRuQpYdSMg7J

    \b
    RAY_JOB_STOP_WAIT_TIME_S, in its runtime environment's env_vars, sets other seconds.
    """
    with _client(address, headers, verify) as client:
        if not client.stop_job(job_id):
            click.echo(f"Job '{job_id}' did not run")
        while not no_wait and not client.get_job_status(job_id).is_terminal():
            time.sleep(STATUS_EVERY_S)
        _show_status(client, job_id)


@_one
def delete(address: str | None, headers: Any, verify: bool | str, job_id: str) -> None:
    """Forget a job that has ended; its log stays in the session directory.

    \b
    Example:
      eagleray job delete raysubmit_4LamXRuQpYdSMg7J

    \b
    Exit status 1 when it has not ended.
    """
    with _client(address, headers, verify) as client:
        client.delete_job(job_id)
        click.echo(f"Job '{job_id}' deleted successfully")


@_one
@click.option("-f", "--follow", is_flag=True, help="Go on until the job has ended.")
def logs(address: str | None, headers: Any, verify: bool | str, job_id: str, follow: bool) -> None:
    """Print what a job has printed.

    \b
    Examples:
      eagleray job logs raysubmit_4LamXRuQpYdSMg7J
      eagleray job logs --follow raysubmit_4LamXRuQpYdSMg7J

    \b
    Exit status with --follow: 1 when the job failed.
    """
    with _client(address, headers, verify) as client:
        if follow:
            _follow(client, job_id)
        else:
            for part in client._stream_job_logs(job_id):
                click.echo(part, nl=False)


@job.command("list")
@_where
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_jobs(address: str | None, headers: Any, verify: bool | str, as_json: bool) -> None:
    """List jobs, and programs that have connected by themselves.

    \b
    Examples:
      eagleray job list
      eagleray job list --json | python -m json.tool
    """
    with _client(address, headers, verify) as client:
        found = client.list_jobs()
    if as_json:
        click.echo(json.dumps([each.dict() for each in found]))
        return
    rows = [("ID", "STATUS", "KIND", "SECONDS", "ENTRYPOINT"), *map(_row, found)]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        line = "  ".join(
            [*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[4]]
        )
        click.echo(line[: _columns()].rstrip())


def _row(found: JobDetails) -> tuple[str, str, str, str, str]:
    began = (found.start_time or 0) / 1000
    ended = found.end_time / 1000 if found.end_time else time.time()
    return (
        found.submission_id or found.job_id or "",
        str(found.status),
        found.type.value.lower(),
        f"{max(0.0, ended - began):.0f}",
        " ".join(found.entrypoint.split()),
    )


def _columns() -> int | None:
    """Of the terminal; None, no limit, for a pipe."""
    return os.get_terminal_size(1).columns if sys.stdout.isatty() else None
