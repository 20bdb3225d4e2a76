"""init(local_mode=True): the cluster is there, but tasks and actors run in this process, each at once where it is
called, for debugging.

LocalClient stands in the place of the core's Client. What runs something it does itself; objects, resources,
placement groups, keys and all else are the real one's. Arguments and results are copied as on their way to a worker
and back. Nothing is reserved or waited for, and runtime environments do not act.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import pickle
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

from . import _core, _serialization, _worker, exceptions
from ._ids import TaskID
from ._local_loop import Loop

_CAUGHT = (Exception, SystemExit, asyncio.CancelledError)  # a KeyboardInterrupt is the program's


class _Failure:
    """The value of a reference whose task failed."""

    def __init__(self, record: BaseException) -> None:
        self.record = record


class LocalTask:
    """As _core.Task, as far as others look at it."""

    def __init__(self, function_name: str, actor_id: bytes, is_actor_task: bool, name: str) -> None:
        self.task_id = os.urandom(8) + actor_id
        self.actor_id = actor_id
        self.function_name = function_name
        self.is_actor_task = is_actor_task
        self.name = name
        self.attempt = 0


class Frame:
    """What runs, and in what: as RuntimeContext tells it."""

    def __init__(
        self, task: LocalTask, resources: dict[str, int], place: dict[str, Any], actor: Actor | None
    ) -> None:
        self.task = task
        self.resources = resources
        self.group: str = place.get("group", "") if place.get("kind") == "group" else ""
        self.captured = self.group if place.get("capture") else ""
        self.actor = actor
        self.loop = actor.loop if actor is not None else Loop()

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The function's result inside of this frame; a coroutine's, too."""
        token = _frame.set(self)
        try:
            if self.actor is None or self.actor.meta["async"]:
                result = function(*args, **kwargs)
            else:
                with self.actor.lock:
                    result = function(*args, **kwargs)
            waits = inspect.isawaitable(result) and not isinstance(result, _core.ObjectRef)
            return self.loop.run(result) if waits else result
        finally:
            _frame.reset(token)

    def record_of(self, error: BaseException) -> BaseException:
        """What to keep for what the task raised; it may have ended its actor."""
        exits = isinstance(error, (SystemExit, exceptions.AsyncioActorExit))
        if exits and self.actor is not None:
            return self.actor.end("The actor exited: exit_actor() or sys.exit()")
        if exits:
            return exceptions.WorkerCrashedError(
                "The worker exited: sys.exit() was called in the task."
            )
        if isinstance(error, exceptions.RayActorError) and self.actor and self.actor.dead is error:
            return error
        instance = None if self.actor is None else self.actor.instance
        plain = instance is None or "__repr__" not in _inherited(type(instance))
        actor_repr = None if plain else repr(instance)
        said = (self.task.name, error, actor_repr, TaskID(self.task.task_id))
        record: BaseException
        if isinstance(error, asyncio.CancelledError):
            record = _serialization.cancellation(*said)
        else:
            record = _serialization.task_error(*said)
        return record


_frame: contextvars.ContextVar[Frame | None] = contextvars.ContextVar("frame", default=None)


