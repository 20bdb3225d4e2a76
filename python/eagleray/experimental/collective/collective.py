"""Groups of actors that somebody outside of them makes and ends. Inside, the members use ray.util.collective with
the group's name."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import eagleray as ray

from ...util.collective import collective
from ...util.collective.types import Backend
from .communicator import CommunicatorHandle

__all__ = [
    "create_collective_group",
    "destroy_all_collective_groups",
    "destroy_collective_group",
    "get_collective_groups",
]

_groups: dict[str, CommunicatorHandle] = {}  # made by this process
_lock = threading.Lock()


def get_collective_groups(
    actors: list[Any] | None = None, backend: str | None = None
) -> list[CommunicatorHandle]:
    """Of the groups that this process has made, those in which all of `actors` are."""
    wanted = set(actors or ())
    kind = None if backend is None else Backend(backend)
    with _lock:
        known = list(_groups.values())
    return [each for each in known if wanted <= set(each.actors) and kind in (None, each.backend)]


def create_collective_group(
    actors: list[Any], backend: str, name: str | None = None
) -> CommunicatorHandle:
    """Returns when all actors have joined; their ranks are their places in the list. RuntimeError: one of them is
    in a group of that backend already. ValueError: an actor stands there twice."""
    kind, name = Backend(backend), name or uuid.uuid4().hex
    for actor in actors:
        if get_collective_groups([actor], kind):
            raise RuntimeError(
                f"Actor {actor} already in group for backend {kind}. Actors can currently only participate in at "
                "most one group per backend."
            )
    if len(set(actors)) != len(actors):
        raise ValueError(f"All actors must be unique, got: {actors}")

    def join(_: Any, rank: int, world_size: int = len(actors)) -> None:
        collective.init_collective_group(world_size, rank, kind, group_name=name)

    ray.get([actor.__ray_call__.remote(join, rank) for rank, actor in enumerate(actors)])
    made = CommunicatorHandle(actors, name, kind)
    with _lock:
        _groups[name] = made
    return made


def destroy_collective_group(group_or_name: CommunicatorHandle | str) -> None:
    """Ends a group, after which its actors can be in another. ValueError: no such group."""
    if not isinstance(group_or_name, (CommunicatorHandle, str)):
        raise ValueError("Expected CommunicatorHandle or str (group name).")
    name = group_or_name if isinstance(group_or_name, str) else group_or_name.name
    with _lock:
        group = _groups.pop(name, None)
    if group is None:
        raise ValueError(f"No group with name {name} found.")

    def leave(_: Any) -> None:
        collective.destroy_collective_group(name)

    left = [actor.__ray_call__.remote(leave) for actor in group.actors]
    for ref in left:
        try:
            ray.get(ref)
        except ray.exceptions.RayActorError:
            continue  # a member that has ended is out already


def destroy_all_collective_groups() -> None:
    """Ends all groups that this process has made."""
    for group in get_collective_groups():
        destroy_collective_group(group)
