"""`get_runtime_context()`: who and where the calling code is."""

from __future__ import annotations

import json
import warnings
from typing import Any

from ._ids import ActorID, JobID, NodeID, PlacementGroupID, TaskID
from ._state import client, state


class RuntimeContext:
    """Ids are hexadecimal strings, None where they make no sense (a driver has no actor)."""

    def _task(self) -> Any:
        return client().current_task()

    def get_job_id(self) -> str:
        number: int = client().info()["job_id"]
        return number.to_bytes(4, "little").hex()

    def get_node_id(self) -> str:
        node: str = client().info()["node_id"]
        return node

    def get_worker_id(self) -> str:
        worker: str = client().info()["worker_id"]
        return worker

    def get_task_id(self) -> str | None:
        task = self._task()
        return None if task is None else task.task_id.hex()

    def get_task_name(self) -> str | None:
        from ._worker import _name_of

        task = self._task()
        return None if task is None else _name_of(task)

    def get_task_function_name(self) -> str | None:
        task = self._task()
        return None if task is None else task.function_name

    def get_actor_id(self) -> str | None:
        spec = state.spec_of_actor()
        return None if spec is None else spec["actor_id"].hex()

    def get_actor_name(self) -> str | None:
        spec = state.spec_of_actor()
        return None if spec is None else spec["name"]

    def get_assigned_resources(self) -> dict[str, float]:
        """What the calling task or actor holds. AssertionError in a driver, as in Ray."""
        from ._api import amounts

        frame = _local_frame()
        if not state.is_worker and frame is None:
            raise AssertionError("This method is only available when the process is a worker.")

        return amounts(state.resources if frame is None else frame.resources)

    def get_placement_group_id(self) -> str | None:
        """The group that the calling task or actor runs in."""
        frame = _local_frame()
        return (state.group if frame is None else frame.group) or None

    def get_runtime_env_string(self) -> str:
        """The runtime environment as JSON, "{}" for none."""
        return json.dumps(dict(self.runtime_env), sort_keys=True)

    def get_accelerator_ids(self) -> dict[str, list[str]]:
        from ._api import get_gpu_ids

        return {"GPU": [str(i) for i in get_gpu_ids()]}

    def get_node_labels(self) -> dict[str, str]:
        labels: dict[str, str] = client().info()["labels"]
        return labels

    def get_session_name(self) -> str:
        session: str = client().info()["session_dir"]
        return session.rsplit("/", 1)[-1]

    def get_temp_dir(self) -> str:
        session: str = client().info()["session_dir"]
        return session.rsplit("/", 1)[0]

    def is_canceled(self) -> bool:
        task = self._task()
        if task is None:
            raise RuntimeError("This method is only available in a task.")
        return bool(client().is_cancelled(task))

    @property
    def namespace(self) -> str:
        client()
        return state.namespace

    @property
    def was_current_actor_reconstructed(self) -> bool:
        spec = state.spec_of_actor()
        return bool(spec and spec["incarnation"] > 0)

    @property
    def runtime_env(self) -> dict[str, Any]:
        """What the calling code runs in: its own fields over the job's, directories as URIs."""
        from ._environments import text
        from .runtime_env import RuntimeEnv

        return RuntimeEnv(_validate=False, **text.visible(state.runtime_env))

    @property
    def gcs_address(self) -> str:
        return str(client().info()["session_dir"])

    @property
    def current_actor(self) -> Any:
        from ._actor import ActorHandle, core_from_wire

        spec = state.spec_of_actor()
        if spec is None:
            raise RuntimeError("This method is only available in an actor.")
        meta = spec["meta"]
        core = core_from_wire(
            spec["actor_id"], spec["owner"], True, meta["ordered"], meta["max_pending_calls"]
        )
        return ActorHandle(core, meta)

    @property
    def should_capture_child_tasks_in_placement_group(self) -> bool:
        frame = _local_frame()
        return bool(state.captured if frame is None else frame.captured)

    # ---- deprecated, as in Ray: the ids as objects ----

    @property
    def job_id(self) -> JobID:
        _deprecated("get_job_id()")
        return JobID.from_hex(self.get_job_id())

    @property
    def node_id(self) -> NodeID:
        _deprecated("get_node_id()")
        return NodeID.from_hex(self.get_node_id())

    @property
    def task_id(self) -> TaskID:
        """AssertionError in a driver."""
        _deprecated("get_task_id()")
        return TaskID.from_hex(_of_worker(self.get_task_id()))

    @property
    def actor_id(self) -> ActorID | None:
        """AssertionError in a driver."""
        _deprecated("get_actor_id()")
        _of_worker("")
        actor = self.get_actor_id()
        return None if actor is None else ActorID.from_hex(actor)

    @property
    def current_placement_group_id(self) -> PlacementGroupID:
        _deprecated("get_placement_group_id()")
        group = self.get_placement_group_id()
        return PlacementGroupID.nil() if group is None else PlacementGroupID.from_hex(group)

    def get_resource_ids(self) -> dict[str, list[str]]:
        _deprecated("get_accelerator_ids()")
        return self.get_accelerator_ids()

    def get(self) -> dict[str, Any]:
        """job_id, node_id, namespace; in a task its task_id, in an actor its actor_id."""
        _deprecated("get_xxx_id() methods")
        known: dict[str, Any] = {
            "job_id": JobID.from_hex(self.get_job_id()),
            "node_id": NodeID.from_hex(self.get_node_id()),
            "namespace": self.namespace,
        }
        task, actor = self.get_task_id(), self.get_actor_id()
        if task is not None:
            known["task_id"] = TaskID.from_hex(task)
        if actor is not None:
            known["actor_id"] = ActorID.from_hex(actor)
        return known


def _deprecated(instead: str) -> None:
    warnings.warn(
        f"This API is deprecated and may be removed. Use {instead} instead",
        DeprecationWarning,
        stacklevel=3,
    )


def _local_frame() -> Any:
    """What runs in this process by itself, with init(local_mode=True)."""
    return None if state.local_mode is None else state.local_mode.current()


def _of_worker(value: str | None) -> str:
    in_task = state.is_worker or _local_frame() is not None
    assert in_task and value is not None, "This method is only available in a worker."
    return value


def get_runtime_context() -> RuntimeContext:
    """The context of the calling task, actor or driver. Connects if need be."""
    client()
    return RuntimeContext()