class Actor:
    """An instance in this process."""

    def __init__(self, client: LocalClient, actor_id: bytes, given: dict[str, Any]) -> None:
        self.client = client
        self.actor_id = actor_id
        self.given = given
        self.meta: dict[str, Any] = pickle.loads(given["handle_blob"])
        self.lock = threading.RLock()
        self.loop = Loop()
        self.instance: Any = None
        self.dead: BaseException | None = None
        self.incarnation = 0

    def frame(self, method: str, name: str = "") -> Frame:
        shown = name or f"{self.meta['class_name']}.{method}"
        task = LocalTask(method, self.actor_id, True, shown)
        return Frame(task, self.given["resources"], self.given["strategy"], self)

    def start(self, args: Any, kwargs: Any) -> None:
        """Makes the instance. What its constructor raises is why the actor is dead."""
        frame = self.frame("__init__")
        try:
            args, kwargs = self.client.resolved(args, kwargs)
            cls = self.given["class_blob"]
            if self.meta["async"]:
                self.instance = cls.__new__(cls)
                frame.call(_worker.construct, self.instance, args, kwargs)
            else:
                self.instance = frame.call(lambda: cls(*args, **kwargs))
        except Exception as error:
            record = frame.record_of(error)
            self.dead = exceptions.ActorDiedError(
                f"The actor died because of an error raised in its creation task, {record}"
            )

    def end(self, why: str) -> BaseException:
        self.dead = exceptions.ActorDiedError(why, self.actor_id.hex())
        self.instance = None
        self.client.forget(self)
        return self.dead

    def kill(self, no_restart: bool) -> None:
        may = self.given["max_restarts"]
        if no_restart or 0 <= may <= self.incarnation:
            self.end("The actor was killed with ray.kill().")
            return
        self.incarnation += 1
        self.start(self.given["args"], self.given["kwargs"])

    def spec(self) -> dict[str, Any]:
        """As a worker has it in state.actor_spec."""
        return {
            "actor_id": self.actor_id,
            "name": self.given["name"],
            "class_name": self.meta["class_name"],
            "async": self.meta["async"],
            "incarnation": self.incarnation,
            "owner": 0,
            "meta": self.meta,
        }

    def function(self, method: str) -> Callable[..., Any]:
        if self.dead is not None:
            raise self.dead
        if method == "__ray_ready__":
            return lambda: True
        if method == "__ray_call__":
            return lambda function, *args, **kwargs: function(self.instance, *args, **kwargs)
        if method == "__ray_terminate__":
            from ._actor import exit_actor

            return exit_actor
        found: Callable[..., Any] = getattr(self.instance, method)
        return found


