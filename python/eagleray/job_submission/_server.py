"""The job end point: a process that the guard starts when somebody knocks at the cluster's port, and that ends when
nobody has for a while. Jobs go on without it: each has its supervisor, an actor, and its state is in control."""

from __future__ import annotations

import argparse
import codecs
import json
import os
import secrets
import signal
import socket
import string
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from .. import _api, _events, _token, exceptions
from .._ray_alias import RAY_VERSION
from .._state import client, state
from . import _http, _log, _packages, _programs, _supervisor
from ._http import HttpError
from ._table import JobTable, check_id, log_path, now_ms
from ._types import (
    JobDetails,
    JobErrorType,
    JobInfo,
    JobRequest,
    JobStatus,
    known_fields,
)

API_VERSION = "4"  # of Ray's job API
IDLE_EXIT_S = 30.0
START_TIMEOUT_S = 900.0  # until a job runs; RAY_JOB_START_TIMEOUT_SECONDS
NAMESPACE = f"{_events.INTERNAL}jobs"  # of this process; its job is not listed


class Jobs:
    """What can be asked for, without HTTP."""

    def __init__(self, session_dir: str) -> None:
        self.session_dir = session_dir
        self.table = JobTable(client(), session_dir)
        self.table.inherit()
        self.starting = 0  # jobs whose supervisor this process waits for
        self._lock = threading.Lock()
        for submission_id, info in list(self.table.all()):
            if info.status is JobStatus.PENDING:
                self._watch(submission_id)  # the process before this one has not seen it start

    def submit(self, request: JobRequest) -> str:
        """ValueError when the id is taken."""
        submission_id = request.submission_id or request.job_id or _new_id()
        check_id(submission_id)
        info = known_fields(
            JobInfo, {**vars(request), "status": JobStatus.PENDING, "start_time": now_ms()}
        )
        if not self.table.add(submission_id, info):
            raise ValueError(
                f"Job with submission_id {submission_id} already exists. "
                "Please use a different submission_id."
            )
        try:
            _packages.hold(request.runtime_env or {})
            options = _supervisor.options_of(request, _supervisor.actor_name(submission_id))
            supervisor = _supervisor_class().options(**options)
            handle = supervisor.remote(submission_id, request.entrypoint, request.metadata or {})
        except Exception as error:
            self.table.fail(
                submission_id,
                JobErrorType.JOB_SUPERVISOR_ACTOR_START_FAILURE,
                f"Failed to start supervisor actor {submission_id}: {error}",
            )
        else:
            self._watch(submission_id, handle)
        return submission_id

    def _watch(self, submission_id: str, handle: Any = None) -> None:
        """Says why, if the job does not come to run."""
        with self._lock:
            self.starting += 1

        def watch() -> None:
            try:
                self._see_it_start(submission_id, handle or _find(submission_id))
            finally:
                with self._lock:
                    self.starting -= 1

        threading.Thread(target=watch, daemon=True).start()

    def _see_it_start(self, submission_id: str, handle: Any) -> None:
        if handle is None:
            self.refresh(submission_id)
            return
        timeout = float(os.environ.get("RAY_JOB_START_TIMEOUT_SECONDS") or START_TIMEOUT_S)
        try:
            _api.get(handle.ping.remote(), timeout=timeout)
        except exceptions.GetTimeoutError:
            said = f"Job supervisor actor failed to start within {timeout:g} seconds."
            info = self.table.get(submission_id)
            if info is not None and info.wants_resources():
                said += (
                    " The resources that its entry point asks for may not be available: see `eagleray "
                    "status`. RAY_JOB_START_TIMEOUT_SECONDS sets another limit."
                )
            self.table.fail(submission_id, JobErrorType.JOB_SUPERVISOR_ACTOR_START_TIMEOUT, said)
            _api.kill(handle)
        except exceptions.RuntimeEnvSetupError as error:
            self.table.fail(
                submission_id,
                JobErrorType.RUNTIME_ENV_SETUP_FAILURE,
                f"runtime_env setup failed: {error}",
            )
        except exceptions.ActorUnschedulableError as error:
            self.table.fail(
                submission_id,
                JobErrorType.JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE,
                f"Job supervisor actor could not be scheduled: {error}",
            )
        except exceptions.RayError:
            self.refresh(submission_id)  # it has ended, with the job or before it

    def refresh(self, submission_id: str) -> JobInfo | None:
        """The job; failed, if it should run and its supervisor is no more."""
        info = self.table.get(submission_id)
        if info is None or info.status.is_terminal() or _find(submission_id) is not None:
            return info
        info = self.table.get(submission_id)  # it may have ended in order between the two
        if info is not None and not info.status.is_terminal():
            self.table.fail(
                submission_id,
                JobErrorType.JOB_SUPERVISOR_ACTOR_DIED,
                "Unexpected error occurred: the process that supervised the job died; `eagleray status` and "
                "the logs of the session may say why.",
            )
            info = self.table.get(submission_id)
        return info

    def stop(self, submission_id: str) -> bool:
        """Whether there was something to stop. It goes on ending after this."""
        handle = _find(submission_id)
        info = self.table.get(submission_id)
        if handle is None or info is None or info.status.is_terminal():
            return False
        if info.status is JobStatus.PENDING and self.table.decide(submission_id):
            self.table.change(submission_id, JobStatus.STOPPED)
            _api.kill(handle)
            return True
        handle.stop.remote()
        return True

    def delete(self, submission_id: str) -> None:
        info = self.refresh(submission_id)
        if info is None or not info.status.is_terminal():
            raise RuntimeError(
                f"Attempted to delete job '{submission_id}', but it is in a non-terminal state "
                f"{info.status if info else None}."
            )
        self.table.delete(submission_id)

    def find(self, either_id: str) -> JobDetails | None:
        """By the id of its submission, or of its driver."""
        info = self.refresh(either_id)
        if info is not None:
            return JobDetails.of(either_id, info, self.table.driver_of(either_id))
        found = [job for job in self.list() if job.job_id == either_id]
        return found[-1] if found else None  # heads before this one have counted from 1, too

    def list(self) -> list[JobDetails]:
        submitted = []
        for submission_id, _ in self.table.all():
            info = self.refresh(submission_id)
            if info is not None:
                driver = self.table.driver_of(submission_id)
                submitted.append(JobDetails.of(submission_id, info, driver))
        return sorted([*submitted, *self._programs()], key=lambda job: job.start_time or 0)

    def _programs(self) -> Iterator[JobDetails]:
        """Those that were connected, and those that are."""
        info = client().info()
        rows = _programs.programs(
            _events.events(self.session_dir), info["node_ip"], lambda _: info["node_id"]
        )
        for row in [*_programs.earlier(self.session_dir, info["node_ip"]), *rows]:
            if _programs.submission_of(row) is None:
                yield JobDetails(**row)


