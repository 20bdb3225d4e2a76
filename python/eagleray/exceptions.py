"""Every exception that eagleray raises, with Ray's names and hierarchy.

A task's own exception reaches `get()` as an instance of both RayTaskError and the exception's class, so
`except ValueError` works; `.cause` is the original.
"""

from __future__ import annotations

import builtins
import traceback
from typing import Any

_INTERNAL = __file__.rsplit("/", 1)[0]


class RayError(Exception):
    """Base of all exceptions of this package."""


class CrossLanguageError(RayError):
    """An error raised by code in another language."""


class TaskCancelledError(RayError):
    """The task was cancelled with `cancel()`. `task_id` is its TaskID, or None.

    As in Ray, get() raises it as a RayTaskError as well where the task had begun: it was interrupted, or was a
    coroutine. Not where its worker was ended, and not of a method of an actor that is not async.
    """

    def __init__(self, task_id: Any = None, error_message: str | None = None) -> None:
        self.task_id = task_id
        self.error_message = error_message

    def __str__(self) -> str:
        if self.error_message:
            return self.error_message
        return f"Task: {self.task_id} was cancelled." if self.task_id else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return (TaskCancelledError, (self.task_id, self.error_message))


class RayTaskError(RayError):
    """An exception left a task or an actor's method.

    Attributes: function_name, traceback_str (remote, without internal frames), cause (the original,
    or None when it could not be pickled), pid, ip.
    """

    def __init__(
        self,
        function_name: str,
        traceback_str: str,
        cause: BaseException | None,
        *,
        pid: int = 0,
        ip: str = "127.0.0.1",
        actor_repr: str | None = None,
    ) -> None:
        self.function_name = function_name
        self.traceback_str = traceback_str
        self.cause = cause
        self.pid = pid
        self.ip = ip
        self.actor_repr = actor_repr
        # Not super(): in a dual class the next in line is the user's, with arguments of its own.
        Exception.__init__(self, function_name, traceback_str)

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _make_task_error,
            (
                self.function_name,
                self.traceback_str,
                self.cause,
                self.pid,
                self.ip,
                self.actor_repr,
            ),
        )

    def as_instanceof_cause(self) -> RayError:
        """This error as an instance of its cause's class too; itself where that cannot be."""
        cause = self.cause
        if cause is None:
            return self
        if isinstance(cause, RayTaskError):
            return cause
        cause_class = type(cause)
        if issubclass(RayTaskError, cause_class):
            return self
        try:
            dual: Any = _dual_class(cause_class)
            made: RayError = dual(self)
            return made
        except TypeError:  # the class cannot be derived from
            return self

    def __str__(self) -> str:
        actor = f", repr={self.actor_repr}" if self.actor_repr else ""
        return (
            f"ray::{self.function_name}() (pid={self.pid}, ip={self.ip}{actor})\n"
            f"{self.traceback_str.rstrip()}"
        )


def _make_task_error(
    name: str, text: str, cause: BaseException | None, pid: int, ip: str, actor_repr: str | None
) -> RayTaskError:
    return RayTaskError(name, text, cause, pid=pid, ip=ip, actor_repr=actor_repr)


_dual_classes: dict[type[BaseException], type[RayTaskError]] = {}


def _is_group(cls: type) -> bool:
    groups: Any = getattr(builtins, "BaseExceptionGroup", ())  # Python 3.11
    return issubclass(cls, groups)


def _dual_class(cause_class: type[BaseException]) -> type[RayTaskError]:
    known = _dual_classes.get(cause_class)
    if known is not None:
        return known

    def init(self: Any, error: RayTaskError) -> None:
        RayTaskError.__init__(
            self,
            error.function_name,
            error.traceback_str,
            error.cause,
            pid=error.pid,
            ip=error.ip,
            actor_repr=error.actor_repr,
        )
        self.args = error.cause.args if error.cause is not None else ()

    def getattribute_fallback(self: Any, name: str) -> Any:
        cause = self.__dict__.get("cause")
        if cause is None:
            raise AttributeError(name)
        return getattr(cause, name)

    def reduce(self: Any) -> tuple[Any, ...]:
        error = RayTaskError.__reduce__(self)
        return (_make_dual, error[1])

    def new(cls: Any, error: RayTaskError) -> Any:
        group: Any = error.cause
        return cause_class.__new__(cls, group.message, group.exceptions)

    name = f"RayTaskError({cause_class.__name__})"
    # A group is what it holds, and knows it from the start.
    special = {"__new__": new} if _is_group(cause_class) else {}
    dual = type(
        name,
        (RayTaskError, cause_class),
        {
            "__init__": init,
            "__getattr__": getattribute_fallback,
            "__reduce__": reduce,
            "__str__": RayTaskError.__str__,
            "__module__": __name__,
            "__qualname__": name,
            **special,
        },
    )
    _dual_classes[cause_class] = dual
    return dual


def _make_dual(*fields: Any) -> RayError:
    return _make_task_error(*fields).as_instanceof_cause()


def format_user_traceback(error: BaseException) -> str:
    """The traceback of `error` without the frames of this package."""
    chain = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    work = [chain]
    while work:
        each = work.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        kept = [f for f in each.stack if not f.filename.startswith(_INTERNAL)]
        each.stack = traceback.StackSummary.from_list(kept)
        work.extend(x for x in (each.__cause__, each.__context__) if x is not None)
        work.extend(getattr(each, "exceptions", None) or ())
    return "".join(chain.format())


class LocalRayletDiedError(RayError):
    """The node of this process has ended."""


class WorkerCrashedError(RayError):
    """The worker process died while it ran the task; the message says how."""


