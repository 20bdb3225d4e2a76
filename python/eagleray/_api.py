"""The functions at the top of the package: connecting, objects, cancelling, looking things up."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from . import _init_arguments, _logging, _utilities, exceptions
from ._state import client, state

logger = logging.getLogger("eagleray")

WAIT_EXPLAIN_S = (
    5.0  # a get() that has waited this long says on what; how often a program that polls is told
)
_LOOKS_AGAIN_S = (0.2, 1.0, 5.0)  # of a wait() without end: by then who was asked has answered
_POLLS_LOOK_S = 0.1


class RayContext(Mapping[str, Any]):
    """What `init()` returns: facts about the cluster, and a context manager that shuts down at its end.

    Keys: node_ip_address, address, gcs_address, session_dir, node_id, object_store_address,
    raylet_socket_name, webui_url, metrics_export_port.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        from . import __commit__, __version__

        self.dashboard_url = ""
        self.python_version = "{}.{}.{}".format(*sys.version_info[:3])
        self.ray_version = __version__
        self.ray_commit = __commit__
        self.address_info = info

    def __getitem__(self, key: str) -> Any:
        return self.address_info[key]

    def __len__(self) -> int:
        return len(self.address_info)

    def __iter__(self) -> Iterator[str]:
        return iter(self.address_info)

    def __enter__(self) -> RayContext:
        return self

    def __exit__(self, *_: object) -> None:
        shutdown()

    def disconnect(self) -> None:
        shutdown()

    def _repr_html_(self) -> str:
        """In a notebook."""
        from .widgets._html import table_of

        rows = [
            ("Python version", self.python_version),
            ("eagleray version", self.ray_version),
            ("Node", self.address_info.get("node_ip_address")),
            ("Session", self.address_info.get("session_dir")),
        ]
        if is_initialized() and state.client is not None:
            total = cluster_resources()
            rows += [(k, f"{total[k]:g}") for k in ("CPU", "GPU") if k in total]
            rows += [
                (k.replace("_", " "), f"{total[k] / 2**30:.1f} GiB")
                for k in ("memory", "object_store_memory")
                if k in total
            ]
        return table_of(("eagleray", ""), rows)

    def __repr__(self) -> str:
        return (
            f"RayContext(python_version={self.python_version!r}, ray_version={self.ray_version!r}, "
            f"session_dir={self.address_info.get('session_dir')!r})"
        )


def _context() -> RayContext:
    assert state.context is not None, "only while connected"
    return state.context


def is_initialized() -> bool:
    """Whether this process is connected to a cluster."""
    return state.client is not None


