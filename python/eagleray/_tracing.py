"""Spans of OpenTelemetry for the submission and the run of tasks and calls. Off, it is not even imported: what it
does is wrapped around submitters and definitions when they are made, in a session whose init() names a hook."""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import os
from collections.abc import Callable, Iterator
from typing import Any

from ._state import state

KEY = "_ray_trace_ctx"  # the keyword that carries the context to the worker, as in Ray


def load_hook(hook: Any) -> Callable[[], None]:
    """The function that "module:function" names. ValueError for another form, ImportError when it is not there."""
    module, colon, name = str(hook).partition(":")
    if not (isinstance(hook, str) and module and colon and name):
        raise ValueError(f'a tracing hook is "<module>:<function>", not {hook!r}')
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        if not hasattr(found, part):
            raise ImportError(f"the tracing hook {hook}: {module} has no {name}")
        found = getattr(found, part)
    loaded: Callable[[], None] = found
    return loaded


def start(hook: str) -> None:
    """Runs the hook, which sets OpenTelemetry's provider up, and traces from here on."""
    try:
        import opentelemetry.propagate
        import opentelemetry.trace  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "tracing needs OpenTelemetry: pip install opentelemetry-sdk, and an exporter"
        ) from error
    load_hook(hook)()
    state.tracing = True


def finish() -> None:
    """Before this process ends: spans that an exporter still holds go out."""
    if not state.tracing:
        return
    import opentelemetry.trace

    flush = getattr(opentelemetry.trace.get_tracer_provider(), "force_flush", None)
    if flush is not None:
        with contextlib.suppress(Exception):
            flush(1000)  # milliseconds


def _attributes(kind: str, name: str) -> dict[str, str]:
    """With Ray's names."""
    from .runtime_context import get_runtime_context

    context = get_runtime_context()
    found = {"ray.remote": kind, "ray.function": name, "ray.pid": str(os.getpid())}
    if kind == "actor":
        found["ray.actor_class"], found["ray.actor_method"] = name.rsplit(".", 1)
    found["ray.job_id"] = context.get_job_id()
    found["ray.node_id"] = context.get_node_id()
    found["ray.worker_id"] = context.get_worker_id()
    if state.is_worker:
        found["ray.task_id"] = context.get_task_id() or ""
        found["ray.actor_id"] = context.get_actor_id() or ""
    return {key: value for key, value in found.items() if value}


@contextlib.contextmanager
def _submitting(kind: str, name: str, actor_id: str = "") -> Iterator[dict[str, str]]:
    """A span around a submission, and the context that goes along. `actor_id`: whose method is called."""
    from opentelemetry import propagate, trace

    attributes = _attributes(kind, name)
    if actor_id:
        attributes["ray.actor_id"] = actor_id
    with trace.get_tracer(__name__).start_as_current_span(
        f"{name} ray.remote", kind=trace.SpanKind.PRODUCER, attributes=attributes
    ):
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        yield carrier


@contextlib.contextmanager
def _running(kind: str, name: str, carrier: dict[str, str]) -> Iterator[None]:
    """A span around a run, child of the one that submitted it."""
    from opentelemetry import context, propagate, trace

    token = context.attach(propagate.extract(carrier))
    try:
        with trace.get_tracer(__name__).start_as_current_span(
            f"{name} ray.remote_worker",
            kind=trace.SpanKind.CONSUMER,
            attributes=_attributes(kind, name),
        ):
            yield
    finally:
        context.detach(token)


def traced_submit(
    submit: Callable[..., Any], kind: str, name: str, actor_id: str = ""
) -> Callable[..., Any]:
    """A submitter that opens a span and sends its context along."""

    def traced(*args: Any, **kwargs: Any) -> Any:
        with _submitting(kind, name, actor_id) as carrier:
            return submit(*args, **kwargs, **{KEY: carrier})

    return traced


def with_context(kwargs: dict[str, Any], name: str) -> dict[str, Any]:
    """The keywords of an actor's creation, with its span's context."""
    with _submitting("actor", name) as carrier:
        return {**kwargs, KEY: carrier}


def traced_function(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the workers of a traced job run in place of a remote function."""
    return _traced(function, "function", f"{function.__module__}.{function.__name__}")


def traced_class(cls: type) -> type:
    """The same for an actor's class: a subclass whose methods open spans when a context came along."""
    from ._actor import _public_methods

    members: dict[str, Any] = {"__module__": cls.__module__, "__doc__": cls.__doc__}
    names = [*_public_methods(cls)]
    if cls.__init__ is not object.__init__:  # type: ignore[misc]
        names.append("__init__")
    for name in names:
        found = inspect.getattr_static(cls, name)
        if isinstance(found, (staticmethod, classmethod)):
            wrapped = _traced(found.__func__, "actor", f"{cls.__name__}.{name}")
            members[name] = type(found)(wrapped)
        elif inspect.isfunction(found):
            members[name] = _traced(found, "actor", f"{cls.__name__}.{name}")
    made = type(cls)(cls.__name__, (cls,), members)
    made.__qualname__ = cls.__qualname__
    return made


def _traced(function: Callable[..., Any], kind: str, name: str) -> Callable[..., Any]:
    """Of the function's own kind: plain, generator, coroutine or asynchronous generator."""

    def around(kwargs: dict[str, Any]) -> Any:
        carrier = kwargs.pop(KEY, None)
        return contextlib.nullcontext() if carrier is None else _running(kind, name, carrier)

    traced: Any
    if inspect.isasyncgenfunction(function):

        async def traced(*args: Any, **kwargs: Any) -> Any:
            with around(kwargs):
                async for item in function(*args, **kwargs):
                    yield item

    elif inspect.iscoroutinefunction(function):

        async def traced(*args: Any, **kwargs: Any) -> Any:
            with around(kwargs):
                return await function(*args, **kwargs)

    elif inspect.isgeneratorfunction(function):

        def traced(*args: Any, **kwargs: Any) -> Any:
            with around(kwargs):
                yield from function(*args, **kwargs)

    else:

        def traced(*args: Any, **kwargs: Any) -> Any:
            with around(kwargs):
                return function(*args, **kwargs)

    functools.update_wrapper(traced, function)
    return traced  # type: ignore[no-any-return]
