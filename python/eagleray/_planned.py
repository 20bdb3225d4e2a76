"""Names of Ray's surface that are not built yet. They can be imported, so that a program which mentions them
loads, and raise NotImplementedError naming the feature when they are used. docs/user/compatibility.md is made
from this table and from tools/compatibility.py."""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Mapping
from importlib.machinery import ModuleSpec
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

# module: (what it is called in messages, its classes, its functions)
PLANNED: dict[str, tuple[str, str, str]] = {
    "": (
        "the ray:// client and calls across languages",
        "ClientBuilder Language",
        "client cpp_function java_actor_class java_function",
    ),
    "autoscaler": ("the autoscaler", "", ""),
    "autoscaler.sdk": ("the autoscaler", "", "request_resources"),
    "cluster_utils": ("clusters of several nodes in one program", "AutoscalingCluster Cluster", ""),
    "cross_language": (
        "calls across languages",
        "",
        "cpp_function java_actor_class java_function",
    ),
    "dag": ("communication that overlaps on accelerators", "DAGOperationFuture GPUFuture", ""),
    "data": (
        "eagleray.data",
        "ActorPoolStrategy BlockBasedFileDatasink Catalog CatalogAccessMode "
        "ClickHouseTableSettings DataContext DataIterator DatabricksUnityCatalog Dataset "
        "DatasetContext DatasetIterator DatasetSummary Datasink Datasource ExecutionOptions "
        "ExecutionResources FileShuffleConfig KafkaAuthConfig MixStoppingCondition NodeIdStr "
        "Preprocessor RandomSeedConfig ReadTask ReaderFormat ResolvedSource RowBasedFileDatasink "
        "SaveMode Schema SinkMode TaskPoolStrategy",
        "from_arrow from_arrow_refs from_blocks from_daft from_dask from_huggingface from_items "
        "from_mars from_modin from_numpy from_numpy_refs from_pandas from_pandas_refs from_spark "
        "from_tf from_torch list_stats_summaries range range_tensor read_audio read_avro "
        "read_binary_files read_clickhouse read_csv read_datasource read_delta "
        "read_delta_sharing_tables read_hudi read_iceberg read_images read_json read_kafka "
        "read_lance read_lerobot read_mcap read_mongo read_numpy read_orc read_parquet "
        "read_snowflake read_sql read_text read_tfrecords read_unity_catalog read_videos "
        "read_webdataset read_zarr",
    ),
    "experimental": (
        "transports of tensors between accelerators",
        "CommunicatorMetadata RDTManager TensorTransportManager TensorTransportMetadata",
        "deregister_nixl_memory register_nixl_memory register_nixl_memory_pool register_tensor_transport "
        "set_nixl_cuda_stream set_target_device_for_ref set_target_for_ref wait_tensor_freed",
    ),
    "experimental.channel": (
        "the parts of compiled graphs that are Ray's own, and channels of accelerators",
        "AwaitableBackgroundReader AwaitableBackgroundWriter CPUCommunicator ChannelContext ReaderInterface "
        "SynchronousReader SynchronousWriter TorchTensorAcceleratorChannel WriterInterface",
        "",
    ),
    "serve": ("eagleray.serve", "", ""),
    "train": (
        "eagleray.train",
        "BackendConfig CheckpointConsistencyMode CheckpointUploadMode ControllerError DataConfig LoggingConfig "
        "NCCLHangError PreemptionError PreemptionInfo ReportedCheckpoint ReportedCheckpointStatus ScalingConfig "
        "TrainContext TrainingFailedError UserCallback ValidationConfig ValidationFn ValidationTaskConfig "
        "WorkerGroupError",
        "get_all_reported_checkpoints get_dataset_shard get_preemption_info",
    ),
    "util": ("the ray:// client", "", "connect disconnect"),
    "util.spark": (
        "the bridge to Spark clusters",
        "",
        "setup_global_ray_cluster setup_ray_cluster shutdown_ray_cluster",
    ),
    "util.tpu": (
        "slices of TPUs, which are several machines",
        "SlicePlacementGroup SubslicePlacementGroup",
        "dispatch get_current_pod_name get_current_pod_worker_count get_num_ready_tpu_slices "
        "get_num_tpu_chips_on_node get_num_tpu_slices get_tpu_coordinator_env_vars "
        "get_tpu_nodes_for_slice get_tpu_num_slices_for_workers get_tpu_slice_name_from_node "
        "get_tpu_version_from_type get_tpu_worker_resources init_jax_profiler run_on_slice "
        "slice_placement_group subslice_placement_group",
    ),
    "workflow": ("eagleray.workflow (removed from Ray, too)", "", ""),
}
# Packages whose every name is one sentence.
WHOLE = {
    "data",
    "serve",
    "workflow",
    "autoscaler",
}

# The names of eagleray.tune and eagleray.rllib stand in a file of their own, which is read when one is asked for.
_LIBRARIES = ("tune", "rllib")
_LIBRARY_NAMES = os.path.join(os.path.dirname(__file__), "_library_names.txt")

_made: dict[tuple[str, str], Any] = {}


class _Library(NamedTuple):
    """planned: as PLANNED. elsewhere: module: name: "module of ours:name there". parents: packages of these."""

    planned: dict[str, tuple[str, str, str]]
    elsewhere: dict[str, dict[str, str]]
    parents: frozenset[str]