def init(
    address: str | None = None,
    *,
    num_cpus: int | None = None,
    num_gpus: int | None = None,
    resources: dict[str, float] | None = None,
    labels: dict[str, str] | None = None,
    object_store_memory: int | None = None,
    local_mode: bool = False,
    ignore_reinit_error: bool = False,
    include_dashboard: bool | None = None,
    dashboard_host: str = "127.0.0.1",
    dashboard_port: int | None = None,
    job_config: Any = None,
    configure_logging: bool = True,
    logging_level: Any = logging.INFO,
    logging_format: str | None = None,
    logging_config: Any = None,
    log_to_driver: bool | None = None,
    namespace: str | None = None,
    runtime_env: Any = None,
    enable_resource_isolation: bool = False,
    cgroup_path: str | None = None,
    system_reserved_cpu: float | None = None,
    system_reserved_memory: int | None = None,
    proxy_server_url: str | None = None,
    **kwargs: Any,
) -> RayContext:
    """Connects this process to a cluster, starting one on this machine if there is none.

    address: None (RAY_ADDRESS or EAGLERAY_ADDRESS, else a cluster of `eagleray start --head`, else a new
    one), "local" (always a new one), "auto" (must find one: ConnectionError otherwise).
    num_cpus, num_gpus, resources: what a new node offers; num_cpus may exceed the cores. ValueError with
    an address. object_store_memory: bytes. namespace: of named actors. runtime_env: for all tasks.
    local_mode: tasks and actors run in this process, at once, for debugging (docs/user/utilities.md); Ray has removed it.
    Raises RuntimeError when already connected, unless ignore_reinit_error; TypeError and ValueError for
    arguments that cannot be meant, NotImplementedError for those that cannot act yet. Follows Ray 2.x.
    """
    arguments = {k: v for k, v in locals().items() if k != "kwargs"}
    _init_arguments.check(arguments, kwargs)
    if _init_arguments.wants_dashboard(arguments):
        logger.warning(f"init(): {_init_arguments.NO_DASHBOARD}")
    with state.lock:
        if is_initialized():
            if ignore_reinit_error:
                return _context()
            raise RuntimeError(
                "Maybe you called ray.init twice by accident? This error can be suppressed by passing in "
                "'ignore_reinit_error=True' or by calling 'ray.shutdown()' prior to 'ray.init()'."
            )
        logging_config = logging_config or getattr(job_config, "py_logging_config", None)
        described = _logging.set_up(
            logging_config, (logging_level, logging_format) if configure_logging else None
        )
        shows = _shows_output(log_to_driver)
        _utilities.check_hook(kwargs.get("_tracing_startup_hook"))
        address = address or os.environ.get("EAGLERAY_ADDRESS") or os.environ.get("RAY_ADDRESS")
        socket_path, session_dir = _find_or_start(
            address,
            num_cpus,
            num_gpus,
            resources,
            labels,
            object_store_memory,
            kwargs,
        )
        if os.environ.get("RAY_RUNTIME_ENV_HOOK") and not kwargs.get("_skip_env_hook"):
            from ._environments import shipping

            runtime_env = shipping.by_hook(runtime_env)
        submitted = _submitted_job(runtime_env, job_config)
        if submitted is not None:
            runtime_env, job_config = submitted.runtime_env, submitted.job_config
        facts = _utilities.job_facts(session_dir, kwargs.get("_tracing_startup_hook"))
        where = (socket_path, session_dir)
        _connect(*where, namespace, runtime_env, job_config, described, shows, facts)
        if local_mode:
            from ._local_mode import LocalClient

            state.local_mode = LocalClient(state.client)
            state.client = state.local_mode
        _start_utilities(facts, kwargs.get("_metrics_export_port"))
        if submitted is not None:
            submitted.report(client())
        if "IPython" in sys.modules:
            from . import _notebook

            _notebook.enter()
        _install_sigterm()
        if state.node is not None:
            state.node.remove_old_sessions(wait=False)
        return _context()


def _submitted_job(runtime_env: Any, job_config: Any) -> Any:
    """If this program is a job's: what its submission says (job_submission/_driver.py)."""
    if _init_arguments.JOB_CONFIG_VARIABLE not in os.environ:
        return None
    from .job_submission import _driver

    return _driver.Submitted(os.environ, runtime_env, job_config)


def _find_or_start(
    address: str | None,
    num_cpus: Any,
    num_gpus: Any,
    resources: Any,
    labels: Any,
    object_store_memory: Any,
    kwargs: dict[str, Any],
) -> tuple[str, str]:
    from . import _node

    if address and address.startswith("ray://"):
        address = address[len("ray://") :]
        if address.rsplit(":", 1)[0] not in ("127.0.0.1", "localhost", _node.node_ip()):
            raise NotImplementedError(f"the ray:// client protocol: {address} is another machine")
    if address != "local":
        found: dict[str, Any] | None
        if address and os.path.isabs(address):
            found = _node.at_socket(address)
        else:
            found = _node.find_running(kwargs.get("_temp_dir"))
            if address not in (None, "auto") and not _node.is_here(str(address), found):
                raise NotImplementedError(f"init(address={address!r}): a cluster on other machines")
        if found is None and address is not None:
            raise ConnectionError(
                "Could not find any running cluster on this machine. Start one with "
                "`eagleray start --head`, or call init() without an address."
            )
        if found is not None:
            for name, value in (
                ("num_cpus", num_cpus),
                ("num_gpus", num_gpus),
                ("resources", resources),
                ("labels", labels),
                ("object_store_memory", object_store_memory),
                ("_system_config", kwargs.get("_system_config")),
            ):
                if value is not None and address is not None:
                    raise ValueError(
                        f"When connecting to an existing cluster, {name} must not be provided."
                    )
            if address is not None or all(
                x is None
                for x in (
                    num_cpus,
                    num_gpus,
                    resources,
                    labels,
                    object_store_memory,
                    kwargs.get("_system_config"),
                )
            ):
                return found["socket"], found["session_dir"]
    node = new_node(
        {
            "num_cpus": num_cpus,
            "num_gpus": num_gpus,
            "resources": resources,
            "labels": labels,
            "object_store_memory": object_store_memory,
            **kwargs,
        },
        temp_dir=kwargs.get("_temp_dir"),
        owned=True,
    )
    state.node = node
    return node.socket_path, node.session_dir


