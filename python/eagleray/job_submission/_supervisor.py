"""The actor that runs a job's command as its child and keeps the job's status. One an actor, one a job; it holds
the entry point's resources and lives in its runtime environment."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import traceback
from typing import Any

from .._init_arguments import JOB_CONFIG_VARIABLE
from .._state import client, state
from . import _log
from ._table import JobTable, log_path
from ._types import JobErrorType, JobStatus

NAMESPACE = "SUPERVISOR_ACTOR_RAY_NAMESPACE"
STOP_WAIT_S = 3.0  # from SIGTERM to SIGKILL; RAY_JOB_STOP_WAIT_TIME_S
END_WAIT_S = 2.0
LOG_CHECK_S = 0.5  # so often is its size looked at
TAIL_LINES, TAIL_CHARS = 10, 20_000  # of the log, in a failed job's message


def actor_name(submission_id: str) -> str:
    return f"_ray_internal_job_actor_{submission_id}"


class JobSupervisor:
    """Starts the command when it is made, unless the job has been stopped meanwhile."""

    def __init__(self, submission_id: str, entrypoint: str, metadata: dict[str, str]) -> None:
        from .. import _core

        _core.become_subreaper()  # of what the job leaves behind
        core = client()
        self._id = submission_id
        self._session = core.info()["session_dir"]
        self._table = JobTable(core, self._session)
        self._log_limit = _log.limit_of(core.info()["settings"])
        self._stopped = threading.Event()
        self._news = threading.Event()  # stopped, or the command has ended
        self._watcher: subprocess.Popen[bytes] | None = None
        self._metadata = {"job_submission_id": submission_id, "job_name": submission_id, **metadata}
        runs = self._table.decide(submission_id) and self._table.change(
            submission_id, JobStatus.RUNNING, driver_node_id=core.info()["node_id"]
        )
        try:
            self._child = self._start(entrypoint) if runs else None
        except Exception:
            self._table.fail(
                submission_id,
                JobErrorType.JOB_ENTRYPOINT_COMMAND_START_ERROR,
                traceback.format_exc(),
            )
            self._child = None
        threading.Thread(target=self._see_it_out, daemon=True).start()

    def ping(self) -> None:
        """Answers once it runs."""

    def stop(self) -> None:
        """SIGTERM (or RAY_JOB_STOP_SIGNAL=SIGINT) to all that the job runs; SIGKILL to what is left after
        RAY_JOB_STOP_WAIT_TIME_S seconds (3)."""
        self._stopped.set()
        wanted = os.environ.get("RAY_JOB_STOP_SIGNAL")
        number = signal.SIGINT if wanted == "SIGINT" else signal.SIGTERM
        for pid in self._processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        self._news.set()

    def _start(self, entrypoint: str) -> subprocess.Popen[bytes]:
        with open(log_path(self._session, self._id), "ab") as log:
            log.write(f"Running entrypoint for job {self._id}: {entrypoint}\n".encode())
            log.flush()
            child = subprocess.Popen(
                entrypoint,
                shell=True,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment(),
                preexec_fn=_signals_as_usual,
            )
        # It waits for this process's end, however that comes, and ends the job.
        read, write = os.pipe()
        self._watcher = subprocess.Popen(
            ["/bin/sh", "-c", f"read x; kill -9 -{child.pid}"],
            stdin=read,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(read)
        self._held = write
        return child

    def _environment(self) -> dict[str, str]:
        from .. import _worker

        env = dict(os.environ)
        if not getattr(_worker, "_threads_given", True) and not state.resources.get("CPU"):
            env.pop("OMP_NUM_THREADS", None)  # it was this worker's, of no CPU
        env.pop("EAGLERAY_ADDRESS", None)
        paths = [os.path.dirname(sys.executable), env.get("PATH") or os.defpath]
        return {
            **env,
            "PATH": os.pathsep.join(paths),
            "PYTHONUNBUFFERED": "1",
            "RAY_ADDRESS": "auto",
            "EAGLERAY_TMPDIR": os.path.dirname(self._session),
            JOB_CONFIG_VARIABLE: json.dumps(
                {"runtime_env": dict(state.runtime_env), "metadata": self._metadata}
            ),
        }

    def _processes(self) -> list[int]:
        """All that the job runs now."""
        from .._status import descendants

        others = {os.getpid(), self._watcher.pid if self._watcher else 0}
        return [pid for pid in descendants(os.getpid()) if pid not in others]

    def _see_it_out(self) -> None:
        """From the command's start until this actor's end."""
        from .. import _core

        try:
            if self._child is not None:
                code = self._wait()
                if self._watcher is not None:
                    self._watcher.kill()
                    self._watcher.wait()
                _core.end_descendants(END_WAIT_S)
                self._report(code)
        finally:
            self._leave()

    def _wait(self) -> int:
        """The command's exit status, once all that was asked to stop has stopped or was killed."""
        child = self._child
        assert child is not None

        def wait_for_it() -> None:
            child.wait()
            self._news.set()

        watch = threading.Thread(target=wait_for_it, daemon=True)
        watch.start()
        log = _log.Limited(log_path(self._session, self._id), self._log_limit)
        while not self._news.wait(LOG_CHECK_S):
            log.keep()
        if self._stopped.is_set():
            patience = float(os.environ.get("RAY_JOB_STOP_WAIT_TIME_S") or STOP_WAIT_S)
            deadline = time.monotonic() + patience
            while self._processes() and time.monotonic() < deadline:
                time.sleep(0.05)
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        watch.join()
        return child.returncode

    def _report(self, code: int) -> None:
        if self._stopped.is_set():
            self._table.change(self._id, JobStatus.STOPPED)
        elif code == 0:
            self._table.change(self._id, JobStatus.SUCCEEDED, driver_exit_code=0)
        else:
            self._table.fail(
                self._id,
                JobErrorType.JOB_ENTRYPOINT_COMMAND_ERROR,
                f"Job entrypoint command failed with exit code {code}, last available logs "
                f"(truncated to 20,000 chars):\n{self._tail()}",
                driver_exit_code=code,
            )

    def _tail(self) -> str:
        with open(log_path(self._session, self._id), "rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - 4 * TAIL_CHARS))  # a line may be as long as the log
            text = log.read(4 * TAIL_CHARS).decode(errors="replace")
        return "".join(text.splitlines(keepends=True)[-TAIL_LINES:])[-TAIL_CHARS:]

    def _leave(self) -> None:
        core = state.client
        if core is not None:
            with contextlib.suppress(Exception):
                core.leaving("its job has ended")
                core.flush()
        os._exit(0)


def _signals_as_usual() -> None:
    """In the child: a worker's own ideas about signals are not the job's."""
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)


def command_of(words: list[str] | tuple[str, ...]) -> str:
    """What the shell is given so that it runs these words."""
    return shlex.join(words)


def options_of(request: Any, name: str) -> dict[str, Any]:
    """Of the actor."""
    options: dict[str, Any] = {
        "name": name,
        "namespace": NAMESPACE,
        "lifetime": "detached",
        "num_cpus": request.entrypoint_num_cpus or 0,
        "max_concurrency": 3,
    }
    for option, value in (
        ("num_gpus", request.entrypoint_num_gpus),
        ("memory", request.entrypoint_memory),
        ("resources", request.entrypoint_resources),
        ("label_selector", request.entrypoint_label_selector),
        ("runtime_env", request.runtime_env),
    ):
        if value:
            options[option] = value
    return options
