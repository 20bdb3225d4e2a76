"""The C++ core as Python sees it: converts, decides nothing. Internal; no stability promised.

Values cross in one encoding (see docs/design/values.md): None, bool, int, float, str and bytes have a
tagged form made in C++; everything else goes through the `dumps`/`loads` hooks (pickle protocol 5 with
out-of-band buffers). Waiting calls release the GIL and return to Python when a signal arrives.
"""

from collections.abc import Callable, Sequence
from typing import Any

class ObjectRef:
    """A counted reference to an object. Equal and hashed by id. Pickling one outside of a value that the
    core serialises pins the object for the life of its owner. Made from 28 bytes it names no object: using it is
    a ValueError.
    `_api.py` adds future(), as_future(), __await__, _on_completed(), task_id(), job_id(), nil(), from_random()."""
    def __init__(self, id: bytes) -> None: ...
    def binary(self) -> bytes: ...
    def hex(self) -> str: ...
    def is_nil(self) -> bool: ...
    def task_id_binary(self) -> bytes: ...
    def owner(self) -> int: ...  # ProcId
    def ready(self) -> bool: ...  # value or error is here; never blocks

class ActorCore:
    """A counted reference to an actor: the actor ends when the last one anywhere is gone (unless detached).
    Handles pickle by lend() and actor_from_wire()."""
    def actor_id(self) -> bytes: ...
    def weak(self) -> bool: ...  # from get_actor(): does not keep the actor alive
    def lend(self) -> tuple[bytes, int, bool, bool, int]: ...  # arguments of actor_from_wire

class Task:
    """A task that this worker executes or is about to."""

    task_id: bytes
    actor_id: bytes  # 16 bytes, all 0xFF first 12 for a normal task
    name: str  # display name
    function: Any  # loaded function or bound method; a str for the built-in __ray_*__ methods
    function_name: str
    is_actor_task: bool
    answered: bool
    num_returns: int  # -1: streaming, -2: dynamic
    attempt: int  # 0 at the first run
    extra: bytes  # pickled dict of rare options, b"" if none
    group: str  # concurrency group, "" default
    caller: int  # ProcId
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]: ...
    # raises what the argument's error says when an argument cannot be had

