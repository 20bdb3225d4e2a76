"""A task is gone when it is answered: its memory is another's then, so the worker asks nothing more of it."""

import asyncio
import os

import pytest
from _support import PEER

if not PEER:
    from eagleray import _worker

pytestmark = pytest.mark.skipif(PEER, reason="our worker")


class Task:
    """One of the core's, that says so when it is asked too late."""

    FACTS = {
        "task_id": b"x" * 24,
        "name": "t",
        "function_name": "t",
        "group": "",
        "extra": b"",
        "num_returns": 1,
        "is_actor_task": True,
    }

    def __init__(self, function):
        self.answered = False
        self._function = function
        self.cancelled = False

    def __getattr__(self, name):
        assert not self.answered, f"{name} of a task that is answered"
        return self._function if name == "function" else self.FACTS[name]

    def arguments(self):
        assert not self.answered
        return (), {}


class Core:
    """Gives its tasks, and remembers the answers; ends with the last."""

    def __init__(self, *tasks, interrupted=False):
        self.waiting, self.left = list(tasks), len(tasks)
        self.answers = []
        self.bell = os.eventfd(0, os.EFD_NONBLOCK)
        self.interrupted = interrupted

    def task_fd(self):
        return self.bell

    def clear_task_fd(self):
        try:
            os.eventfd_read(self.bell)
        except BlockingIOError:
            pass

    def try_next_task(self):
        return self.waiting.pop(0) if self.waiting else None

    def is_cancelled(self, task):
        assert not task.answered, "of a task that is answered"
        return task.cancelled

    def cancel(self, task):
        task.cancelled = True
        os.eventfd_write(self.bell, 1)

    def finish(self, task, values):
        self.answer(task, values[0])

    def fail(self, task, record, retry, cancelled=False, leaving=False):
        self.answer(task, "cancelled" if cancelled else record)

    def answer(self, task, what):
        assert not task.answered, "answered twice"
        task.answered = True
        self.left -= 1
        self.answers.append(what)
        os.eventfd_write(self.bell, 1)
        if self.interrupted:
            raise KeyboardInterrupt

    def exiting(self):
        return self.left == 0


def run_loop(core, size=10):
    loop = asyncio.new_event_loop()
    try:
        _worker._run_async(core, {"max_concurrency": size, "groups": {}}, loop)
    finally:
        loop.close()
        os.close(core.bell)
    return core.answers


def test_coroutines_that_end_and_one_that_is_cancelled_among_them():
    async def returns():
        return 1

    async def fails():
        raise ValueError("no")

    async def cancels():
        core.cancel(stays)
        await asyncio.sleep(0)
        return 2

    stays = Task(lambda: asyncio.sleep(1000))
    core = Core(Task(returns), Task(fails), stays, Task(cancels))
    first, failed, *rest = run_loop(core)
    assert first == 1 and "no" in str(failed) and set(rest) == {2, "cancelled"}


def test_a_coroutine_that_is_cancelled_before_its_turn_is_answered():
    """Behind as many as may run at once, and before its first step."""

    async def cancels():
        await asyncio.sleep(0)  # the one behind it waits for its turn
        core.cancel(queued)
        await asyncio.sleep(0)
        return 1

    queued, never = Task(asyncio.sleep), Task(asyncio.sleep)
    never.cancelled = True
    core = Core(Task(cancels), queued, never)
    assert sorted(map(str, run_loop(core, size=1))) == ["1", "cancelled", "cancelled"]


def test_an_interrupt_that_comes_after_the_answer_fails_nothing():
    core = Core(interrupted=True)
    _worker.run_task(core, Task(lambda: 7))
    os.close(core.bell)
    assert core.answers == [7]
