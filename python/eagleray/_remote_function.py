"""Remote functions. `f.remote` becomes the core's submitter itself after the first call, so that a call
costs one C function and no Python frame."""

from __future__ import annotations

import functools
import inspect
import pickle
from collections.abc import Callable
from typing import Any

from . import _options
from ._state import client, state

FUNCTION_BYTES_WARN = 10 << 20
FUNCTION_BYTES_MAX = 100 << 20


def pickle_definition(definition: Any, what: str) -> bytes:
    """cloudpickle of a function or class, with a hint when that fails and limits on its size."""
    from ._serialization import _explain, dump_definition

    try:
        blob = dump_definition(definition)
    except Exception as error:
        raise TypeError(
            f"Could not serialize the {what} {definition!r}. {_explain(definition, error)}"
        ) from error
    if len(blob) > FUNCTION_BYTES_MAX:
        raise ValueError(
            f"The {what} {getattr(definition, '__name__', definition)} is too large "
            f"({len(blob) >> 20} MiB > 100 MiB). Check that it does not capture a large array; use ray.put()."
        )
    if len(blob) > FUNCTION_BYTES_WARN:
        import warnings

        warnings.warn(
            f"The {what} {getattr(definition, '__name__', definition)} is very large ({len(blob) >> 20} MiB). "
            "Check that it does not capture a large array; use ray.put().",
            stacklevel=3,
        )
    return blob


