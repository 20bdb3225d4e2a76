"""Spans of OpenTelemetry. Names and attributes are Ray's."""

import json

import pytest
from _support import PEER, ray, run_program, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="Ray's environment has no OpenTelemetry")
pytest.importorskip("opentelemetry.sdk")

HOOK = """
import json, os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

def set_up():
    out = open(os.path.join(os.environ["SPANS"], f"{os.getpid()}.txt"), "a", buffering=1)
    write = ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\\n")
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(write))
    trace.set_tracer_provider(provider)
"""
PROGRAM = """
import asyncio, os, sys
sys.path.insert(0, os.environ["SPANS"])
import eagleray as ray

ray.init(num_cpus=2, _tracing_startup_hook="the_hook:set_up")

@ray.remote
def inner(x):
    return x + 1

@ray.remote
def outer(x):
    return ray.get(inner.remote(x))

@ray.remote
def stream(n):
    yield from range(n)

@ray.remote
class Actor:
    def __init__(self, base):
        self.base = base

    def add(self, x, *, y=0):
        return self._plain(self.base + x + y)

    def _plain(self, x):
        return x

    @staticmethod
    def fixed():
        return "fixed"

@ray.remote
class Async:
    async def say(self):
        await asyncio.sleep(0)
        return "said"

    async def items(self):
        yield 1
        yield 2

@ray.remote
def fails():
    raise KeyError("no")

assert ray.get(outer.remote(1)) == 2
assert [ray.get(ref) for ref in stream.remote(3)] == [0, 1, 2]
actor = Actor.options(name="named").remote(10)
assert ray.get(actor.add.remote(1, y=2)) == 13
assert ray.get(ray.get_actor("named").fixed.remote()) == "fixed"
talker = Async.remote()
assert ray.get(talker.say.remote()) == "said"
assert [ray.get(ref) for ref in talker.items.remote()] == [1, 2]
assert ray.get(actor.__ray_call__.remote(lambda self: self.base)) == 10
try:
    inner.remote()
except TypeError as error:
    assert "_ray_trace" not in str(error)
else:
    raise AssertionError
try:
    ray.get(fails.remote())
except KeyError:
    pass
print(os.getpid())
"""


def spans_of(folder):
    return [
        json.loads(line) for path in folder.glob("*.txt") for line in path.read_text().splitlines()
    ]


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spans")
    (folder / "the_hook.py").write_text(HOOK)
    out, _ = run_program(PROGRAM, SPANS=str(folder))
    return int(out), spans_of(folder)


def one(spans, name):
    (span,) = [span for span in spans if span["name"] == name]
    return span


def test_a_task_has_a_span_here_and_one_in_the_worker(traced):
    driver, spans = traced
    submitted, ran = (
        one(spans, "__main__.outer ray.remote"),
        one(spans, "__main__.outer ray.remote_worker"),
    )
    assert submitted["kind"] == "SpanKind.PRODUCER" and ran["kind"] == "SpanKind.CONSUMER"
    assert ran["parent_id"] == submitted["context"]["span_id"]
    said = submitted["attributes"]
    assert said["ray.remote"] == "function" and said["ray.function"] == "__main__.outer"
    assert said["ray.pid"] == str(driver) != ran["attributes"]["ray.pid"]
    assert {"ray.job_id", "ray.node_id", "ray.worker_id", "ray.task_id"} <= set(ran["attributes"])


def test_what_a_task_starts_belongs_to_its_trace(traced):
    _, spans = traced
    chain = [
        "outer ray.remote",
        "outer ray.remote_worker",
        "inner ray.remote",
        "inner ray.remote_worker",
    ]
    parent = None
    for span in (one(spans, f"__main__.{name}") for name in chain):
        assert span["parent_id"] == parent
        parent = span["context"]["span_id"]
    assert len({one(spans, f"__main__.{name}")["context"]["trace_id"] for name in chain}) == 1


@pytest.mark.parametrize(
    "name", ["Actor.__init__", "Actor.add", "Actor.fixed", "Async.say", "Async.items"]
)
def test_actors(traced, name):
    _, spans = traced
    submitted, ran = one(spans, f"{name} ray.remote"), one(spans, f"{name} ray.remote_worker")
    assert ran["parent_id"] == submitted["context"]["span_id"]
    said = ran["attributes"]
    assert (said["ray.actor_class"], said["ray.actor_method"]) == tuple(name.split("."))
    assert said["ray.remote"] == "actor" and said["ray.actor_id"]
    if name != "Actor.__init__":
        assert submitted["attributes"]["ray.actor_id"] == said["ray.actor_id"]


def test_generators_and_errors(traced):
    _, spans = traced
    assert one(spans, "__main__.stream ray.remote_worker")["parent_id"]
    failed = one(spans, "__main__.fails ray.remote_worker")
    assert failed["status"]["status_code"] == "ERROR"
    assert failed["events"][0]["attributes"]["exception.type"] == "KeyError"
    assert not [span for span in spans if "_plain" in span["name"] or "ray_call" in span["name"]]


def test_hooks_that_cannot_be():
    for hook, error in [("nonsense", ValueError), ("json:nothing", ImportError), (3, TypeError)]:
        with pytest.raises(error, match="hook|_tracing_startup_hook"):
            ray.init(num_cpus=1, _tracing_startup_hook=hook)
        assert not ray.is_initialized()


def test_off_nothing_of_it_is_there():
    out, _ = run_program(
        """
        import sys
        import eagleray as ray
        ray.init(num_cpus=1)
        @ray.remote
        def look():
            return [name for name in sys.modules if "tracing" in name or "telemetry" in name]
        submit = look._submitter({})
        print(type(submit).__name__, ray.get(look.remote()), "eagleray._tracing" in sys.modules)
        """
    )
    assert out.endswith("[] False\n") and not out.startswith("function")


def test_a_head_with_a_hook(tmp_path):
    """`start --head --tracing-startup-hook`: programs that connect are traced."""
    import os
    import subprocess
    import sys

    (tmp_path / "the_hook.py").write_text(HOOK)
    env = {
        **os.environ,
        "EAGLERAY_TMPDIR": str(tmp_path / "s"),
        "SPANS": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]),
    }

    def eagleray(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "eagleray", *arguments], env=env, capture_output=True, text=True
        )

    done = eagleray(
        "start", "--head", "--num-cpus", "1", "--tracing-startup-hook", "the_hook:set_up"
    )
    assert done.returncode == 0, done.stderr
    try:
        code = "import eagleray as ray; ray.init('auto'); ray.get(ray.remote(lambda: 1).remote())"
        subprocess.run([sys.executable, "-c", code], env=env, check=True)
        wait_for(lambda: any("remote_worker" in span["name"] for span in spans_of(tmp_path)))
    finally:
        eagleray("stop")
