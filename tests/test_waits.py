"""Waits that never end are errors, and a long wait says what it waits for."""

from __future__ import annotations

import os
import re
import signal

import pytest
from _support import PEER, ray, start_program, wait_for

pytestmark = [pytest.mark.only_eagleray, pytest.mark.usefixtures("cluster")]
DeadlockError = Exception if PEER else ray.exceptions.DeadlockError


@ray.remote
class Partner:
    def __init__(self):
        self.partner = None

    def meet(self, partner):
        self.partner = partner

    def echo(self, value):
        return value

    def ask(self, value):
        return ray.get(self.partner.echo.remote(value))

    def ask_back(self, value):
        return ray.get(self.partner.ask.remote(value))

    def ask_in_time(self, value, timeout):
        return ray.get(self.partner.ask.remote(value), timeout=timeout)


def couple():
    a, b = Partner.remote(), Partner.remote()
    ray.get([a.meet.remote(b), b.meet.remote(a)])
    return a, b


def test_two_actors_that_wait_for_each_other():
    a, b = couple()
    with pytest.raises(DeadlockError, match="Partner.ask_back .*waits for Partner.ask") as caught:
        ray.get(a.ask_back.remote(1))
    assert "Partner.echo" in str(caught.value)
    assert "cannot start before Partner.ask_back" in str(caught.value)
    assert ray.get([a.ask.remote(2), b.echo.remote(3)]) == [2, 3]


def test_an_actor_that_waits_for_itself():
    a = Partner.remote()
    ray.get(a.meet.remote(a))
    with pytest.raises(DeadlockError, match="Partner.ask .*waits for Partner.echo"):
        ray.get(a.ask.remote(1))
    assert ray.get(a.echo.remote(1)) == 1


def test_a_ring_of_actors_with_tasks_between():
    @ray.remote
    def relay(actor, value):
        return ray.get(actor.ask.remote(value))

    @ray.remote
    class Link:
        def follow(self, following):
            self.following = following

        def ask(self, value):
            return ray.get(relay.remote(self.following, value)) if value else value

    ring = [Link.remote() for _ in range(3)]
    ray.get([link.follow.remote(ring[i - 1]) for i, link in enumerate(ring)])
    with pytest.raises(DeadlockError):
        ray.get(ring[0].ask.remote(1))
    assert ray.get([link.ask.remote(0) for link in ring]) == [0, 0, 0]


def test_a_cycle_through_an_argument():
    @ray.remote
    def pass_on(value):
        return value

    @ray.remote
    class Loop:
        def ask(self, me):
            return ray.get(pass_on.remote(me.echo.remote(1)))

        def echo(self, value):
            return value

    loop = Loop.remote()
    with pytest.raises(DeadlockError, match="Loop.echo"):
        ray.get(loop.ask.remote(loop))


def test_a_constructor_that_waits_for_its_own_actor():
    @ray.remote
    class Friend:
        def call(self, actor):
            return ray.get(actor.echo.remote(1))

    @ray.remote
    class Hasty:
        def __init__(self, friend):
            me = ray.get_runtime_context().current_actor
            ray.get(friend.call.remote(me))

        def echo(self, value):
            return value

    friend = Friend.remote()
    hasty = Hasty.remote(friend)
    with pytest.raises(ray.exceptions.RayError, match="cycle of waits"):
        ray.get(hasty.echo.remote(1))


def test_a_wait_with_a_time_limit_is_no_deadlock():
    a, b = couple()
    with pytest.raises(ray.exceptions.GetTimeoutError):
        ray.get(a.ask_in_time.remote(1, 1.5))
    wait_for(lambda: ray.get(b.echo.remote(1)) == 1)


def test_a_threaded_actor_may_call_itself():
    for _ in range(20):  # its other thread takes the call while it looks for one, or sleeps
        actor = Partner.options(max_concurrency=2).remote()
        ray.get(actor.meet.remote(actor))
        assert ray.get(actor.ask.remote(1)) == 1


def never_run(cpus):
    """A task, and a call of an actor that no node can hold."""
    actor = Partner.options(num_cpus=cpus + 1).remote()
    return [ray.remote(num_cpus=cpus)(lambda: 1).remote(), actor.echo.remote(1)]


def polled(refs, capfd):
    """What a poll says, that comes 5 s after the one before."""
    ray._state.state.looks_from = 0.0
    assert ray.wait(refs, timeout=0) == ([], refs)
    return capfd.readouterr().err


def test_polling_tells_once_what_can_never_run(capfd):
    refs = never_run(1000)
    told = []

    def both_told():
        told.append(polled(refs, capfd))
        text = "".join(told)
        return all(f"no node can ever run it: it wants {{CPU: {n}}}" in text for n in (1000, 1001))

    wait_for(both_told)
    assert "its actor has not started: no node can ever run it" in "".join(told)
    assert polled(refs, capfd) == polled(refs, capfd) == ""
    ray.cancel(refs[0])


def test_references_that_are_polled_one_by_one_have_each_their_look(capfd):
    gate = ray.remote(num_cpus=3000)(lambda: 1).remote()
    other = ray.remote(num_cpus=3001)(lambda: 1).remote()
    told = []

    def both_told():
        ray._state.state.looks_from = 0.0
        for ref in (gate, other):
            ray.wait([ref], timeout=0)
        told.append(capfd.readouterr().err)
        return all(f"CPU: {number}" in "".join(told) for number in (3000, 3001))

    wait_for(both_told)
    for ref in (gate, other):
        ray.cancel(ref)


