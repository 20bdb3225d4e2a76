"""Jobs: commands that a cluster runs, and keeps the state and the output of. Follows `ray.job_submission`.

The cluster is one of `eagleray start --head` on this machine; see docs/user/jobs.md."""

from __future__ import annotations

from ._client import JobSubmissionClient
from ._types import (
    DriverInfo,
    JobDetails,
    JobErrorType,
    JobInfo,
    JobStatus,
    JobType,
)

__all__ = [
    "DriverInfo",
    "JobDetails",
    "JobErrorType",
    "JobInfo",
    "JobStatus",
    "JobSubmissionClient",
    "JobType",
]
