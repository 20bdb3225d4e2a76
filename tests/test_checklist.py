"""What users of Ray rely on without reading about it, one test a line. Also run on Ray itself, so that the
contract tested is Ray's: `./dev test --peer ray`."""

import gc
import os
import textwrap

import numpy
import pytest
from _support import PEER, alive, ray, run_program, wait_for, waits_for

pytestmark = pytest.mark.usefixtures("cluster")


def title_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[0].decode()


def printed_by(source, *arguments):
    """What a driver of its own, with `ray` imported, writes to both streams."""
    head = "import ray\n" if PEER else "import eagleray as ray\n"
    return "".join(run_program(head + textwrap.dedent(source), *arguments))


@ray.remote
class Owner:
    def start(self, flag):
        """The reference of a task that ends when the file is there; this actor owns it."""

        @ray.remote(num_cpus=0)
        def waits():
            wait_for(lambda: os.path.exists(flag), 60)
            return 1

        return [waits.remote()]


def test_1_the_caller_owns_and_its_death_is_an_error(tmp_path):
    owner = Owner.remote()
    (ref,) = ray.get(owner.start.remote(str(tmp_path / "never")))
    ray.kill(owner)
    with pytest.raises(ray.exceptions.OwnerDiedError):
        ray.get(ref, timeout=60)


def test_2_remote_never_blocks(tmp_path):
    flag = tmp_path / "flag"
    waits = waits_for(flag, num_cpus=4)
    refs = [waits.remote(i) for i in range(200)]
    assert not flag.exists()
    assert ray.wait(refs, timeout=0)[0] == []
    flag.touch()
    assert ray.get(refs) == list(range(200))


def test_3_a_reference_inside_a_value_keeps_its_object():
    outer = ray.put({"inner": [ray.put("kept")]})
    gc.collect()
    assert ray.get(ray.get(outer)["inner"][0]) == "kept"


def test_3_a_reference_pickled_out_of_band_pins_its_object():
    ref = ray.put("pinned")
    blob = ray.cloudpickle.dumps(ref)  # not pickle: with Ray only its own pins
    del ref
    gc.collect()
    assert ray.get(ray.cloudpickle.loads(blob), timeout=60) == "pinned"


def test_4_values_are_immutable():
    ref = ray.put(numpy.zeros(1000_000))
    array = ray.get(ref)
    assert not array.flags.writeable
    with pytest.raises(ValueError):
        array[0] = 1

    @ray.remote
    def writes(array):
        array[0] = 1

    with pytest.raises(ValueError):
        ray.get(writes.remote(ref))
    assert ray.get(ref)[0] == 0


def test_5_a_result_outlives_the_worker_that_computed_it():
    @ray.remote(max_calls=1)
    def large():
        return os.getpid(), numpy.ones(1000_000)

    ref = large.remote()
    pid = ray.get(ref)[0]
    wait_for(lambda: not alive(pid))
    assert ray.get(ref)[1].sum() == 1000_000


def test_6_a_task_takes_all_of_its_resources_or_none(tmp_path):
    flag = tmp_path / "flag"

    @ray.remote(num_cpus=0, resources={"custom": 2})
    def wants_both():
        return flag.exists()

    held = waits_for(flag, num_cpus=0, resources={"custom": 1}).remote(True)
    wait_for(lambda: ray.available_resources().get("custom", 0) == 1)
    both = wants_both.remote()
    assert ray.wait([both], timeout=0.5)[0] == []
    flag.touch()
    assert ray.get([held, both]) == [True, True]


def test_6_a_nested_get_gives_its_cpu_back():
    @ray.remote
    def depth(n):
        return 0 if n == 0 else 1 + ray.get(depth.remote(n - 1))

    assert ray.get(depth.remote(8)) == 8  # deeper than there are CPUs


def test_7_a_worker_is_used_again_and_keeps_its_modules():
    @ray.remote
    def visit():
        import colorsys  # a module that nothing else touches

        colorsys.visits = getattr(colorsys, "visits", 0) + 1
        return os.getpid(), colorsys.visits

    seen = [ray.get(visit.remote()) for _ in range(20)]
    pids = [pid for pid, _ in seen]
    assert len(set(pids)) < 20
    for pid in set(pids):
        assert [n for p, n in seen if p == pid] == list(range(1, pids.count(pid) + 1))