@functools.cache
def library() -> _Library:
    """What _library_names.txt says."""
    features: dict[str, str] = {}
    planned: dict[str, tuple[str, str, str]] = {}
    elsewhere: dict[str, dict[str, str]] = {}
    with open(_LIBRARY_NAMES, encoding="utf-8") as file:
        lines = [line.rstrip() for line in file]
    for line in lines:
        if not line or line.startswith("#"):
            continue
        left, _, right = line.partition(":")
        module, _, place = left.partition(" < ")
        if module.endswith(".*"):
            features[module[:-2]] = right.strip()
        elif place:
            pairs = [word.partition("=") for word in right.split()]
            known = {name: f"{place}:{own or name}" for name, _, own in pairs}
            elsewhere.setdefault(module, {}).update(known)
        else:
            names = right.split()
            classes = " ".join(name for name in names if name[0].isupper())
            planned[module] = (classes, " ".join(n for n in names if not n[0].isupper()), "")
    full = {}
    for module, (classes, functions, _) in planned.items():
        parts = module.split(".")
        starts = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        full[module] = (next(features[s] for s in starts if s in features), classes, functions)
    modules = [*planned, *elsewhere]
    parents = {m.rsplit(".", n)[0] for m in modules for n in range(1, m.count(".") + 1)}
    return _Library(full, elsewhere, frozenset(parents))


def _row(module: str) -> tuple[str, str, str]:
    """Feature, classes and functions of a module."""
    if module in PLANNED or module.split(".")[0] not in _LIBRARIES:
        return PLANNED.get(module, ("", "", ""))
    return library().planned.get(module, ("", "", ""))


class NotBuilt(NotImplementedError, ModuleNotFoundError):
    """Of packages that are not built: who imports them only if they are there catches an ImportError."""


class _PlannedType(type):
    """Of classes that cannot be made yet; they can be named in annotations and isinstance()."""

    message: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(cls.message)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotImplementedError(cls.message)


def message_for(module: str, name: str) -> str:
    """The sentence a user reads: the full name and the feature it belongs to."""
    full = ".".join(part for part in ("ray", module, name) if part)
    return f"{full} is not implemented yet in eagleray (part of: {_row(module)[0]})"


def find(module: str, name: str) -> Any:
    """The placeholder of `name` in `module` (relative to eagleray). AttributeError: no such name."""
    _, classes, functions = _row(module)
    if (module, name) in _made:
        return _made[module, name]
    if name in classes.split():
        made: Any = _PlannedType(
            name, (), {"message": message_for(module, name), "__module__": f"eagleray.{module}"}
        )
    elif name in functions.split():

        def made(*args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError(message_for(module, name))

        made.__name__ = made.__qualname__ = name
    elif module in WHOLE and not name.startswith("_"):
        raise NotBuilt(message_for(module, name))
    else:
        if module.split(".")[0] in _LIBRARIES and name in library().elsewhere.get(module, {}):
            place, _, there = library().elsewhere[module][name].partition(":")
            return getattr(importlib.import_module(f"eagleray.{place}"), there)
        raise AttributeError(
            f"module {('eagleray.' + module).rstrip('.')!r} has no attribute {name!r}"
        )
    _made[module, name] = made
    return made


def lazily(package: str, places: Mapping[str, str] = MappingProxyType({})) -> Callable[[str], Any]:
    """The __getattr__ of a module whose names are imported when they are first asked for, or are planned. places:
    name: module relative to it, or "module:name there"."""
    relative = package.removeprefix("eagleray").lstrip(".")

    def look_up(name: str) -> Any:
        if name not in places:
            return find(relative, name)
        module, _, there = places[name].partition(":")
        return getattr(importlib.import_module(module, package), there or name)

    return look_up


class _Finder:
    """Makes modules that have no file, when everything else has failed to find them. It does without the base
    classes of importlib.abc, whose import takes a third of ours."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "gym" or name.startswith("gym."):
            from .rllib.env import gym_shim  # the package is missing: its stand-in

            gym_shim.install()
            return gym_shim.find_spec(name)
        if not name.startswith("eagleray."):
            return None
        module = name[len("eagleray.") :]
        if module not in PLANNED and module.split(".")[0] in WHOLE and "." in module:
            raise NotBuilt(message_for(module.split(".")[0], module.split(".", 1)[1]))
        if module not in PLANNED and not _in_library(module):
            return None
        return ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]

    def create_module(self, spec: Any) -> ModuleType:
        relative = spec.name[len("eagleray.") :]
        feature, classes, functions = _row(relative)
        text = f"Not built yet: {feature}." if feature else "Names that are in other modules here."
        made = ModuleType(spec.name, text)
        names = sorted((classes + " " + functions).split())
        if _in_library(relative):
            names += sorted(library().elsewhere.get(relative, {}))
        made.__dict__["__all__"] = names
        made.__dict__["__getattr__"] = lambda name: find(relative, name)
        return made

    def exec_module(self, module: ModuleType) -> None:
        pass


def _in_library(module: str) -> bool:
    if module.split(".")[0] not in _LIBRARIES:
        return False
    known = library()
    return module in known.planned or module in known.elsewhere or module in known.parents


def install() -> None:
    sys.meta_path.append(_Finder())
