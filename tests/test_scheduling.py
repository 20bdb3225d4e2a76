"""Where tasks and actors run: labels, affinity, placement groups. Ray's contract, too: `./dev test --peer ray`."""

import importlib
import os

import pytest
from _support import PEER, ray, wait_for

strategies = importlib.import_module(f"{ray.__name__}.util.scheduling_strategies")
In, NotIn, Exists = strategies.In, strategies.NotIn, strategies.Exists
Affinity = strategies.NodeAffinitySchedulingStrategy
ByLabel = strategies.NodeLabelSchedulingStrategy
InGroup = strategies.PlacementGroupSchedulingStrategy
errors = ray.exceptions
STRANGER = "ab" * 28  # no node has this id
SHORT_S = 1.0 if PEER else 0.2  # what cannot run has not run by then

only_eagleray = pytest.mark.skipif(PEER, reason="Ray waits without end, or says less")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    ray.init(num_cpus=4, resources={"custom": 2}, labels={"zone": "a", "text": "a, b=c"})
    yield
    ray.shutdown()


@ray.remote
def one():
    return 1


@ray.remote
class Actor:
    def one(self):
        return 1


def task_with(**options):
    return one.options(**options).remote()


def actor_with(**options):
    return Actor.options(**options).remote().one.remote()


both = pytest.mark.parametrize("call", [task_with, actor_with])


def expect(ref, runs):
    if runs:
        assert ray.get(ref, timeout=60) == 1
    else:
        assert ray.wait([ref], timeout=SHORT_S)[0] == []


def here():
    return ray.get_runtime_context().get_node_id()


# ---- labels ----


def test_a_node_shows_its_labels():
    labels = ray.get_runtime_context().get_node_labels()
    assert (
        labels["zone"] == "a" and labels["text"] == "a, b=c" and labels["ray.io/node-id"] == here()
    )
    assert ray.nodes()[0]["Labels"] == labels


@both
@pytest.mark.parametrize(
    ("selector", "runs"),
    [
        ({"zone": "a"}, True),
        ({"zone": "in(a,b)"}, True),
        ({"zone": "!in(b,c)"}, True),
        ({"none.such/label": "!a"}, True),
        ({"zone": "b"}, False),
        ({"zone": "!a"}, False),
        ({"zone": "a", "none-such": "a"}, False),
    ],
    ids=str,
)
def test_label_selectors(call, selector, runs):
    expect(call(label_selector=selector), runs)


@pytest.mark.parametrize(
    "selector",
    [{"a b": "x"}, {"": "x"}, {"x/y/z": "x"}, {"-a": "x"}, {"z/": "x"}]
    + [{"a": value} for value in ("exists()", "in()", "in(a,)", "!", "!!b", "not_in(a)", "x" * 64)],
    ids=str,
)
def test_malformed_selectors(selector):
    with pytest.raises(ValueError, match="label"):
        one.options(label_selector=selector)


@both
@pytest.mark.parametrize(
    ("fallback", "runs"),
    [(["a"], True), (["c", "a"], True), (["c"], False), ([], False)],
    ids=str,
)
def test_fallbacks_are_tried_when_the_selector_fits_no_node(call, fallback, runs):
    rest = [{"label_selector": {"zone": zone}} for zone in fallback]
    expect(call(label_selector={"zone": "b"}, fallback_strategy=rest), runs)


@pytest.mark.parametrize(
    "fallback",
    [
        [1],
        [{}],
        [{"num_cpus": 1}],
        [{"label_selector": 1}],
        [{"label_selector": {"zone": "a!"}}],
        {"label_selector": {}},
    ],
    ids=str,
)
def test_malformed_fallbacks(fallback):
    with pytest.raises((ValueError, TypeError)):
        one.options(label_selector={"zone": "b"}, fallback_strategy=fallback)


@both
@pytest.mark.parametrize(
    ("strategy", "runs"),
    [
        (ByLabel({"zone": In("a", "b")}), True),
        (ByLabel({"zone": NotIn("b")}), True),
        (ByLabel({"zone": Exists()}), True),
        (ByLabel(None, soft={"zone": In("b")}), True),
        (ByLabel({"zone": In("b")}), False),
        (ByLabel({"none such": Exists()}), False),
    ],
    ids=["in", "not in", "exists", "soft", "not there", "no such label"],
)
def test_node_label_strategy(call, strategy, runs):
    expect(call(scheduling_strategy=strategy), runs)


