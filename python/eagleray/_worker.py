"""The Python side of a worker: what runs user code. Plain tasks run inside the core's loop; this module
takes the rest: options, generators, several returns, actors with a loop of their own."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import pickle
import sys
import threading
from typing import TYPE_CHECKING, Any, NoReturn

from . import _logging, _output, _serialization, _utilities, exceptions
from ._core import ObjectRef
from ._ids import TaskID
from ._options import RESOURCE_UNIT
from ._state import state

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

_calls: dict[Any, int] = {}  # runs of functions with max_calls


def main(fd: int, token: int) -> int:
    """Runs until the node says so. Returns the exit status."""
    import gc

    from . import _core
    from ._api import _load_function, observe

    gc.unfreeze()
    core = _core.Client.connect_worker(fd, token)
    observe(core)
    _output.start(core)
    state.client = core
    state.is_worker = True
    state.renew()
    core.set_hooks(
        _serialization.dumps,
        _serialization.loads,
        _serialization.error_from,
        _first_load(core, _load_function),
        exceptions.from_system,
    )
    core.run_worker(
        lambda task: run_task(core, task),
        lambda spec: start_actor(core, spec),
        lambda task, error: error_of(core, task, error),
        placed,
    )
    _utilities.finish(cluster_ends=True)
    _output.flush()
    return 0


_prepared = False
_failure: exceptions.RuntimeEnvSetupError | None = None  # of entering the environment
_threads_given = False  # OMP_NUM_THREADS comes from the user


def _prepare(core: Any) -> None:
    """Once, before the first user code: the driver's paths, directory and environment."""
    global _prepared
    if _prepared:
        return
    _prepared = True
    info = core.info()
    state.namespace = info["namespace"]
    config = json.loads(info["job_config"] or "{}")
    _logging.set_up_worker(config.get("logging") or {})
    _enter_environment(info, config)
    gpus = core.assigned_gpus()
    if gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
    global _threads_given
    _threads_given = "OMP_NUM_THREADS" in os.environ
    _utilities.start_in_worker(config)


def placed(resources: dict[str, int], group: str, capture: bool) -> None:
    """What the following tasks, or the actor, hold and where they run."""
    assert state.client is not None
    _prepare(state.client)
    state.resources = resources
    state.enter_group(group, capture)
    if not _threads_given:
        threads = resources.get("CPU", 0) // RESOURCE_UNIT
        os.environ["OMP_NUM_THREADS"] = str(max(1, threads))


def _enter_environment(info: dict[str, Any], config: dict[str, Any]) -> None:
    """The runtime environment, and the driver's directory and import path."""
    global _failure
    cwd, paths = config.get("cwd"), config.get("sys_path", ())
    if not info["runtime_env"]:
        sys.path += [path for path in paths if path not in sys.path]
        with contextlib.suppress(OSError):
            os.chdir(cwd or ".")
        return
    from ._environments import text, worker

    state.runtime_env = text.from_text(info["runtime_env"])
    try:
        worker.apply(state.runtime_env, info["environment_setup"], cwd, paths)
    except exceptions.RuntimeEnvSetupError as error:
        _failure = error


def _first_load(core: Any, load: Any) -> Any:
    def load_function(blob: bytes, name: str) -> Any:
        _prepare(core)
        if _failure is not None:
            raise _failure
        try:
            return load(blob, name)
        except Exception as error:
            raise RuntimeError(
                f"The remote function {name} could not be loaded in the worker: {error}. Is its module "
                "importable there?"
            ) from error

    return load_function


def _options_of(task: Any) -> dict[str, Any]:
    return pickle.loads(task.extra) if task.extra else {}


def _name_of(task: Any) -> str:
    name: str = task.name or task.function_name
    if not task.name and not task.is_actor_task:
        name = name.rsplit(".", 1)[-1] if "<locals>" in name else name.split(".", 1)[-1]
    if task.is_actor_task and state.actor_spec is not None:
        return f"{state.actor_spec['class_name']}.{task.function_name}"
    return name


