"""Actors: classes made remote, and the handles to their instances."""

from __future__ import annotations

import functools
import inspect
import pickle
from typing import Any

from . import _options
from ._remote_function import (
    _checks_arguments,
    _dump_extra,
    pickle_definition,
    runtime_env_json,
    wrap_stream,
)
from ._state import client, state

ASYNC_CONCURRENCY = 1000  # of an async actor, unless given


class ActorClassInheritanceException(TypeError):
    """An actor class cannot be inherited from: inherit from the plain class and make that remote."""


def method(*args: Any, **options: Any) -> Any:
    """Gives a method of an actor class its own options: num_returns, concurrency_group, max_task_retries,
    retry_exceptions, _generator_backpressure_num_objects, enable_task_events."""
    if args or not options:
        raise ValueError(
            "The @ray.method decorator must be applied using at least one of the arguments in the list "
            f"{sorted(_options._METHOD)}, for example '@ray.method(num_returns=2)'."
        )
    _options.validate("method", options)

    def decorate(function: Any) -> Any:
        function.__ray_method_options__ = options
        return function

    return decorate


def _public_methods(cls: type) -> dict[str, dict[str, Any]]:
    """Method names with what a handle must know of each."""
    methods: dict[str, dict[str, Any]] = {}
    for name, function in inspect.getmembers(
        cls, lambda x: inspect.isroutine(x) and not inspect.isbuiltin(x)
    ):
        if name.startswith("__") and name not in ("__call__",):
            if getattr(object, name, None) is function or hasattr(object, name):
                continue
        meta: dict[str, Any] = dict(getattr(function, "__ray_method_options__", {}))
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            meta["generator"] = True
        methods[name] = meta
    return methods


def _is_async(cls: type) -> bool:
    return any(
        inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f)
        for _, f in inspect.getmembers(cls, inspect.isroutine)
    )


