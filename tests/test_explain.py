"""ray.util.explain() and who holds what."""

import pytest
from _support import PEER, ray, wait_for

if not PEER:
    from eagleray import _memory, _status
    from eagleray._state_rows import Lookout

pytestmark = pytest.mark.skipif(PEER, reason="Ray has no such function")


@pytest.fixture(scope="module")
def cluster():
    ray.init(num_cpus=1)
    yield
    ray.shutdown()


@pytest.fixture
def holder(cluster, tmp_path):
    """A task that has the only CPU until the flag is there."""
    flag = tmp_path / "go"

    @ray.remote
    def holds():
        wait_for(flag.exists, 60)

    ref = holds.remote()
    wait_for(lambda: ray.util.explain(ref).state == "RUNNING")
    yield ref
    flag.touch()
    ray.get(ref)


@ray.remote
def f(x):
    return x


def test_what_ran_is_told_with_phases_and_bytes(cluster):
    ref = f.remote(b"x" * 1000)
    ray.get(ref)
    made = ray.util.explain(ref)
    assert (made.what, made.state) == ("task f", "FINISHED")
    assert made.argument_bytes > 1000 and made.result_bytes > 1000
    assert [name for name, _ in made.phases] == [
        "waited for its arguments",
        "waited for a worker",
        "was on its way",
        "ran",
    ]
    assert made.worker_pid and made.node_id == ray.get_runtime_context().get_node_id()
    assert "task f" in str(made) and "ran" in str(made)


def test_who_waits_for_arguments_is_told_which(holder):
    waits = f.options(name="waits").remote(holder)
    made = ray.util.explain(waits)
    assert made.state == "PENDING_ARGS_AVAIL"
    assert [(each.what, each.state) for each in made.waits_for] == [("task holds", "RUNNING")]
    ray.cancel(waits)


def test_who_waits_for_a_worker_is_told_how_many_stand_before(holder):
    queued = [f.remote(i) for i in range(5)]
    made = wait_for(
        lambda: (e := ray.util.explain(queued[-1])) and "tasks stand before" in e.reason and e
    )
    assert made.state in ("PENDING_NODE_ASSIGNMENT", "SUBMITTED_TO_WORKER")
    for ref in queued:
        ray.cancel(ref)


def test_what_can_never_run_is_told_so(cluster):
    ref = f.options(resources={"nope": 1}).remote(1)
    wait_for(lambda: "no node can ever run it" in ray.util.explain(ref).reason)
    ray.cancel(ref)
    slip = f.options(resources={"cpus": 1}).remote(1)
    wait_for(lambda: "is 'CPU' meant by 'cpus'?" in ray.util.explain(slip).reason)
    ray.cancel(slip)


def test_a_group_that_can_never_be_is_told_so(cluster):
    group = ray.util.placement_group([{"cpus": 1}])
    ready = group.ready()
    says = f"placement group {group.id.hex()}: it wants {{cpus: 1}}"
    made = wait_for(lambda: says in (e := ray.util.explain(ready)).reason and e)
    assert "is 'CPU' meant by 'cpus'?" in made.reason
    told = _status.text_of(_status.facts())
    of_group = told[told.index("no node can ever hold it: it wants {cpus: 1}") :]
    assert "is 'CPU' meant by 'cpus'?" in of_group.splitlines()[0]
    ray.util.remove_placement_group(group)


def test_a_failure_and_its_attempts_are_told(cluster):
    @ray.remote(max_retries=1, retry_exceptions=True)
    def fails():
        raise ValueError("no such luck")

    ref = fails.remote()
    with pytest.raises(ValueError):
        ray.get(ref)
    made = ray.util.explain(ref.hex())
    assert made.state == "FAILED" and "no such luck" in made.reason
    assert made.attempts == ["attempt 0 failed: TASK_EXECUTION_EXCEPTION"]


