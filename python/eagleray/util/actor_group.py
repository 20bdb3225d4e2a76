"""Actors of one class that are called together. Deprecated in Ray, and kept."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import eagleray as ray


@dataclass
class ActorWrapper:
    """A member, and what its get_actor_metadata() gave, if it has that."""

    actor: Any
    metadata: Any


@dataclass
class ActorConfig:
    """How members are made."""

    num_cpus: float
    num_gpus: float
    resources: dict[str, float] | None
    init_args: tuple[Any, ...] = ()
    init_kwargs: dict[str, Any] = field(default_factory=dict)


class ActorGroupMethod:
    """A method of all members; call it with .remote(), which gives a list of references."""

    def __init__(self, actor_group: ActorGroup, method_name: str) -> None:
        self._group = weakref.ref(actor_group)
        self._method_name = method_name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "ActorGroup methods cannot be called directly. Instead of running "
            f"'object.{self._method_name}()', try 'object.{self._method_name}.remote()'."
        )

    def remote(self, *args: Any, **kwargs: Any) -> list[Any]:
        group = self._group()
        if group is None:
            raise RuntimeError("This ActorGroup is gone: keep a reference to it.")
        return [
            getattr(member.actor, self._method_name).remote(*args, **kwargs)
            for member in group.actors
        ]


class ActorGroup:
    """num_actors instances of actor_cls(*init_args, **init_kwargs); `group.method.remote()` calls all of them.
    ValueError for less than one actor or negative resources."""

    def __init__(
        self,
        actor_cls: type,
        num_actors: int = 1,
        num_cpus_per_actor: float = 1,
        num_gpus_per_actor: float = 0,
        resources_per_actor: dict[str, float] | None = None,
        init_args: tuple[Any, ...] | None = None,
        init_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if num_actors <= 0:
            raise ValueError(
                "The provided `num_actors` must be greater than 0. Received "
                f"num_actors={num_actors} instead."
            )
        if num_cpus_per_actor < 0 or num_gpus_per_actor < 0:
            raise ValueError(
                "The number of CPUs and GPUs per actor must not be negative. Received "
                f"num_cpus_per_actor={num_cpus_per_actor} and num_gpus_per_actor={num_gpus_per_actor}."
            )
        self.actors: list[ActorWrapper] = []
        self.num_actors = num_actors
        self.actor_config = ActorConfig(
            num_cpus_per_actor,
            num_gpus_per_actor,
            resources_per_actor,
            tuple(init_args or ()),
            dict(init_kwargs or {}),
        )
        self._class = ray.remote(
            num_cpus=num_cpus_per_actor, num_gpus=num_gpus_per_actor, resources=resources_per_actor
        )(actor_cls)
        self.start()

    def __getattr__(self, name: str) -> ActorGroupMethod:
        if name.startswith("_") or not self.__dict__.get("actors"):
            if name.startswith("_"):
                raise AttributeError(name)
            raise RuntimeError("This ActorGroup has been shutdown. Please start it again.")
        return ActorGroupMethod(self, name)

    def __len__(self) -> int:
        return len(self.actors)

    def __getitem__(self, index: Any) -> Any:
        return self.actors[index]

    def start(self) -> None:
        """Starts the actors. RuntimeError when they run."""
        if self.actors:
            raise RuntimeError(
                "The actors have already been started. Please call `shutdown` first if you want to "
                "restart them."
            )
        self.add_actors(self.num_actors)

    def shutdown(self, patience_s: float = 5) -> None:
        """Ends them after their calls, or at once when patience_s seconds have passed."""
        members, self.actors = [each.actor for each in self.actors], []
        if patience_s > 0:
            ending = [actor.__ray_terminate__.remote() for actor in members]
            ended, _ = ray.wait(ending, num_returns=max(1, len(ending)), timeout=patience_s)
            if len(ended) == len(ending):
                return
        for actor in members:
            ray.kill(actor)

    def remove_actors(self, actor_indexes: list[int]) -> None:
        """Lets those at these places go."""
        self.actors = [each for i, each in enumerate(self.actors) if i not in actor_indexes]

    def add_actors(self, num_actors: int) -> None:
        """Starts more."""
        config = self.actor_config
        made = [
            self._class.remote(*config.init_args, **config.init_kwargs) for _ in range(num_actors)
        ]
        facts = [
            actor.get_actor_metadata.remote() if hasattr(actor, "get_actor_metadata") else None
            for actor in made
        ]
        self.actors += [
            ActorWrapper(actor, ray.get(fact) if fact is not None else None)
            for actor, fact in zip(made, facts, strict=True)
        ]

    @property
    def actor_metadata(self) -> list[Any]:
        """What each member's get_actor_metadata() gave."""
        return [each.metadata for each in self.actors]