def new_node(given: Mapping[str, Any], *, address: str | None = None, **others: Any) -> Any:
    """Starts a LocalNode that offers what is `given` in init()'s words, checked before by check_node(). others: as
    LocalNode's."""
    from . import _node

    store_bytes = given["object_store_memory"]
    return _node.LocalNode(
        resources=node_resources(
            given["num_cpus"],
            given["num_gpus"],
            given["resources"],
            given.get("_memory"),
            store_bytes,
            address,
        ),
        labels=dict(given["labels"] or {}),
        settings=settings_of(given.get("_system_config"), store_bytes),
        address=address,
        **others,
    )


def settings_of(system_config: Any, store_bytes: int | None) -> str:
    """The settings of a new cluster, as text."""
    from . import _settings

    if store_bytes is not None and store_bytes < 75 << 20:
        raise ValueError(
            f"Attempting to cap object store memory usage at {store_bytes} bytes, but the minimum allowed is "
            f"{75 << 20} bytes."
        )
    return _settings.text_of(system_config, None if store_bytes is None else int(store_bytes))


def node_resources(
    num_cpus: Any,
    num_gpus: Any,
    resources: Any,
    memory: Any,
    store_bytes: int | None = None,
    address: str | None = None,
) -> dict[str, int]:
    """What a node offers, in ten-thousandths."""
    from . import _node
    from ._options import RESOURCE_UNIT

    if num_cpus is not None and (not isinstance(num_cpus, (int, float)) or num_cpus < 0):
        raise ValueError(f"num_cpus must be a number >= 0, not {num_cpus!r}")
    for name in resources or {}:
        if name in ("CPU", "GPU"):
            raise ValueError(f"Use num_cpus and num_gpus instead of resources={{'{name}': ...}}")
    amounts: dict[str, float] = dict(resources or {})
    cpus = len(os.sched_getaffinity(0)) if num_cpus is None else num_cpus
    amounts["CPU"] = cpus
    amounts["GPU"] = num_gpus or 0
    default_memory, store = _node.default_memory()
    amounts["memory"] = memory or default_memory
    amounts["object_store_memory"] = store_bytes or store
    amounts[f"node:{address or _node.node_ip()}"] = 1.0
    amounts["node:__internal_head__"] = 1.0
    return {k: round(v * RESOURCE_UNIT) for k, v in amounts.items() if v}


def _connect(
    socket_path: str,
    session_dir: str,
    namespace: str | None,
    runtime_env: Any,
    job_config: Any,
    worker_logging: dict[str, Any],
    shows_output: bool,
    utilities: dict[str, Any] | None = None,
) -> None:
    from . import _core, _serialization

    config = getattr(job_config, "__dict__", None) or {}
    env = runtime_env or config.get("runtime_env") or {}
    if env:
        from ._environments import fields

        fields.check(dict(env))
    described = json.dumps(
        {
            "sys_path": [os.path.abspath(p) if p else os.getcwd() for p in sys.path],
            "cwd": os.getcwd(),
            "main": _main_path(),
            "logging": worker_logging,
            "metadata": config.get("metadata") or {},
            **(utilities or {}),
        }
    )
    wanted = namespace or config.get("ray_namespace") or os.environ.get("RAY_NAMESPACE") or ""
    try:
        core = _core.Client.connect_driver(socket_path, wanted, described, shows_output)
    except BaseException as error:
        if state.node is not None:
            state.node.stop()
            state.node = None
        if isinstance(error, ConnectionError):
            raise ConnectionError(
                f"the cluster in {session_dir} does not answer, or has just ended: {error}"
            ) from None
        raise
    core.set_hooks(
        _serialization.dumps,
        _serialization.loads,
        _serialization.error_from,
        _load_function,
        exceptions.from_system,
    )
    info = core.info()
    observe(core)
    _note_job(info, {**config, "runtime_env": env})
    state.client = core
    state.renew()
    state.namespace = info["namespace"]
    state.context = RayContext(
        {
            "node_ip_address": info["node_ip"],
            "address": socket_path,
            "gcs_address": socket_path,
            "session_dir": session_dir,
            "node_id": info["node_id"],
            "object_store_address": socket_path,
            "raylet_socket_name": socket_path,
            "webui_url": "",
            "metrics_export_port": None,
        }
    )
    if shows_output:
        from ._log_monitor import LogMonitor

        state.log_monitor = LogMonitor(core)
        state.log_monitor.start()
    if env:
        try:
            _take_runtime_env(dict(env))
        except BaseException:
            shutdown()
            raise