def _checks_arguments(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """A check of a call's arguments against the signature, or None where everything fits."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    return lambda args, kwargs: signature.bind(*args, **kwargs)


def simple_arity(function: Callable[..., Any]) -> tuple[int, int] | None:
    """(least, most) positional arguments of a call without keywords; None: look at the signature."""
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or code.co_kwonlyargcount:
        return None
    most = code.co_argcount if not code.co_flags & 4 else 1 << 30
    return code.co_argcount - len(getattr(function, "__defaults__", None) or ()), most


class RemoteFunction:
    """What `@ray.remote` makes of a function. Call it with `.remote(...)`.

    `.remote(*args, **kwargs)` returns an ObjectRef (a list of them for num_returns > 1, None for 0, an
    ObjectRefGenerator for generators) at once; it never waits. `.options(**options)` gives the same
    function with other options.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        if isinstance(function, RemoteFunction):
            raise TypeError(
                "The @ray.remote decorator must be applied to either a function or a class."
            )
        if inspect.iscoroutinefunction(function):
            raise ValueError(
                "'async def' should not be used for remote tasks. You can wrap the async function with "
                "`asyncio.run(f())`. See more at docs/user/differences.md"
            )
        self._function = function
        self._options = options
        self._is_generator = inspect.isgeneratorfunction(function)
        self._exported = (-1, 0)  # state.exports then, function id
        self._arity = simple_arity(function)
        self._name = getattr(function, "__qualname__", repr(function))
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Remote functions cannot be called directly. Instead of running "
            f"'{self._name}()', try '{self._name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        return self._submit(self._options, args, kwargs)

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def options(self, **options: Any) -> _OptionsOf:
        _options.validate("task", options, in_options=True)
        return _OptionsOf(self, {**self._options, **options})

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The call as a node of a graph (ray.dag), made when the graph is executed."""
        from .dag import FunctionNode

        return FunctionNode(self._function, args, kwargs, self._options)

    def _check(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not kwargs and self._arity and self._arity[0] <= len(args) <= self._arity[1]:
            return
        check = _checks_arguments(self._function)
        if check is not None:
            check(args, kwargs)

    def _submitter(self, options: dict[str, Any]) -> Any:
        core = client()
        session, function_id = self._exported
        if session != state.exports:
            if state.local_mode is not None:
                function_id = state.local_mode.export(self._definition())
            else:
                function_id = core.export_function(
                    pickle_definition(self._definition(), "function"), self._full_name
                )
            self._exported = (state.exports, function_id)
        if options.get("num_returns") == "streaming" and not self._is_generator:
            raise ValueError(
                "num_returns='streaming' can only be used with generator functions (functions that use "
                f"'yield'), and {self._name} is not one."
            )
        num_returns = _options.returns_of(options, self._is_generator)
        extra: dict[str, Any] = {}
        for name in ("retry_exceptions", "max_calls", "_generator_backpressure_num_objects"):
            if options.get(name):
                extra[name] = options[name]
        if options.get("num_gpus") and options.get("max_calls") is None:
            extra["max_calls"] = 1
        if state.step_into:
            from .util._following import take_along

            take_along(extra)
        env = runtime_env_json(options.get("runtime_env"))
        wants = _options.resources_of(options, 1)
        place = _options.place_of(options, self._function.__name__, wants)
        key = core.intern_key(wants, place, env)
        retries = options.get("max_retries")
        submit = core.submitter(
            function_id,
            key,
            num_returns,
            3 if retries is None else retries,
            options.get("name") or "",
            _dump_extra(extra),
        )
        if state.tracing:
            from ._tracing import traced_submit

            return traced_submit(submit, "function", self._full_name)
        return submit

    @property
    def _full_name(self) -> str:
        return f"{getattr(self._function, '__module__', '')}.{self._name}"

    def _definition(self) -> Callable[..., Any]:
        """What workers run."""
        if state.tracing:
            from ._tracing import traced_function

            return traced_function(self._function)
        return self._function

    def _submit(
        self, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self._check(args, kwargs)
        cached = self.__dict__.get("_cached")
        if cached is None or cached[0] != state.epoch or cached[1] is not options:
            epoch = state.epoch  # making it may end it
            cached = (epoch, options, self._submitter(options))
            self.__dict__["_cached"] = cached
        return wrap_stream(cached[2](*args, **kwargs))

    def __getstate__(self) -> dict[str, Any]:
        return {
            k: v
            for k, v in self.__dict__.items()
            if k not in ("_cached", "_exported", "__wrapped__")
        }

    def __setstate__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)
        self._exported = (-1, 0)


class _OptionsOf:
    """A remote function with options of its own."""

    def __init__(self, function: RemoteFunction, options: dict[str, Any]) -> None:
        self._of = function
        self._options = options
        self._cached: Any = (-1, None)

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        self._of._check(args, kwargs)
        if self._cached[0] != state.epoch:
            epoch = state.epoch
            self._cached = (epoch, self._of._submitter(self._options))
        return wrap_stream(self._cached[1](*args, **kwargs))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        from .dag import FunctionNode

        return FunctionNode(self._of._function, args, kwargs, self._options)


def _dump_extra(extra: dict[str, Any]) -> bytes:
    if not extra:
        return b""
    if isinstance(extra.get("retry_exceptions"), (list, tuple)):
        import cloudpickle  # classes of __main__ go by value

        blob: bytes = cloudpickle.dumps(extra)
        return blob
    return pickle.dumps(extra)


def wrap_stream(result: Any) -> Any:
    if type(result).__name__ == "StreamCore":
        from ._generator import ObjectRefGenerator

        return ObjectRefGenerator(result)
    return result


def runtime_env_json(env: Any) -> str:
    """The environment of a task or actor merged over the job's, as it travels; "" when empty. Its
    directories are shipped."""
    if not env and not state.runtime_env and not state.code_version:
        return ""
    from ._environments import text

    if not env and state.code_version:
        return text.to_text(text.merge(state.runtime_env, _code_version()))
    if not env:
        return text.to_text(state.runtime_env)
    from ._environments import fields, shipping

    merged = text.merge(state.runtime_env, shipping.prepare(dict(env)))
    if state.code_version:
        merged = text.merge(merged, _code_version())
    fields.check_together(merged)
    return text.to_text(merged)


def _code_version() -> dict[str, Any]:
    """Keeps tasks away from workers that have imported what was read again since."""
    return {"env_vars": {"EAGLERAY_CODE_VERSION": str(state.code_version)}}
