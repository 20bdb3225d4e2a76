"""with_parameters, with_resources, and what counts as a trainable. Follows `ray.tune.trainable.util`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import eagleray as ray

from .trainable import Trainable


def as_trainable_class(trainable: Any, name: str | None = None) -> type[Trainable]:
    """The class to run: a Trainable itself, or one made for a function. TypeError for anything else."""
    if isinstance(trainable, type):
        if not issubclass(trainable, Trainable):
            raise TypeError(
                f"{trainable.__name__} must be a subclass of tune.Trainable, or a function of a config"
            )
        return trainable
    if callable(trainable):
        from .function_trainable import wrap_function

        return wrap_function(trainable, name or name_of(trainable))
    raise TypeError(
        "a trainable is a function of a config, a subclass of tune.Trainable or a registered name, not "
        f"{type(trainable).__name__}"
    )


def name_of(trainable: Any) -> str:
    """What trials of it are called."""
    if isinstance(trainable, str):
        return trainable
    while isinstance(trainable, functools.partial):
        trainable = trainable.func
    return getattr(trainable, "__name__", None) or type(trainable).__name__


class _Parameters:
    """Objects that all trials share, put into the store once."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._refs = {name: ray.put(value) for name, value in values.items()}

    def get(self) -> dict[str, Any]:
        return dict(zip(self._refs, ray.get(list(self._refs.values())), strict=True))


def with_parameters(trainable: Any, **kwargs: Any) -> Any:
    """A trainable that also gets these objects; large ones are stored once, not sent with each trial.

    A function gets them as keyword arguments, a class as arguments of `setup(config, **objects)`.
    """
    if not kwargs:
        raise ValueError(
            "with_parameters() needs at least one object: with_parameters(f, data=data)"
        )
    if not callable(trainable):
        raise TypeError("with_parameters() takes a function or a subclass of Trainable")
    if not ray.is_initialized():
        from ..execution.start import init_for

        init_for(None)
    parameters = _Parameters(kwargs)
    if isinstance(trainable, type):
        if not issubclass(trainable, Trainable):
            raise TypeError("with_parameters() takes a function or a subclass of Trainable")
        base: Any = trainable

        class WithParameters(base):  # type: ignore[misc]
            def setup(self, config: dict[str, Any]) -> None:
                super().setup(config, **parameters.get())

        WithParameters.__name__ = WithParameters.__qualname__ = trainable.__name__
        return WithParameters

    @_named_like(trainable)
    def run(config: dict[str, Any], **extra: Any) -> Any:
        return trainable(config, **parameters.get(), **extra)

    return run


def with_resources(trainable: Any, resources: Any) -> Any:
    """A trainable whose trials ask for `resources`: {"cpu": 2, "gpu": 0.5}, a PlacementGroupFactory, or a function of
    the config that gives one of these."""
    from ..execution.placement_groups import PlacementGroupFactory

    if not isinstance(resources, (dict, PlacementGroupFactory)) and not callable(resources):
        raise ValueError(
            "resources must be a dict, a PlacementGroupFactory or a function of the config, not "
            f"{type(resources).__name__}"
        )
    if isinstance(trainable, str):
        from ..registry import get_trainable_cls

        trainable = get_trainable_cls(trainable)
    if isinstance(trainable, type):
        made = type(trainable.__name__, (trainable,), {"__module__": trainable.__module__})
        attach_resources(made, resources)
        return made
    if not callable(trainable):
        raise TypeError("with_resources() takes a function or a subclass of Trainable")

    @_named_like(trainable)
    def run(config: dict[str, Any], **extra: Any) -> Any:
        return trainable(config, **extra)

    run._resources = resources
    return run


def attach_resources(trainable: type, resources: Any) -> None:
    """Makes the class ask for these resources."""
    from ..execution.placement_groups import resource_dict_to_pg_factory

    def default_resource_request(cls: type, config: dict[str, Any]) -> Any:
        asked = (
            resources(config)
            if callable(resources) and not hasattr(resources, "bundles")
            else resources
        )
        return resource_dict_to_pg_factory(asked)

    trainable.default_resource_request = classmethod(default_resource_request)  # type: ignore[attr-defined]


def _named_like(function: Callable[..., Any]) -> Callable[[Callable[..., Any]], Any]:
    """As functools.wraps, also for objects that lack what functions have."""

    def apply(wrapper: Any) -> Any:
        wrapper.__name__ = wrapper.__qualname__ = name_of(function)
        wrapper.__module__ = getattr(function, "__module__", wrapper.__module__)
        wrapper.__doc__ = getattr(function, "__doc__", None)
        wrapper.__wrapped__ = (
            function  # its signature says whether it wants checkpoint_dir or reporter
        )
        if hasattr(function, "_resources"):
            wrapper._resources = function._resources
        return wrapper

    return apply