def _take_runtime_env(env: dict[str, Any]) -> None:
    """The job's. It is set up while the program goes on, unless its config says otherwise."""
    from ._environments import shipping, text

    state.runtime_env = shipping.prepare(env)
    eager = (state.runtime_env.get("config") or {}).get("eager_install", True)
    if eager and text.needs_setup(state.runtime_env):
        assert state.client is not None
        state.client.prepare_environment(text.to_text(state.runtime_env))


def _start_utilities(facts: dict[str, Any], metrics_port: int | None) -> None:
    try:
        _utilities.start_in_driver(facts, metrics_port)
    except BaseException:
        shutdown()
        raise


def connect_to(socket_path: str, session_dir: str, namespace: str) -> None:
    """Of programs that belong to a cluster: no output, no handlers, no environment."""
    with state.lock:
        _connect(socket_path, session_dir, namespace, None, None, {}, False)


def observe(core: Any) -> None:
    """Lets others see what this process holds."""
    from . import _core

    _core.record_sites(os.environ.get("RAY_record_ref_creation_sites", "0") not in ("", "0"))

    def holders() -> bytes:
        from ._memory import holders as found

        return found()

    core.answer_holders(holders)


def _note_job(info: dict[str, Any], config: dict[str, Any]) -> None:
    from ._events import describe_job

    describe_job(info, config)


def _main_path() -> str:
    main = sys.modules.get("__main__")
    return os.path.abspath(getattr(main, "__file__", "") or "")


def _load_function(blob: bytes, name: str) -> Any:
    import pickle

    return pickle.loads(blob)


def _shows_output(wanted: bool | None) -> bool:
    """Whether what workers print is printed here. None: as RAY_LOG_TO_DRIVER says."""
    from ._log_folder import FoldOptions

    if wanted is None:
        wanted = os.environ.get("RAY_LOG_TO_DRIVER", "1") not in ("0", "false")
    if wanted:
        FoldOptions.of(os.environ, terminal=False)  # ValueError before anything is started
    return bool(wanted)


def _install_sigterm() -> None:
    if threading.current_thread() is not threading.main_thread():
        return

    def on_sigterm(signum: int, _frame: Any) -> None:
        sys.exit(signum)

    if signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, None):
        signal.signal(signal.SIGTERM, on_sigterm)
        state.on_sigterm = on_sigterm


def shutdown(_exiting_interpreter: bool = False) -> None:
    """Disconnects; ends a cluster that init() started. Does nothing when not connected."""
    with state.lock:
        if state.client is not None:
            _utilities.finish(cluster_ends=state.node is not None)
        while state.before_shutdown:
            state.before_shutdown.pop()()
        core, node, monitor = state.client, state.node, state.log_monitor
        state.client = None
        state.log_monitor = None
        state.node = None
        state.local_mode = None
        state.context = None
        state.namespace = ""
        state.runtime_env = {}
        if core is not None:
            state.renew()

            def end_node() -> None:
                if _exiting_interpreter:
                    from ._core import end_interpreter

                    end_interpreter()
                if node is not None:
                    node.stop()

            if monitor is not None:
                monitor.finish(
                    end_node,
                    node_ends=node is not None,
                    hurried=_exiting_interpreter and _ended_by_ctrl_c(),
                )
            else:
                end_node()
            core.close()


def _ended_by_ctrl_c() -> bool:
    last = getattr(sys, "last_type", None)  # of the exception that nobody has caught
    return isinstance(last, type) and issubclass(last, KeyboardInterrupt)


@atexit.register
def _at_exit() -> None:
    if state.client is not None and not state.is_worker:
        shutdown(True)


# ---- objects ----


