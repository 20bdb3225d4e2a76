"""TaskSettableEnv: environments of a curriculum."""

from __future__ import annotations

from typing import Any

import gymnasium

__all__ = ["TaskSettableEnv"]


class TaskSettableEnv(gymnasium.Env[Any, Any]):
    """config["env_task_fn"](result, env, context) gives the task that set_task() gets after each iteration."""

    def sample_tasks(self, n_tasks: int) -> list[Any]:
        """Some tasks."""
        raise NotImplementedError(f"{type(self).__name__} has no sample_tasks()")

    def set_task(self, task: Any) -> None:
        """From the next episode on."""
        raise NotImplementedError(f"{type(self).__name__} has no set_task()")

    def get_task(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no get_task()")
