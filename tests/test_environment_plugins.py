"""Plugins of runtime environments, as Ray's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from _packages import make_tree
from _support import ray, run_program

pytestmark = pytest.mark.only_eagleray

PLUGIN = """
import os
from eagleray._private.runtime_env.plugin import RuntimeEnvPlugin

class Plugin(RuntimeEnvPlugin):
    name = "my_plugin"
    @staticmethod
    def validate(runtime_env):
        if not isinstance(runtime_env["my_plugin"], dict):
            raise ValueError("my_plugin must be a dict")
    def get_uris(self, runtime_env):
        return ["my://" + runtime_env["my_plugin"]["file"]]
    async def create(self, uri, runtime_env, context, logger):
        with open(uri[5:], "a") as file:
            file.write("created\\n")
        return 1
    def modify_context(self, uris, runtime_env, context, logger):
        context.env_vars["MY_PLUGIN"] = uris[0]
        if runtime_env["my_plugin"].get("fail"):
            raise RuntimeError("the plugin fails")
        context.command_prefix += ["export", "BY_PREFIX=yes", "&&"]
"""


def test_plugins(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a_plugin.py": PLUGIN})
    out, _ = run_program(
        """
        import os, sys
        import eagleray as ray
        ray.init(address="local", num_cpus=2)
        made = sys.argv[1]
        @ray.remote
        def see(*_):
            return os.environ["MY_PLUGIN"], os.environ["BY_PREFIX"]
        print(ray.get(see.options(runtime_env={"my_plugin": {"file": made}}).remote()))
        print(ray.get(see.options(runtime_env={"my_plugin": {"file": made}, "env_vars": {"X": "1"}}).remote()))
        print(open(made).read().count("created"))
        for wrong in (3, {"file": made, "fail": True}):
            try:
                ray.get(see.options(runtime_env={"my_plugin": wrong}).remote())
            except Exception as error:
                said = getattr(error, "error_message", str(error))
                print(type(error).__name__, said.splitlines()[0])
        """,
        tmp_path / "made",
        EAGLERAY_CACHE_DIR=str(tmp_path / "cache"),
        RAY_RUNTIME_ENV_PLUGINS='[{"class": "a_plugin.Plugin"}]',
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(ray.__file__).parent.parent)]),
    )
    uri = f"my://{tmp_path}/made"
    assert out.splitlines() == [
        str((uri, "yes")),
        str((uri, "yes")),
        "1",  # what the URI names is created once
        "ValueError my_plugin must be a dict",
        "RuntimeEnvSetupError RuntimeError: the plugin fails. Its last output (all of it is in "
        + out.splitlines()[-1].split("is in ")[1],
    ]


def test_a_plugin_deletes_what_is_too_much(tmp_path: Path) -> None:
    """What no environment uses any more, when the next is set up."""
    deletes = """
    def delete_uri(self, uri, logger):
        with open(uri[5:], "a") as file:
            file.write("deleted\\n")
        raise RuntimeError("which ends nothing")
"""
    make_tree(tmp_path, {"a_plugin.py": PLUGIN + deletes})
    out, _ = run_program(
        """
        import os, sys, threading
        import eagleray as ray
        ray.init(address="local", num_cpus=1, _system_config={"environment_idle_ms": 50})
        @ray.remote(max_calls=1)
        def see():
            return os.environ["MY_PLUGIN"]
        def run(name):
            env = {"my_plugin": {"file": sys.argv[1] + name}}
            assert ray.get(see.options(runtime_env=env).remote()).endswith(name)
        @ray.remote(runtime_env={"my_plugin": {"file": sys.argv[1] + "kept"}}, num_cpus=0)
        class Stays:
            def here(self):
                pass
        stays = Stays.remote()
        ray.get(stays.here.remote())
        run("one")
        for _ in range(200):
            run("two")
            if "deleted" in open(sys.argv[1] + "one").read():
                break
            threading.Event().wait(0.05)
        for name in ("one", "kept"):
            print(open(sys.argv[1] + name).read().split())
        """,
        f"{tmp_path}/",
        EAGLERAY_CACHE_DIR=str(tmp_path / "cache"),
        RAY_RUNTIME_ENV_PLUGINS='[{"class": "a_plugin.Plugin"}]',
        RAY_RUNTIME_ENV_MY_PLUGIN_CACHE_SIZE_GB="0",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(ray.__file__).parent.parent)]),
    )
    assert out.splitlines() == ["['created', 'deleted']", "['created']"]