def put(value: Any, *, _owner: Any = None) -> Any:
    """Stores `value` and returns a reference that this process owns. TypeError for an ObjectRef.

    The value is copied once; numpy arrays, Arrow tables and CPU tensors are read back without a copy,
    read-only. `_owner` is a ValueError, as in Ray since 2.56.
    """
    from ._core import ObjectRef

    if _owner is not None:
        raise ValueError("put(_owner=...) is not there; Ray has removed it, too (in 2.56).")
    if isinstance(value, ObjectRef):
        raise TypeError(
            "Calling 'put' on an ray.ObjectRef is not allowed. If you really want to do this, you can wrap the "
            "ray.ObjectRef in a list and call 'put' on it."
        )
    return client().put(value)


def get(object_refs: Any, *, timeout: float | None = None) -> Any:
    """The value of a reference, or the list of values of a list of references, in its order.

    timeout: seconds; 0 polls; GetTimeoutError when it passes. A failed task's exception is raised, the
    first in the list's order. Inside a task the CPU is given back while it waits. Results of compiled graphs
    (CompiledDAGRef) are taken the same way, each once; without a timeout within DAGContext.get_timeout.
    """
    core = state.client
    if core is None:
        core = client()
    single = type(object_refs).__name__ == "ObjectRef"
    if not single and _of_compiled_graph(object_refs):
        return _get_compiled(object_refs, timeout)
    if not single and not isinstance(object_refs, (list, tuple)):
        raise ValueError(
            f"Invalid type of object refs, {type(object_refs)}, is given. 'object_refs' must either be an "
            "ObjectRef or a list of ObjectRefs."
        )
    # A list of its own: the caller's may change while it waits.
    refs = [object_refs] if single else list(object_refs)
    if timeout is not None:
        _check_timeout(timeout)
    try:
        values = _get_explaining(core, refs) if timeout is None else core.get(refs, timeout)
    except TimeoutError as error:
        if isinstance(error, exceptions.RayError):
            raise
        raise exceptions.GetTimeoutError(
            f"Get timed out: some object(s) not ready after {timeout} s ({_reason(core, refs)})."
        ) from None
    return values[0] if single else values


def _of_compiled_graph(given: Any) -> bool:
    first = given[0] if isinstance(given, (list, tuple)) and given else given
    return type(first).__name__ == "CompiledDAGRef"


def _get_compiled(given: Any, timeout: float | None) -> Any:
    if not isinstance(given, (list, tuple)):
        return given.get(timeout)
    if not all(map(_of_compiled_graph, given)):
        raise ValueError("'object_refs' must be CompiledDAGRefs only, or ObjectRefs only.")
    if timeout is None or timeout < 0:
        return [ref.get(timeout) for ref in given]
    deadline = time.monotonic() + timeout
    return [ref.get(max(0.0, deadline - time.monotonic())) for ref in given]


def _check_timeout(timeout: Any) -> None:
    if not isinstance(timeout, (int, float)):
        raise TypeError(f"The 'timeout' argument must be a number of seconds, not {timeout!r}.")
    if not timeout >= 0:  # a NaN too
        raise ValueError(f"The 'timeout' argument must be nonnegative. Received {timeout}")


def _get_explaining(core: Any, refs: list[Any]) -> list[Any]:
    """Waits without end, but says after a while on what."""
    try:
        values: list[Any] = core.get(refs, WAIT_EXPLAIN_S, goes_on=True)
        return values
    except TimeoutError as error:
        if isinstance(error, exceptions.RayError):
            raise
    print(
        f"eagleray: get() has waited {WAIT_EXPLAIN_S:g} s: {_reason(core, refs)}", file=sys.stderr
    )
    values = core.get(refs, None)
    return values


def _reason(core: Any, refs: list[Any]) -> str:
    for ref in refs:
        if not ref.ready():
            reason: str = core.wait_reason(ref)
            return reason
    return "all are ready now"


