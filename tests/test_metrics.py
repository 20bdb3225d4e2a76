"""Counters, gauges, histograms, and their end point."""

import io
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import import_module

import pytest
from _support import PEER, ray, run_program, wait_for

metrics = import_module(f"{ray.__name__}.util.metrics")
only_ours = pytest.mark.skipif(PEER, reason="Ray's needs its dashboard's agent")


# ---- what can be said of a metric; Ray's ----


def test_names_and_tags():
    with pytest.raises(ValueError, match="Empty name"):
        metrics.Counter("")
    with pytest.warns(UserWarning, match="will be discarded"):
        metrics.Counter("1 is no name").inc()
    with pytest.raises(TypeError, match="tuple"):
        metrics.Gauge("g1", tag_keys=["a"])
    with pytest.raises(TypeError, match="Tag keys must be str"):
        metrics.Gauge("g2", tag_keys=(1,))
    counter = metrics.Counter("c_tags", description="text", tag_keys=("a", "b"))
    with pytest.raises(ValueError, match="Unrecognized tag key c"):
        counter.set_default_tags({"c": "1"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.set_default_tags({"a": 1})
    assert counter.set_default_tags({"a": "1"}) is counter
    with pytest.raises(ValueError, match=re.escape("Missing value for tag key(s): b.")):
        counter.inc()
    counter.inc(tags={"b": "2"})
    with pytest.raises(TypeError, match="Tag values must be str"):
        counter.inc(tags={"b": 2})
    assert counter.info == {
        "name": "c_tags",
        "description": "text",
        "tag_keys": ("a", "b"),
        "default_tags": {"a": "1"},
    }


def test_values():
    counter = metrics.Counter("c_values")
    with pytest.raises(TypeError, match="int or float"):
        counter.inc("1")
    for value in (0, -1):
        with pytest.raises(ValueError, match="value must be >0"):
            counter.inc(value)
    gauge = metrics.Gauge("g_values")
    gauge.set(None)
    with pytest.raises(TypeError):
        gauge.set("1")
    with pytest.raises(ValueError, match="boundaries"):
        metrics.Histogram("h_values")
    with pytest.raises(ValueError, match="at index 1"):
        metrics.Histogram("h_values", boundaries=[1, -2])
    histogram = metrics.Histogram("h_values", boundaries=[1, 2])
    assert histogram.info["boundaries"] == [1, 2]
    with pytest.raises(TypeError):
        histogram.observe(None)


def test_they_can_be_sent():
    import pickle

    for metric in (
        metrics.Counter("sent_c", "text", ("a",)),
        metrics.Gauge("sent_g"),
        metrics.Histogram("sent_h", boundaries=[1.0]),
    ):
        assert pickle.loads(pickle.dumps(metric)).info == metric.info


# ---- the end point ----


def scrape(address, path="/metrics", **headers):
    request = urllib.request.Request(f"http://{address}{path}", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def samples(text):
    """name{labels}: value"""
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in rows}


@pytest.fixture
def address(cluster):
    from eagleray.util._metrics_server import find_address, server

    made = ray.get(server().address.remote())
    from eagleray._state import client

    assert find_address(client().info()["session_dir"]) == made
    return made


def eventually(address, wanted):
    def there():
        found = samples(scrape(address))
        return all(found.get(name) == value for name, value in wanted.items()) and found

    return wait_for(there)


@only_ours
def test_workers_are_added_up(address):
    @ray.remote
    class Worker:
        def __init__(self):
            self.counter = metrics.Counter("requests", "Requests.", ("route",))
            self.counter.set_default_tags({"route": "/"})
            self.latency = metrics.Histogram("latency", "Seconds.", [0.1, 1.0])
            self.load = metrics.Gauge("load", "Now.")

        def serve(self, seconds):
            self.counter.inc()
            self.counter.inc(2, {"route": '/"x"\n'})
            self.latency.observe(seconds)
            self.load.set(seconds)
            return ray.get_runtime_context().get_worker_id()

    workers = [Worker.remote() for _ in range(2)]
    ids = ray.get([w.serve.remote(s) for w, s in zip(workers, (0.05, 5), strict=True)])
    eventually(
        address,
        {
            'ray_requests_total{route="/"}': 2,
            'ray_requests_total{route="/\\"x\\"\\n"}': 4,
            'ray_latency_bucket{le="0.1"}': 1,
            'ray_latency_bucket{le="1.0"}': 1,
            'ray_latency_bucket{le="+Inf"}': 2,
            "ray_latency_sum": 5.05,
            "ray_latency_count": 2,
            f'ray_load{{WorkerId="{ids[0]}"}}': 0.05,
            f'ray_load{{WorkerId="{ids[1]}"}}': 5,
        },
    )
    text = scrape(address)
    assert "# HELP ray_requests_total Requests.\n# TYPE ray_requests_total counter\n" in text
    assert "# TYPE ray_latency histogram" in text and "# TYPE ray_load gauge" in text
    for worker in workers:
        ray.kill(worker)
    wait_for(lambda: "ray_load" not in scrape(address))
    assert samples(scrape(address))['ray_requests_total{route="/"}'] == 2


@only_ours
@only_ours
def test_a_counter_has_its_old_name_too_where_ray_s_switch_asks_for_it(monkeypatch):
    from eagleray.util._metrics_text import exposition

    said = {
        "served": ("counter", "served", "Served.", ()),
        "all_total": ("counter", "all_total", "", ()),
        "now": ("gauge", "now", "", ()),
    }
    values = {
        ("served", (("k", "a"),), ""): 2.0,
        ("all_total", (), ""): 1.0,
        ("now", (), ""): 3.0,
    }
    for name in ("RAY_enable_open_telemetry", "RAY_EXPORT_COUNTER_AS_GAUGE"):
        monkeypatch.delenv(name, raising=False)
    plain = exposition(said, values)
    assert set(samples(plain)) == {'ray_served_total{k="a"}', "ray_all_total", "ray_now"}
    monkeypatch.setenv("RAY_enable_open_telemetry", "0")
    text = exposition(said, values)
    assert samples(text) == {**samples(plain), 'ray_served{k="a"}': 2}
    assert "# TYPE ray_served gauge\n" in text
    monkeypatch.setenv("RAY_EXPORT_COUNTER_AS_GAUGE", "0")
    assert exposition(said, values) == plain


def test_workers_that_end_with_their_task_are_counted(address):
    @ray.remote(max_calls=1)
    def count():
        metrics.Counter("of_the_short_lived").inc()

    ray.get([count.remote() for _ in range(5)])
    eventually(address, {"ray_of_the_short_lived_total": 5})


@only_ours
def test_the_cluster_itself(address):
    found = samples(scrape(address))
    assert (
        found['ray_resources{Name="CPU",State="USED"}']
        + found['ray_resources{Name="CPU",State="AVAILABLE"}']
        == 4
    )
    assert found['eagleray_processes{Kind="driver"}'] == 1
    kept = ray.put(bytes(4 << 20))
    assert samples(scrape(address))["ray_object_store_used_memory"] >= 4 << 20
    del kept


@only_ours
def test_tasks_and_actors_by_state(cluster, monkeypatch):
    """By ray.util.state's counts, and without them what the node says."""
    from eagleray.util import _metrics_text

    monkeypatch.setitem(sys.modules, "eagleray.util.state", None)  # ImportError
    assert samples(_metrics_text.system_metrics(0))['ray_tasks{State="RUNNING"}'] >= 0
    rows = {
        "f": {"state_counts": {"FINISHED": 3, "FAILED": 1}},
        "g": {"state_counts": {"FINISHED": 2}},
    }
    state = type(sys)("state")
    state.summarize_tasks = lambda timeout: {"cluster": {"summary": rows}}
    state.summarize_actors = lambda timeout: {
        "cluster": {"summary": {"A": {"state_counts": {"ALIVE": 2}}}}
    }
    monkeypatch.setitem(sys.modules, "eagleray.util.state", state)
    found = samples(_metrics_text.system_metrics(7))
    assert found['ray_tasks{Name="f",State="FINISHED"}'] == 3
    assert found['ray_tasks{Name="f",State="FAILED"}'] == 1
    assert found['ray_tasks{Name="g",State="FINISHED"}'] == 2
    assert found['ray_actors{Name="A",State="ALIVE"}'] == 2
    assert found["eagleray_metrics_dropped"] == 7


@only_ours
def test_nobody_is_told_of_its_actor(address):
    from eagleray.util import state

    counter = metrics.Counter("told")
    counter.inc()
    eventually(address, {"ray_told_total": 1.0})
    ray.get(ray.remote(lambda: 1).options(name="mine").remote())
    wait_for(lambda: "mine" in [task.name for task in state.list_tasks()])
    actors = [actor.class_name for actor in state.list_actors()]
    told = [
        *(task.name for task in state.list_tasks(limit=1_000_000)),
        *state.summarize_tasks()["cluster"]["summary"],
        *(span["name"] for span in ray.timeline()),
    ]
    assert told.count("mine") == 2 and "task::mine" in told
    assert not [name for name in told + actors if "MetricsServer" in name or "merge" in name]
    assert "metrics" not in [
        each["name"] for each in ray.util.list_named_actors(all_namespaces=True)
    ]


@only_ours
def test_curl_reads_it(address):
    done = subprocess.run(
        ["curl", "-s", f"http://{address}/metrics"], capture_output=True, text=True, timeout=60
    )
    assert "ray_resources" in done.stdout


@only_ours
def test_whom_it_answers(address):
    def refused(**arguments):
        with pytest.raises(urllib.error.HTTPError) as raised:
            scrape(address, **arguments)
        return raised.value.code

    assert address.startswith("127.0.0.1:")
    assert refused(Host="evil.example") == 403  # a page that has turned its name to 127.0.0.1
    assert refused(path="/") == 404
    assert scrape(address, Host="localhost:1")
    from eagleray.util._metrics_server import _user_of

    assert _user_of(1, int(address.rsplit(":", 1)[1])) is None


@only_ours
def test_a_row_that_the_kernels_table_skips_once_is_found(monkeypatch):
    from eagleray.util import _metrics_server

    head = "  sl  local_address rem_address   st\n"
    row = " 0: 0100007F:0001 0100007F:0002 01 0:0 0:0 0 1234 0\n"
    tables = iter([head, head + row])
    monkeypatch.setattr(
        _metrics_server, "open", lambda path: io.StringIO(next(tables)), raising=False
    )
    assert _metrics_server._user_of(1, 2) == 1234


@only_ours
def test_recording_is_cheap_and_sent_in_batches(cluster, monkeypatch):
    from eagleray.util._metrics_recorder import recorder

    sent = []

    class Server:
        class merge:
            @staticmethod
            def remote(*arguments):
                sent.append(arguments)

    from eagleray._state import state

    recorder.flush()
    monkeypatch.setattr(recorder, "_server", (state.session, Server))
    counter = metrics.Counter("many")
    for _ in range(50_000):
        counter.inc()
    recorder.flush()
    rows = [values for _, _, taken in sent for said, values in taken if said[1] == "many"]
    assert sum(value for row in rows for _, value in row) == 50_000
    assert len(sent) <= 10  # one a second, whatever is recorded
    before = len(sent)
    assert recorder.flush() is None and len(sent) == before


@only_ours
def test_too_many_tags_are_counted_together(monkeypatch):
    from eagleray.util import _metrics_recorder

    monkeypatch.setattr(_metrics_recorder, "SERIES_MAX", 2)
    counter = metrics.Counter("of_many_tags", tag_keys=("a",))
    for i in range(5):
        counter.inc(tags={"a": str(i)})
    assert counter._series.values[_metrics_recorder.OVERFLOW] == 3
    with pytest.raises(ValueError, match="already a counter"):
        metrics.Gauge("of_many_tags")


@only_ours
def test_no_metric_no_port():
    out, _ = run_program(
        """
        import os
        import eagleray as ray
        context = ray.init(num_cpus=1)
        ray.get(ray.remote(lambda: 1).remote())
        print(os.path.exists(os.path.join(context["session_dir"], "metrics.json")))
        """
    )
    assert out == "False\n"


@only_ours
def test_a_port_of_one_s_own():
    out, _ = run_program(
        """
        import contextlib, random, socket, urllib.request
        import eagleray as ray
        for port in random.sample(range(20_000, 30_000), 10):  # none that the kernel gives away meanwhile
            with contextlib.suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
                break
        context = ray.init(num_cpus=1, _metrics_export_port=port)
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        print(context["metrics_export_port"] == port, "ray_resources" in text)
        """
    )
    assert out == "True True\n"


@only_ours
def test_the_command_line(tmp_path):
    env = {**os.environ, "EAGLERAY_TMPDIR": str(tmp_path)}

    def eagleray(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "eagleray", *arguments], env=env, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    eagleray("start", "--head", "--num-cpus", "1", "--metrics-export-port", "0")
    try:
        shown = re.search(r"http://(127\.0\.0\.1:\d+)/metrics", eagleray("status"))
        assert shown and "ray_resources" in scrape(shown[1])
        assert "ray_resources" in eagleray("metrics")
    finally:
        eagleray("stop")


@only_ours
def test_what_processes_mean_differently_does_not_end_it(address):
    metrics.Counter("disputed", "Ours.").inc()
    eventually(address, {"ray_disputed_total": 1})

    @ray.remote(num_cpus=0)
    def other():
        metrics.Histogram("disputed", "Theirs.", [1.0], ("k",)).observe(1, {"k": "v"})

    ray.get(other.remote())
    eventually(address, {"ray_disputed_total": 1, "eagleray_metrics_dropped": 1})


@only_ours
def test_names_of_files_that_are_no_unicode(address):
    metrics.Counter("opened", "Files.", ("name",)).inc(1, {"name": os.fsdecode(b"a\xff")})
    eventually(address, {'ray_opened_total{name="a?"}': 1})