def _actor_repr() -> str | None:
    cls: Any = type(state.actor)
    if state.actor is None or cls.__repr__ is object.__repr__:
        return None
    try:
        return repr(state.actor)
    except Exception:
        return None


def error_of(core: Any, task: Any, error: BaseException) -> Any:
    """The record to store for an exception of `task` (None: of an actor's constructor)."""
    _utilities.look_at(error)
    if task is None:
        spec = state.actor_spec or {"class_name": "actor"}
        record = _serialization.task_error(f"{spec['class_name']}.__init__", error)
        return exceptions.ActorDiedError(
            "The actor died because of an error raised in its creation task, " + str(record)
        )
    if isinstance(error, SystemExit) and state.actor_spec is not None:
        if error.code != 0 and not hasattr(state, "actor_exiting"):
            _crash(core, task, error)
        core.leaving(
            "exit_actor() was called"
            if hasattr(state, "actor_exiting")
            else "sys.exit() was called"
        )
        return exceptions.ActorDiedError(
            "The actor exited: "
            + ("exit_actor()" if hasattr(state, "actor_exiting") else "sys.exit()")
        )
    if isinstance(error, SystemExit):
        return exceptions.WorkerCrashedError(
            f"The worker exited: sys.exit({error.code!r}) was called in the task."
        )
    return _serialization.task_error(_name_of(task), error, _actor_repr(), TaskID(task.task_id))


def _crash(core: Any, task: Any, error: SystemExit) -> None:
    """Ends the process as sys.exit() of a program with this status does: an actor may restart, its calls be tried
    again. As in Ray, only the status 0 says that the actor is meant to be gone."""
    print(f"sys.exit({error.code!r}) was called in {_name_of(task)}", file=sys.stderr, flush=True)
    _exit_now(core, error.code & 0xFF or 1 if isinstance(error.code, int) else 1)


def _fail_cancelled(core: Any, task: Any, error: BaseException | None = None) -> None:
    """Answers a task that was cancelled while it ran; `error`: what it has raised."""
    record = _serialization.cancellation(_name_of(task), error, _actor_repr(), TaskID(task.task_id))
    core.fail(task, record, False, cancelled=True)


def _should_retry(options: dict[str, Any], error: BaseException) -> bool:
    wanted = options.get("retry_exceptions")
    if wanted is True:
        return isinstance(error, Exception)
    return bool(wanted) and isinstance(error, tuple(wanted))  # type: ignore[arg-type]


def _callable_of(task: Any) -> Any:
    function = task.function
    if not isinstance(function, str):
        return function
    if function == "__ray_ready__":
        return lambda: True
    if function == "__ray_call__":
        return lambda f, *args, **kwargs: f(state.actor, *args, **kwargs)
    if function == "__ray_terminate__":
        from ._actor import exit_actor

        return exit_actor
    return getattr(state.actor, function)


def _returns(task: Any, result: Any) -> list[Any]:
    count = task.num_returns
    if count == 0:
        return []
    if count == 1:
        return [result]
    if count == -2:
        return [_dynamic(result)]
    values = list(result)
    if len(values) != count:
        raise ValueError(f"Task returned {len(values)} objects, but num_returns={count}.")
    return values


def _finish(core: Any, task: Any, result: Any, options: dict[str, Any]) -> None:
    """Answers with all returns. A generator that fails keeps the items before, as in Ray: the error is that of the
    rest; when it is to be retried, of all."""
    if task.num_returns < 2 or not hasattr(result, "__next__"):
        core.finish(task, _returns(task, result))
        return
    values = []
    try:
        for item in result:
            values.append(item)
            if len(values) > task.num_returns:
                break
    except Exception as error:
        if _should_retry(options, error) or not values:
            raise
        record = error_of(core, task, error)
        made = len(values[: task.num_returns])
        core.finish(task, values + [record] * (task.num_returns - made), made)
        return
    core.finish(task, _returns(task, values))