def wait(
    object_refs: list[Any],
    *,
    num_returns: int = 1,
    timeout: float | None = None,
    fetch_local: bool = True,
) -> tuple[list[Any], list[Any]]:
    """Splits references into those that are ready (at most num_returns) and the rest, keeping the order.

    Waits until num_returns are ready or `timeout` seconds passed. ValueError for duplicates, num_returns
    out of range or a negative timeout; TypeError for a single reference. A failed task counts as ready,
    an ObjectRefGenerator from its next item on and at its end. What no node can ever run is told on stderr.
    """
    from ._core import ObjectRef
    from ._generator import ObjectRefGenerator

    expected = "wait() expected a list of ray.ObjectRef or ray.ObjectRefGenerator, got"
    if isinstance(object_refs, (ObjectRef, ObjectRefGenerator)):
        raise TypeError(f"{expected} a single {type(object_refs).__name__}")
    if not isinstance(object_refs, list):
        raise TypeError(f"{expected} {type(object_refs)}")
    if timeout is not None:
        _check_timeout(timeout)
    if not isinstance(num_returns, int):
        raise TypeError(f"num_returns must be an integer, not {num_returns!r}")
    if not object_refs:
        return [], []
    if num_returns <= 0:
        raise ValueError(f"Invalid number of objects to return {num_returns}.")
    if num_returns > len(object_refs):
        raise ValueError(
            "num_returns cannot be greater than the number of objects provided to ray.wait"
        )
    core = client()
    if timeout is not None:
        done = core.wait(object_refs, num_returns, timeout, fetch_local)
        if len(done[0]) < num_returns and _polls_look():
            _tell_what_never_runs(core, done[1])
        return done
    for limit in (WAIT_EXPLAIN_S, *_LOOKS_AGAIN_S):
        done = core.wait(object_refs, num_returns, limit, fetch_local, goes_on=True)
        if len(done[0]) == num_returns:
            return done
        _tell_what_never_runs(core, done[1])
    return core.wait(object_refs, num_returns, None, fetch_local)


def _polls_look() -> bool:
    """All of them for a moment, then none for 5 s and a bit: so each of those that are polled in turn has its look."""
    now = time.monotonic()
    if now >= state.looks_from:
        state.looks_from = now + WAIT_EXPLAIN_S + random.random()
        state.looks_until = now + _POLLS_LOOK_S
    return now < state.looks_until


def _tell_what_never_runs(core: Any, refs: list[Any]) -> None:
    """Each once: a program that polls, or waits for others, would not hear of it. Does not wait: what another
    process knows is told by a later call."""
    if state.local_mode is not None:
        return
    for reason in core.reasons_so_far(refs):
        if "can ever" in reason and reason not in state.told:
            state.told.add(reason)
            with contextlib.suppress(OSError, ValueError):  # nobody reads it: no matter of wait()'s
                print(f"eagleray: wait(): {reason}", file=sys.stderr)


def cancel(ref: Any, *, force: bool = False, recursive: bool = True) -> None:
    """Cancels the task behind `ref`: dropped if it has not begun, interrupted (KeyboardInterrupt) if it
    runs, its worker ended with force=True. get() then raises TaskCancelledError; what a task makes of the
    interrupt if it catches it counts, though. A method of an actor is not interrupted (it can ask
    is_canceled()), a coroutine is; its result is dropped. Nothing happens when the task is finished.
    recursive: its children too."""
    from ._core import ObjectRef
    from ._generator import ObjectRefGenerator

    if isinstance(ref, ObjectRefGenerator):
        if state.local_mode is not None:
            return ref._stream.cancel()  # type: ignore[no-any-return]
        ref = ref.completed()
    if not isinstance(ref, ObjectRef):
        raise TypeError(f"ray.cancel() only supported for object refs. Got: {type(ref)}.")
    core = client()
    if force not in (True, False) or recursive not in (True, False):
        raise TypeError(f"force and recursive must be bool, not {force!r} and {recursive!r}")
    if force and core.is_actor_task(ref):
        raise ValueError("force=True is not supported for actor tasks.")
    core.cancel(ref, force, recursive)


def kill(actor: Any, *, no_restart: bool = True) -> None:
    """Ends an actor at once, without its exit handlers. no_restart=False lets max_restarts apply."""
    from ._actor import ActorHandle

    if not isinstance(actor, ActorHandle):
        raise ValueError(
            f"ray.kill() only supported for actors. For tasks, try ray.cancel(). Got: {type(actor)}."
        )
    client().kill_actor(actor._core.actor_id(), no_restart)


