"""Every example that a command's help gives is run, on a head that has one program, an experiment and jobs. Those that
need more have a reason here."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from _commands import examples
from _support import PEER, wait_for

pytestmark = pytest.mark.skipif(PEER, reason="our command line")
ROOT = Path(__file__).parents[1]

PROGRAM = """
    import os, sys, threading
    import eagleray as ray
    from eagleray import tune

    ray.init("auto", namespace="mine", log_to_driver=False)

    @ray.remote
    class Learner:
        def who(self):
            for stream in (sys.stdout, sys.stderr):
                print("here", file=stream)
            return ray.get_runtime_context().get_actor_id(), os.getpid()

    @ray.remote(max_retries=0)
    def fails():
        raise ValueError

    @ray.remote
    def train_example(value):
        print("trains")
        threading.Event().wait()

    ray.wait([fails.remote()])
    tune.run(lambda config: {"loss": 1.0}, name="my_experiment", verbose=0)
    learner, other = [Learner.options(name=name).remote() for name in ("counter", "other")]
    ref = train_example.remote(1)
    actor, pid = ray.get(learner.who.remote())
    print(actor, ref.task_id().hex(), pid, flush=True)
    sys.stdin.read()
"""

OTHER_TESTS = {
    "debug": "test_debugger.py stops a task and steps through it",
    "enable-usage-stats": "says that there is nothing to enable",
    "flamegraph": "test_cli_more.py draws for one second",
    "logs actor --id ID --follow": "ends by Ctrl-C; test_cli_state.py",
    "logs worker --pid 4711 --follow": "likewise",
    "metrics launch-prometheus": "there is no Prometheus; test_metrics.py has one that pretends",
    "metrics shutdown-prometheus": "likewise",
    "microbenchmark": "minutes",
    "rllib train": "test_rllib_cli.py trains",
    "rllib evaluate": "likewise",
    "rllib example cartpole-ppo": "minutes",
    "run -m pytest tests/": "is this",
    "status --watch": "test_cli_more.py watches",
    "symmetric-run": "starts a cluster of its own; test_cli.py",
}
LATER = """attach cpp dashboard down drain-node exec kill-random-node kuberay-autoscaler monitor rsync-down rsync-up
serve submit up""".split()
ENDS = ("start", "stop", "kill-actor", "job delete")  # what the others look at; or begins it


class Shell:
    """A terminal in a directory of a project, of a user who has nothing else."""

    def __init__(self, home):
        self.home = Path(home)
        self.folder = self.home / "project"
        (self.folder / "src").mkdir(parents=True)
        for name in ("train.py", "uses_ray.py"):
            (self.folder / name).write_text("print('trained')\n")
        programs = self.home / "bin"
        programs.mkdir()
        (programs / "python").symlink_to(sys.executable)
        command = programs / "eagleray"
        command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eagleray "$@"\n')
        command.chmod(0o755)
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "python"),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "EAGLERAY_TMPDIR": home,
            "HOME": home,
        }

    def run(self, text):
        """What it prints; it must succeed and end."""
        done = subprocess.run(
            f"eagleray {text}",
            shell=True,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, (text, done)
        return done.stdout

    def has_log(self, word, stream):
        """Whether a worker has printed it, and its node has written it."""
        logs = self.home.glob(f"session_latest/logs/worker-*.{stream}")
        return any(word in path.read_text() for path in logs)

    @contextlib.contextmanager
    def program(self, code):
        """A program while it runs; it ends when its input does."""
        program = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield program
        finally:
            program.stdin.close()
            program.wait(60)
            program.stdout.close()


@pytest.fixture
def shell():
    with tempfile.TemporaryDirectory() as home:  # short: sockets lie in it
        made = Shell(home)
        yield made
        made.run("stop --force")


def is_of(text, others):
    return next((one for one in others if f"{text} ".startswith(f"{one} ")), None)


@pytest.mark.timeout(600)  # some eighty programs
def test_every_example_does_what_it_says(shell):
    found = [text for path, text in examples() if path[0] not in LATER]
    assert set(OTHER_TESTS) <= {is_of(text, OTHER_TESTS) for text in found}
    found = list(dict.fromkeys(text for text in found if not is_of(text, OTHER_TESTS)))
    ends = [text for text in found if is_of(text, ENDS)]
    assert len(found) > 60 and len(ends) > 5
    shell.run("start --head --num-cpus 8")
    shell.run("job submit --submission-id raysubmit_4LamXRuQpYdSMg7J -- true")
    shell.run("job submit --submission-id raysubmit_abc -- true")
    with shell.program(PROGRAM) as program:
        actor, task, pid = program.stdout.readline().split()
        printed = (("trains", "out"), ("here", "out"), ("here", "err"))
        wait_for(lambda: all(shell.has_log(word, stream) for word, stream in printed))

        def with_ids(text):
            text = re.sub("^(explain|logs task --id) 01.*", rf"\1 {task}", text)
            text = re.sub("^(get actors|logs actor --id) 01.*", rf"\1 {actor}", text)
            text = re.sub("^get tasks ID", f"get tasks {task}", text)
            # Not those of other programs of this machine: they may end, or be looked at by others.
            text = re.sub("^stack( train)?(?! 4711)", "stack train_example", text)
            return re.sub(r"\b4711\b", pid, text)

        looks = [text for text in found if text not in ends]
        with ThreadPoolExecutor(4) as pool:  # most of each is waiting
            alone = [text for text in looks if is_of(text, ["stack"])]
            list(pool.map(shell.run, (with_ids(text) for text in looks if text not in alone)))
        for text in alone:
            shell.run(with_ids(text))
        for text in ends:
            if not is_of(text, ["start", "stop"]):
                shell.run(
                    text.replace(
                        "counter --namespace mine --force", "other --namespace mine --force"
                    )
                )
    shell.run("stop")
    for text in ends:
        if is_of(text, ["start"]):
            shell.run(text)
        if is_of(text, ["start", "stop"]):
            shell.run(text if is_of(text, ["stop"]) else "stop")
