"""Who owns a checkpoint's files: nothing is left when a program ends, and nothing goes that is still used."""

import gc
import os
import pickle
import signal
import tempfile
from pathlib import Path

import pytest
from _support import PEER, alive, ray, run_program, start_program, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="Ray has dictionaries no more, and leaves its copies")

if not PEER:
    from eagleray import tune

PROGRAM = """
    import os, signal, sys
    import eagleray as ray
    from eagleray import tune
    from eagleray.tune import Checkpoint

    before = Checkpoint.from_dict({"a": 1})
    with tune.checkpoint_dir(0) as outside:
        open(os.path.join(outside, "file"), "w").close()
    copy = before.to_directory()

    def train(config):
        for step in range(3):
            tune.report({"step": step}, checkpoint=Checkpoint.from_dict({"step": step}))

    @ray.remote
    class Keeps:
        def __init__(self):
            self.made = Checkpoint.from_dict({"b": 2})
        def copy(self):
            return self.made.to_directory()

    ray.init(num_cpus=2)
    trial = tune.run(train, verbose=0).trials[0]
    actor = Keeps.remote()
    of_actor = ray.get(actor.copy.remote())
    made = Checkpoint.from_dict({"c": 3})
    ray.kill(actor)
    assert Checkpoint(of_actor).to_dict() == {"b": 2}
    if sys.argv[1] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    ray.shutdown()
    assert trial.checkpoint.to_dict() == {"step": 2}
    assert (before.to_dict(), made.to_dict()) == ({"a": 1}, {"c": 3})
    assert Checkpoint(copy).to_dict() == {"a": 1} and os.listdir(outside) == ["file"]
"""


def scratch_in(root):
    return [
        path
        for path in Path(root).glob("**/scratch*")
        if path.name.startswith("scratch_") or any(path.iterdir())
    ]


@pytest.fixture
def places(tmp_path):
    for name in ("tmp", "results"):
        (tmp_path / name).mkdir()
    # A socket's path is short. What was killed may still be ending.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as root:
        yield {
            "EAGLERAY_TMPDIR": root,
            "TMPDIR": str(tmp_path / "tmp"),
            "TUNE_RESULT_DIR": str(tmp_path / "results"),
        }


def test_nothing_is_left_when_a_program_ends(places):
    run_program(PROGRAM, "end", **places)
    assert not scratch_in(places["EAGLERAY_TMPDIR"])
    assert not os.listdir(places["TMPDIR"])


def test_what_a_killed_program_leaves_goes_with_the_next_session(places):
    process = start_program(PROGRAM, "kill", **places)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err
    root = places["EAGLERAY_TMPDIR"]
    assert len(scratch_in(root)) >= 4
    start = "import eagleray as ray; from eagleray import _old_sessions as o; o.clean_later = o.clean; ray.init(num_cpus=1)"
    run_program(start, **places)
    assert not scratch_in(root)
    assert not os.listdir(places["TMPDIR"])


def test_a_dictionary_goes_with_its_checkpoint():
    checkpoint = tune.Checkpoint.from_dict({"a": 1})
    path = checkpoint.path
    same = tune.Checkpoint.from_directory(checkpoint)
    del checkpoint
    gc.collect()
    assert same.to_dict() == {"a": 1}
    del same
    gc.collect()
    assert not os.path.exists(path)


def test_a_dictionary_outlives_whoever_handed_it_on(cluster):
    @ray.remote(max_calls=1)
    def marks(given):
        given.set_metadata({"seen": True})
        return given

    checkpoint = tune.Checkpoint.from_dict({"a": 1})
    ref = marks.remote(checkpoint)
    del checkpoint
    gc.collect()
    back = ray.get(ref)
    assert back.to_dict() == {"a": 1} and back.get_metadata() == {"seen": True}
    kept = pickle.dumps(back)
    path = back.path
    del back, ref
    gc.collect()
    wait_for(lambda: not os.path.exists(path))
    assert pickle.loads(kept).to_dict() == {"a": 1}


def test_what_a_killed_worker_leaves_goes_with_the_next_checkpoint_of_another(cluster):
    @ray.remote
    class Keeps:
        def make(self):
            self.made = tune.Checkpoint.from_dict({"a": 1})
            return os.getpid(), self.made.path, self.made.to_directory()

    killed, lives = Keeps.remote(), Keeps.remote()
    pid, path, copy = ray.get(killed.make.remote())
    of_the_living = ray.get(lives.make.remote())[1]
    namespace, owner, _ = os.path.basename(path).split("_", 2)
    of_a_container = Path(path).with_name(f"{int(namespace) + 1}_{owner}_")
    of_a_container.mkdir()
    ray.kill(killed)
    wait_for(lambda: not alive(pid))
    assert os.path.exists(path)
    _, after, _ = ray.get(Keeps.remote().make.remote())
    assert not os.path.exists(path)
    assert all(map(os.path.exists, (copy, of_the_living, of_a_container, after)))


def test_a_forked_child_leaves_its_parent_s_files(cluster):
    checkpoint = tune.Checkpoint.from_dict({"a": 1})
    gc.collect()  # nothing of earlier tests is let go in the child
    child = os.fork()
    if child == 0:
        try:
            gc.disable()
            del checkpoint
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert checkpoint.to_dict() == {"a": 1}


def test_trials_that_begin_with_a_dictionary_can_be_resumed(cluster, results):
    def train(config):
        tune.report({"a": tune.get_checkpoint().to_dict()["a"]})

    analysis = tune.run(train, restore=tune.Checkpoint.from_dict({"a": 1}), name="begun", verbose=0)
    gc.collect()
    assert analysis.trials[0].last_result["a"] == 1
    assert tune.Checkpoint(results / "begun" / ".restore").to_dict() == {"a": 1}