def _dynamic(items: Any) -> Any:
    """The references of a "dynamic" generator's items; if it fails, the last one has the exception."""
    from . import _api
    from ._generator import DynamicObjectRefGenerator

    assert state.client is not None
    refs = []
    try:
        for item in items:
            refs.append(state.client.put(item))
    except Exception as error:
        if not refs:
            raise
        refs.append(_api.remote(num_cpus=0, max_retries=0)(_raises).remote(error))
    return DynamicObjectRefGenerator(refs)


def _raises(error: Exception) -> None:
    raise error


def _fail(core: Any, task: Any, error: BaseException, options: dict[str, Any]) -> None:
    record = error_of(core, task, error)
    interrupted = isinstance(error, KeyboardInterrupt) and core.is_cancelled(task)
    crashes = isinstance(error, SystemExit) and state.actor_spec is None
    leaves = isinstance(error, SystemExit) and state.actor_spec is not None
    retry = crashes or _should_retry(options, error)
    core.fail(task, record, retry, cancelled=interrupted, leaving=leaves)
    if leaves:
        _exit_now(core)


def run_task(core: Any, task: Any) -> None:
    """A task that the core's loop does not run by itself."""
    options = _options_of(task)
    try:
        args, kwargs = task.arguments()
        function = _callable_of(task)
        if "step_into" in options:
            from .util import _following

            function = _following.stepped_into(function, options["step_into"])
        if task.num_returns == -1:
            ahead = options.get("_generator_backpressure_num_objects") or -1
            for item in function(*args, **kwargs):
                if not core.stream_item(task, item, ahead):
                    break
            if core.is_cancelled(task) and not task.is_actor_task:
                raise KeyboardInterrupt
            core.finish(task, [])
        else:
            _finish(core, task, function(*args, **kwargs), options)
    except BaseException as error:
        if not task.answered:  # otherwise it is an interrupt that came too late
            _fail(core, task, error, options)
    limit = options.get("max_calls")
    if limit:
        _calls[task.function] = _calls.get(task.function, 0) + 1
        if _calls[task.function] >= limit:
            core.leaving("max_calls was reached")
            _exit_now(core)


def _exit_now(core: Any, status: int = 0) -> NoReturn:
    _utilities.finish()
    core.flush()
    _output.flush()
    os._exit(status)


# ---- actors ----


def start_actor(core: Any, spec: dict[str, Any]) -> tuple[Any, Any]:
    """Builds the instance; with it the loop of an async or threaded actor, or None."""
    state.actor_spec = spec
    _prepare(core)
    if _failure is not None:
        raise _failure
    placed(spec["resources"], spec["group"], spec["capture"])
    meta = pickle.loads(spec["handle_blob"])
    spec["async"] = meta["async"]
    spec["meta"] = meta
    _output.name_actor(spec["class_name"])
    cls = pickle.loads(spec["class_blob"])
    args, kwargs = spec.pop("arguments")()
    instance = cls.__new__(cls)
    state.actor = instance
    loop = _new_loop() if meta["async"] else None
    if loop is not None:
        loop.run_until_complete(construct(instance, args, kwargs))
    elif cls.__init__ is not object.__init__:
        instance.__init__(*args, **kwargs)
    del args, kwargs
    custom = _actor_repr()
    if custom:
        _output.name_actor(custom)
    if loop is not None:
        return instance, lambda: _run_async(core, meta, loop)
    groups = meta["groups"]
    if meta["max_concurrency"] > 1 or groups:
        return instance, lambda: _run_threads(core, meta)
    return instance, None


def _new_loop() -> AbstractEventLoop:
    import asyncio

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


