"""Values to bytes: cloudpickle with protocol 5 and out-of-band buffers, custom serialisers, and the
records that stand for a task's exception. The C++ core calls `dumps` and `loads` for whatever has no
tagged form; it collects the references inside by itself."""

from __future__ import annotations

import io
import os
import pickle
from types import CodeType
from typing import Any

import cloudpickle

from . import exceptions

loads = pickle.loads  # called by the core as loads(view, buffers=views)

_custom: dict[type, tuple[Any, Any]] = {}


def _rebuild(deserializer: Any, state: Any) -> Any:
    return deserializer(state)


def _reduce_code(code: CodeType) -> Any:
    """cloudpickle's, which calls every file <dynamic-code>, with the file: tracebacks and debuggers show lines."""
    function, args = cloudpickle.Pickler.dispatch_table[CodeType](code)
    return function, tuple(code.co_filename if a == "<dynamic-code>" else a for a in args)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is CodeType:
            return _reduce_code(obj)
        custom = _custom.get(type(obj)) if _custom else None
        if custom is not None:
            return (_rebuild, (custom[1], custom[0](obj)))
        return super().reducer_override(obj)


def dumps(value: Any) -> tuple[bytes, list[Any]]:
    """Pickle bytes and the contiguous buffers that stay outside of them."""
    buffers: list[Any] = []

    def outside(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous: goes inside
            return True
        if raw.nbytes < 512:
            return True
        buffers.append(buffer)
        return False

    out = io.BytesIO()
    try:
        _Pickler(out, protocol=5, buffer_callback=outside).dump(value)
    except (TypeError, pickle.PicklingError, AttributeError, RecursionError) as error:
        raise TypeError(_explain(value, error)) from error
    return out.getvalue(), buffers


def dump_definition(definition: Any) -> bytes:
    """Pickle bytes of a function or class, with nothing outside of them."""
    out = io.BytesIO()
    _Pickler(out, protocol=5).dump(definition)
    return out.getvalue()


def _picklable(value: Any) -> Exception | None:
    try:
        _Pickler(io.BytesIO(), protocol=5).dump(value)
    except Exception as error:
        return error
    return None


def _offending(value: Any, name: str, depth: int) -> str | None:
    """The path of the innermost member that cannot be pickled."""
    if depth == 0 or _picklable(value) is None:
        return None
    members: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        members = [(f"{name}[{k!r}]", v) for k, v in value.items()]
    elif isinstance(value, (list, tuple, set)):
        members = [(f"{name}[{i}]", v) for i, v in enumerate(value)]
    elif callable(value) and getattr(value, "__closure__", None):
        names = value.__code__.co_freevars
        members = [
            (f"{n} (captured by {name})", c.cell_contents)
            for n, c in zip(names, value.__closure__, strict=True)
        ]
    elif hasattr(value, "__dict__"):
        members = [(f"{name}.{k}", v) for k, v in vars(value).items()]
    for member, inner in members:
        found = _offending(inner, member, depth - 1)
        if found:
            return found
    return f"{name} of type {type(value).__module__}.{type(value).__qualname__}"


def _explain(value: Any, error: BaseException) -> str:
    where = _offending(value, "the value", 5) or "the value"
    return (
        f"Could not serialize {type(value).__qualname__}: {error}. What cannot be pickled: {where}. "
        "Use ray.util.inspect_serializability() to look closer, or ray.util.register_serializer()."
    )


def task_error(
    name: str, error: BaseException, actor_repr: str | None = None, task_id: Any = None
) -> Any:
    """The record to store for a task that raised `error`."""
    if isinstance(error, KeyboardInterrupt):  # of cancel(), or of the task's own making: as in Ray
        made = exceptions.TaskCancelledError(task_id).with_traceback(error.__traceback__)
        made.__context__ = error.__context__
        error = made
    cause: BaseException | None = error
    if isinstance(error, exceptions.RayTaskError) and error.cause is not None:
        cause = error.cause  # an error of an argument or of a nested get, passed on
    record = exceptions.RayTaskError(
        name,
        exceptions.format_user_traceback(error),
        cause,
        pid=os.getpid(),
        actor_repr=actor_repr,
    )
    if _picklable(record) is not None or _unpicklable_back(record):
        record.cause = exceptions.UnserializableException(f"{type(error).__name__}: {error}")
    return record


def cancellation(
    name: str, error: BaseException | None, actor_repr: str | None, task_id: Any
) -> Any:
    """The record of a task that was cancelled while it ran, whatever it has made of that: `error`, or a result."""
    made = exceptions.TaskCancelledError(task_id)
    made.__context__ = error
    return task_error(name, made, actor_repr)


def _unpicklable_back(record: exceptions.RayTaskError) -> bool:
    """Some exceptions pickle and cannot be built again from their args."""
    try:
        out = io.BytesIO()
        _Pickler(out, protocol=5).dump(record)
        pickle.loads(out.getvalue())
    except Exception:
        return True
    return False


def error_from(record: Any, ref: Any) -> BaseException:
    if isinstance(record, exceptions.RayTaskError):
        return record.as_instanceof_cause()
    error: BaseException = record
    return error


def register_serializer(cls: type, *, serializer: Any, deserializer: Any) -> None:
    """Pickles instances of `cls` by `serializer(obj)`, rebuilt by `deserializer(state)`."""
    _custom[cls] = (serializer, deserializer)


def deregister_serializer(cls: type) -> None:
    _custom.pop(cls, None)
