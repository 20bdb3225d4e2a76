"""References to results of compiled graphs."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from .._serialization import register_serializer
from ..exceptions import RayCgraphCapacityExceeded, RayChannelError

if TYPE_CHECKING:
    import asyncio

    from ..dag.compiled_dag_node import CompiledDAG


class _Result:
    """Of one execution, or one of its outputs; neither copied nor sent."""

    __slots__ = ("__weakref__", "_channel_index", "_dag", "_execution_index", "_taken")

    def __init__(
        self, dag: CompiledDAG, execution_index: int, channel_index: int | None = None
    ) -> None:
        self._dag = dag
        self._execution_index = execution_index
        self._channel_index = channel_index
        self._taken = False

    def __str__(self) -> str:
        return (
            f"{type(self).__name__}({self._dag.get_id()}, execution_index={self._execution_index}, "
            f"channel_index={self._channel_index})"
        )

    def __copy__(self) -> Any:
        raise ValueError(f"{type(self).__name__} cannot be copied.")

    def __deepcopy__(self, memo: Any) -> Any:
        raise ValueError(f"{type(self).__name__} cannot be deep copied.")

    def __reduce__(self) -> Any:
        raise ValueError(f"{type(self).__name__} cannot be pickled.")


class CompiledDAGRef(_Result):
    """What execute() of a compiled graph gives. The result is taken once, by `get()` or `ray.get()`; ray.wait()
    and calls do not take it. Results that nobody can take any more are thrown away."""

    __slots__ = ()

    def get(self, timeout: float | None = None) -> Any:
        """The result, or what the method raised. timeout: seconds, None: as DAGContext.get_timeout says, -1: no
        limit; RayChannelTimeoutError when it passes, and it may be asked for again (Ray: not). ValueError the
        second time; ActorDiedError if an actor of the graph has ended, RayChannelError after teardown()."""
        if self._taken:
            raise ValueError(
                "ray.get() can only be called once on a CompiledDAGRef, and it was already called."
            )
        self._taken = True
        try:
            return self._dag._take(self._execution_index, self._channel_index, timeout)
        except (RayCgraphCapacityExceeded, RayChannelError, KeyboardInterrupt):
            self._taken = False
            raise

    def __del__(self) -> None:
        if not self._taken and not self._dag.is_teardown:
            # Later, by whoever uses the graph: this may run at any moment.
            self._dag._dropped.append((self._execution_index, self._channel_index or 0))


def _refuse(_ref: CompiledDAGRef) -> Any:
    raise TypeError("CompiledDAGRef cannot be used as Ray task/actor argument.")


# In arguments and values; pickle alone, which knows nothing of tasks, is told by __reduce__.
register_serializer(CompiledDAGRef, serializer=_refuse, deserializer=None)


class CompiledDAGFuture(_Result):
    """What execute_async() of a compiled graph gives: to be awaited, once."""

    __slots__ = ("_fut",)

    def __init__(
        self,
        dag: CompiledDAG,
        execution_index: int,
        fut: asyncio.Future[Any],
        channel_index: int | None = None,
    ) -> None:
        super().__init__(dag, execution_index, channel_index)
        self._fut: asyncio.Future[Any] | None = fut

    def __await__(self) -> Generator[Any, None, Any]:
        if self._fut is None:
            raise ValueError(
                "CompiledDAGFuture can only be awaited upon once, and it has already been awaited upon."
            )
        from ..dag.compiled_dag_node import result_of

        future, self._fut = self._fut, None
        try:
            values = yield from future.__await__()
        except RayChannelError as error:
            raise self._dag._cause_of(error) from None
        finally:
            self._done()
        return result_of(values[self._dag._places[self._channel_index or 0]])

    def _done(self) -> None:
        futures = self._dag._futures
        futures.awaited = max(futures.awaited, self._execution_index + 1)

    def __del__(self) -> None:
        if self._fut is not None and self._dag._futures is not None:
            self._done()
