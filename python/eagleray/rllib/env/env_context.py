"""EnvContext: the `env_config` that an environment's constructor gets, with where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["EnvContext"]


class EnvContext(dict[str, Any]):
    """A dict of the user's `env_config`, and:

    worker_index: 0 in the algorithm itself, from 1 in rollout workers; vector_index: which of the worker's
    environments; num_workers; remote; recreated_worker: whether the worker replaces one that died.
    """

    def __init__(
        self,
        env_config: Mapping[str, Any],
        worker_index: int = 0,
        vector_index: int = 0,
        remote: bool = False,
        num_workers: int | None = None,
        recreated_worker: bool = False,
    ) -> None:
        super().__init__(env_config)
        self.worker_index = worker_index
        self.vector_index = vector_index
        self.remote = remote
        self.num_workers = num_workers
        self.recreated_worker = recreated_worker

    def copy_with_overrides(
        self,
        env_config: Mapping[str, Any] | None = None,
        worker_index: int | None = None,
        vector_index: int | None = None,
        remote: bool | None = None,
        num_workers: int | None = None,
        recreated_worker: bool | None = None,
    ) -> EnvContext:
        """A copy in which what is given has changed."""

        def of(value: Any, own: Any) -> Any:
            return own if value is None else value

        return EnvContext(
            of(env_config, self),
            of(worker_index, self.worker_index),
            of(vector_index, self.vector_index),
            of(remote, self.remote),
            of(num_workers, self.num_workers),
            of(recreated_worker, self.recreated_worker),
        )

    def set_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Adds the keys that are missing."""
        for key, value in defaults.items():
            self.setdefault(key, value)

    def __reduce__(self) -> Any:
        return EnvContext, (
            dict(self),
            self.worker_index,
            self.vector_index,
            self.remote,
            self.num_workers,
            self.recreated_worker,
        )