def _new_id() -> str:
    letters = string.ascii_letters + string.digits
    return "raysubmit_" + "".join(secrets.choice(letters) for _ in range(16))


_remote_class: Any = None


def _supervisor_class() -> Any:
    global _remote_class
    if _remote_class is None:
        _remote_class = _api.remote(_supervisor.JobSupervisor)
    return _remote_class


def _find(submission_id: str) -> Any:
    """The handle of its supervisor, or None."""
    try:
        return _api.get_actor(_supervisor.actor_name(submission_id), _supervisor.NAMESPACE)
    except ValueError:
        return None


class JobHandler(_http.Handler):
    jobs: Jobs

    def answer(self, method: str, path: str) -> Any:
        words = [unquote(word) for word in path.strip("/").split("/")]
        match [method, *words]:
            case ["GET", "api", "version"]:
                return _version(self.jobs)
            case ["POST", "api", "jobs"]:
                return self._submit()
            case ["GET", "api", "jobs"]:
                return [job.dict() for job in self.jobs.list()]
            case ["GET", "api", "jobs", either_id]:
                return self._job(either_id).dict()
            case ["DELETE", "api", "jobs", either_id]:
                return self._acting(either_id, "delete", self._delete)
            case ["POST", "api", "jobs", either_id, "stop"]:
                return self._acting(either_id, "stop", self._stop)
            case ["GET", "api", "jobs", either_id, "logs"]:
                return self._acting(either_id, "get logs of", self._logs)
            case ["GET", "api", "jobs", either_id, "logs", "tail"]:
                return self._acting(either_id, "get logs of", self._tail)
            case [("GET" | "PUT") as wanted, "api", "packages", "gcs", name]:
                return self._package(wanted, name)
        raise HttpError(404, f"{method} {path}: there is nothing here")

    def _job(self, either_id: str) -> JobDetails:
        job = self.jobs.find(either_id)
        if job is None:
            raise HttpError(404, f"Job {either_id} does not exist")
        return job

    def _acting(self, either_id: str, what: str, act: Callable[[str], Any]) -> Any:
        job = self._job(either_id)
        if job.submission_id is None:
            raise HttpError(400, f"Can only {what} submission type jobs")
        return act(job.submission_id)

    def _submit(self) -> Any:
        given = self.json_body()
        if not isinstance(given, dict) or "entrypoint" not in given:
            raise HttpError(400, 'the body must be a JSON object with "entrypoint"')
        unknown = set(given) - set(JobRequest.__dataclass_fields__)
        if unknown:
            raise HttpError(400, f"unknown fields: {', '.join(sorted(unknown))}")
        submission_id = self.jobs.submit(JobRequest(**given))
        return {"job_id": submission_id, "submission_id": submission_id}

    def _delete(self, submission_id: str) -> Any:
        try:
            self.jobs.delete(submission_id)
        except RuntimeError as error:
            raise HttpError(500, f"RuntimeError: {error}") from None
        return {"deleted": True}

    def _stop(self, submission_id: str) -> Any:
        return {"stopped": self.jobs.stop(submission_id)}

    def _logs(self, submission_id: str) -> None:
        """As Ray has it, or, for who accepts text, as it is. In parts: it may be larger than memory."""
        path = log_path(self.jobs.session_dir, submission_id)
        if self.headers.get("Accept") == "text/plain":
            self.send_parts("text/plain; charset=utf-8", _log.parts(path))
        else:
            self.send_parts("application/json", _json_of(_log.parts(path)))

    def _tail(self, submission_id: str) -> None:
        """All of the log, then what comes, until the job has ended."""
        self.open_websocket()
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        path = log_path(self.jobs.session_dir, submission_id)
        position = 0
        while not self.client_is_gone():
            info = self.jobs.refresh(submission_id)
            ended = info is None or info.status.is_terminal()
            while True:
                part, position = _log.read_from(path, position)
                if not part:
                    break
                self.send_text(decoder.decode(part))
            if ended:
                self.close_websocket()
                return
            time.sleep(0.1)

    def _package(self, method: str, name: str) -> Any:
        if method == "PUT":
            _packages.store(name, self.body(_packages.BYTES_MAX))
        elif not _packages.exists(name):
            raise HttpError(404, f"Package gcs://{name} does not exist")
        return {}


