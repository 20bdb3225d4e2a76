"""Writes docs/user/compatibility.md: every public name of Ray's core and what it is here.

    python tools/compatibility.py            # writes the document
    python tools/compatibility.py --check    # exit status 1 if the document is old

What is planned stands in python/eagleray/_planned.py (of tune and rllib: _library_names.txt); what is built stands
here (of tune and rllib: all others of tests/ray_names.txt, which tools/ray_names.py made from Ray itself).
tests/test_compatibility.py compares all of them with what is installed, ours and Ray's.
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "user" / "compatibility.md"
RECORDED = ROOT / "tests" / "ray_names.txt"

# module, relative to ray: names that work
BUILT = {
    "": "ActorClassID ActorID DynamicObjectRefGenerator FunctionID JobID LoggingConfig NodeID ObjectID "
    "ObjectRef ObjectRefGenerator PlacementGroupID SCRIPT_MODE TaskID UniqueID WORKER_MODE WorkerID "
    "__version__ available_resources cancel cluster_resources get get_actor get_gpu_ids "
    "get_runtime_context init is_initialized kill method nodes put remote shutdown timeline wait",
    "actor": "ActorClass ActorClassInheritanceException ActorHandle ActorMethod exit_actor method",
    "cloudpickle": "dump dumps load loads",
    "dag": "BIND_INDEX_KEY COLLECTIVE_OPERATION_KEY ClassMethodNode ClassNode CollectiveOutputNode DAGContext "
    "DAGInputData DAGNODE_TYPE_KEY DAGNode FunctionNode IS_CLASS_METHOD_OUTPUT_KEY InputAttributeNode InputNode "
    "MultiOutputNode PARENT_CLASS_NODE_KEY PREV_CLASS_METHOD_CALL_KEY plot",
    "exceptions": "ActorAlreadyExistsError ActorDiedError ActorHandleNotFoundError "
    "ActorPlacementGroupRemoved ActorUnavailableError ActorUnschedulableError AsyncioActorExit "
    "AuthenticationError CrossLanguageError GetTimeoutError LocalRayletDiedError NodeDiedError "
    "ObjectFetchTimedOutError ObjectFreedError ObjectLostError ObjectReconstructionFailedError "
    "ObjectRefStreamEndOfStreamError ObjectStoreFullError OufOfBandObjectRefSerializationException "
    "OutOfDiskError OutOfMemoryError OwnerDiedError PendingCallsLimitExceeded "
    "PlasmaObjectNotAvailable RayActorError RayCgraphCapacityExceeded RayChannelError "
    "RayChannelTimeoutError RayDirectTransportError RayError RaySystemError RayTaskError "
    "ReferenceCountingAssertionError RpcError RuntimeEnvSetupError TaskCancelledError "
    "TaskPlacementGroupRemoved TaskUnschedulableError UnserializableException UserCodeException "
    "WorkerCrashedError",
    "experimental": "get_local_object_locations get_object_locations set_resource",
    "experimental.channel": "BufferedSharedMemoryChannel CachedChannel Channel Communicator CompiledDAGArgs "
    "CompositeChannel IntraProcessChannel",
    "experimental.collective": "allgather allreduce reducescatter",
    "experimental.compiled_dag_ref": "CompiledDAGFuture CompiledDAGRef",
    "experimental.util.types": "AllGatherOp AllReduceOp Device ReduceOp ReduceScatterOp",
    "experimental.internal_kv": "_internal_kv_del _internal_kv_exists _internal_kv_get "
    "_internal_kv_initialized _internal_kv_list _internal_kv_put",
    "experimental.tqdm_ray": "RAY_TQDM_MAGIC instance safe_print tqdm",
    "internal": "free",
    "job_config": "JobConfig LoggingConfig",
    "job_submission": "DriverInfo JobDetails JobErrorType JobInfo JobStatus JobSubmissionClient JobType",
    "runtime_context": "RuntimeContext get_runtime_context",
    "runtime_env": "RuntimeEnv RuntimeEnvConfig",
    "air": "Checkpoint CheckpointConfig FailureConfig Result RunConfig session",
    "air.session": "get_checkpoint get_experiment_name get_local_rank get_trial_dir get_trial_id "
    "get_trial_name get_trial_resources get_world_rank get_world_size report",
    "train": "Checkpoint CheckpointConfig FailureConfig Result RunConfig SyncConfig get_checkpoint "
    "get_context report",
    "types": "ObjectRef",
    "util": "ActorPool accelerators as_completed collective deregister_serializer disable_log_once_globally "
    "enable_periodic_logging get_current_placement_group get_node_instance_id get_node_ip_address "
    "get_placement_group inspect_serializability iter list_named_actors log_once map_unordered pdb "
    "placement_group placement_group_table ray_debugpy register_serializer remove_placement_group",
    "util.accelerators": "AWS_NEURON_CORE INTEL_GAUDI NVIDIA_A100 NVIDIA_H100 NVIDIA_L4 NVIDIA_TESLA_T4 "
    "NVIDIA_TESLA_V100",
    "util.actor_group": "ActorGroup",
    "util.actor_pool": "ActorPool",
    "util.check_serialize": "FailureTuple inspect_serializability",
    "util.annotations": "Deprecated DeveloperAPI PublicAPI RayDeprecationWarning",
    "util.debug": "disable_log_once_globally enable_periodic_logging log_once",
    "util.helpers": "as_completed map_unordered",
    "util.collective": "allgather allgather_multigpu allreduce allreduce_multigpu barrier broadcast "
    "broadcast_multigpu create_collective_group destroy_collective_group get_collective_group_size "
    "get_group_handle get_rank gloo_available init_collective_group is_backend_available "
    "is_group_initialized nccl_available recv recv_multigpu reduce reduce_multigpu reducescatter "
    "reducescatter_multigpu register_collective_backend send send_multigpu",
    "util.dask": "ProgressBarCallback RayDaskCallback dataframe_optimize disable_dask_on_ray "
    "enable_dask_on_ray local_ray_callbacks ray_dask_get ray_dask_get_sync ray_dask_persist "
    "unpack_ray_callbacks",
    "util.iter": "LocalIterator MetricsContext ParallelIterator ParallelIteratorWorker SharedMetrics "
    "from_actors from_items from_iterators from_range",
    "util.joblib": "register_ray",
    "util.metrics": "Counter Gauge Histogram",
    "util.multiprocessing": "JoinableQueue Pool TimeoutError",
    "util.placement_group": "PlacementGroup get_current_placement_group get_placement_group "
    "placement_group placement_group_table remove_placement_group",
    "util.queue": "Empty Full Queue",
    "util.rpdb": "set_trace",
    "util.scheduling_strategies": "DoesNotExist Exists In NodeAffinitySchedulingStrategy "
    "NodeLabelSchedulingStrategy NotIn PlacementGroupSchedulingStrategy",
    "util.serialization": "deregister_serializer register_serializer",
    "util.state": "StateApiClient get_actor get_job get_log get_node get_objects get_placement_group get_task "
    "get_worker list_actors list_cluster_events list_jobs list_logs list_nodes list_objects "
    "list_placement_groups list_runtime_envs list_tasks list_workers summarize_actors summarize_objects "
    "summarize_tasks",
    "widgets": "Template make_table_html_repr",
}
# Names of older releases that programs still use; Ray itself has them no more.
OLDER = {
    "": {"LOCAL_MODE", "ObjectID"},
    "air": {"Checkpoint", "session"},
    "air.session": {"get_checkpoint", "report"},
    "internal": {"free"},
}
# Built by name only, outside of the placeholders: the name exists and raises.
RAISES: dict[str, set[str]] = {}
# Public in Ray by accident, or of no use outside of it.
LEFT_OUT = {
    "": {"_config", "widgets", "autoscaler", "data", "workflow", "internal", "util", "actor"},
    "exceptions": {"StreamingGeneratorReplayInconsistentError", "ActorID", "TaskID", "WorkerID"},
}


def names(module: str) -> set[str]:
    """What works in a module."""
    found = set(BUILT.get(module, "").split()) | recorded().get(module, set())
    if module in recorded():
        _, classes, functions = planned().get(module, ("", "", ""))
        found -= set((classes + " " + functions).split())
    return found


@functools.cache
def recorded() -> dict[str, set[str]]:
    """The public names of ray.tune and ray.rllib by module."""
    found: dict[str, set[str]] = {}
    for line in RECORDED.read_text().splitlines():
        if line and not line.startswith("#"):
            module, _, listed = line.partition(": ")
            found.setdefault(module, set()).update(listed.split())
    return found


@functools.cache
def planned() -> dict[str, tuple[str, str, str]]:
    sys.path.insert(0, str(ROOT / "python"))
    from eagleray import _planned

    return {**_planned.PLANNED, **_planned.library().planned}


def document() -> str:
    table = planned()
    lines = [
        "# Compatibility, name by name",
        "",
        "Made by `tools/compatibility.py`; a test compares it with what is installed. *Works*: it does what Ray's does",
        "([differences](differences.md) says where not exactly). *By name*: it can be imported and raises",
        "`NotImplementedError` naming the feature when it is used.",
        "",
        "| module | works | by name |",
        "|---|---|---|",
    ]
    for module in sorted({*BUILT, *table, *recorded()}):
        feature, classes, functions = table.get(module, ("", "", ""))
        later = sorted(set((classes + " " + functions).split()) | RAISES.get(module, set()))
        works = ", ".join(f"`{name}`" for name in sorted(names(module)))
        by_name = ", ".join(f"`{name}`" for name in later)
        if module in table and not later:
            by_name = f"everything ({feature})"
        title = f"`ray.{module}`" if module else "`ray`"
        lines.append(f"| {title} | {works} | {by_name} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    text = document()
    if "--check" in sys.argv:
        return 0 if DOCUMENT.exists() and DOCUMENT.read_text() == text else 1
    DOCUMENT.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