def test_actors_and_objects(cluster):
    @ray.remote(num_cpus=0)
    class A:
        def m(self):
            return 1

    actor = A.remote()
    ray.get(actor.m.remote())
    made = ray.util.explain(actor)
    assert (made.what, made.state) == ("actor A", "ALIVE") and made.worker_pid
    waits = A.options(resources={"nope": 1}).remote()
    wait_for(lambda: "no node can ever run it" in ray.util.explain(waits).reason)
    mine = ray.put(b"y" * 5000)
    assert ray.util.explain(mine).result_bytes > 5000
    with pytest.raises(ValueError, match="nothing is known"):
        ray.util.explain("ab" * 24)
    with pytest.raises(ValueError, match="no id"):
        ray.util.explain("ab")


# ---- who holds what ----


def held(ref):
    rows = [r for r in _memory.facts(Lookout(10)) if r["object_id"] == ref]
    return rows[0] if rows else None


class Thing:
    pass


KEPT = {}


def test_variables_and_attributes_are_named(cluster):
    KEPT["a"] = ray.put(1)
    thing = Thing()
    thing.ref = ray.put(2)
    row = held(KEPT["a"].hex())
    assert any("KEPT of module" in each and "a dict of 1" in each for each in row["held_by"])
    assert not row["leak"]
    assert any(each.startswith("attribute: ref of a") for each in held(thing.ref.hex())["held_by"])
    KEPT.clear()


def test_local_variables_are_named(cluster):
    mine = ray.put(1)
    row = held(mine.hex())
    assert any("mine in test_local_variables_are_named()" in each for each in row["held_by"])
    assert row["reference_type"] == "LOCAL_REFERENCE" and not row["leak"]


def test_a_traceback_that_holds_a_reference_is_a_leak(cluster):
    def fails():
        lost = ray.put("lost")
        raise ValueError(lost.hex())

    try:
        fails()
    except ValueError as error:
        kept = error
    row = held(str(kept))
    assert row["leak"] and row["held_by"][0].startswith("traceback: lost in fails()")
    text = _memory.text_of(_memory.facts(Lookout(10)))
    assert str(kept) in text.split("--- Leaks")[1]


def test_a_closure_that_holds_a_reference_is_a_leak(cluster):
    def make():
        caught = ray.put("caught")
        return lambda: caught, caught.hex()

    keeps, ref = make()
    row = held(ref)
    assert row["leak"] and "closure: caught captured by" in row["held_by"][0]
    assert keeps is not None


def test_workers_tell_too(cluster):
    @ray.remote(num_cpus=0)
    class Keeper:
        def keep(self, refs):
            self.refs = refs

    keeper = Keeper.remote()
    mine = ray.put(1)
    ray.get(keeper.keep.remote([mine]))
    rows = [r for r in _memory.facts(Lookout(10)) if r["object_id"] == mine.hex()]
    theirs = next(r for r in rows if r["type"] == "WORKER")
    assert any(
        "a list of 1: attribute: refs" in each or "refs of a" in each for each in theirs["held_by"]
    )


def test_the_search_does_not_find_itself(cluster):
    """In lists within lists, of which it asks what holds them."""

    @ray.remote(num_cpus=0)
    class Keeper:
        def __init__(self):
            self.kept = []

        def keep(self, refs):
            self.kept.append([refs])

    keeper = Keeper.remote()
    mine = ray.put(1)
    ray.get(keeper.keep.remote([mine]))
    rows = [r for r in _memory.facts(Lookout(10)) if r["object_id"] == mine.hex()]
    (theirs,) = [r["held_by"] for r in rows if r["type"] == "WORKER"]
    assert len(theirs) == 1 and "list_iterator" not in theirs[0] and "a list of 1" in theirs[0]


def test_text_has_groups_sums_and_units(cluster):
    mine = ray.put(b"z" * 3_000_000)
    rows = _memory.facts(Lookout(10))
    text = _memory.text_of(rows, "STACK_TRACE", "PID", "MB")
    assert "--- Summary for call_site: disabled ---" in text and mine.hex() in text
    assert "Local References" in text and " MB" in text
    assert mine.hex() not in _memory.text_of(rows, stats_only=True).split("--- Leaks")[0]
