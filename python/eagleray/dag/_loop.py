"""What an actor does for a compiled graph: a thread of its own that reads its channels, calls the methods in
order and writes what they return, until a channel is closed. Ordinary calls go on beside it.

Costs of one step with one argument, awake: one read and one write of a channel, the call, a list and a dict.
Waits sleep in the core, without the interpreter's lock; an idle loop costs nothing.
"""

from __future__ import annotations

import inspect
import logging
import operator
import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _serialization, exceptions
from .._core import Channel, count_thread
from .._state import client
from . import _watch

logger = logging.getLogger("eagleray")

Address = tuple[int, int, int]  # of a channel: process, descriptor, id
WHOLE = ("whole",)  # of an input's keys: all of it


class CompiledDAGArgs(NamedTuple):
    """The arguments of an execute() with others than one positional one."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Failure:
    """In a value's place: the exception of a method."""

    __slots__ = ("record",)

    def __init__(self, record: Any) -> None:
        self.record = record

    def __reduce__(self) -> Any:
        return (Failure, (self.record,))


class Hole(NamedTuple):
    """An argument that comes from another node."""

    position: int
    node: int
    key: Any = WHOLE  # of the graph's input: which part


class StepPlan(NamedTuple):
    """One call, or one value of a call that returned several."""

    node: int
    method: str  # "": picks value `pick` of `of`
    pick: int
    of: int  # how many values there are to pick from
    args: list[Any]  # with None in the holes
    holes: list[Hole]
    kwargs: dict[str, Any]
    kept: bool  # other steps of this actor want the result
    output: Address | None
    collective: Any = None


class Plan(NamedTuple):
    """One actor's part of a graph."""

    graph: str
    driver: int  # its process
    inputs: dict[int, tuple[Address, int]]  # node: its channel, and which reader of it this is
    steps: list[StepPlan]


def part_of(value: Any, key: Any) -> Any:
    """What an InputNode, or an index of it, stands for."""
    if type(value) is not CompiledDAGArgs:
        return value
    if key is WHOLE or key == WHOLE:
        return value.args[0]
    return value.args[key] if isinstance(key, int) else value.kwargs[key]


def read(channel: Channel, timeout: float | None, name: str) -> Any:
    """The next value of a channel, for `name`. One that does not unpickle here has left the channel all the same,
    and those after it belong to their own executions: a Failure stands for it."""
    try:
        return channel.read(timeout)
    except exceptions.RayChannelError:
        raise
    except Exception as error:
        return failure(name, error)


class _Step:
    """A call with its channels."""

    def __init__(self, plan: StepPlan, loop: Loop) -> None:
        self.node = plan.node
        self._loop = loop
        self._args = plan.args
        self._kwargs = plan.kwargs
        self._holes = [tuple(hole) for hole in plan.holes]
        self._kept = plan.kept
        self._channels = loop.readers
        self._name, self._call = self._callable(plan, loop)
        self._output: Channel | None = None
        if plan.output is not None:
            self._output = loop.open(plan.output)
            self._output.become_writer()

    def _callable(self, plan: StepPlan, loop: Loop) -> tuple[str, Callable[..., Any]]:
        name = f"{type(loop.instance).__name__}.{plan.method}"
        if plan.collective is not None:
            from ._collective import Collective

            return plan.collective.name, Collective(plan.collective, loop.open)
        if not plan.method:
            return name, lambda values: _pick(values, plan.pick, plan.of)
        method = getattr(loop.instance, plan.method)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            raise NotImplementedError(
                f"{name} is an async method, and compiled graphs call methods from a thread: make it a plain one."
            )
        return name, method

    def run(self, values: dict[int, Any]) -> None:
        args = self._args.copy()
        failed = None
        for position, node, key in self._holes:
            if node in values:
                value = values[node]
            else:
                value = values[node] = read(self._channels[node], None, self._name)
            if type(value) is Failure:
                failed = failed or value
            elif type(value) is CompiledDAGArgs:
                value = part_of(value, key)
            args[position] = value
        result = self._called(args) if failed is None else self._passed_on(failed)
        if self._kept:
            values[self.node] = result
        if self._output is not None:
            self._write(result)

    def _passed_on(self, failed: Failure) -> Any:
        skip = getattr(self._call, "skip", None)  # a collective operation: others wait for this one
        return failed if skip is None else skip(failed)

    def _called(self, args: list[Any]) -> Any:
        try:
            return self._call(*args, **self._kwargs)
        except (SystemExit, exceptions.AsyncioActorExit):
            _exit_actor()
        except BaseException as error:
            if self._loop.closed():
                raise
            return failure(self._name, error)

    def _write(self, result: Any) -> None:
        assert self._output is not None
        try:
            self._output.write(result, None)
        except exceptions.RayChannelError:
            raise
        except Exception as error:  # it does not pickle, or there is no memory for it
            self._output.write(failure(self._name, error), None)