class ActorCore:
    """As _core.ActorCore: the actor goes with the last one, unless it is detached."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor

    def actor_id(self) -> bytes:
        return self.actor.actor_id

    def weak(self) -> bool:
        return False

    def lend(self) -> tuple[bytes, int, bool, bool, int]:
        return self.actor.actor_id, 0, False, True, -1


class StreamCore:
    """As _core.StreamCore: a generator that goes on when somebody wants its next item."""

    def __init__(self, client: LocalClient, frame: Frame, items: Any) -> None:
        self._client = client
        self._frame = frame
        self._items = items
        self._waiting: deque[Any] = deque()
        self._ended = False
        self._lock = threading.RLock()

    def _step(self) -> bool:
        """Makes one more item. False: there is none."""
        with self._lock:
            if self._ended:
                return False
            step = getattr(self._items, "__anext__", None) or self._items.__next__
            try:
                self._waiting.append(self._client.put(self._frame.call(step)))
            except (StopIteration, StopAsyncIteration):
                self._ended = True
                return False
            except _CAUGHT as error:
                self._end(self._frame.record_of(error))
            return True

    def _end(self, record: BaseException) -> None:
        self._ended = True
        self._waiting.append(self._client.put(_Failure(record)))

    def next_ref(self, timeout: float | None) -> Any:
        with self._lock:
            return self._waiting.popleft() if self._waiting or self._step() else None

    def completed(self) -> Any:
        while self._step():
            pass
        return self._client.put(None)

    def finished(self) -> bool:
        return self._ended and not self._waiting

    def has_next(self) -> bool:
        return bool(self._waiting) or self._step()

    def cancel(self) -> None:
        with self._lock:
            if not self._ended:
                task_id = TaskID(self._frame.task.task_id)
                name = self._frame.task.name
                self._end(_serialization.cancellation(name, None, None, task_id))


class LocalClient:
    """As _core.Client; what is not here is the real one's."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._functions: list[Callable[..., Any]] = []
        self._actors: weakref.WeakValueDictionary[bytes, Actor] = weakref.WeakValueDictionary()
        self._names: weakref.WeakValueDictionary[tuple[str, str], Actor] = (
            weakref.WeakValueDictionary()
        )
        self._detached: set[Actor] = set()
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    # ---- objects ----

    def get(self, refs: list[Any], timeout: float | None, goes_on: bool = False) -> list[Any]:
        values: list[Any] = self._real.get(refs, timeout, goes_on)
        for value in values:
            if type(value) is _Failure:
                raise _serialization.error_from(value.record, None)
        return values

    def wait(
        self,
        refs: list[Any],
        num_returns: int,
        timeout: float | None,
        fetch_local: bool,
        goes_on: bool = False,
    ) -> tuple[list[Any], list[Any]]:
        if all(isinstance(ref, _core.ObjectRef) for ref in refs):
            found: tuple[list[Any], list[Any]] = self._real.wait(
                refs, num_returns, timeout, fetch_local
            )
            return found
        if len(set(map(id, refs))) != len(refs):
            raise ValueError("Wait requires a list of unique object refs.")
        ready: list[Any] = []
        for ref in refs:  # an item of a generator is made now
            if len(ready) < num_returns and (isinstance(ref, _core.ObjectRef) or _has_item(ref)):
                ready.append(ref)
        return ready, [ref for ref in refs if not any(ref is each for each in ready)]

    def want_notification(self, ref: Any) -> bool:
        """Call-backs come on their thread, also of what is ready: as from a cluster."""
        self._ready.put(ref)
        return False

    def take_notifications(self, timeout_ms: int) -> list[Any]:
        try:
            return [self._ready.get(timeout=timeout_ms / 1000)]
        except queue.Empty:
            return []

    def cancel(self, ref: Any, force: bool, recursive: bool) -> None:
        """All that was called has ended."""

    # ---- what runs ----

    def export(self, function: Callable[..., Any]) -> int:
        self._functions.append(function)
        return len(self._functions) - 1

    def intern_key(self, resources: dict[str, int], strategy: dict[str, Any], _env: str) -> Any:
        return resources, strategy

    def submitter(
        self, number: int, key: Any, returns: int, retries: int, name: str, extra: bytes
    ) -> Callable[..., Any]:
        function = self._functions[number]
        qualified = f"{function.__module__}.{function.__qualname__}"
        nobody = b"\xff" * 12 + self._job()

        def submit(*args: Any, **kwargs: Any) -> Any:
            task = LocalTask(qualified, nobody, False, name or function.__qualname__)
            resources, strategy = key
            frame = Frame(task, resources, strategy, None)
            return self._execute(frame, lambda: function, args, kwargs, returns, retries, extra)

        return submit

    def actor_submitter(
        self,
        core: Any,
        method: str,
        returns: int,
        retries: int,
        name: str,
        extra: bytes,
        group: str,
    ) -> Callable[..., Any]:
        if not isinstance(core, ActorCore):
            made: Callable[..., Any] = self._real.actor_submitter(
                core, method, returns, retries, name, extra, group
            )
            return made
        actor = core.actor

        def submit(*args: Any, **kwargs: Any) -> Any:
            frame = actor.frame(method, name)
            return self._execute(
                frame, lambda: actor.function(method), args, kwargs, returns, retries, extra
            )

        return submit

    def _execute(
        self,
        frame: Frame,
        find: Callable[[], Callable[..., Any]],
        args: Any,
        kwargs: Any,
        returns: int,
        retries: int,
        extra: bytes,
    ) -> Any:
        args, kwargs = self._real.get([self._real.put((args, kwargs))], None)[0]
        wanted = pickle.loads(extra).get("retry_exceptions") if extra else None
        kinds = (Exception,) if wanted is True else tuple(wanted or ())
        try:
            args, kwargs = self.resolved(args, kwargs)
        except exceptions.RayError as error:
            return self._failed(frame, error, returns)
        while True:
            try:
                function = find()
                if returns == -1:
                    return StreamCore(self, frame, _items_of(function, args, kwargs))
                return self._returned(frame.call(function, *args, **kwargs), returns)
            except _CAUGHT as error:
                if isinstance(error, kinds) and frame.task.attempt != retries:
                    frame.task.attempt += 1
                    continue
                return self._failed(frame, frame.record_of(error), returns)

    def resolved(self, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        """With values in place of references. Raises what the first that failed says."""

        def value(given: Any) -> Any:
            return self.get([given], None)[0] if isinstance(given, _core.ObjectRef) else given

        return [value(each) for each in args], {key: value(each) for key, each in kwargs.items()}

    def _returned(self, result: Any, returns: int) -> Any:
        if returns == 0:
            return None
        if returns == 1:
            return self._real.put(result)
        values = list(result)
        if returns == -2:
            from ._generator import DynamicObjectRefGenerator

            made = DynamicObjectRefGenerator([self._real.put(each) for each in values])
            return self._real.put(made)
        if len(values) != returns:
            raise ValueError(f"Task returned {len(values)} objects, but num_returns={returns}.")
        return [self._real.put(each) for each in values]

    def _failed(self, frame: Frame, record: BaseException, returns: int) -> Any:
        if returns == -1:
            return StreamCore(self, frame, _raises(record))
        refs = [self._real.put(_Failure(record)) for _ in range(max(returns, 1))]
        return refs if returns > 1 else refs[0] if returns else None

    # ---- actors ----

    def create_actor(self, **given: Any) -> Any:
        where = (given["namespace"], given["name"])
        if given["name"] and self.find_actor(given["name"], given["namespace"]) is not None:
            raise ValueError(f"The name {given['name']} is already taken in {given['namespace']}.")
        given["args"], given["kwargs"] = self._real.get(
            [self._real.put((given["args"], given["kwargs"]))], None
        )[0]
        actor = Actor(self, os.urandom(12) + self._job(), given)
        self._actors[actor.actor_id] = actor
        actor.start(given["args"], given["kwargs"])
        if given["name"] and actor.dead is None:
            self._names[where] = actor
        if given["detached"]:
            self._detached.add(actor)
        return ActorCore(actor)

    def forget(self, actor: Actor) -> None:
        where = (actor.given["namespace"], actor.given["name"])
        if self._names.get(where) is actor:
            del self._names[where]
        self._detached.discard(actor)

    def find_actor(self, name: str, namespace: str) -> Any:
        actor = self._names.get((namespace, name))
        if actor is None:
            return self._real.find_actor(name, namespace)
        return actor.actor_id, actor.given["handle_blob"]

    def actor_from_wire(self, actor_id: bytes, *lent: Any) -> Any:
        actor = self._actors.get(actor_id)
        return _core.actor_from_wire(actor_id, *lent) if actor is None else ActorCore(actor)

    def kill_actor(self, actor_id: bytes, no_restart: bool) -> None:
        actor = self._actors.get(actor_id)
        if actor is None:
            self._real.kill_actor(actor_id, no_restart)
        elif actor.dead is None:
            actor.kill(no_restart)

    def list_actors(self, all_namespaces: bool, namespace: str) -> list[Any]:
        rows = list(self._real.list_actors(all_namespaces, namespace))
        for (space, name), actor in list(self._names.items()):
            if all_namespaces or space == namespace:
                rows.append((name, space, actor.meta["class_name"], actor.actor_id.hex()))
        return rows

    # ---- who is asked ----

    def current(self) -> Frame | None:
        return _frame.get()

    def current_task(self) -> LocalTask | None:
        frame = _frame.get()
        return None if frame is None else frame.task

    def is_cancelled(self, task: LocalTask) -> bool:
        return False

    def _job(self) -> bytes:
        number: int = self._real.info()["job_id"]
        return number.to_bytes(4, "little")


def _inherited(cls: type) -> set[str]:
    """What a class has beyond object's."""
    return {name for each in cls.__mro__[:-1] for name in vars(each)}


def _items_of(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    made = function(*args, **kwargs)
    return made if hasattr(made, "__anext__") else iter(made)


def _raises(record: BaseException) -> Any:
    raise _serialization.error_from(record, None)
    yield


def _has_item(generator: Any) -> bool:
    """A generator: its next item is made, or it has ended."""
    generator.next_ready()
    return True