@both
def test_selector_and_strategy_must_both_hold(call):
    expect(call(label_selector={"zone": "b"}, scheduling_strategy="SPREAD"), False)
    expect(call(label_selector={"zone": "a"}, scheduling_strategy="SPREAD"), True)
    expect(
        call(label_selector={"zone": "b"}, scheduling_strategy=ByLabel({"zone": In("a")})), False
    )


@only_eagleray
@both
def test_a_wait_that_cannot_end_says_why(call):
    for options, why in (
        ({"label_selector": {"zone": "b"}}, "zone: b"),
        ({"resources": {"nowhere": 1}}, "nowhere: 1"),
    ):
        ref = call(**options)

        def reason(ref=ref):
            with pytest.raises(errors.GetTimeoutError) as caught:
                ray.get(ref, timeout=0.1)
            return str(caught.value)

        wait_for(lambda why=why, reason=reason: "no node can ever" in (t := reason()) and why in t)


# ---- affinity ----


@both
def test_affinity_to_this_node(call):
    expect(call(scheduling_strategy=Affinity(here(), soft=False)), True)
    expect(call(scheduling_strategy=Affinity(here(), soft=True)), True)


@both
def test_soft_affinity_to_a_node_that_is_not_there(call):
    expect(call(scheduling_strategy=Affinity(STRANGER, soft=True)), True)


@pytest.mark.parametrize(
    ("call", "error"),
    [(task_with, errors.TaskUnschedulableError), (actor_with, errors.ActorUnschedulableError)],
)
def test_hard_affinity_that_no_node_satisfies_is_an_error(call, error):
    for options in (
        {"scheduling_strategy": Affinity(STRANGER, soft=False)},
        {"scheduling_strategy": Affinity(here(), soft=False), "num_cpus": 100},
        {"scheduling_strategy": Affinity(here(), soft=False), "label_selector": {"zone": "b"}},
    ):
        with pytest.raises(error, match="NodeAffinitySchedulingStrategy"):
            ray.get(call(**options), timeout=60)
    expect(call(), True)


# ---- placement groups ----


@pytest.fixture
def group(request):
    made = ray.util.placement_group(**getattr(request, "param", {"bundles": [{"CPU": 1}]}))
    yield made
    ray.util.remove_placement_group(made)


never = pytest.mark.parametrize("group", [{"bundles": [{"CPU": 100}]}], indirect=True)
split = pytest.mark.parametrize(
    "group", [{"bundles": [{"CPU": 1}, {"CPU": 1, "custom": 1}]}], indirect=True
)


@both
@split
def test_what_fits_no_bundle_is_refused_at_once(call, group):
    for options in ({"num_cpus": 2}, {"num_cpus": 1, "resources": {"nowhere": 1}}):
        with pytest.raises(ValueError, match="cannot fit into any bundles"):
            call(scheduling_strategy=InGroup(group), **options)
    expect(call(scheduling_strategy=InGroup(group), num_cpus=1, resources={"custom": 1}), True)


@only_eagleray
@both
@split
def test_what_does_not_fit_its_bundle_is_refused_at_once(call, group):
    with pytest.raises(ValueError, match="cannot fit into bundle 0"):
        call(scheduling_strategy=InGroup(group, 0), num_cpus=1, resources={"custom": 1})


@pytest.mark.parametrize("group", [{"bundles": [{"custom": 1}]}], indirect=True)
def test_an_actor_wants_a_cpu_to_start(group):
    with pytest.raises(ValueError, match="requires 1 CPU for creation"):
        actor_with(scheduling_strategy=InGroup(group))
    expect(actor_with(scheduling_strategy=InGroup(group), num_cpus=0), True)


def test_names_are_unique_and_free_again_after_removal():
    first = ray.util.placement_group([{"CPU": 1}], name="unique")
    with pytest.raises(errors.RaySystemError, match="already exists"):
        ray.util.placement_group([{"CPU": 1}], name="unique")
    assert ray.util.get_placement_group("unique").id == first.id
    ray.util.remove_placement_group(first)
    wait_for(lambda: ray.util.placement_group_table(first)["state"] == "REMOVED")
    with pytest.raises(ValueError, match="unique"):
        ray.util.get_placement_group("unique")
    second = ray.util.placement_group([{"CPU": 1}], name="unique")
    assert second.wait(60)
    ray.util.remove_placement_group(second)