class Client:
    """One process's connection to its node: submits, owns, executes."""

    # -- connection --
    @staticmethod
    def connect_driver(
        socket_path: str, namespace: str, job_config: str, wants_output: bool
    ) -> Client: ...
    @staticmethod
    def connect_worker(fd: int, startup_token: int) -> Client: ...
    def close(self) -> None: ...  # idempotent; waits wake with ConnectionError
    def after_fork(self) -> None: ...  # in a forked child: forget threads and sockets of the parent
    def info(self) -> dict[str, Any]: ...
    # proc:int node_id:str(hex) worker_id:str(hex 28 bytes) job_id:int namespace:str job_config:str(JSON) session_dir:str node_ip:str
    # runtime_env:str environment_setup:str(JSON) node_resources: dict[str,int] labels: dict[str,str] store_capacity:int  connected: bool
    # settings: dict[str, float] (as settings_table)
    # -- hooks (once, before use) --
    def set_hooks(
        self,
        dumps: Callable[[Any], tuple[bytes, list[Any]]],  # -> pickle bytes, PickleBuffers
        loads: Callable[..., Any],  # (memoryview, memoryviews) -> value
        error_from: Callable[
            [Any, ObjectRef | None], BaseException
        ],  # error record -> exception for get()
        load_function: Callable[[bytes, str], Any],  # blob, name -> function
        system_error: Callable[
            [str, str, bytes], Any
        ],  # (kind, message, id) -> error record; kinds below
    ) -> None: ...
    # system_error kinds: worker_crashed, worker_oom, actor_died, actor_unavailable, owner_died, object_lost, object_freed, cancelled,
    # store_full, unschedulable, node_died, group_removed, deadlock, actor_unschedulable, actor_group_removed
    # -- tasks --
    def export_function(self, blob: bytes, name: str) -> int: ...
    def intern_key(
        self, resources: dict[str, int], strategy: dict[str, Any], runtime_env: str
    ) -> int: ...
    # strategy: kind "default", "spread", "node" (node: hex, soft, fail_if_busy), "labels" (hard, soft: selectors) or
    # "group" (group: hex, index, capture); and always `selectors`, of which one must hold
    def submitter(
        self, function: int, key: int, num_returns: int, max_retries: int, name: str, extra: bytes
    ) -> Callable[..., Any]: ...
    # the callable takes the user's (*args, **kwargs) and returns ObjectRef (num_returns 1), list[ObjectRef], None (0) or
    # StreamCore (num_returns -1). Signature checks are the caller's.
    # -- objects --
    def put(self, value: Any) -> ObjectRef: ...
    # goes_on: after the timeout the caller waits again, so cycles of waits count as without one
    def get(
        self, refs: list[ObjectRef], timeout: float | None, goes_on: bool = False
    ) -> list[Any]: ...
    # raises TimeoutError (plain) when time is up; the exception made by error_from for the first failed ref
    def wait(
        self,
        refs: list[ObjectRef],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
        goes_on: bool = False,  # as of get()
    ) -> tuple[
        list[ObjectRef], list[ObjectRef]
    ]: ...  # ValueError on duplicates, TypeError on a non-ref
    def want_notification(
        self, ref: ObjectRef
    ) -> bool: ...  # True: ready already; else take_notifications gives it
    def take_notifications(self, timeout_ms: int) -> list[ObjectRef]: ...
    def reasons_so_far(self, refs: list[ObjectRef]) -> list[str]: ...
    # of those that are pending, without waiting; what other processes know: from the next call on
    def wait_reason(
        self, ref: ObjectRef
    ) -> str: ...  # one sentence: on what a pending object waits
    def is_actor_task(self, ref: ObjectRef) -> bool: ...
    def free(self, refs: list[ObjectRef]) -> None: ...
    def cancel(self, ref: ObjectRef, force: bool, recursive: bool) -> None: ...

    # -- actors --
    def create_actor(
        self,
        *,
        name: str,
        namespace: str,
        class_name: str,
        class_blob: Any,  # bytes; in local mode the class itself
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        handle_blob: bytes,
        resources: dict[str, int],
        placement_resources: dict[str, int],
        strategy: dict[str, Any],
        runtime_env: str,
        max_restarts: int,
        max_pending_calls: int,
        ordered: bool,  # False for async and threaded actors
        detached: bool,
    ) -> (
        ActorCore
    ): ...  # ValueError when the name is taken (waits for control's answer only if named)
    def actor_submitter(
        self,
        actor: ActorCore,
        method: str,
        num_returns: int,
        max_retries: int,
        name: str,
        extra: bytes,
        group: str,
    ) -> Callable[..., Any]: ...  # as submitter(); raises _core.PendingCallsLimit
    def find_actor(
        self, name: str, namespace: str
    ) -> tuple[bytes, bytes] | None: ...  # actor id, handle_blob
    def list_actors(
        self, all_namespaces: bool, namespace: str
    ) -> list[tuple[str, str, str, str]]: ...
    # name, namespace, class name, actor id hex
    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None: ...
    # -- for those who look (eagleray/_state_rows.py) --
    def ask_state(
        self, about: str, limit: int, timeout: float, only: int = 0
    ) -> tuple[list[dict[str, Any]], int]: ...
    # about: "tasks", "objects" or "holders"; what each process answered, and how many did not in time
    def keep_history(self, wanted: bool, /) -> None: ...  # what it costs is measured so
    def answer_holders(self, holders: Callable[[], bytes]) -> None: ...
    # called, on a thread of its own, when somebody asks what in this program holds references
    def all_actors(self) -> list[dict[str, Any]]: ...
    def all_jobs(self) -> list[dict[str, Any]]: ...
    # -- worker side --
    def run_worker(
        self,
        run_task: Callable[[Task], None],
        start_actor: Callable[[dict[str, Any]], tuple[Any, Callable[[], None] | None]],
        error_of: Callable[[Task | None, BaseException], Any],
        placed: Callable[[dict[str, int], str, bool], None],
    ) -> None: ...
    # The worker's main loop; returns when the worker is to exit. Plain tasks and plain methods of a sync actor run inside C++
    # (exceptions -> error_of(task, exc) gives the record to store). Everything else (extra options, generators,
    # several returns) goes to run_task, which must end with finish/fail. start_actor(spec) gets: actor_id class_blob class_name
    # args kwargs incarnation name namespace job gpus resources group capture, and returns (instance, None), or (instance, loop) for an async or threaded
    # actor: then C++ reports the actor as started and calls loop(), which serves tasks by next_task/try_next_task until None.
    # placed(resources, group hex or "", capture) is called before a task whose scheduling key is not that of the one before.
    # An exception from start_actor is given to error_of(None, exc) and reported as the constructor's failure.
    def next_task(
        self, groups: list[str] | None
    ) -> Task | None: ...  # blocks; None when the worker is to exit
    def try_next_task(self) -> Task | None: ...  # for an event loop, never blocks
    def task_fd(
        self,
    ) -> int: ...  # eventfd, readable when try_next_task may have something (async actors)
    def clear_task_fd(self) -> None: ...
    def exiting(self) -> bool: ...
    def running_name(self) -> str: ...  # of the task that this thread runs; "": none, or an actor's
    def before_next_answer(self, flush: Callable[[], None]) -> None: ...  # called once, by a worker
    def wrap_results(self, wrap: Callable[[Any], Any]) -> None: ...
    # of the task that the worker's main thread runs: each goes through it before it is sent
    def finish(self, task: Task, values: Sequence[Any], errors_from: int = -1) -> None: ...
    # one per return, those from errors_from on being error records; raises on unserialisable (then call fail)
    def fail(
        self,
        task: Task,
        error: Any,
        retry: bool,
        cancelled: bool = False,
        leaving: bool = False,
    ) -> None: ...
    # error record; retry: retry_exceptions matched; cancelled: the record says that it was; leaving: the call
    # ends its actor
    def stream_item(
        self, task: Task, value: Any, ahead_max: int
    ) -> (
        bool
    ): ...  # next item; blocks while ahead_max (> 0) are unread; False: the consumer is gone
    def current_task(self) -> Task | None: ...  # of this thread (set by C++ and by enter_task)
    def enter_task(self, task: Task | None) -> None: ...
    def is_cancelled(self, task: Task) -> bool: ...
    def leaving(
        self, reason: str
    ) -> None: ...  # tell the node that this worker exits by its own decision
    def flush(self) -> None: ...  # waits, at most 1 s, until what was said is in the rings
    def assigned_gpus(self) -> list[int]: ...

    # -- control --
    def prepare_environment(self, runtime_env: str) -> None: ...
    def kv_put(
        self, space: str, key: bytes, value: bytes, overwrite: bool
    ) -> bool: ...  # False: existed
    def kv_get(self, space: str, key: bytes) -> bytes | None: ...
    def kv_delete(self, space: str, key: bytes, by_prefix: bool) -> None: ...
    def kv_list(self, space: str, prefix: bytes) -> list[bytes]: ...
    def cluster(
        self,
    ) -> list[
        dict[str, Any]
    ]: ...  # per node: node_id address host_name labels alive total{} available{} (ten-thousandths)
    def resources(self, available: bool) -> dict[str, int]: ...  # of all nodes and bundles
    def node_status(self) -> dict[str, Any]: ...
    # of this process's node: demands (resources count what reason), processes (pid kind what job), store_used
    def create_group(
        self,
        bundles: list[dict[str, int]],
        strategy: str,
        name: str,
        detached: bool,
        selectors: list[dict[str, str]],  # one a bundle, or none
        target: str,  # node, hex or ""
    ) -> str: ...  # hex; ValueError: the name is taken
    def remove_group(self, group: str) -> None: ...
    def wait_group(self, group: str, timeout: float | None) -> str: ...  # as `state` below
    def group_table(self, group: str, name: str) -> list[dict[str, Any]]: ...
    # group(hex) name strategy state("PENDING" "CREATED" "REMOVED" "INFEASIBLE") why_never detached bundles nodes
    # selectors
    # -- driver --
    def wait_for_log_lines(self, timeout: float | None) -> bool: ...  # False: closed
    def take_log_lines(self) -> list[tuple[int, bool, str, str]]: ...
    # pid (0: the node itself), is stderr, name of the task or actor or "", whole lines
    def flush_log_lines(self, open_lines: bool, timeout: float) -> None: ...
    # until what workers have printed up to now can be taken; open_lines: lines without end, too
    def wait_for_node_end(self, timeout: float) -> None: ...
    def object_location(
        self, ref: ObjectRef
    ) -> tuple[
        str, str, int
    ]: ...  # "pending", "inline" or "stored"; the node that stores it; bytes

