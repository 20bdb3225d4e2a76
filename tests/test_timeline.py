"""ray.timeline() and `eagleray timeline`."""

import json

import pytest
from _support import PEER, ray, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="Ray needs RAY_PROFILING=1 and a second's wait")

# What each of Ray 2.60's events has.
RAYS_KEYS = {"cat", "name", "pid", "tid", "ts", "dur", "ph", "cname", "args"}


@pytest.fixture(scope="module")
def ran():
    ray.init(num_cpus=2)

    @ray.remote
    def f(x):
        return x

    @ray.remote
    class A:
        def m(self):
            return 1

    actor = A.remote()
    refs = [f.remote(i) for i in range(3)] + [actor.m.remote()]
    ray.get(refs)
    yield refs
    ray.shutdown()


def test_a_span_for_each_task(ran):
    spans = ray.timeline()
    assert all(set(span) == RAYS_KEYS and span["ph"] == "X" for span in spans)
    assert sorted(span["name"] for span in spans) == ["task::A.m"] + ["task::f"] * 3
    assert {span["args"]["task_id"] for span in spans} == {ref.task_id().hex() for ref in ran}
    assert all(span["dur"] >= 0 and span["args"]["state"] == "FINISHED" for span in spans)
    assert {span["tid"].split(":")[0] for span in spans} == {"worker"}


def test_spans_of_one_worker_do_not_overlap(ran):
    rows = {}
    for span in ray.timeline():
        rows.setdefault(span["tid"], []).append((span["ts"], span["ts"] + span["dur"]))
    for spans in rows.values():
        spans.sort()
        assert all(end <= start for (_, end), (start, _) in zip(spans, spans[1:], strict=False))


def test_the_file_is_the_same(ran, tmp_path):
    path = tmp_path / "trace.json"
    assert ray.timeline(str(path)) is None
    key = lambda span: span["args"]["task_id"]  # noqa: E731
    assert sorted(json.loads(path.read_text()), key=key) == sorted(ray.timeline(), key=key)


def test_what_runs_is_there_too(ran, tmp_path):
    flag = tmp_path / "go"

    @ray.remote
    def goes_on():
        wait_for(flag.exists, 60)

    ref = goes_on.remote()
    wait_for(lambda: any(span["name"] == "task::goes_on" for span in ray.timeline()))
    flag.touch()
    ray.get(ref)


def test_needs_a_cluster():
    ray.shutdown()
    with pytest.raises(RuntimeError, match="init"):
        ray.timeline()
