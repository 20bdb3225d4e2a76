"""The table of jobs: in control's key-value pairs, which survive control, and beside it as files in the session
directory, from which the next head takes over what this one has known."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from .._files import write_whole
from ._programs import FILE, head_before
from ._types import DriverInfo, JobErrorType, JobInfo, JobStatus

SPACE = "job"  # of the keys
INFO = b"_ray_internal_job_info_"
DRIVER = b"_ray_internal_job_driver_"
FATE = b"_ray_internal_job_fate_"
INHERITED = b"_ray_internal_jobs_inherited"
JOBS_INHERITED_MAX = 1000  # the newest ones; older jobs of earlier heads are forgotten
ID_CHARS_MAX = 200  # so that its log's name fits into a directory


def check_id(submission_id: str) -> None:
    """ValueError for what cannot be the name of a log."""
    name = quote(submission_id, safe="")
    if not name or len(name) > ID_CHARS_MAX or name.strip(".") == "":
        raise ValueError(
            f"submission_id {submission_id!r} must have 1 to {ID_CHARS_MAX} characters, and be no dots only"
        )


def log_path(session_dir: str, submission_id: str) -> str:
    return os.path.join(session_dir, "logs", f"job-driver-{quote(submission_id, safe='')}.log")


def now_ms() -> int:
    return int(time.time() * 1000)


class JobTable:
    """`core`: this process's connection."""

    def __init__(self, core: Any, session_dir: str) -> None:
        self._core = core
        self.session_dir = session_dir
        self._folder = os.path.join(session_dir, "jobs")

    def add(self, submission_id: str, info: JobInfo) -> bool:
        """False: there is one of this id."""
        return self._put(submission_id, info, overwrite=False)

    def get(self, submission_id: str) -> JobInfo | None:
        found = self._core.kv_get(SPACE, INFO + submission_id.encode())
        return JobInfo.from_json(json.loads(found)) if found is not None else None

    def all(self) -> Iterator[tuple[str, JobInfo]]:
        for key in self._core.kv_list(SPACE, INFO):
            submission_id = key[len(INFO) :].decode()
            info = self.get(submission_id)
            if info is not None:
                yield submission_id, info

    def delete(self, submission_id: str) -> None:
        self._core.kv_delete(SPACE, INFO + submission_id.encode(), False)
        self._core.kv_delete(SPACE, DRIVER + submission_id.encode(), False)
        self._core.kv_delete(SPACE, FATE + submission_id.encode(), False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(submission_id))

    def change(self, submission_id: str, status: JobStatus, **changes: Any) -> bool:
        """Nothing, and False, if the job is gone or has a final status."""
        info = self.get(submission_id)
        if info is None or info.status.is_terminal():
            return False
        changes.setdefault("message", None)
        if status.is_terminal():
            changes["end_time"] = now_ms()
        self._put(submission_id, replace(info, status=status, **changes), overwrite=True)
        return True

    def decide(self, submission_id: str) -> bool:
        """Of the supervisor that would run a pending job and of who would stop it, one is the first, and gets True."""
        decided: bool = self._core.kv_put(SPACE, FATE + submission_id.encode(), b"1", False)
        return decided

    def fail(self, submission_id: str, why: JobErrorType, message: str, **changes: Any) -> bool:
        return self.change(
            submission_id, JobStatus.FAILED, error_type=why, message=message, **changes
        )

    def driver_of(self, submission_id: str) -> DriverInfo | None:
        """Of the last driver that the job has started."""
        found = self._core.kv_get(SPACE, DRIVER + submission_id.encode())
        return DriverInfo(**json.loads(found)) if found is not None else None

    def _put(self, submission_id: str, info: JobInfo, overwrite: bool) -> bool:
        text = json.dumps(info.to_json())
        key = INFO + submission_id.encode()
        if not self._core.kv_put(SPACE, key, text.encode(), overwrite) and not overwrite:
            return False
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        write_whole(self._file(submission_id), text)
        return True

    def _file(self, submission_id: str) -> str:
        return os.path.join(self._folder, quote(submission_id, safe="") + ".json")

    def inherit(self) -> None:
        """Takes over the jobs of the head before this one, once. What ran there has ended with it."""
        if not self._core.kv_put(SPACE, INHERITED, b"1", False):
            return
        before = head_before(self.session_dir, of_jobs=True)
        if before is None:
            return
        folder = os.path.join(before, "jobs")
        names = sorted(
            (n for n in os.listdir(folder) if n.endswith(".json") and n != FILE),
            key=lambda n: os.path.getmtime(os.path.join(folder, n)),
        )
        for name in names[-JOBS_INHERITED_MAX:]:
            submission_id = unquote(name[: -len(".json")])
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                with open(os.path.join(folder, name)) as file:
                    self._take_over(before, submission_id, JobInfo.from_json(json.load(file)))

    def _take_over(self, before: str, submission_id: str, info: JobInfo) -> None:
        ended = not info.status.is_terminal()
        if not self.add(submission_id, info):
            return
        if ended:
            self.fail(
                submission_id,
                JobErrorType.JOB_SUPERVISOR_ACTOR_DIED,
                f"The cluster ended while the job was {info.status.value.lower()} ({before}).",
            )
        with contextlib.suppress(OSError):
            os.link(log_path(before, submission_id), log_path(self.session_dir, submission_id))
