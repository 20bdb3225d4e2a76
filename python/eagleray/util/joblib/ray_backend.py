"""The backend "ray" of joblib: batches go to a Pool's workers, which outlive a Parallel() call."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from joblib._parallel_backends import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
)

import eagleray as ray

from ..._state import state
from ..multiprocessing._results import AsyncResult, CallbackThread
from ..multiprocessing._runner import CALL, PoolActor
from ..multiprocessing._workers import Chunk, Function, Workers
from ._sharing import Sharing, run

IDLE_S = 300.0  # workers that nobody has used for so long end, as loky's do

_lock = threading.Lock()
_idle: dict[str, tuple[_Crew, threading.Timer]] = {}  # what calls have left for the next


class _Crew:
    """Workers, and the thread that tells joblib of results."""

    def __init__(self, key: str, count: int, options: dict[str, Any], env: dict[str, str]) -> None:
        self.key = key
        given = dict(options.get("runtime_env") or {})
        given["env_vars"] = {**env, **given.get("env_vars", {})}
        actor = ray.remote(PoolActor).options(**{"num_cpus": 0, **options, "runtime_env": given})
        self.workers = Workers(count, lambda seat: actor.remote(None, (), seat), -1)
        self.callbacks = CallbackThread()
        self.function = Function(run, CALL)

    def submit(self, batch: tuple[bytes, list[Any]], callback: Any) -> AsyncResult:
        result = AsyncResult(1, True, callback, callback, self.callbacks)
        self.workers.submit(Chunk(self.function, [(batch, {})], result._part(0)))
        return result

    def end(self) -> None:
        if self.key.startswith(f"{state.session} "):  # else they ended with their cluster
            self.workers.terminate()
        self.callbacks.stop(wait=False)


def _take(key: str, make: Callable[[], _Crew]) -> _Crew:
    with _lock:
        found = _idle.pop(key, None)
    if found is None:
        return make()
    found[1].cancel()
    return found[0]


def _leave(crew: _Crew) -> None:
    def end() -> None:
        with _lock:
            found = _idle.get(crew.key)
            if found is None or found[0] is not crew:
                return
            del _idle[crew.key]
        crew.end()

    timer = threading.Timer(IDLE_S, end)
    timer.daemon = True
    with _lock:
        before = _idle.get(crew.key)
        _idle[crew.key] = (crew, timer)
    timer.start()
    if before is not None:
        before[1].cancel()
        before[0].end()


class RayBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of joblib.Parallel in actors. n_jobs=-1 means the cluster's CPUs; there may be more
    jobs than CPUs. ray_remote_args: options of the actors, here or in Parallel(). Connects by init() if need
    be. inner_max_num_threads limits the threads of numerical libraries in workers; otherwise they share the
    cores. A Parallel() inside of a batch runs in threads, one inside of that sequentially."""

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **backend_kwargs: Any,
    ) -> None:
        super().__init__(
            nesting_level=nesting_level,
            inner_max_num_threads=inner_max_num_threads,
            **backend_kwargs,
        )
        self.ray_remote_args = ray_remote_args
        self._crew: _Crew | None = None
        self._sharing = Sharing()
        self._configured: dict[str, Any] = {}

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many workers n_jobs means: less than 0 counts back from the cluster's CPUs."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        if n_jobs > 0:
            return n_jobs
        if not ray.is_initialized():
            ray.init()
        return max(1, int(ray.cluster_resources().get("CPU", 0)) + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        ray_remote_args: dict[str, Any] | None = None,
        **_memmapping: Any,
    ) -> int:
        """Gets workers; returns their number."""
        jobs = self.effective_n_jobs(n_jobs)
        if jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if not ray.is_initialized():
            ray.init()
        options = ray_remote_args if ray_remote_args is not None else self.ray_remote_args or {}
        self.parallel = parallel
        self._configured = {"n_jobs": n_jobs, "parallel": parallel, "ray_remote_args": options}
        env = self._prepare_worker_env(jobs)
        facts = json.dumps([jobs, options, env], sort_keys=True, default=repr)
        key = f"{state.session} {facts}"
        self._crew = _take(key, lambda: _Crew(key, jobs, options, env))
        return jobs

    def start_call(self) -> None:
        """Arrays are shared within one call only: between calls they may change."""
        self._sharing = Sharing()

    stop_call = start_call

    def submit(self, func: Any, callback: Any = None) -> AsyncResult:
        """Starts a batch; callback(results, or the exception) when it has ended."""
        assert self._crew is not None, "configure() comes first"
        return self._crew.submit(self._sharing.pack(func), callback)

    def retrieve_result_callback(self, out: Any) -> Any:
        """The results, in joblib's call-back. Raises what the batch raised."""
        if isinstance(out, BaseException):
            raise out
        return out

    def terminate(self) -> None:
        """Leaves the workers to the next call."""
        crew, self._crew = self._crew, None
        if crew is not None:
            _leave(crew)
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Ends the workers, and what they still run, after an exception."""
        crew, self._crew = self._crew, None
        if crew is not None:
            crew.end()
        if ensure_ready:
            self.configure(**self._configured)