def _pick(values: Any, index: int, count: int) -> Any:
    if not hasattr(values, "__len__") or len(values) != count:
        raise ValueError(
            f"The method was to return {count} values (num_returns), and returned {values!r}."
        )
    return operator.getitem(values, index)


def failure(name: str, error: BaseException) -> Failure:
    """What stands for an exception of `name`."""
    return Failure(_serialization.task_error(name, error))


def _exit_actor() -> None:
    from .. import _worker

    core = client()
    core.leaving("exit_actor() was called")
    _worker._exit_now(core)


class Loop:
    """The loop of one graph on this actor."""

    def __init__(self, instance: Any, plan: Plan) -> None:
        self.instance = instance
        self._opened: list[Channel] = []
        self.readers: dict[int, Channel] = {}
        for node, (address, number) in plan.inputs.items():
            self.readers[node] = self.open(address)
            self.readers[node].become_reader(number)
        self._steps = [_Step(step, self) for step in plan.steps]
        self._driver = None
        if plan.driver != os.getpid():
            self._driver = _watch.watch(plan.driver, self.close)
            if self._driver is None:
                raise exceptions.RayChannelError("the process that compiled the graph has ended")
        self._thread = threading.Thread(
            target=self._run, daemon=True, name=f"compiled-graph-{plan.graph[:8]}"
        )
        self._thread.start()

    def open(self, address: Address) -> Channel:
        channel = Channel.open(address)
        self._opened.append(channel)
        return channel

    def closed(self) -> bool:
        """Whether the loop is to end."""
        return not self._opened or self._opened[0].closed()

    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    def close(self) -> None:
        """Ends the loop, and all that wait for it, after the method that runs."""
        for channel in self._opened:
            channel.close()

    def end(self) -> None:
        """Ends the loop and waits for it."""
        self.close()
        self._thread.join()

    def _run(self) -> None:
        count_thread(True)
        try:
            while not self.closed():
                values: dict[int, Any] = {}
                for step in self._steps:
                    step.run(values)
        except exceptions.RayChannelError:
            pass
        except BaseException:
            if not self.closed():
                logger.exception("The loop of a compiled graph has ended by an error.")
        finally:
            self.close()
            if self._driver is not None:
                _watch.forget(self._driver)
            self._steps.clear()  # with what they hold of shared memory: stop() need never come
            self.readers.clear()
            self._opened.clear()
            count_thread(False)


_loops: dict[str, Loop] = {}


def start(instance: Any, plan: Plan) -> int:
    """Runs on the actor: begins its loop of a graph. Gives the actor's process."""
    for graph in [graph for graph, loop in _loops.items() if loop.has_ended()]:
        del _loops[graph]  # of a program that ended without teardown()
    _loops[plan.graph] = Loop(instance, plan)
    return os.getpid()


def stop(_instance: Any, graph: str) -> None:
    """Runs on the actor: ends its loop of a graph, after the method that runs."""
    loop = _loops.pop(graph, None)
    if loop is not None:
        loop.end()


def address_of(channel: Channel, number: int) -> Address:
    """Of a channel that this process has made with id `number`."""
    return (os.getpid(), channel.fd(), number)


def new_channel(slots: int, readers: int, slot_bytes: int) -> tuple[Channel, Address]:
    """A channel of this process."""
    number = int.from_bytes(os.urandom(8), "little")
    channel = Channel.make(slots, readers, slot_bytes, number)
    return channel, address_of(channel, number)
