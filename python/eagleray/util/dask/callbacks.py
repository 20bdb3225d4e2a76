"""Call-backs around the tasks of a Dask graph, here and in the workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from dask.callbacks import Callback

import eagleray as ray

from ... import _planned


class RayCallback(NamedTuple):
    """The six functions of one RayDaskCallback, or None."""

    ray_presubmit: Any
    ray_postsubmit: Any
    ray_pretask: Any
    ray_posttask: Any
    ray_postsubmit_all: Any
    ray_finish: Any


class RayCallbacks(NamedTuple):
    """The functions of several, by kind. Those of pretask and posttask are pairs, with None in gaps."""

    ray_presubmit_cbs: Any
    ray_postsubmit_cbs: Any
    ray_pretask_cbs: Any
    ray_posttask_cbs: Any
    ray_postsubmit_all_cbs: Any
    ray_finish_cbs: Any


_PAIRED = {"ray_pretask", "ray_posttask"}


class RayDaskCallback(Callback):  # type: ignore[misc]
    """Dask's Callback with six more functions, given as keywords (ray_presubmit=...) or overridden in a
    subclass (_ray_presubmit). Active in a `with` block or from register() to unregister(). _ray_pretask and
    _ray_posttask run in workers, the others here."""

    ray_active: set[RayCallback] = set()

    def __init__(self, **kwargs: Any) -> None:
        for name in RayCallback._fields:
            function = kwargs.pop(name, None)
            if function is not None:
                setattr(self, f"_{name}", function)
        super().__init__(**kwargs)

    @property
    def _ray_callback(self) -> RayCallback:
        def own(name: str) -> Any:
            function = getattr(self, f"_{name}")
            inherited = getattr(RayDaskCallback, f"_{name}")
            return None if getattr(function, "__func__", None) is inherited else function

        return RayCallback(*map(own, RayCallback._fields))

    def __enter__(self) -> RayDaskCallback:
        self._entered = self._ray_callback
        RayDaskCallback.ray_active.add(self._entered)
        super().__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        super().__exit__(*args)
        RayDaskCallback.ray_active.discard(self._entered)

    def register(self) -> None:
        RayDaskCallback.ray_active.add(self._ray_callback)
        super().register()

    def unregister(self) -> None:
        RayDaskCallback.ray_active.remove(self._ray_callback)
        super().unregister()

    def _ray_presubmit(self, task: Any, key: Any, deps: dict[Any, Any]) -> Any:
        """Before a task is submitted. What it gives, if not None, is the task's result."""

    def _ray_postsubmit(self, task: Any, key: Any, deps: dict[Any, Any], object_ref: Any) -> None:
        """After a task was submitted."""

    def _ray_pretask(self, key: Any, object_refs: Any) -> Any:
        """In the worker, before the task; what it gives goes to _ray_posttask."""

    def _ray_posttask(self, key: Any, result: Any, pre_state: Any) -> None:
        """In the worker, after the task."""

    def _ray_postsubmit_all(self, object_refs: Any, dsk: Any) -> None:
        """After all tasks were submitted."""

    def _ray_finish(self, result: Any) -> None:
        """When the result is there."""


def unpack_ray_callbacks(cbs: Iterable[RayCallback] | None) -> RayCallbacks:
    """The functions of `cbs`, by kind; None where there is none of a kind."""
    given = [cb._ray_callback if isinstance(cb, RayDaskCallback) else cb for cb in cbs or ()]
    if not given:
        return RayCallbacks(*[()] * len(RayCallbacks._fields))
    return RayCallbacks(
        *(
            [f for f in functions if f or name in _PAIRED] or None
            for name, functions in zip(RayCallback._fields, zip(*given, strict=True), strict=True)
        )
    )


@contextlib.contextmanager
def local_ray_callbacks(callbacks: Any = None) -> Iterator[Any]:
    """The active call-backs, or `callbacks`; inside of it none is active, so that schedulers in schedulers do
    not call them twice."""
    if callbacks is not None:
        yield callbacks
        return
    active, RayDaskCallback.ray_active = RayDaskCallback.ray_active, set()
    try:
        yield active or ()
    finally:
        RayDaskCallback.ray_active = active


class ProgressBarCallback(RayDaskCallback):
    """Shows how many of the tasks have ended while the result is waited for: a bar in a terminal, lines in a
    file, HTML in a notebook."""

    def __init__(self) -> None:
        super().__init__()
        self._refs: list[Any] = []

    def _ray_postsubmit(self, task: Any, key: Any, deps: dict[Any, Any], object_ref: Any) -> None:
        self._refs.append(object_ref)

    def _ray_postsubmit_all(self, object_refs: Any, dsk: Any) -> None:
        from .._progress import progress

        refs, self._refs = self._refs, []
        with contextlib.suppress(ray.exceptions.RayError):
            progress(refs, desc="dask")

    def _ray_finish(self, result: Any) -> None:
        print("All tasks are completed.")


__getattr__ = _planned.lazily(__name__)