def test_polling_tells_nothing_of_what_is_not_asked(capfd):
    @ray.remote
    def blocks(gate):
        ray.get(gate[0])

    gate = ray.remote(num_cpus=2000)(lambda: 1).remote()
    runs = blocks.remote([gate])
    core = ray._state.client()
    wait_for(lambda: any("CPU: 2000" in d["reason"] for d in core.node_status()["demands"]))
    assert polled([runs], capfd) == polled([runs], capfd) == ""
    wait_for(lambda: "CPU: 2000" in polled([gate], capfd))
    ray.cancel(gate)


def test_a_poll_keeps_its_time_when_the_node_does_not_answer():
    program = start_program(
        """
        import eagleray as ray, os, signal, subprocess
        ray.init(num_cpus=1)
        refs = [ray.remote(num_cpus=9)(lambda: 1).remote()]
        zygote = ray.get(ray.remote(os.getppid).remote())
        node = int(subprocess.check_output(["ps", "-o", "ppid=", "-p", str(zygote)]))
        print(node, flush=True)
        os.kill(node, signal.SIGSTOP)
        kept = []
        for _ in range(3):
            ray._state.state.looks_from = 0.0
            kept.append(ray.wait(refs, timeout=0) == ([], refs))
        print(kept, flush=True)
        os.kill(node, signal.SIGCONT)
        """
    )
    node = int(program.stdout.readline())
    try:
        assert program.stdout.readline() == "[True, True, True]\n"
    finally:
        if program.poll() is None:
            os.kill(node, signal.SIGCONT)
            program.terminate()
        program.communicate(timeout=60)


def test_a_wait_without_end_tells_what_can_never_run():
    program = start_program(
        """
        import eagleray as ray
        ray.init(num_cpus=1)
        @ray.remote(num_cpus=9)
        class Actor:
            def method(self): pass
        ray.wait([ray.remote(num_cpus=8)(lambda: 1).remote(), Actor.remote().method.remote()])
        """
    )
    try:
        for said in ("no node", "its actor has not started: no node"):
            assert f"eagleray: wait(): {said} can ever run it" in program.stderr.readline()
    finally:
        program.terminate()
        program.communicate(timeout=60)


def test_a_wait_without_end_finds_its_cycle_before_it_says_what_it_waits_for():
    @ray.remote
    class Waits:
        def meet(self, own):
            self.own = own
            ray._api.WAIT_EXPLAIN_S = 1e6

        def ask(self):
            return ray.wait([self.own.ask.remote()])

    a = Waits.remote()
    ray.get(a.meet.remote(a))
    with pytest.raises(DeadlockError, match="Waits.ask .*waits for Waits.ask"):
        ray.get(a.ask.remote(), timeout=120)


def test_a_slow_task_is_no_deadlock():
    @ray.remote
    def slow(gate):
        while not ray.get(gate.is_open.remote()):
            pass
        return 1

    @ray.remote
    class Gate:
        def __init__(self):
            self.calls = 0

        def is_open(self):
            self.calls += 1
            return self.calls > 500

    @ray.remote
    def waits(refs):
        return ray.get(refs[0])

    assert ray.get(waits.remote([slow.remote(Gate.remote())])) == 1


def test_an_async_actor_calls_itself_and_passes_references():
    @ray.remote
    class Selfish:
        async def start(self, me):
            value = ray.put([1, 2])
            boxed = await me.box.remote([value])
            return ray.get(boxed[0])

        async def box(self, refs):
            return refs

    actor = Selfish.remote()
    assert ray.get(actor.start.remote(actor)) == [1, 2]


def test_what_a_long_wait_waits_for():
    @ray.remote
    def hold(signal):
        ray.get(signal.until.remote())

    @ray.remote
    def after(value):
        return value

    @ray.remote
    class Signal:
        async def until(self):
            await self.event()

        async def event(self):
            import asyncio

            self.waits = asyncio.Event()
            await self.waits.wait()

        async def set(self):
            self.waits.set()

    signal = Signal.remote()
    ref = after.remote(hold.remote(signal))
    said = r"hold \(pid \d+\) has been running for \d+ s and waits in get\(\) itself"

    def reason():
        with pytest.raises(ray.exceptions.GetTimeoutError) as caught:
            ray.get(ref, timeout=1)
        return str(caught.value)

    wait_for(lambda: re.search(said, reason()))
    ray.get(signal.set.remote())
    assert ray.get(ref) is None


def test_a_cancel_wakes_another_thread_that_waits():
    import threading

    @ray.remote(num_cpus=100)
    def never():
        return 1

    ref = never.remote()
    errors = []

    def wait():
        try:
            ray.get(ref)
        except ray.exceptions.TaskCancelledError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    ray.cancel(ref)
    thread.join(60)
    assert len(errors) == 1


def test_it_can_be_turned_off(request):
    ray.shutdown()
    try:
        ray.init(num_cpus=2, _system_config={"deadlock_after_ms": 0})
        a = Partner.remote()
        ray.get(a.meet.remote(a))
        with pytest.raises(ray.exceptions.GetTimeoutError):
            ray.get(a.ask.remote(1), timeout=2)
    finally:
        ray.shutdown()