def test_7_process_titles():
    @ray.remote
    def shows_itself():
        return os.getpid(), title_of(os.getpid())

    @ray.remote
    class Shown:
        def title(self):
            return os.getpid(), title_of(os.getpid())

    pid, title = ray.get(shows_itself.remote())
    assert title.startswith("ray::") and "shows_itself" in title
    wait_for(lambda: title_of(pid) == "ray::IDLE")
    shown = Shown.remote()
    pid, title = ray.get(shown.title.remote())
    assert title == "ray::Shown.title"
    wait_for(lambda: title_of(pid) == "ray::Shown")


def test_8_a_driver_takes_its_actors_and_tasks_along(tmp_path):
    out = printed_by(
        """
        import os, signal, sys
        ray.init(num_cpus=2, address="local")

        @ray.remote
        class Sleeper:
            def pid(self):
                return os.getpid()

        @ray.remote
        def sleeps(path):
            with open(path, "w") as file:
                file.write(str(os.getpid()))
            signal.pause()

        sleeper = Sleeper.remote()
        print("PID", ray.get(sleeper.pid.remote()))
        path = sys.argv[1]
        ref = sleeps.remote(path)
        while not (os.path.exists(path) and os.path.getsize(path)):
            ray.wait([ref], timeout=0.05)
        """,
        tmp_path / "pid",
    )
    actor = int(out.split("PID ", 1)[1].split()[0])
    task = int((tmp_path / "pid").read_text())
    wait_for(lambda: not alive(actor) and not alive(task))


def test_9_omp_num_threads_is_the_number_of_cpus():
    @ray.remote
    def threads():
        return os.environ.get("OMP_NUM_THREADS")

    assert ray.get(threads.remote()) == "1"
    assert ray.get(threads.options(num_cpus=3).remote()) == "3"
    assert ray.get(threads.options(num_cpus=0.5).remote()) == "1"


SAYS = """
import sys
ray.init(num_cpus=1, address="local")

@ray.remote
def says():
    print("to stdout")
    print("to stderr", file=sys.stderr)

ray.get(says.remote())
"""


def check_output(out):
    for line in ("to stdout", "to stderr"):
        assert any("pid=" in row and line in row for row in out.splitlines()), out


def test_10_output_of_workers_reaches_the_driver():
    never = "ray.wait([says.options(num_cpus=2).remote()], timeout=5)\n"
    check_output(printed_by(SAYS + never))


@pytest.mark.skipif(PEER, reason="Ray loses what was said just before the end")
def test_10_nothing_is_lost_at_the_end():
    check_output(printed_by(SAYS + "ray.shutdown()\n"))


def test_11_the_session_has_a_directory_with_logs():
    context = ray.get_runtime_context()
    directory = os.path.join(context.get_temp_dir(), context.get_session_name())
    assert os.path.isdir(os.path.join(directory, "logs"))


def test_12_workers_share_the_directory_and_the_path_of_modules(tmp_path):
    (tmp_path / "only_here.py").write_text("value = 42\n")
    out = printed_by(
        """
        import os, sys
        sys.path.append(sys.argv[1])
        os.chdir(sys.argv[1])
        ray.init(num_cpus=1, address="local")

        @ray.remote
        def looks():
            import only_here
            return os.getcwd(), only_here.value

        print("SAW", *ray.get(looks.remote()))
        """,
        tmp_path,
    )
    assert f"SAW {tmp_path} 42" in out


def test_13_a_task_may_wait_for_its_child():
    @ray.remote
    def child():
        return 1

    @ray.remote
    def parent():
        return ray.get(child.remote()) + 1

    assert ray.get(parent.remote()) == 2


def test_13_a_sync_actor_that_waits_for_itself_gets_nowhere():
    @ray.remote
    class Selfish:
        def one(self):
            return 1

        def waits_for_itself(self):
            me = ray.get_runtime_context().current_actor
            try:
                return ray.get(me.one.remote(), timeout=1)
            except ray.exceptions.GetTimeoutError:
                return "timed out"

    assert ray.get(Selfish.remote().waits_for_itself.remote()) == "timed out"


def test_14_what_no_node_can_run_waits_and_is_no_error():
    @ray.remote(resources={"nowhere": 1})
    def never():
        return 1

    ref = never.remote()
    assert ray.wait([ref], timeout=1) == ([], [ref])
    ray.cancel(ref)
    with pytest.raises(ray.exceptions.TaskCancelledError):
        ray.get(ref, timeout=60)