def _json_of(parts: Iterator[bytes]) -> Iterator[bytes]:
    """An object with all of them as one string, `logs`."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield b'{"logs": "'
    for part in parts:
        yield json.dumps(decoder.decode(part))[1:-1].encode()
    yield json.dumps(decoder.decode(b"", True))[1:-1].encode() + b'"}'


def _version(jobs: Jobs) -> dict[str, str]:
    from .. import __commit__, __version__

    return {
        "version": API_VERSION,
        "ray_version": RAY_VERSION,
        "ray_commit": __commit__,
        "eagleray_version": __version__,
        "session_name": os.path.basename(jobs.session_dir),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--session-dir", required=True)
    parser.add_argument("--fd", type=int, default=3)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    session_dir = options.session_dir
    listener = socket.socket(fileno=options.fd)
    socket_path = os.path.join(session_dir, "node.sock")
    _api.connect_to(socket_path, session_dir, NAMESPACE)
    JobHandler.jobs = jobs = Jobs(session_dir)
    token = _token.read(os.path.join(session_dir, _token.FILE))
    server = _http.Server(listener, JobHandler, token)
    idle_s = float(os.environ.get("EAGLERAY_JOBS_IDLE_S") or IDLE_EXIT_S)

    def busy() -> bool:
        if state.client is None or not state.client.info()["connected"]:
            os._exit(0)  # the cluster has ended
        return jobs.starting > 0

    server.serve_until_idle(idle_s, busy)
    sys.stdout.flush()
    os._exit(0)