def test_the_table_of_a_group():
    group = ray.util.placement_group([{"CPU": 1}, {"custom": 1}], name="listed", strategy="SPREAD")
    assert group.wait(60)
    table = ray.util.placement_group_table(group)
    assert table["placement_group_id"] == group.id.hex()
    assert (table["name"], table["strategy"], table["state"]) == ("listed", "SPREAD", "CREATED")
    assert table["bundles"] == {0: {"CPU": 1.0}, 1: {"custom": 1.0}}
    assert table["bundles_to_node_id"] == {0: here(), 1: here()}
    assert table["stats"]["scheduling_state"] == "FINISHED"
    assert ray.util.placement_group_table()[group.id.hex()] == table
    ray.util.remove_placement_group(group)
    wait_for(lambda: ray.util.placement_group_table(group)["state"] == "REMOVED")
    table = ray.util.placement_group_table(group)
    assert table["bundles"] == {0: {"CPU": 1.0}, 1: {"custom": 1.0}}
    assert table["stats"]["scheduling_state"] == "REMOVED"


@never
def test_the_table_of_a_group_that_can_never_be(group):
    assert not group.wait(0.5)
    table = ray.util.placement_group_table(group)
    assert table["state"] == "PENDING" and table["bundles_to_node_id"] == {0: ""}
    assert table["stats"]["scheduling_state"] == "INFEASIBLE"


def test_ready_and_wait_of_a_removed_group():
    group = ray.util.placement_group([{"CPU": 100}])
    ready = group.ready()
    assert ray.wait([ready], timeout=SHORT_S)[0] == []
    ray.util.remove_placement_group(group)
    with pytest.raises(errors.TaskPlacementGroupRemoved):
        ray.get(ready, timeout=60)
    with pytest.raises(errors.TaskPlacementGroupRemoved):
        ray.get(group.ready(), timeout=60)
    with pytest.raises(Exception, match="does not exist"):
        group.wait(1)


def in_group(amounts, group):
    """What is listed of a group, and of CPU."""
    id = group.id.hex()
    return {k.replace(id, "ID"): v for k, v in amounts.items() if k == "CPU" or id in k}


def test_reserved_bundles_are_resources():
    group = ray.util.placement_group([{"CPU": 1}, {"CPU": 1.5, "custom": 0.5}])
    ray.get(group.ready(), timeout=60)
    total = {
        "CPU": 4.0,
        "CPU_group_ID": 2.5,
        "CPU_group_0_ID": 1.0,
        "CPU_group_1_ID": 1.5,
        "custom_group_ID": 0.5,
        "custom_group_1_ID": 0.5,
        "bundle_group_ID": 2000.0,
        "bundle_group_0_ID": 1000.0,
        "bundle_group_1_ID": 1000.0,
    }

    def have(amounts):
        wait_for(lambda: in_group(ray.cluster_resources(), group) == total)
        wait_for(lambda: in_group(ray.available_resources(), group) == {**total, **amounts})

    have({"CPU": 1.5})
    inside = Actor.options(num_cpus=0.5, scheduling_strategy=InGroup(group, 1)).remote()
    ray.get(inside.one.remote())
    used = {
        "CPU": 1.5,
        "CPU_group_ID": 2.0,
        "CPU_group_1_ID": 1.0,
        "bundle_group_ID": 1999.999,
        "bundle_group_1_ID": 999.999,
    }
    have(used)
    assert not any("group" in name for name in ray.nodes()[0]["Resources"])
    ray.kill(inside)
    have({"CPU": 1.5})
    ray.util.remove_placement_group(group)
    wait_for(lambda: in_group(ray.cluster_resources(), group) == {"CPU": 4.0})
    wait_for(lambda: in_group(ray.available_resources(), group) == {"CPU": 4.0})


def test_a_driver_holds_no_resources():
    with pytest.raises(AssertionError, match="only available when the process is a"):
        ray.get_runtime_context().get_assigned_resources()