class Channel:
    """One process's ends of a channel between processes (src/shell/channel.h). Waits are without the GIL and look
    at signals; None: no limit. RayChannelError: closed; RayChannelTimeoutError; RuntimeError: another thread uses
    that end."""

    @staticmethod
    def make(slots: int, readers: int, slot_bytes: int, id: int) -> Channel: ...
    @staticmethod
    def open(address: tuple[int, int, int]) -> Channel: ...  # process, fd() there, id
    def fd(self) -> int: ...
    def become_writer(self) -> None: ...
    def become_reader(self, number: int) -> None: ...
    def name_end(self, reader: int | None, process: int) -> None: ...  # None: the writer's
    def process_at(self, reader: int | None) -> int: ...  # who has named itself there; 0: nobody
    def write(self, value: Any, timeout: float | None) -> None: ...
    def read(self, timeout: float | None) -> Any: ...
    def ready(self) -> bool: ...  # read() would not wait
    def close(self) -> None: ...  # for all processes
    def closed(self) -> bool: ...

def count_thread(runs: bool) -> None: ...  # this thread waits in channels: begins (True), ends

class StreamCore:
    """The consumer's side of a streaming generator task."""
    def next_ref(self, timeout: float | None) -> ObjectRef | None: ...  # None: ended. TimeoutError
    def completed(self) -> ObjectRef: ...
    def finished(self) -> bool: ...
    def has_next(self) -> bool: ...

