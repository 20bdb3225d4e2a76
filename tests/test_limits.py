"""Limits of the machine: what is met says which it is, and what can go on goes on."""

import os
import resource
import subprocess
import sys
import textwrap

import pytest
from _support import PEER

pytestmark = pytest.mark.skipif(PEER, reason="our messages")


def run(program, limits=(), **environment):
    def limit():
        for which, amounts in limits:
            resource.setrlimit(which, amounts)

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": "python", **environment},
        preexec_fn=limit,
    )
    return done.stdout + done.stderr


ACTORS = """
    import eagleray as ray
    ray.init(num_cpus=2)

    @ray.remote(num_cpus=0)
    class Actor:
        def ping(self):
            return 1

    actors = [Actor.remote() for _ in range({count})]
    pings = [a.ping.remote() for a in actors]
    ray.wait(pings)
    done, rest = ray.wait(pings, num_returns=len(pings), timeout={timeout})
    print("alive", sum(ray.get(done)) == len(done) > 0)
    print("all", not rest)
"""


def test_a_soft_limit_of_files_is_raised():
    out = run(ACTORS.format(count=30, timeout=60), [(resource.RLIMIT_NOFILE, (64, 4096))])
    assert "all True" in out, out


def test_a_hard_limit_of_files_is_named_and_the_others_go_on():
    out = run(ACTORS.format(count=30, timeout=3), [(resource.RLIMIT_NOFILE, (128, 128))])
    assert "may open 128: raise the limit (ulimit -n)" in out, out
    assert "alive True" in out, out