def get_actor(name: str, namespace: str | None = None) -> Any:
    """A handle to a named actor; it does not keep the actor alive. ValueError when there is none."""
    import pickle

    from ._actor import ActorHandle, core_from_wire

    if not name:
        raise ValueError("Please supply a non-empty value to get_actor")
    if not isinstance(name, str):
        raise TypeError(f"The name of an actor must be a string, not {name!r}")
    if not isinstance(namespace, (str, type(None))):
        raise TypeError("namespace must be None or a string.")
    name.encode()  # UnicodeEncodeError where it cannot be a name
    core = client()
    where = namespace if namespace is not None else state.namespace
    found = core.find_actor(name, where)
    if found is None:
        raise ValueError(
            f"Failed to look up actor with name '{name}'. This could be because 1. You are trying to look up a "
            "named actor you didn't create. 2. The named actor died. 3. You did not use a namespace matching "
            f"the namespace of the actor (looked in '{where}')."
        )
    actor_id, blob = found
    meta = pickle.loads(blob)
    handle = core_from_wire(actor_id, 0, True, meta["ordered"], meta["max_pending_calls"])
    return ActorHandle(handle, meta)


# ---- the cluster ----


def amounts(raw: dict[str, int]) -> dict[str, float]:
    """Of resources, from ten-thousandths; what there is nothing of is left out."""
    from ._options import RESOURCE_UNIT

    return {name: amount / RESOURCE_UNIT for name, amount in raw.items() if amount > 0}


def nodes() -> list[dict[str, Any]]:
    """One dict per node, with Ray's keys."""
    return [
        {
            "NodeID": n["node_id"],
            "Alive": n["alive"],
            "NodeManagerAddress": n["address"],
            "NodeManagerHostname": n["host_name"],
            "NodeManagerPort": 0,
            "ObjectManagerPort": 0,
            "ObjectStoreSocketName": "",
            "RayletSocketName": "",
            "MetricsExportPort": 0,
            "NodeName": n["address"],
            "RuntimeEnvAgentPort": 0,
            "DeathReason": 0,
            "DeathReasonMessage": "",
            "alive": n["alive"],
            "Resources": amounts(n["total"]),
            "Labels": n["labels"],
        }
        for n in client().cluster()
    ]


def cluster_resources() -> dict[str, float]:
    """What all nodes offer in total. As in Ray, a reserved placement group adds what its bundles hold:
    `CPU_group_<id>` all of them, `CPU_group_<index>_<id>` one, and so on, and 1,000 `bundle_group_...` a
    bundle."""
    return amounts(client().resources(False))


def available_resources() -> dict[str, float]:
    """What is free right now, of nodes and in bundles; what is used up is not there. A task or actor takes
    0.001 of its bundle's `bundle_group_...`."""
    return amounts(client().resources(True))


def get_gpu_ids() -> list[int]:
    """The GPUs assigned to this worker; empty in a driver."""
    if not state.is_worker or state.client is None:
        return []
    return list(state.client.assigned_gpus())


def timeline(filename: str | None = None) -> list[dict[str, Any]] | None:
    """What ran where and when, of all jobs: Chrome trace events, written to `filename` as JSON (open it with
    ui.perfetto.dev or chrome://tracing) or returned. Unlike in Ray nothing must be switched on before. RuntimeError:
    not connected."""
    from ._timeline import timeline as made

    if state.client is None:
        raise RuntimeError("eagleray is not initialised: call eagleray.init() first")
    return made(filename)


# ---- remote ----


def remote(*args: Any, **kwargs: Any) -> Any:
    """Makes a function a task and a class an actor: `@remote` or `@remote(num_cpus=2, ...)`.

    Options are validated at once (ValueError, TypeError). See docs/user/compatibility.md for the list.
    """
    if len(args) == 1 and not kwargs and (callable(args[0]) or isinstance(args[0], type)):
        return _make_remote(args[0], {})
    if args or not kwargs:
        raise ValueError(
            "The @ray.remote decorator must be applied either with no arguments and no parentheses, for example "
            "'@ray.remote', or it must be applied using some of the arguments in the list of options, for "
            "example '@ray.remote(num_returns=2, resources={\"CustomResource\": 1})'."
        )

    def decorate(target: Any) -> Any:
        return _make_remote(target, kwargs)

    return decorate


def _make_remote(target: Any, options: dict[str, Any]) -> Any:
    from ._actor import ActorClass
    from ._options import validate
    from ._remote_function import RemoteFunction

    if isinstance(target, type):
        validate("actor", options)
        return ActorClass(target, options)
    if callable(target):
        validate("task", options)
        return RemoteFunction(target, options)
    raise TypeError("The @ray.remote decorator must be applied to either a function or a class.")


def show_deprecation(name: str) -> None:
    warnings.warn(f"{name} is deprecated", DeprecationWarning, stacklevel=3)