class PendingCallsLimit(Exception): ...

def actor_from_wire(
    actor_id: bytes, owner: int, weak: bool, ordered: bool, max_pending: int
) -> ActorCore: ...
def on_interrupt(signal: int, frame: object | None) -> None: ...  # raises KeyboardInterrupt
def end_interpreter() -> (
    None
): ...  # at exit, before close(): threads that wait in the core stay there
def set_parent_death_signal(signal: int) -> None: ...
def become_subreaper() -> None: ...
def end_descendants(seconds: float) -> None: ...  # kills and reaps all, or gives up
def memory_use() -> tuple[int, int]: ...  # bytes used of how many, as the memory monitor sees them
def settings_table() -> list[tuple[str, float, float, float, str, str, str]]: ...

# name, default, least, most, unit, meaning, Ray's name or ""
def settings_of_text(text: str) -> dict[str, float]: ...  # of what settings_text() gave
def settings_text(given: list[tuple[str, str]]) -> str: ...  # ValueError: unknown, out of range
def in_serialization() -> bool: ...  # true while the core pickles a value on this thread

# Of a block of the history (docs/design/history.md): its header; how many rows meet all conditions (column, whether it
# must differ, values) and at most `limit` of them, the newest first; how many rows each (form, of an actor, error) has.
def history_header(block: bytes, /) -> dict[str, int]: ...
def history_scan(
    block: bytes, conditions: list[tuple[int, bool, list[int]]], limit: int, /
) -> tuple[int, list[tuple[int, ...]]]: ...
def history_tally(block: bytes, /) -> list[tuple[int, bool, int, int]]: ...
def record_sites(wanted: bool, /) -> None: ...  # where objects are made, from here on
def monotonic_us() -> int: ...
