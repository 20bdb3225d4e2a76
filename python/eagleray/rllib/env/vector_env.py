"""VectorEnv: several environments stepped together, in Ray's interface; and the one that holds gym environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..utils.by_name import by_name
from ..utils.lazy import lazily
from .adapter import reset_env, step_env

__all__ = ["GymVector", "VectorEnv"]


@by_name(environments_that_are_polled="to_base_env poll send_actions try_reset wrap")
class VectorEnv:
    """Subclasses step `num_envs` environments at once, perhaps not in Python. They define vector_reset,
    reset_at and vector_step; 4 values of vector_step (obs, rewards, dones, infos) are accepted, too."""

    def __init__(self, observation_space: Any, action_space: Any, num_envs: int) -> None:
        self.observation_space = observation_space
        self.action_space = action_space
        self.num_envs = num_envs

    def vector_reset(
        self, *, seeds: Sequence[int] | None = None, options: Any = None
    ) -> tuple[list[Any], list[dict[str, Any]]]:
        """Resets all: observations and infos."""
        raise NotImplementedError(f"{type(self).__name__} has no vector_reset()")

    def reset_at(
        self, index: int | None = None, *, seed: int | None = None, options: Any = None
    ) -> Any:
        """Resets one: observation and info."""
        raise NotImplementedError(f"{type(self).__name__} has no reset_at()")

    def restart_at(self, index: int | None = None) -> None:
        """Makes one anew after it raised; only for restart_failed_sub_environments."""
        raise NotImplementedError(f"{type(self).__name__} has no restart_at()")

    def vector_step(
        self, actions: Sequence[Any]
    ) -> tuple[list[Any], list[float], list[bool], list[bool], list[dict[str, Any]]]:
        """Steps all: observations, rewards, terminated, truncated, infos. Those that end are not reset."""
        raise NotImplementedError(f"{type(self).__name__} has no vector_step()")

    def get_sub_environments(self) -> list[Any]:
        """The environments, where they are Python objects."""
        return []

    get_unwrapped = get_sub_environments

    def try_render_at(self, index: int | None = None) -> Any:
        return None

    @staticmethod
    def vectorize_gym_envs(
        make_env: Callable[[int], Any] | None = None,
        existing_envs: Sequence[Any] = (),
        num_envs: int = 1,
        action_space: Any = None,
        observation_space: Any = None,
        **_settings: Any,
    ) -> GymVector:
        """A VectorEnv of gym or gymnasium environments."""
        envs = list(existing_envs)
        while len(envs) < num_envs and make_env is not None:
            envs.append(make_env(len(envs)))
        return GymVector(envs, make_env)


class GymVector(VectorEnv):
    """Environments in Python, stepped one after the other.

    `where` is (what, index) while one of them is running: what a hang is traced to.
    """

    def __init__(self, envs: Sequence[Any], make_env: Callable[[int], Any] | None = None) -> None:
        super().__init__(envs[0].observation_space, envs[0].action_space, len(envs))
        self.envs = list(envs)
        self._make_env = make_env
        self.where: tuple[str, int] | None = None

    def reset_at(
        self, index: int | None = 0, *, seed: int | None = None, options: Any = None
    ) -> Any:
        self.where = ("reset", index or 0)
        result = reset_env(self.envs[index or 0], seed, options)
        self.where = None
        return result

    def vector_reset(self, *, seeds: Sequence[int] | None = None, options: Any = None) -> Any:
        pairs = [
            self.reset_at(
                i, seed=seeds[i] if seeds else None, options=options[i] if options else None
            )
            for i in range(self.num_envs)
        ]
        return [obs for obs, _ in pairs], [info for _, info in pairs]

    def restart_at(self, index: int | None = 0) -> None:
        if self._make_env is None:
            raise ValueError("these environments were made elsewhere; they cannot be made anew")
        close = getattr(self.envs[index or 0], "close", None)
        try:
            if close is not None:
                close()
        finally:
            self.envs[index or 0] = self._make_env(index or 0)

    def begin(self, index: int, action: Any) -> None:
        """Sends a step to an environment in another process; step_at() takes its result."""
        begin = getattr(self.envs[index], "begin", None)
        if begin is not None:
            begin(action)

    def step_at(self, index: int, action: Any) -> tuple[Any, Any, Any, Any, Any]:
        """Steps one of them."""
        self.where = ("step", index)
        result = step_env(self.envs[index], action)
        self.where = None
        return result

    def vector_step(self, actions: Sequence[Any]) -> Any:
        rows = [self.step_at(i, action) for i, action in enumerate(actions)]
        return tuple(map(list, zip(*rows, strict=True)))

    def get_sub_environments(self) -> list[Any]:
        return self.envs

    get_unwrapped = get_sub_environments


__getattr__ = lazily(__name__)  # names that are planned