async def construct(instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Within the loop that runs the methods, as in Ray: a constructor may begin tasks there, or be one itself."""
    if type(instance).__init__ is not object.__init__:
        made = instance.__init__(*args, **kwargs)
        if inspect.isawaitable(made):
            await made


def _run_threads(core: Any, meta: dict[str, Any]) -> None:
    def serve(names: list[str]) -> None:
        while True:
            task = core.next_task(names)
            if task is None:
                return
            core.enter_task(task)
            run_task(core, task)
            core.enter_task(None)

    pools = {"": meta["max_concurrency"], **meta["groups"]}
    threads = []
    for group, size in pools.items():
        # A method's own group applies where the call names none: the handle sends it along.
        for _ in range(size):
            thread = threading.Thread(target=serve, args=([group],), daemon=True)
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join()


def _finish_coroutine(core: Any, task: Any, values: list[Any]) -> None:
    if core.is_cancelled(task):
        _fail_cancelled(core, task)
    else:
        core.finish(task, values)


async def _give_item(core: Any, pool: Any, task: Any, item: Any, ahead: int) -> bool:
    """An item of a generator in an async actor; with a limit on `ahead` a thread waits for the reader, so
    that the loop goes on. False: nobody wants more."""
    import asyncio

    if ahead < 0:
        return bool(core.stream_item(task, item, ahead))  # never waits
    loop = asyncio.get_running_loop()
    given = loop.run_in_executor(pool, core.stream_item, task, item, ahead)
    cancelled = False
    while not given.done():  # a cancelled task's wait ends; until then the thread uses the task
        try:
            await asyncio.wait([given])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled or core.is_cancelled(task):
        raise asyncio.CancelledError
    return bool(given.result())


async def _answer_coroutine(core: Any, waiting: Any, task: Any) -> None:
    """Runs a call of an async actor to its end; `waiting`: the threads that wait for readers of generators."""
    args, kwargs = task.arguments()
    function = _callable_of(task)
    ahead = _options_of(task).get("_generator_backpressure_num_objects") or -1
    if inspect.isasyncgenfunction(function):
        async for item in function(*args, **kwargs):
            if not await _give_item(core, waiting, task, item, ahead):
                break
        _finish_coroutine(core, task, [])
        return
    result = function(*args, **kwargs)
    if inspect.isawaitable(result) and not isinstance(result, ObjectRef):
        result = await result
    if task.num_returns == -1:
        for item in result:
            if not await _give_item(core, waiting, task, item, ahead):
                break
        _finish_coroutine(core, task, [])
    else:
        _finish_coroutine(core, task, _returns(task, result))


def _run_async(core: Any, meta: dict[str, Any], loop: AbstractEventLoop) -> None:
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    pools = {"": meta["max_concurrency"], **meta["groups"]}
    limits = {group: asyncio.Semaphore(size) for group, size in pools.items()}
    running: dict[Any, Any] = {}  # tasks, by what runs them
    cancelled: set[Any] = set()  # of what runs them: it was told so, once

    waiting = ThreadPoolExecutor(sum(pools.values()), "eagleray-generators")

    async def run(task: Any) -> None:
        job = asyncio.current_task()
        running[job] = task
        try:
            if core.is_cancelled(task):
                raise asyncio.CancelledError
            async with limits.get(task.group, limits[""]):
                await _answer_coroutine(core, waiting, task)
        except asyncio.CancelledError as error:
            _fail_cancelled(core, task, error)
        except BaseException as error:
            if core.is_cancelled(task) and isinstance(error, Exception):
                return _fail_cancelled(core, task, error)
            leaves = isinstance(error, (SystemExit, exceptions.AsyncioActorExit))
            if isinstance(error, exceptions.AsyncioActorExit):
                error = SystemExit(0)
            retry = _should_retry(_options_of(task), error)
            core.fail(task, error_of(core, task, error), retry, leaving=leaves)
            if leaves:
                _exit_now(core)
        finally:  # it is answered: of `task` nothing may be asked any more
            del running[job]
            cancelled.discard(job)

    def take() -> None:
        core.clear_task_fd()
        while True:
            task = core.try_next_task()
            if task is None:
                break
            loop.create_task(run(task))
        for job, task in running.items():
            if job not in cancelled and core.is_cancelled(task):
                cancelled.add(job)
                job.cancel()
        if core.exiting():
            loop.stop()

    loop.add_reader(core.task_fd(), take)
    loop.call_soon(take)
    loop.run_forever()
