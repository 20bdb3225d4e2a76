"""A first-in first-out queue that tasks and actors share; an actor holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from queue import Empty as _Empty
from queue import Full as _Full
from typing import Any

import eagleray as ray


class Empty(_Empty):
    """get() on an empty queue."""


class Full(_Full):
    """put() on a full queue."""


class _QueueActor:
    def __init__(self, maxsize: int) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(maxsize)

    async def qsize(self) -> int:
        return self.queue.qsize()

    async def put(self, item: Any, timeout: float | None = None) -> None:
        try:
            await asyncio.wait_for(self.queue.put(item), timeout)
        except asyncio.TimeoutError:
            raise Full from None

    async def get(self, timeout: float | None = None) -> Any:
        try:
            return await asyncio.wait_for(self.queue.get(), timeout)
        except asyncio.TimeoutError:
            raise Empty from None

    async def put_nowait_batch(self, items: list[Any]) -> None:
        if self.queue.maxsize > 0 and len(items) + self.queue.qsize() > self.queue.maxsize:
            raise Full(
                f"Cannot add {len(items)} items to queue of size {self.queue.qsize()} and maxsize "
                f"{self.queue.maxsize}."
            )
        for item in items:
            self.queue.put_nowait(item)

    async def get_nowait_batch(self, count: int) -> list[Any]:
        if count > self.queue.qsize():
            raise Empty(f"Cannot get {count} items from queue of size {self.queue.qsize()}.")
        return [self.queue.get_nowait() for _ in range(count)]

    async def put_nowait(self, item: Any) -> None:
        try:
            self.queue.put_nowait(item)
        except asyncio.QueueFull:
            raise Full from None

    async def get_nowait(self) -> Any:
        try:
            return self.queue.get_nowait()
        except asyncio.QueueEmpty:
            raise Empty from None


class Queue:
    """maxsize: 0 for no limit. actor_options: options of the actor that holds it."""

    def __init__(self, maxsize: int = 0, actor_options: dict[str, Any] | None = None) -> None:
        options = {"num_cpus": 0, **(actor_options or {})}
        self.maxsize = maxsize
        self.actor = ray.remote(_QueueActor).options(**options).remote(maxsize)

    def __len__(self) -> int:
        return self.size()

    def size(self) -> int:
        result: int = ray.get(self.actor.qsize.remote())
        return result

    qsize = size

    def empty(self) -> bool:
        return self.size() == 0

    def full(self) -> bool:
        return 0 < self.maxsize <= self.size()

    @staticmethod
    def _check(timeout: float | None) -> None:
        if timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item; waits for room up to `timeout` s if `block`. Full when there is none."""
        self._check(timeout)
        if block:
            ray.get(self.actor.put.remote(item, timeout))
        else:
            try:
                ray.get(self.actor.put_nowait.remote(item))
            except Full:
                raise Full from None

    async def put_async(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        self._check(timeout)
        if block:
            await self.actor.put.remote(item, timeout)
        else:
            try:
                await self.actor.put_nowait.remote(item)
            except Full:
                raise Full from None

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes an item; waits for one up to `timeout` s if `block`. Empty when there is none."""
        self._check(timeout)
        if block:
            return ray.get(self.actor.get.remote(timeout))
        try:
            return ray.get(self.actor.get_nowait.remote())
        except Empty:
            raise Empty from None

    async def get_async(self, block: bool = True, timeout: float | None = None) -> Any:
        self._check(timeout)
        if block:
            return await self.actor.get.remote(timeout)
        try:
            return await self.actor.get_nowait.remote()
        except Empty:
            raise Empty from None

    def put_nowait(self, item: Any) -> None:
        self.put(item, block=False)

    def get_nowait(self) -> Any:
        return self.get(block=False)

    def put_nowait_batch(self, items: Iterable[Any]) -> None:
        """Adds all items or none: Full."""
        if not isinstance(items, Iterable):
            raise TypeError("Argument 'items' must be an Iterable")
        ray.get(self.actor.put_nowait_batch.remote(list(items)))

    def get_nowait_batch(self, num_items: int) -> list[Any]:
        """Takes exactly num_items or none: Empty."""
        if not isinstance(num_items, int):
            raise TypeError("Argument 'num_items' must be an int")
        if num_items < 0:
            raise ValueError("'num_items' must be a non-negative integer")
        result: list[Any] = ray.get(self.actor.get_nowait_batch.remote(num_items))
        return result

    def shutdown(self, force: bool = False, grace_period_s: int = 5) -> None:
        """Ends the queue's actor, after its pending calls unless `force`."""
        if self.actor is None:
            return
        if not force:
            ray.wait([self.actor.__ray_ready__.remote()], timeout=grace_period_s)
        ray.kill(self.actor)
        self.actor = None