class RayActorError(RayError):
    """The actor cannot be reached."""

    def __init__(self, message: str = "The actor died.", actor_id: str | None = None) -> None:
        self.actor_id = actor_id
        super().__init__(message)

    @property
    def error_msg(self) -> str:
        return str(self)


class ActorDiedError(RayActorError):
    """The actor has ended and will not restart."""


class ActorUnavailableError(RayActorError):
    """The actor restarts; the call may or may not have run."""


class RaySystemError(RayError):
    """An error inside the runtime."""


class StreamingGeneratorReplayInconsistentError(RaySystemError):
    """A generator that ran again gave another number of items than before."""


class RayChannelError(RaySystemError):
    """A channel was closed or broken."""


class RayChannelTimeoutError(RayChannelError, TimeoutError):
    """A channel gave nothing in time."""


class RayCgraphCapacityExceeded(RaySystemError):
    """Too many executions of a compiled graph in flight."""


class RayDirectTransportError(RaySystemError):
    """A direct transport of tensors failed."""


class AuthenticationError(RayError):
    """The cluster token is missing or wrong."""


class UserCodeException(RayError):
    """User code raised where it is called by the runtime."""


class ObjectStoreFullError(RayError):
    """The object store is full; the message says who holds what."""


class OutOfDiskError(RayError):
    """The local disk is full."""


class OutOfMemoryError(RayError):
    """The worker was ended because the machine ran out of memory."""


class NodeDiedError(RayError):
    """The node has died."""


class ObjectLostError(RayError):
    """All copies of an object are gone."""

    def __init__(self, object_ref_hex: str = "", message: str = "", call_site: str = "") -> None:
        self.object_ref_hex = object_ref_hex
        self.call_site = call_site
        self._message = message
        super().__init__(object_ref_hex, message, call_site)

    def __str__(self) -> str:
        return f"Object {self.object_ref_hex} cannot be had: {self._message or 'it was lost'}."


class ObjectFetchTimedOutError(ObjectLostError):
    """The object could not be fetched in time."""


class ReferenceCountingAssertionError(ObjectLostError, AssertionError):
    """The object was deleted although it was referenced."""


class ObjectFreedError(ObjectLostError):
    """The object was freed by the program."""


class OwnerDiedError(ObjectLostError):
    """The process that owned the object has died."""


class ObjectReconstructionFailedError(ObjectLostError):
    """The object could not be computed again."""


ObjectReconstructionFailedMaxAttemptsExceededError = ObjectReconstructionFailedError
ObjectReconstructionFailedLineageEvictedError = ObjectReconstructionFailedError


class GetTimeoutError(RayError, TimeoutError):
    """`get()` did not end in time."""


class PlasmaObjectNotAvailable(RayError):
    """The object is not in the local store."""


class AsyncioActorExit(RayError):
    """Raised inside an async actor to end it."""


class RuntimeEnvSetupError(RayError):
    """The runtime environment could not be set up. error_message: what the tool said."""

    def __init__(self, error_message: str | None = None) -> None:
        self.error_message = error_message

    def __str__(self) -> str:
        return "\n".join(
            filter(None, ["Failed to set up runtime environment.", self.error_message])
        )


class TaskPlacementGroupRemoved(RayError):
    """The placement group of the task was removed."""


class ActorPlacementGroupRemoved(RayError):
    """The placement group of the actor was removed."""


class PendingCallsLimitExceeded(RayError):
    """The actor has `max_pending_calls` calls pending."""


class TaskUnschedulableError(RayError):
    """No node can ever run the task."""


class ActorUnschedulableError(RayError):
    """No node can ever run the actor."""


class ObjectRefStreamEndOfStreamError(RayError):
    """The generator has ended."""


class OufOfBandObjectRefSerializationException(RayError):
    """A reference was pickled outside of a value (Ray's spelling)."""


class RpcError(RayError):
    """A message to another process failed."""


class UnserializableException(RayError):
    """The exception of a task could not be pickled; its text follows."""


class ActorAlreadyExistsError(ValueError, RayError):
    """The name is taken by another actor."""


class ActorHandleNotFoundError(ValueError, RayError):
    """There is no such actor."""


class DeadlockError(RayError):
    """A get() could never end: its task and others wait for each other in a cycle, which the message names.

    Raised in one task of the cycle; the others go on from there. Ray has no such error: there the program
    hangs. Not raised where a get() of the cycle has a time limit, or in actors that run several calls at
    once.
    """


_KINDS: dict[str, type[RayError]] = {
    "worker_crashed": WorkerCrashedError,
    "worker_oom": OutOfMemoryError,
    "actor_died": ActorDiedError,
    "actor_unavailable": ActorUnavailableError,
    "owner_died": OwnerDiedError,
    "object_lost": ObjectLostError,
    "object_freed": ObjectFreedError,
    "cancelled": TaskCancelledError,
    "store_full": ObjectStoreFullError,
    "unschedulable": TaskUnschedulableError,
    "node_died": LocalRayletDiedError,
    "group_removed": TaskPlacementGroupRemoved,
    "deadlock": DeadlockError,
    "actor_unschedulable": ActorUnschedulableError,
    "actor_group_removed": ActorPlacementGroupRemoved,
    "disk_full": OutOfDiskError,
    "runtime_env_failed": RuntimeEnvSetupError,
}


def from_system(kind: str, message: str, object_id: bytes) -> RayError:
    """The exception for a failure that the core reports (see src/base/failure.h)."""
    cls = _KINDS.get(kind, RaySystemError)
    if issubclass(cls, ObjectLostError):
        return cls(object_id.hex(), message)
    if cls is TaskCancelledError:
        from ._ids import TaskID

        return cls(TaskID(object_id[:24]), message)
    return cls(message)
