"""Runs Dask's graphs: in the order that Dask finds best, each task is submitted with the references of what it
needs, and the references of what nobody needs any more are dropped at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask
import dask.base
from dask._task_spec import (
    Alias,
    DataNode,
    DependenciesMapping,
    Task,
    TaskRef,
    convert_legacy_graph,
)
from dask.callbacks import local_callbacks, unpack_callbacks
from dask.core import flatten, reverse_dict
from dask.highlevelgraph import HighLevelGraph
from dask.local import nested_get
from dask.order import order

import eagleray as ray

from ... import _planned
from .callbacks import RayCallbacks, local_ray_callbacks, unpack_ray_callbacks

PUT_BYTES_MIN = 64 << 10  # data of a graph that is this large is put once; smaller is sent along
_RESOURCES = 'Use ray_remote_args={"resources": {...}} instead of resources={...} to specify required Ray task resources.'


def enable_dask_on_ray(
    shuffle: str | None = "tasks", use_shuffle_optimization: bool | None = True
) -> Any:
    """Makes this the scheduler of Dask, for good or as a context manager. shuffle: of data frames, "tasks" or
    "disk"."""
    from .optimizations import dataframe_optimize

    optimize = dataframe_optimize if use_shuffle_optimization else None
    settings = {"scheduler": ray_dask_get, "dataframe_optimize": optimize}
    return dask.config.set({**settings, "dataframe.shuffle.method": shuffle})


def disable_dask_on_ray() -> Any:
    """Takes back what enable_dask_on_ray() has set."""
    settings = {"scheduler": None, "dataframe_optimize": None}
    return dask.config.set({**settings, "dataframe.shuffle.method": None})


def ray_dask_get(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """The values of `keys` (nested lists of keys) in the graph `dsk`: a scheduler for dask.compute().

    ray_callbacks: in place of the active ones. ray_remote_args: options of the tasks; dask.annotate(
    ray_remote_args=...) gives them to some. ray_persist: references instead of values. `resources` is a
    ValueError. What a task raises is raised here.
    """
    if "resources" in kwargs or "resources" in dask.get_annotations():
        raise ValueError(_RESOURCES)
    persist = kwargs.pop("ray_persist", False)
    options = kwargs.pop("ray_remote_args", None) or {}
    if not isinstance(dsk, Mapping):  # an expression
        dsk = dsk._optimized_dsk if hasattr(dsk, "_optimized_dsk") else dsk.__dask_graph__()
    scoped = _options_by_key(dsk, dask.get_annotations(), options)
    with local_ray_callbacks(kwargs.pop("ray_callbacks", None)) as active:
        told = unpack_ray_callbacks(active)
        graph = dict(convert_legacy_graph(dsk))
        run = _Run(graph, keys, told, scoped)
        found = run.submit_all(kwargs.get("callbacks"))
        for callback in told.ray_postsubmit_all_cbs or ():
            callback(found, graph)
        del run, graph, dsk  # whoever is needed no more may go while the rest is waited for
        result = found if persist else _values(found)
        for callback in told.ray_finish_cbs or ():
            callback(result)
        return result


def ray_dask_get_sync(dsk: Any, keys: Any, **kwargs: Any) -> Any:
    """As ray_dask_get(), which here submits from the calling thread, too."""
    return ray_dask_get(dsk, keys, **kwargs)


def _values(found: Any) -> Any:
    """`found` with values for its references, all waited for at once."""
    refs: list[Any] = []

    def collect(item: Any) -> None:
        if isinstance(item, ray.ObjectRef):
            refs.append(item)
        elif isinstance(item, (list, tuple)):
            for each in item:
                collect(each)

    collect(found)
    values = iter(ray.get(refs))

    def place(item: Any) -> Any:
        if isinstance(item, ray.ObjectRef):
            return next(values)
        return type(item)(map(place, item)) if type(item) in (list, tuple) else item

    return place(found)


def _options_by_key(
    dsk: Any, annotations: dict[str, Any], options: dict[str, Any]
) -> dict[Any, dict[str, Any]]:
    """Of remote functions, with what dask.annotate() says of layers."""
    if not isinstance(dsk, HighLevelGraph):
        dsk = HighLevelGraph.from_collections(id(dsk), dsk, dependencies=())
    found = {}
    for layer in dsk.layers.values():
        said = layer.annotations or {}
        if "resources" in said:
            raise ValueError(_RESOURCES)
        merged = {**options, **{**annotations, **said}.get("ray_remote_args", {})}
        if merged:
            found.update({key: merged for key in layer.get_output_keys()})
    return found


class _Run:
    """One graph: `cache` holds what its keys have become, references or small values, while they are needed."""

    def __init__(
        self, graph: dict[Any, Any], keys: Any, told: RayCallbacks, options: dict[Any, Any]
    ) -> None:
        self.graph = graph
        self.keys = keys
        self.wanted = set(flatten([keys]))
        self.told = told
        self.options = options
        self.dependencies = {k: set(v) for k, v in DependenciesMapping(graph).items()}
        self.cache: dict[Any, Any] = {}

    def submit_all(self, callbacks: Any) -> Any:
        """The nested references of the keys."""
        users = reverse_dict(self.dependencies)
        priority = order(self.graph)
        state: dict[str, Any] = {
            "dependencies": self.dependencies,
            "dependents": users,
            "waiting": {k: set(v) for k, v in self.dependencies.items()},
            "waiting_data": users,
            "cache": self.cache,
            "ready": [],
            "running": set(),
            "finished": set(),
            "released": set(),
        }
        with local_callbacks(callbacks) as active:
            began, started, before, after, ended = unpack_callbacks(active)
            failed = True
            try:
                for callback in began:
                    callback(self.graph)
                for callback in started:
                    callback(self.graph, state)
                left = {key: len(users[key]) for key in self.graph}
                for key in sorted(self.graph, key=priority.__getitem__):
                    for callback in before:
                        callback(key, self.graph, state)
                    state["waiting"].pop(key, None)
                    self.cache[key] = self._submit(key)
                    state["finished"].add(key)
                    for callback in after:
                        callback(key, self.cache[key], self.graph, state, None)
                    for each in self.dependencies[key]:
                        left[each] -= 1
                        if not left[each] and each not in self.wanted:
                            del self.cache[each]
                            state["released"].add(each)
                failed = False
            finally:
                for callback in ended:
                    callback(self.graph, state, failed)
        return nested_get(self.keys, self.cache)

    def _submit(self, key: Any) -> Any:
        node = self.graph[key]
        needs = {each: self.cache[each] for each in self.dependencies[key]}
        for callback in self.told.ray_presubmit_cbs or ():
            result = callback(node, key, needs)
            if result is not None:
                return result
        if isinstance(node, DataNode):
            return _data(node.value)
        if isinstance(node, Alias):
            target = node.target
            return needs[target.key if isinstance(target, TaskRef) else target]
        if not isinstance(node, Task):
            raise ValueError(f"Invalid task type: {type(node)}")
        told = (self.told.ray_pretask_cbs or (), self.told.ray_posttask_cbs or ())
        function = _run_node.options(name=f"dask:{key!s}", **self.options.get(key, {}))
        ref = function.remote((node, key, list(needs), *told), *needs.values())  # pickled at once
        for callback in self.told.ray_postsubmit_cbs or ():
            callback(node, key, needs, ref)
        return ref


def _data(value: Any) -> Any:
    """Data of the graph itself: large data is put once, not sent with each task."""
    size = getattr(value, "nbytes", 0)
    if isinstance(value, ray.ObjectRef) or not isinstance(size, int) or size < PUT_BYTES_MIN:
        return value
    return ray.put(value)


def _run_in_worker(task: tuple[Any, Any, list[Any], Any, Any], *needs: Any) -> Any:
    """Runs one task of a graph."""
    node, key, names, before, after = task
    states = [callback(key, needs) if callback else None for callback in before]
    result = _with_values(node)(dict(zip(names, needs, strict=True)))
    for callback, said in zip(after, states, strict=True):
        if callback:
            callback(key, result, said)
    return result


_run_node = ray.remote(_run_in_worker)


def _with_values(item: Any) -> Any:
    """`item` with values for the references inside, as persisted collections have them in their tasks."""
    if isinstance(item, ray.ObjectRef):
        return ray.get(item)
    if isinstance(item, DataNode):
        if isinstance(item.value, ray.ObjectRef):
            return DataNode(item.key, ray.get(item.value))
        return item
    if isinstance(item, Task):
        item.args = _with_values(item.args)
        item.kwargs = _with_values(item.kwargs)
        return item
    if type(item) in (list, tuple):
        return type(item)(map(_with_values, item))
    if type(item) is dict:
        return {name: _with_values(value) for name, value in item.items()}
    return item


# ---- persist ----

_persist = dask.base.persist


def ray_dask_persist(*args: Any, **kwargs: Any) -> Any:
    """dask.persist() that leaves the results in the object store, where this is the scheduler."""
    scheduler = kwargs.get("scheduler") or dask.config.get("scheduler", None)
    if scheduler in (ray_dask_get, ray_dask_get_sync):
        kwargs["ray_persist"] = True
    return _persist(*args, **kwargs)


# As Ray does: with another scheduler nothing changes.
dask.persist = dask.base.persist = ray_dask_persist

__getattr__ = _planned.lazily(__name__)
