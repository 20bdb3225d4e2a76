"""CompiledDAG: a graph of actor calls that are made by loops on the actors, and fed through shared memory."""

from __future__ import annotations

import logging
import threading
import time
import uuid
import weakref
from collections import deque
from typing import Any

from .. import _planned, exceptions
from .._state import client, state
from ..experimental.compiled_dag_ref import CompiledDAGFuture, CompiledDAGRef
from . import _loop, _watch
from ._loop import CompiledDAGArgs, Failure, Plan
from ._plan import DRIVER, INPUT, Graph
from .context import DAGContext
from .dag_node import DAGNode

logger = logging.getLogger("eagleray")

# Beyond the executions in flight: results that the program still looks at cost no copy.
SPARE_SLOTS = 2
RESULT = "taking a result"  # in errors
RESTART_S = 10.0  # of an actor that has ended: how long who asks why waits for it to start again
_graphs: weakref.WeakSet[CompiledDAG] = weakref.WeakSet()


def seconds(timeout: float | None) -> float | None:
    """Ray's -1 is no limit."""
    return None if timeout is None or timeout < 0 else timeout


class CompiledDAG:
    """What `experimental_compile()` gives. `execute()` feeds the graph, `CompiledDAGRef.get()` or `ray.get()`
    takes results, `teardown()` ends the loops and leaves the actors. It may be used from several threads."""

    def __init__(
        self,
        output: DAGNode,
        *,
        submit_timeout: float | None,
        buffer_size_bytes: int | None,
        enable_asyncio: bool,
        max_inflight_executions: int | None,
        max_buffered_results: int | None,
        overlap_gpu_communication: bool | None,
        default_communicator: Any,
    ) -> None:
        context = DAGContext.get_current()

        def given(value: Any, default: Any) -> Any:
            return default if value is None else value

        self._id = uuid.uuid4().hex
        self._is_teardown = True  # until it has started
        self._asyncio = enable_asyncio
        self._submit_timeout = given(submit_timeout, context.submit_timeout)
        self._get_timeout = context.get_timeout
        self._buffer_size_bytes = given(buffer_size_bytes, context.buffer_size_bytes)
        self._max_inflight = given(max_inflight_executions, context.max_inflight_executions)
        self._max_buffered = given(max_buffered_results, context.max_buffered_results)
        _check_options(
            self._buffer_size_bytes,
            self._max_inflight,
            default_communicator,
            given(overlap_gpu_communication, context.overlap_gpu_communication),
        )
        self._graph = Graph(output)
        self._lock = threading.Lock()
        self._executed = 0  # executions so far
        self._finished = 0  # of those, whose results were read
        self._partial: list[
            Any
        ] = []  # of the next execution: results that were read before a time-out
        self._results: dict[
            int, dict[int, Any]
        ] = {}  # read, and not asked for: by execution and output
        self._dropped: deque[tuple[int, int]] = deque()  # whose references are gone
        self._unwanted: dict[int, set[int]] = {}  # of those: by execution, the outputs
        self._dead: list[Any] = []  # handles of actors that have ended
        self._channels: list[Any] = []
        self._watches: list[int] = []
        self._futures: Any = None
        self._start()
        self._is_teardown = False
        _graphs.add(self)

    # ---- starting ----

    def _start(self) -> None:
        graph = self._graph
        slots = self._max_inflight + SPARE_SLOTS
        addresses: dict[Any, Any] = {}
        channels: dict[int, Any] = {}
        for number, readers in graph.readers.items():
            channels[number], addresses[number] = _loop.new_channel(
                slots, len(readers), self._buffer_size_bytes
            )
        self._channels = list(channels.values())
        for op in graph.collectives:
            from ._collective import plans

            made, parts = plans(op, slots, self._buffer_size_bytes)
            self._channels += made
            addresses.update({(op, actor): part for actor, part in parts.items()})
        self._input = channels[INPUT]
        self._input.become_writer()
        read = list(dict.fromkeys(graph.outputs))
        self._outputs = [channels[number] for number in read]
        self._places = [read.index(number) for number in graph.outputs]
        for number, channel in zip(read, self._outputs, strict=True):
            channel.become_reader(graph.readers[number].index(DRIVER))
        try:
            self._start_loops(addresses)
        except BaseException:
            self._close()
            raise

    def _start_loops(self, addresses: dict[Any, Any]) -> None:
        import os

        import eagleray as ray

        graph = self._graph
        answers = []
        for actor in graph.actors:
            inputs = {
                number: (addresses[number], graph.readers[number].index(actor))
                for number in graph.inputs_of(actor)
            }
            plan = Plan(self._id, os.getpid(), inputs, graph.steps_of(actor, addresses))
            answers.append(actor.__ray_call__.remote(_loop.start, plan))
        for actor, pid in zip(graph.actors, ray.get(answers), strict=True):
            if pid == os.getpid():
                continue
            here = weakref.ref(self)

            def ended(actor: Any = actor, here: Any = here) -> None:
                graph = here()
                if graph is not None:
                    graph._actor_ended(actor)

            watch = _watch.watch(pid, ended)
            if watch is None:
                self._actor_ended(actor)
            else:
                self._watches.append(watch)

    def _actor_ended(self, actor: Any) -> None:
        self._dead.append(actor)
        self._close()

    def _close(self) -> None:
        for channel in self._channels:
            channel.close()

    # ---- executing ----

    def execute(self, *args: Any, **kwargs: Any) -> CompiledDAGRef | list[CompiledDAGRef]:
        """Writes the input and gives a reference to the result, a list of them for a MultiOutputNode.

        ValueError for arguments that the graph does not take; RayCgraphCapacityExceeded with too many executions
        in flight; RayChannelTimeoutError when the actors make no room within `_submit_timeout`; RayChannelError
        after teardown() or the end of an actor.
        """
        if self._asyncio:
            raise ValueError("Use execute_async if enable_asyncio=True")
        with self._lock:
            number = self._submit(args, kwargs)
        if self._graph.returns_list:
            return [CompiledDAGRef(self, number, i) for i in range(len(self._places))]
        return CompiledDAGRef(self, number)

    async def execute_async(self, *args: Any, **kwargs: Any) -> Any:
        """As execute(), for graphs with enable_asyncio: gives a CompiledDAGFuture, or a list of them, to be
        awaited."""
        if not self._asyncio:
            raise ValueError("Use execute if enable_asyncio=False")
        from ._futures import Futures

        if self._futures is None:
            self._futures = Futures(self._outputs)
        with self._lock:
            self._finished = self._futures.awaited
            number = self._submit(args, kwargs)
            future = self._futures.next()
        if self._graph.returns_list:
            return [CompiledDAGFuture(self, number, future, i) for i in range(len(self._places))]
        return CompiledDAGFuture(self, number, future)

    def _submit(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
        self._check_inputs(args, kwargs)
        value = args[0] if len(args) == 1 and not kwargs else CompiledDAGArgs(args, kwargs)
        if self._dropped or self._unwanted:
            self._discard()
        if self._executed - self._finished >= self._max_inflight:
            raise exceptions.RayCgraphCapacityExceeded(
                f"The compiled graph can't have more than {self._max_inflight} in-flight executions, and you "
                f"currently have {self._executed - self._finished} in-flight executions. Retrieve an output using "
                "ray.get before submitting more requests or increase `_max_inflight_executions`. "
                "`dag.experimental_compile(_max_inflight_executions=...)`"
            )
        try:
            self._input.write(value, seconds(self._submit_timeout))
        except exceptions.RayChannelTimeoutError:
            raise exceptions.RayChannelTimeoutError(
                "If the execution is expected to take a long time, increase RAY_CGRAPH_submit_timeout which is "
                f"currently {self._submit_timeout} seconds. Otherwise, this may indicate that execution is hanging."
            ) from None
        self._executed += 1
        return self._executed - 1

    def _check_inputs(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if len(args) != self._graph.positional:
            raise ValueError(
                "dag.execute() or dag.execute_async() must be called with "
                f"{self._graph.positional} positional args, got {len(args)}"
            )
        for name in self._graph.keywords:
            if name not in kwargs:
                raise ValueError(
                    f"dag.execute() or dag.execute_async() must be called with kwarg `{name}`"
                )

    # ---- results ----

    def _take(self, number: int, output: int | None, timeout: float | None) -> Any:
        """The result of an execution, or of one of its outputs; raises what its method raised."""
        if timeout is None:
            timeout = self._get_timeout
        try:
            with self._lock:
                if number == self._finished and self._is_simple():
                    value = _loop.read(self._outputs[0], seconds(timeout), RESULT)
                    self._finished = number + 1
                else:
                    value = self._value_of(number, output or 0, seconds(timeout))
        except exceptions.RayChannelTimeoutError:
            raise exceptions.RayChannelTimeoutError(
                "If the execution is expected to take a long time, increase RAY_CGRAPH_get_timeout which is "
                f"currently {self._get_timeout} seconds. Otherwise, this may indicate that the execution is hanging."
            ) from None
        except exceptions.RayChannelError as error:
            raise self._cause_of(error) from None
        return result_of(value)

    def _is_simple(self) -> bool:
        """There is one output, and nothing to look after but that."""
        return len(self._places) == 1 and not (self._dropped or self._unwanted or self._partial)

    def _value_of(self, number: int, output: int, timeout: float | None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self._finished <= number:
            if len(self._results) >= self._max_buffered:
                raise exceptions.RayCgraphCapacityExceeded(
                    f"The compiled graph can't have more than {self._max_buffered} buffered results, and you "
                    f"currently have {len(self._results)} buffered results. Call `ray.get()` on CompiledDAGRef's "
                    "(or await on CompiledDAGFuture's) to retrieve results, or increase `_max_buffered_results` if "
                    "buffering is desired, note that this will increase driver memory usage."
                )
            self._read_next(deadline)
        values = self._results[number]
        value = values.pop(output)
        if not values:
            del self._results[number]
        return value

    def _read_next(self, deadline: float | None) -> None:
        """Reads the results of the next execution; what was read before a time-out stays for the next try."""
        for channel in self._outputs[len(self._partial) :]:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            self._partial.append(_loop.read(channel, left, RESULT))
        number, values = self._finished, self._partial
        self._finished, self._partial = number + 1, []
        if self._dropped:
            self._note_dropped()
        unwanted = self._unwanted.pop(number, ())
        wanted = {i: values[at] for i, at in enumerate(self._places) if i not in unwanted}
        if wanted:
            self._results[number] = wanted

    def _note_dropped(self) -> None:
        while self._dropped:
            number, output = self._dropped.popleft()
            if number < self._finished:
                values = self._results.get(number)
                if values is not None:
                    values.pop(output, None)
                    if not values:
                        del self._results[number]
            else:
                self._unwanted.setdefault(number, set()).add(output)

    def _discard(self) -> None:
        """Takes results that nobody can ask for any more out of the channels; waits for them only if there is no
        room for more."""
        self._note_dropped()
        if self._futures is not None:
            return
        while len(self._unwanted.get(self._finished, ())) == len(self._places):
            full = self._executed - self._finished >= self._max_inflight
            if not full and not all(channel.ready() for channel in self._outputs):
                return
            wait = seconds(self._get_timeout)
            self._read_next(None if wait is None else time.monotonic() + wait)

    def _cause_of(self, error: Exception) -> Exception:
        """Why a channel is closed: the death of an actor, in its own words, or that it was torn down."""
        import eagleray as ray

        for actor in self._dead:
            try:
                ray.get(actor.__ray_ready__.remote(), timeout=RESTART_S)
            except exceptions.GetTimeoutError:
                return exceptions.RayChannelError(
                    f"{actor} has ended, and has not started again within {RESTART_S} s; when it has, compile the "
                    f"graph anew. {error}"
                )
            except exceptions.RayError as cause:
                return cause
            return exceptions.RayChannelError(
                f"{actor} has ended and started again; compile the graph anew. {error}"
            )
        return error

    # ---- ending ----

    @property
    def is_teardown(self) -> bool:
        """Whether teardown() was called."""
        return self._is_teardown

    def get_id(self) -> str:
        """A unique id of the compiled graph."""
        return self._id

    def __str__(self) -> str:
        return f"CompiledDAG({self._id})"

    def teardown(self, kill_actors: bool = False) -> None:
        """Ends the loops, each after the method that it runs, and leaves the actors usable; waits for them, and
        warns after DAGContext.teardown_timeout. kill_actors: ends the actors, too. A second call does nothing."""
        if self._is_teardown:
            return
        import eagleray as ray

        answers = self._end_loops()
        limit = DAGContext.get_current().teardown_timeout
        for actor, answer in answers.items():
            try:
                ray.get(answer, timeout=limit)
            except exceptions.GetTimeoutError:
                logger.warning(
                    "%r still runs a method %s s after teardown(). %s",
                    actor,
                    limit,
                    "It is killed."
                    if kill_actors
                    else "Use teardown(kill_actors=True) to kill it.",
                )
            except exceptions.RayError:
                pass  # it has ended
        if kill_actors:
            for actor in self._graph.actors:
                ray.kill(actor)

    def _end_loops(self) -> dict[Any, Any]:
        self._is_teardown = True
        for watch in self._watches:
            _watch.forget(watch)
        self._close()
        if state.client is None:
            return {}
        return {
            actor: actor.__ray_call__.remote(_loop.stop, self._id)
            for actor in self._graph.actors
            if actor not in self._dead
        }

    def __del__(self) -> None:
        if not self._is_teardown:
            try:
                self._end_loops()
            except Exception:  # the interpreter ends
                self._close()

    def visualize(
        self,
        filename: str = "compiled_graph",
        format: str = "png",  # noqa: A002
        view: bool = False,
        channel_details: bool = False,
    ) -> str:
        """A picture of the graph. format "ascii" gives text (and prints it, with `view`); others are drawn by
        graphviz to `filename`, without whose package ImportError is raised."""
        from ._picture import as_text, draw

        if format != "ascii":
            return draw(self._graph, filename, format, view, channel_details)
        if channel_details:
            raise ValueError("Parameters 'channel_details' are not compatible with 'ascii' format.")
        text = as_text(self._graph)
        if view:
            print(text)
        return text


def result_of(value: Any) -> Any:
    """A value from a channel; raises if it stands for an exception."""
    if type(value) is Failure:
        raise value.record.as_instanceof_cause()
    return value


def _check_options(size: Any, inflight: Any, communicator: Any, overlap: bool) -> None:
    from ..experimental.channel import Communicator

    if not isinstance(size, int) or size <= 0:
        raise ValueError(f"`buffer_size_bytes` must be a positive integer, found {size}")
    if not isinstance(inflight, int) or not 0 < inflight <= 1000:
        raise ValueError(f"`_max_inflight_executions` must lie in 1 to 1000, found {inflight}")
    if isinstance(communicator, str) and communicator != "create":
        raise ValueError(
            "The only allowed string for default_communicator is 'create', got " + communicator
        )
    if isinstance(communicator, Communicator) or overlap:
        raise NotImplementedError("communicators of accelerators for compiled graphs")
    if communicator is not None and not isinstance(communicator, str):
        raise ValueError(
            "The default_communicator must be None, a string, or a Communicator, got "
            f"{type(communicator)}"
        )


def compile_graph(output: DAGNode, **options: Any) -> CompiledDAG:
    if state.local_mode is not None:
        raise NotImplementedError(
            "compiled graphs with local_mode=True: they are loops of several processes"
        )
    """The compiled graph of a node; see DAGNode.experimental_compile."""
    if output.is_cgraph_output_node:
        raise ValueError(
            "It is not allowed to call `experimental_compile` on the same DAG object multiple times no matter "
            "whether `teardown` is called or not. Please reuse the existing compiled DAG or create a new one."
        )
    if state.local_mode is not None:
        raise NotImplementedError("compiled graphs in local mode")
    client()
    if close_all not in state.before_shutdown:
        state.before_shutdown.append(close_all)
    output.is_cgraph_output_node = True
    return CompiledDAG(output, **options)


def close_all() -> None:
    """The connection ends: so do the loops of this process's graphs, without waiting for them."""
    for graph in list(_graphs):
        if not graph._is_teardown:
            graph._is_teardown = True
            graph._close()


__getattr__ = _planned.lazily(__name__)