def test_a_group_that_waits_is_no_resource():
    group = ray.util.placement_group([{"CPU": 100}])
    assert not group.wait(SHORT_S)
    assert in_group(ray.cluster_resources(), group) == {"CPU": 4.0}
    ray.util.remove_placement_group(group)


@only_eagleray
def test_polling_for_a_group_leaves_one_task():
    group = ray.util.placement_group([{"CPU": 100}])
    waiting = {group.ready() for _ in range(10) if not group.wait(0)}
    assert len(waiting) == 1
    ray.cancel(waiting.pop())
    assert wait_for(lambda: not ray.wait([group.ready()], timeout=0)[0])  # a fresh one waits
    ray.util.remove_placement_group(group)


@only_eagleray
def test_what_waits_for_a_removed_group_fails():
    group = ray.util.placement_group([{"CPU": 100}])
    strategy = InGroup(group)
    waiting = [task_with(scheduling_strategy=strategy), actor_with(scheduling_strategy=strategy)]
    assert ray.wait(waiting, timeout=SHORT_S)[0] == []
    ray.util.remove_placement_group(group)
    late = [task_with(scheduling_strategy=strategy), actor_with(scheduling_strategy=strategy)]
    for of_task, of_actor in (waiting, late):
        with pytest.raises(errors.TaskPlacementGroupRemoved):
            ray.get(of_task, timeout=60)
        with pytest.raises(errors.ActorPlacementGroupRemoved):
            ray.get(of_actor, timeout=60)


def test_removal_ends_what_runs_inside(group, tmp_path):
    assert group.wait(60)

    @ray.remote(num_cpus=1, max_retries=0)
    def runs(path):
        open(path, "w").close()
        wait_for(lambda: False, 1000)

    running = runs.options(scheduling_strategy=InGroup(group)).remote(tmp_path / "runs")
    wait_for(lambda: os.path.exists(tmp_path / "runs"))
    queued = task_with(scheduling_strategy=InGroup(group))
    ray.util.remove_placement_group(group)
    with pytest.raises(errors.WorkerCrashedError):
        ray.get(running, timeout=60)
    if not PEER:  # in Ray it may wait without end (docs/user/differences.md)
        with pytest.raises(errors.TaskPlacementGroupRemoved):
            ray.get(queued, timeout=60)


def test_removal_ends_the_actors_inside(group):
    actor = Actor.options(scheduling_strategy=InGroup(group)).remote()
    assert ray.get(actor.one.remote(), timeout=60) == 1
    ray.util.remove_placement_group(group)
    with pytest.raises(errors.ActorDiedError):
        wait_for(lambda: ray.get(actor.one.remote(), timeout=60) != 1, 30)


@pytest.mark.parametrize(("zone", "fits"), [("in(a,b)", True), ("!a", False)])
def test_bundles_choose_nodes_by_labels(zone, fits):
    group = ray.util.placement_group(
        [{"CPU": 1}, {"CPU": 1}], bundle_label_selector=[{"zone": zone}, {}]
    )
    assert group.wait(30 if fits else SHORT_S) == fits
    ray.util.remove_placement_group(group)


@pytest.mark.parametrize("selector", [[{}, {}], {"zone": "a"}, [1], [{"zone": "a!!"}]], ids=str)
def test_malformed_bundle_label_selectors(selector):
    with pytest.raises(ValueError):
        ray.util.placement_group([{"CPU": 1}], bundle_label_selector=selector)


def test_soft_target_nodes():
    for strategy, node in (("PACK", STRANGER), ("STRICT_PACK", "zz")):
        with pytest.raises(ValueError, match="_soft_target_node_id"):
            ray.util.placement_group([{"CPU": 1}], strategy=strategy, _soft_target_node_id=node)
    group = ray.util.placement_group(
        [{"CPU": 1}], strategy="STRICT_PACK", _soft_target_node_id=STRANGER
    )
    assert group.wait(60)
    ray.util.remove_placement_group(group)


@only_eagleray
@never
@both
def test_a_wait_for_a_group_that_can_never_be_says_so(call, group):
    ref = call(scheduling_strategy=InGroup(group))

    def reason():
        with pytest.raises(errors.GetTimeoutError) as caught:
            ray.get(ref, timeout=0.1)
        return str(caught.value)

    wait_for(lambda: "no node can ever hold its placement group" in reason())