class ActorClass:
    """What `@ray.remote` makes of a class. `.remote(*args)` starts an instance in a process of its own
    and gives an ActorHandle at once.

    As in Ray, it has the attributes of the class, and its type is named `ActorClass(<name>)`: programs look there for
    what decorators have left on methods."""

    def __new__(cls, of: type, options: dict[str, Any]) -> ActorClass:
        return _blank(of.__name__)

    def __reduce__(self) -> Any:
        return _blank, (self._cls.__name__,), self.__dict__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_cls" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._cls, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._cls)})

    @property
    def __ray_actor_class__(self) -> type:
        return self._cls

    def __init__(self, cls: type, options: dict[str, Any]) -> None:
        self._cls = cls
        self._options = options
        self._blob: bytes | None = None
        self._blob_of = (False, 0)  # state.tracing and state.code_version then
        self._methods = _public_methods(cls)
        self._async = _is_async(cls)
        self.__name__ = cls.__name__
        self.__qualname__ = cls.__qualname__
        self.__module__ = cls.__module__
        self.__doc__ = cls.__doc__

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)

    def __mro_entries__(self, bases: Any) -> Any:
        raise ActorClassInheritanceException(
            f"Inheriting from actor classes is not currently supported. You attempted to inherit from "
            f"'{self._cls.__name__}': make the plain class remote after inheriting."
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"Actors cannot be instantiated directly. Instead of '{self._cls.__name__}()', use "
            f"'{self._cls.__name__}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        return self._create(self._options, args, kwargs)

    def options(self, **options: Any) -> _ActorOptionsOf:
        _options.validate("actor", options, in_options=True)
        return _ActorOptionsOf(self, {**self._options, **options})

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> ActorHandle:
        _options.validate("actor", options)
        return self._create({**self._options, **options}, tuple(args or ()), dict(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The actor as a node of a graph (ray.dag), made when the graph is executed."""
        from .dag import ClassNode

        return ClassNode(self._cls, args, kwargs, self._options)

    def _definition(self) -> bytes:
        """What the worker makes an instance of."""
        wanted = (state.tracing, state.code_version)
        if self._blob is None or self._blob_of != wanted:
            cls = self._cls
            if state.tracing:
                from ._tracing import traced_class

                cls = traced_class(cls)
            self._blob = pickle_definition(cls, "actor class")
            self._blob_of = wanted
        return self._blob

    def _with_context(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        """The constructor's keywords, and the span that they belong to."""
        if not state.tracing or self._cls.__init__ is object.__init__:  # type: ignore[misc]
            return kwargs
        from ._tracing import with_context

        return with_context(kwargs, f"{self._cls.__name__}.__init__")

    def _get_or_create(
        self, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActorHandle:
        from ._api import get_actor

        name, namespace = options["name"], options.get("namespace") or state.namespace
        try:
            found: ActorHandle = get_actor(name, namespace)
        except ValueError:
            try:
                found = self._create(options, args, kwargs)
            except ValueError as error:
                try:
                    found = get_actor(name, namespace)  # somebody else was faster
                except ValueError:
                    raise error from None  # what was asked for is wrong
        return found

    def _create(
        self, options: dict[str, Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActorHandle:
        core = client()
        init = vars(self._cls).get("__init__") or getattr(self._cls, "__init__", None)
        if init is not None and init is not object.__init__:
            check = _checks_arguments(init)
            if check is not None:
                check((None, *args), kwargs)
        elif args or kwargs:
            raise TypeError(f"{self._cls.__name__}() takes no arguments")
        namespace = options.get("namespace") or state.namespace
        name = options.get("name") or ""
        if name and options.get("get_if_exists"):
            return self._get_or_create({**options, "get_if_exists": False}, args, kwargs)
        kwargs = self._with_context(kwargs)
        concurrency = options.get("max_concurrency")
        groups = _groups(options.get("concurrency_groups"))
        threaded = (concurrency or 1) > 1 or bool(groups)
        ordered = not self._async and not threaded
        if not ordered and options.get("allow_out_of_order_execution") is False:
            raise ValueError(
                "If you're using async or threaded actors, ordered execution is not supported: "
                "allow_out_of_order_execution must not be False."
            )
        meta: dict[str, Any] = {
            "class_name": self._cls.__name__,
            "methods": self._methods,
            "max_task_retries": options.get("max_task_retries") or 0,
            "max_pending_calls": -1
            if options.get("max_pending_calls") is None
            else options["max_pending_calls"],
            "ordered": ordered,
            "async": self._async,
            "max_concurrency": concurrency or (ASYNC_CONCURRENCY if self._async else 1),
            "groups": groups,
            "traced": state.tracing,
        }
        env = runtime_env_json(options.get("runtime_env"))
        held, placement = _options.resources_of_actor(options)
        place = _options.place_of(options, self._cls.__name__, placement, placement is not held)
        try:
            actor = core.create_actor(
                name=name,
                namespace=namespace,
                class_name=self._cls.__name__,
                class_blob=self._cls if state.local_mode is not None else self._definition(),
                args=args,
                kwargs=kwargs,
                handle_blob=pickle.dumps(meta),
                resources=held,
                placement_resources=placement,
                strategy=place,
                runtime_env=env,
                max_restarts=options.get("max_restarts") or 0,
                max_pending_calls=meta["max_pending_calls"],
                ordered=ordered,
                detached=options.get("lifetime") == "detached",
            )
        except ValueError as error:
            from .exceptions import ActorAlreadyExistsError

            raise ActorAlreadyExistsError(str(error)) from None
        made = ActorHandle(actor, meta)
        made.__dict__["_class"] = self._cls  # for bind(), in this process
        return made


@functools.lru_cache(maxsize=256)
def _kind(name: str) -> type[ActorClass]:
    return type(f"ActorClass({name})", (ActorClass,), {"__module__": ActorClass.__module__})


def _blank(name: str) -> ActorClass:
    return object.__new__(_kind(name))


def _groups(groups: Any) -> dict[str, int]:
    if not groups:
        return {}
    if isinstance(groups, dict):
        return dict(groups)
    return {g["name"]: g["max_concurrency"] for g in groups}


class _ActorOptionsOf:
    def __init__(self, of: ActorClass, options: dict[str, Any]) -> None:
        self._of = of
        self._options = options

    def remote(self, *args: Any, **kwargs: Any) -> ActorHandle:
        return self._of._create(self._options, args, kwargs)

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        from .dag import ClassNode

        return ClassNode(self._of._cls, args, kwargs, self._options)


class ActorHandle:
    """A handle to an actor: `handle.method.remote(...)`. It may be passed anywhere; the actor ends when
    the last handle is gone, after its queued calls."""

    def __init__(self, core: Any, meta: dict[str, Any]) -> None:
        self._core = core
        self._meta = meta

    def __getattr__(self, name: str) -> ActorMethod:
        methods = self.__dict__["_meta"]["methods"]
        if name not in methods and name not in _BUILTIN_METHODS:
            raise AttributeError(
                f"'{self.__dict__['_meta']['class_name']}' object has no attribute '{name}'"
            )
        made = ActorMethod(self, name, methods.get(name, {}))
        self.__dict__[name] = made
        return made

    @property
    def _actor_id(self) -> Any:
        from ._ids import ActorID

        return ActorID(self._core.actor_id())

    def __repr__(self) -> str:
        return f"Actor({self._meta['class_name']}, {self._core.actor_id().hex()})"

    def __dir__(self) -> list[str]:
        """The methods of the actor, as in Ray."""
        return sorted(self._meta["methods"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorHandle) and self._core.actor_id() == other._core.actor_id()

    def __hash__(self) -> int:
        return hash(self._core.actor_id())

    def __reduce__(self) -> Any:
        return (_rebuild_handle, (self._core.lend(), self._meta))


def _rebuild_handle(lent: tuple[Any, ...], meta: dict[str, Any]) -> ActorHandle:
    client()
    return ActorHandle(core_from_wire(*lent), meta)


def core_from_wire(*lent: Any) -> Any:
    from . import _core

    if state.local_mode is not None:
        return state.local_mode.actor_from_wire(*lent)
    return _core.actor_from_wire(*lent)


_BUILTIN_METHODS = {"__ray_ready__", "__ray_call__", "__ray_terminate__"}


class ActorMethod:
    """One method of a handle; see ActorHandle."""

    def __init__(self, handle: ActorHandle, name: str, meta: dict[str, Any]) -> None:
        import weakref

        self._handle = weakref.ref(handle)
        self._core = handle._core
        self._actor_meta = handle._meta
        self._name = name
        self._meta = meta
        self._given: dict[str, Any] = {}  # by options()
        self._submit: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            f"Actor methods cannot be called directly. Instead of running 'object.{self._name}()', try "
            f"'object.{self._name}.remote()'."
        )

    def _make(self, options: dict[str, Any]) -> Any:
        extra = {
            k: options[k]
            for k in ("retry_exceptions", "_generator_backpressure_num_objects")
            if options.get(k)
        }
        group = options.get("concurrency_group") or ""
        known = self._actor_meta["groups"]
        if group and group not in known:
            raise ValueError(
                f"Invalid concurrency_group {group!r} for {self._actor_meta['class_name']}.{self._name}; the "
                f"actor has {sorted(known)}."
            )
        retries = options.get("max_task_retries")
        if retries is None:
            retries = self._actor_meta["max_task_retries"]
        submit = client().actor_submitter(
            self._core,
            self._name,
            _options.returns_of(options, bool(self._meta.get("generator"))),
            retries,
            options.get("name") or "",
            _dump_extra(extra),
            group,
        )
        if state.tracing and self._actor_meta.get("traced") and self._name not in _BUILTIN_METHODS:
            from ._tracing import traced_submit

            shown = f"{self._actor_meta['class_name']}.{self._name}"
            return traced_submit(submit, "actor", shown, self._core.actor_id().hex())
        return submit

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        submit = self._submit
        if submit is None:
            client()
            submit = self._submit = self._make(self._meta)
        try:
            return wrap_stream(submit(*args, **kwargs))
        except Exception as error:
            if type(error).__name__ == "PendingCallsLimit":
                from .exceptions import PendingCallsLimitExceeded

                raise PendingCallsLimitExceeded(str(error)) from None
            raise

    def options(self, **options: Any) -> ActorMethod:
        _options.validate("method", options)
        handle = self._handle()
        made = ActorMethod.__new__(ActorMethod)
        made.__dict__.update(self.__dict__)
        made._meta = {**self._meta, **options}
        made._given = options
        made._submit = None
        made.__dict__["_keep"] = handle
        return made

    def _remote(self, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        return self.options(**options).remote(*(args or ()), **(kwargs or {}))

    def bind(self, *args: Any, **kwargs: Any) -> Any:
        """The call as a node of a graph (ray.dag); a tuple of nodes if it returns several values."""
        from .dag.class_node import bind_method

        handle = self._handle()
        if handle is None:
            raise RuntimeError("Lost reference to actor")
        return bind_method(handle, self._name, self._given, args, kwargs)


def exit_actor() -> None:
    """Ends the actor that calls it, after the current call; it does not restart. From outside an actor:
    TypeError."""
    spec = state.spec_of_actor()
    if spec is None:
        raise TypeError("exit_actor called on a non-actor worker.")
    from .exceptions import AsyncioActorExit

    if state.local_mode is None:
        state.actor_exiting = True  # type: ignore[attr-defined]
    if spec.get("async"):
        raise AsyncioActorExit()
    raise SystemExit(0)
