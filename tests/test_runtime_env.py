"""Runtime environments: what is shipped, built, inherited, and what comes of failures."""

from __future__ import annotations

import functools
import http.server
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from _packages import make_tree, make_wheel
from _support import alive, ray, run_program, start_program, wait_for
from eagleray._environments import packages, shipping
from eagleray._environments.cache import Cache
from eagleray.exceptions import RuntimeEnvSetupError

pytestmark = pytest.mark.only_eagleray


@pytest.fixture(scope="module", autouse=True)
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache of these tests' own."""
    path = tmp_path_factory.mktemp("cache")
    before = os.environ.get("EAGLERAY_CACHE_DIR")
    os.environ["EAGLERAY_CACHE_DIR"] = str(path)
    yield path
    if before is None:
        del os.environ["EAGLERAY_CACHE_DIR"]
    else:
        os.environ["EAGLERAY_CACHE_DIR"] = before


@pytest.fixture(scope="module")
def cluster(cache_dir: Path) -> Iterator[None]:
    ray.init(num_cpus=2)
    yield
    ray.shutdown()


@ray.remote
def look(*names: str) -> list[Any]:
    """Contents of files in the working directory, or values of `module.name`."""
    found: list[Any] = []
    for name in names:
        if ":" in name:
            module, _, attribute = name.partition(":")
            found.append(getattr(importlib.import_module(module), attribute))
        else:
            found.append(Path(name).read_text() if os.path.exists(name) else None)
    return found


@ray.remote
def variable(name: str) -> str | None:
    return os.environ.get(name)


def seen(env: dict[str, Any], *names: str) -> list[Any]:
    return ray.get(look.options(runtime_env=env).remote(*names))


# ---- directories ----


def test_a_working_dir_is_shipped_without_what_is_ignored(cluster: None, tmp_path: Path) -> None:
    make_tree(
        tmp_path,
        {
            "a.txt": "a",
            "sub/b.txt": "b",
            "sub/c.log": "c",
            "x/keep.tmp": "k",
            "x/no.tmp": "n",
            ".gitignore": "*.log\n/skipped/\n",
            "skipped/d.txt": "d",
            "x/.rayignore": "*.tmp\n!keep.tmp\n",
            ".git/config": "g",
            "big/e.txt": "e",
            "mod_in_dir.py": "value = 1",
        },
    )
    env = {"working_dir": str(tmp_path), "excludes": ["big"]}
    names = [
        "a.txt",
        "sub/b.txt",
        "sub/c.log",
        "x/keep.tmp",
        "x/no.tmp",
        "skipped/d.txt",
        ".git/config",
        "big/e.txt",
    ]
    assert seen(env, *names) == ["a", "b", None, "k", None, None, None, None]
    assert seen(env, "mod_in_dir:value") == [1]


def test_an_actor_s_directory_that_is_not_there_is_no_name_that_is_taken(cluster: None) -> None:
    with pytest.raises(ValueError, match="/no/such is not a valid path") as caught:
        ray.remote(type("A", (), {})).options(runtime_env={"working_dir": "/no/such"}).remote()
    assert not isinstance(caught.value, ray.exceptions.ActorAlreadyExistsError)


def test_tasks_write_into_a_copy(cluster: None, tmp_path: Path) -> None:
    make_tree(tmp_path, {"a.txt": "a"})

    @ray.remote(runtime_env={"working_dir": str(tmp_path)})
    def write() -> str:
        Path("a.txt").write_text("changed")
        Path("new.txt").write_text("new")
        return os.getcwd()

    assert ray.get(write.remote()) != str(tmp_path)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "a"


def test_a_changed_file_is_shipped_again(cluster: None, tmp_path: Path) -> None:
    env = {"working_dir": str(make_tree(tmp_path, {"a.txt": "one"}))}
    assert seen(env, "a.txt") == ["one"]
    (tmp_path / "a.txt").write_text("two")  # as long, and soon after
    assert seen(env, "a.txt") == ["two"]


def test_nothing_is_read_again_that_has_not_changed(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path, {"a.txt": "a"})
    os.utime(tmp_path / "a.txt", (1, 1))
    uri = shipping.ship(str(tmp_path), "working_dir", [])
    monkeypatch.setattr(packages, "hash_and_pack", None)
    assert shipping.ship(str(tmp_path), "working_dir", []) == uri
    assert uri.startswith("gcs://_ray_pkg_") and uri.endswith(".zip")


def test_equal_contents_are_one_package(cluster: None, tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_tree(tmp_path / name, {"a.txt": "a", "d/b": "b"})
    first, second = (shipping.ship(str(tmp_path / n), "working_dir", []) for n in ("one", "two"))
    assert first == second
    os.chmod(tmp_path / "two" / "a.txt", 0o755)
    assert shipping.ship(str(tmp_path / "two"), "working_dir", []) != first


def test_modes_links_and_empty_directories_arrive(cluster: None, tmp_path: Path) -> None:
    make_tree(tmp_path / "top", {"run.sh": "#!/bin/sh\necho ran\n", "a": "a"})
    os.chmod(tmp_path / "top" / "run.sh", 0o755)
    (tmp_path / "top" / "empty").mkdir()
    (tmp_path / "top" / "link").symlink_to("a")
    (tmp_path / "top" / "circle").symlink_to(tmp_path / "top")
    (tmp_path / "top" / "nowhere").symlink_to("/does/not/exist")

    @ray.remote(runtime_env={"working_dir": str(tmp_path / "top")})
    def run() -> Any:
        return os.popen("./run.sh").read(), os.path.isdir("empty"), Path("link").read_text()

    assert ray.get(run.remote()) == ("ran\n", True, "a")


def test_py_modules(cluster: None, tmp_path: Path) -> None:
    make_tree(
        tmp_path, {"pack_a/__init__.py": "value = 'a'", "pack_b.py": "value = 'b'", "wheel/x": ""}
    )
    wheel = make_wheel(tmp_path / "wheel", "pack_c", "1.0", "value = 'c'")
    modules = [str(tmp_path / "pack_a"), str(tmp_path / "pack_b.py"), str(wheel)]
    env = {"py_modules": modules}
    assert seen(env, "pack_a:value", "pack_b:value", "pack_c:value") == ["a", "b", "c"]
    sys.path.insert(0, str(tmp_path))
    try:
        module = importlib.import_module("pack_a")
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("pack_a", None)
    assert seen({"py_modules": [module]}, "pack_a:value") == ["a"]


def test_archives_and_uris(cluster: None, tmp_path: Path) -> None:
    archive = tmp_path / "local.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside.txt", "zipped")
    assert seen({"working_dir": str(archive)}, "inside.txt") == ["zipped"]
    uri = shipping.ship(str(archive), "working_dir", [])
    assert seen({"working_dir": uri}, "inside.txt") == ["zipped"]
    nested = tmp_path / "nested.zip"
    with zipfile.ZipFile(nested, "w") as file:
        file.writestr("project-main/inside.txt", "top is left out")
    assert seen({"working_dir": f"file://{nested}"}, "inside.txt") == ["top is left out"]
    make_tree(tmp_path / "plain", {"inside.txt": "in place"})
    assert seen({"working_dir": f"local://{tmp_path}/plain"}, "inside.txt") == ["in place"]


def test_an_archive_over_http(cluster: None, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "served.zip", "w") as file:
        file.writestr("inside.txt", "fetched")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        base = f"http://127.0.0.1:{server.server_address[1]}"
        assert seen({"working_dir": f"{base}/served.zip"}, "inside.txt") == ["fetched"]
        with pytest.raises(
            RuntimeEnvSetupError, match="missing.zip could not be fetched: HTTP Error 404"
        ):
            seen({"working_dir": f"{base}/missing.zip"})
    finally:
        server.shutdown()


# ---- inheritance ----


def test_the_jobs_environment_is_inherited(cache_dir: Path, tmp_path: Path) -> None:
    make_tree(tmp_path / "job", {"a.txt": "job", "job_module.py": "value = 1"})
    make_tree(tmp_path / "own", {"a.txt": "own"})
    out, _ = run_program(
        """
        import json, os, sys
        from pathlib import Path
        import eagleray as ray
        from eagleray.job_config import JobConfig
        job, own = sys.argv[1:]
        ray.init(num_cpus=2, job_config=JobConfig(runtime_env={"working_dir": job, "env_vars": {"A": "1", "B": "1"}}))
        @ray.remote
        def state():
            return [Path("a.txt").read_text(), os.environ.get("A"), os.environ.get("B")]
        @ray.remote
        def nested():
            return ray.get(state.remote()), ray.get(state.options(runtime_env={"env_vars": {"B": "3"}}).remote())
        @ray.remote
        class Actor:
            def state(self):
                return [Path("a.txt").read_text(), os.environ.get("A")]
            def env(self):
                return dict(ray.get_runtime_context().runtime_env)
        say = lambda value: print(json.dumps(value))
        say(ray.get(state.remote()))
        child = {"working_dir": own, "env_vars": {"B": "2"}}
        say(ray.get(state.options(runtime_env=child).remote()))
        say(ray.get(nested.options(runtime_env=child).remote()))
        say(ray.get(Actor.remote().state.remote()))
        env = ray.get(Actor.options(runtime_env={"env_vars": {"A": "9"}}).remote().env.remote())
        say([sorted(env), env["working_dir"][:15], env["env_vars"]])
        say(json.loads(ray.get_runtime_context().get_runtime_env_string())["env_vars"])
        """,
        tmp_path / "job",
        tmp_path / "own",
    )
    assert [json.loads(line) for line in out.splitlines()] == [
        ["job", "1", "1"],
        ["own", "1", "2"],
        [["own", "1", "2"], ["own", "1", "3"]],
        ["job", "1"],
        [["env_vars", "working_dir"], "gcs://_ray_pkg_", {"A": "9", "B": "1"}],
        {"A": "1", "B": "1"},
    ]


def test_a_hook_may_change_the_jobs_environment(tmp_path: Path) -> None:
    make_tree(
        tmp_path,
        {"env_hook.py": "def change(env):\n    return {**(env or {}), 'env_vars': {'H': 'yes'}}"},
    )
    out, _ = run_program(
        """
        import os
        import eagleray as ray
        for skips in (False, True):
            ray.init(address="local", num_cpus=1, _skip_env_hook=skips)
            print(ray.get(ray.remote(lambda: os.environ.get("H")).remote()))
            ray.shutdown()
        """,
        RAY_RUNTIME_ENV_HOOK="env_hook.change",
        PYTHONPATH=os.pathsep.join([str(tmp_path), str(Path(ray.__file__).parent.parent)]),
    )
    assert out.split() == ["yes", "None"]


def test_threads_ship_the_same_at_once(cluster: None, tmp_path: Path) -> None:
    make_tree(tmp_path, {f"{i}.txt": str(i) * 1000 for i in range(50)})
    with ThreadPoolExecutor(8) as pool:
        uris = list(pool.map(lambda _: shipping.ship(str(tmp_path), "working_dir", []), range(8)))
    assert len(set(uris)) == 1
    assert seen({"working_dir": uris[0]}, "7.txt") == ["7" * 1000]


def test_threads_remember_the_same_at_once(cache_dir: Path) -> None:
    signature = shipping._Signature("/folder", "", [])
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda _: signature.write("now", "name"), range(2_000)):
            assert signature.read("now") == "name"


def test_a_job_is_set_up_before_its_first_task(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a": "x"})
    run_program(
        """
        import glob, sys, time
        import eagleray as ray
        from eagleray._state import client
        for eager in (True, False):
            env = {"working_dir": sys.argv[1], "config": {"eager_install": eager}}
            ray.init(address="local", num_cpus=1, runtime_env=env)
            trees = client().info()["session_dir"] + "/runtime_resources/trees/_ray_pkg_*"
            deadline = time.monotonic() + 30
            while eager and not glob.glob(trees):
                assert time.monotonic() < deadline
            assert bool(glob.glob(trees)) == eager
            assert ray.get(ray.remote(lambda: open("a").read()).remote()) == "x"
            ray.shutdown()
        """,
        tmp_path,
    )


# ---- variables, interpreters, hooks ----


def test_variables_are_there_when_the_interpreter_starts(cluster: None, tmp_path: Path) -> None:
    make_tree(tmp_path, {"by_path.py": "value = 'found'"})
    env = {
        "env_vars": {"PYTHONPATH": str(tmp_path), "MIXED": "${HOME}:x", "GONE": "a${NOT_THERE_}b"}
    }
    assert seen(env, "by_path:value") == ["found"]
    options = variable.options(runtime_env=env)
    assert ray.get(options.remote("MIXED")) == os.environ["HOME"] + ":x"
    assert ray.get(options.remote("GONE")) == "ab"


@pytest.mark.parametrize("name", ["A_LIST", "LD_LIST", "PYTHON_LIST"])
def test_a_variable_is_expanded_once(cluster: None, name: str) -> None:
    """As Ray 2.60 does; those that an interpreter reads as it starts as well."""
    see = ray.remote(lambda: os.environ[name])
    env = {"env_vars": {name: "${" + name + "}:x"}}
    assert ray.get(see.options(runtime_env=env).remote()) == ":x"


def test_py_executable(cluster: None) -> None:
    @ray.remote(runtime_env={"py_executable": f"{sys.executable} -X dev"})
    def flags() -> Any:
        return sys.flags.dev_mode, 6 * 7

    assert ray.get(flags.remote()) == (True, 42)


def test_a_py_executable_that_is_none(cluster: None, tmp_path: Path) -> None:
    env = {"py_executable": "/bin/does-not-exist --flag"}
    with pytest.raises(
        RuntimeEnvSetupError, match="(?s)its Python could not be started.*does-not-exist"
    ):
        seen(env)
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nsleep 100\n")
    hangs.chmod(0o755)
    with pytest.raises(
        RuntimeEnvSetupError, match="took longer than its config's setup_timeout_seconds .1 s."
    ):
        seen({"py_executable": str(hangs), "config": {"setup_timeout_seconds": 1}})


def test_setup_hook(cluster: None, tmp_path: Path) -> None:
    def hook() -> None:
        os.environ["BY_HOOK"] = "called"

    env: dict[str, Any] = {"worker_process_setup_hook": hook}
    assert ray.get(variable.options(runtime_env=env).remote("BY_HOOK")) == "called"
    make_tree(tmp_path, {"hooks.py": "import os\ndef set_it(): os.environ['BY_NAME'] = 'named'"})
    env = {"py_modules": [str(tmp_path / "hooks.py")], "worker_process_setup_hook": "hooks.set_it"}
    assert ray.get(variable.options(runtime_env=env).remote("BY_NAME")) == "named"

    @ray.remote
    def context() -> Any:
        return dict(ray.get_runtime_context().runtime_env)

    env = {"worker_process_setup_hook": hook}
    assert ray.get(context.options(runtime_env=env).remote()) == {
        "worker_process_setup_hook": "hook"
    }


def test_a_hook_that_fails(cluster: None) -> None:
    def hook() -> None:
        raise ValueError("not today")

    env = {"worker_process_setup_hook": hook}
    for _ in range(2):
        with pytest.raises(
            Exception, match="(?s)Failed to execute the setup hook method, hook.*not today"
        ):
            ray.get(variable.options(runtime_env=env).remote("X"))

    @ray.remote(runtime_env=env)
    class Actor:
        def call(self) -> None: ...

    with pytest.raises(Exception, match="not today"):
        ray.get(Actor.remote().call.remote())


# ---- packages ----


def test_packages_are_installed_beside_the_drivers(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_one", "1.0", "value = 'one'")
    listed = tmp_path / "requirements.txt"
    listed.write_text(f"# a comment\n{wheel}\n")

    @ray.remote
    def both() -> Any:
        import cloudpickle  # of the driver's environment

        return importlib.import_module("eagletest_one").value, bool(cloudpickle)

    for env in (
        {"pip": [str(wheel)]},
        {"uv": [str(wheel)]},
        {"pip": str(listed)},
        {"pip": {"packages": [str(wheel)], "pip_check": True}},
        {
            "uv": {
                "packages": ["eagletest_one==1.0"],
                "uv_pip_install_options": ["--no-index", "--find-links", str(tmp_path)],
            }
        },
    ):
        assert ray.get(both.options(runtime_env=env).remote()) == ("one", True), env
    with pytest.raises(Exception, match="eagletest_one"):
        ray.get(both.remote())


def test_two_versions_at_once(cluster: None, tmp_path: Path) -> None:
    wheels = [make_wheel(tmp_path, "eagletest_two", v, f"value = {v!r}") for v in ("1.0", "2.0")]
    refs = [
        look.options(runtime_env={"pip": [str(w)]}).remote("eagletest_two:value")
        for w in wheels * 2
    ]
    assert ray.get(refs) == [["1.0"], ["2.0"], ["1.0"], ["2.0"]]


def test_many_who_wait_build_once(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_many", "1.0", "value = 1")
    env = {"pip": [str(wheel)]}
    before = _setup_logs()
    refs = [look.options(runtime_env=env).remote("eagletest_many:value") for _ in range(20)]

    @ray.remote(runtime_env=env)
    class Actor:
        def value(self) -> int:
            return int(importlib.import_module("eagletest_many").value)

    actor = Actor.remote()
    assert ray.get(refs) == [[1]] * 20 and ray.get(actor.value.remote()) == 1
    assert len(_setup_logs()) == len(before) + 1


def _logs() -> Path:
    from eagleray._state import client

    return Path(client().info()["session_dir"]) / "logs"


def _setup_logs() -> list[Path]:
    return list(_logs().glob("runtime_env_setup-*.log"))


def test_workers_of_an_environment_come_from_one_zygote(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_zygote", "1.0", "value = 1")

    @ray.remote(runtime_env={"pip": [str(wheel)]}, max_calls=1)
    def parents() -> tuple[int, int]:
        return os.getpid(), os.getppid()

    first, second = ray.get(parents.remote()), ray.get(parents.remote())
    assert first[0] != second[0] and first[1] == second[1]
    os.kill(first[1], signal.SIGKILL)  # the zygote: another one takes its place
    third = ray.get(parents.remote())
    assert third[1] != first[1]


def test_failure_shows_what_the_tool_said_to_all_who_wait(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_needs", "1.0", "", needs=("eagletest-nowhere==9.9",))
    env = {"pip": {"packages": [str(wheel), f"--find-links {tmp_path}", "--no-index"]}}
    refs = [look.options(runtime_env=env).remote() for _ in range(3)]

    @ray.remote(runtime_env=env)
    class Actor:
        def call(self) -> None: ...

    actor = Actor.remote()
    for ref in [*refs, actor.call.remote()]:
        with pytest.raises(RuntimeEnvSetupError, match="(?s)ended with status.*eagletest-nowhere"):
            ray.get(ref)
    make_wheel(tmp_path, "eagletest_nowhere", "9.9", "value = 'now'")
    assert seen(env, "eagletest_nowhere:value") == ["now"]  # the next use tries again


def test_passwords_are_not_shown(cluster: None, tmp_path: Path) -> None:
    options = ["--index-url", "http://me:secret@127.0.0.1:9/simple", "--no-cache"]
    environments = (
        {"uv": {"packages": ["eagletest-hidden"], "uv_pip_install_options": options}},
        {"pip": ["eagletest-hidden", "--extra-index-url http://me:secret@127.0.0.1:9/simple"]},
        {"working_dir": "http://me:secret@127.0.0.1:9/x.zip"},
    )
    for env in environments:
        with pytest.raises(RuntimeEnvSetupError) as caught:
            seen(env)
        text = str(caught.value)
        assert "secret" not in text and "127.0.0.1:9" in text
        log = re.search(r"all of it is in (\S+)\)", text)
        assert log and "secret" not in Path(log[1]).read_text()


def test_conflicts_are_found_when_asked_for(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_conflict", "1.0", "", needs=("eagletest-absent",))
    spec = {"packages": [str(wheel), "--no-deps"], "uv_check": True}
    spec["uv_pip_install_options"] = ["--no-deps"]
    spec["packages"] = [str(wheel)]
    with pytest.raises(RuntimeEnvSetupError, match="(?s)pip check.*eagletest-absent"):
        seen({"uv": spec})


def test_pip_itself(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_pip", "1.0", "value = 'by pip'")
    env = {
        "pip": {"packages": [str(wheel)], "pip_install_options": ["--no-index", "--no-cache-dir"]}
    }
    assert seen(env, "eagletest_pip:value") == ["by pip"]


def test_a_second_cluster_finds_what_the_first_built(cluster: None, tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, "eagletest_kept", "1.0", "value = 1")
    env = {"pip": [str(wheel)]}
    assert seen(env, "eagletest_kept:value") == [1]
    out, _ = run_program(
        """
        import glob, sys
        import eagleray as ray
        ray.init(address="local", num_cpus=1)
        @ray.remote(runtime_env={"pip": [sys.argv[1]]})
        def value():
            import eagletest_kept
            return eagletest_kept.value
        print(ray.get(value.remote()))
        from eagleray._state import client
        [log] = glob.glob(client().info()["session_dir"] + "/logs/runtime_env_setup-*.log")
        print(repr(open(log).read()))
        """,
        wheel,
    )
    assert out.split() == ["1", "''"]  # no tool was run


# ---- faults ----

SLOW_SETUP = """#!/bin/sh
[ "$1" = info ] && echo '{{"pkgs_dirs": []}}' && exit
echo $$ > {pids}
echo the tool has begun
sleep 100
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A path on which `conda` takes long; and where it writes its process's number. The cache is fresh."""
    monkeypatch.setenv("EAGLERAY_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("CONDA_EXE", raising=False)
    tool = tmp_path / "slow" / "conda"
    tool.parent.mkdir()
    tool.write_text(SLOW_SETUP.format(pids=tmp_path / "pid"))
    tool.chmod(0o755)
    return f"{tool.parent}:{os.environ['PATH']}", tmp_path / "pid"


def _pid_in(path: Path) -> int:
    return int(wait_for(lambda: path.exists() and path.read_text().strip(), 60))


WAITS_FOR_SETUP = """
import eagleray as ray, sys
ray.init(address="local", num_cpus=1, runtime_env={"config": {"setup_timeout_seconds": int(sys.argv[1])}})
@ray.remote(runtime_env={"conda": {"dependencies": ["slow"]}})
def f():
    return 1
ref = f.remote()
print("asked", flush=True)
"""


def test_nothing_is_left_of_a_driver_that_is_killed_meanwhile(
    slow: tuple[str, Path], tmp_path: Path
) -> None:
    path, pids = slow
    program = start_program(WAITS_FOR_SETUP + "ray.get(ref)", 600, PATH=path)
    tool = _pid_in(pids)
    program.send_signal(signal.SIGKILL)
    wait_for(lambda: not alive(tool))
    program.communicate()
    cache = Cache(str(tmp_path / "cache"))
    [lock] = [each.name for each in (tmp_path / "cache" / "locks").glob("conda@*")]
    assert cache.find(*lock.split("@")) is None
    # The builder may be about to die, too.
    wait_for(lambda: cache.evict(1 << 40) or not any((tmp_path / "cache" / "conda").iterdir()))


def test_a_builder_that_is_killed_is_a_failure(slow: tuple[str, Path], tmp_path: Path) -> None:
    path, pids = slow
    program = start_program(WAITS_FOR_SETUP + "ray.get(ref)", 600, PATH=path)
    tool = _pid_in(pids)
    builder = os.getpgid(tool)
    os.kill(builder, signal.SIGKILL)
    _, err = program.communicate(timeout=60)
    assert (
        "RuntimeEnvSetupError" in err
        and "was ended by signal 9" in err
        and "the tool has begun" in err
    )
    wait_for(lambda: not alive(tool))


def test_time_runs_out(slow: tuple[str, Path], tmp_path: Path) -> None:
    path, pids = slow
    program = start_program(WAITS_FOR_SETUP + "ray.get(ref)", 6, PATH=path)
    tool = _pid_in(pids)
    _, err = program.communicate(timeout=60)
    assert "setup_timeout_seconds (6 s)" in err and "the tool has begun" in err
    wait_for(lambda: not alive(tool))


def test_a_cancelled_task_ends_what_only_it_waited_for(
    slow: tuple[str, Path], tmp_path: Path
) -> None:
    path, pids = slow
    code = WAITS_FOR_SETUP + "sys.stdin.readline(); ray.cancel(ref); input_ = sys.stdin.readline()"
    code = code.replace("sys.stdin.readline()", "open(sys.argv[2]).read()")
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = start_program(code, 600, gate, PATH=path)
    tool = _pid_in(pids)
    gate.write_text("go")
    wait_for(lambda: not alive(tool))
    program.kill()
    program.communicate()


def test_other_tasks_run_meanwhile(slow: tuple[str, Path], tmp_path: Path) -> None:
    path, pids = slow
    code = WAITS_FOR_SETUP + "g = ray.remote(lambda: 'ran')\nprint(ray.get(g.remote()))\n"
    out, _ = run_program(code, 600, PATH=path)
    assert "ran" in out
    if pids.exists():
        wait_for(lambda: not alive(_pid_in(pids)))


def test_a_cluster_ends_what_only_a_dead_driver_waited_for(slow: tuple[str, Path]) -> None:
    path, pids = slow
    folder = tempfile.TemporaryDirectory()  # its name is short enough for a socket's
    root = str(Path(ray.__file__).parent.parent)
    env = {**os.environ, "PATH": path, "EAGLERAY_TMPDIR": folder.name, "PYTHONPATH": root}

    def cli(*words: str) -> str:
        command = [sys.executable, "-m", "eagleray", *words]
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60).stdout

    assert "started" in cli("start", "--head", "--num-cpus", "1")
    try:
        code = WAITS_FOR_SETUP.replace('"local", num_cpus=1', '"auto"') + "ray.get(ref)"
        program = start_program(code, 600, PATH=path, EAGLERAY_TMPDIR=folder.name)
        tool = _pid_in(pids)
        wait_for(lambda: "its runtime environment is being set up" in cli("status"), 60)
        program.kill()
        wait_for(lambda: not alive(tool))
        program.communicate()
        assert "_environments.builder" not in cli("status")
    finally:
        cli("stop")
        folder.cleanup()


def test_an_environment_that_nothing_uses_ends(cache_dir: Path) -> None:
    out, _ = run_program(
        """
        import os, sys, time
        import eagleray as ray
        ray.init(address="local", num_cpus=1, _system_config={"environment_idle_ms": 100})
        @ray.remote(runtime_env={"env_vars": {"PYTHONNODEBUGRANGES": "1"}}, max_calls=1)
        def zygote():
            return os.getppid()
        first = ray.get(zygote.remote())
        deadline = time.monotonic() + 30
        while os.path.exists(f"/proc/{first}"):
            assert time.monotonic() < deadline
        print(ray.get(zygote.remote()) != first)
        """
    )
    assert out == "True\n"


def test_the_cache_keeps_its_limit(tmp_path: Path) -> None:
    for number in range(3):
        make_tree(tmp_path / str(number), {"a": str(number) * 1000})
    for number in range(3):  # each a program: what one has shipped it keeps
        run_program(
            """
            import sys
            import eagleray as ray
            ray.init(address="local", num_cpus=1, _system_config={"environment_cache_bytes_max": 2500})
            env = {"working_dir": sys.argv[1]}
            print(ray.get(ray.remote(lambda: open("a").read()[0]).options(runtime_env=env).remote()))
            """,
            tmp_path / str(number),
            EAGLERAY_CACHE_DIR=str(tmp_path / "cache"),
        )
    left = list((tmp_path / "cache" / "packages").iterdir())
    assert len(left) == 2 == len(list((tmp_path / "cache" / "locks").iterdir()))


def test_a_session_keeps_the_limit_too(tmp_path: Path) -> None:
    """Of unpacked directories that nothing uses any more."""
    for number in range(3):
        make_tree(tmp_path / str(number), {"a": str(number) * 1000})
    out, _ = run_program(
        """
        import sys, os, threading
        import eagleray as ray
        limits = {"environment_cache_bytes_max": 2500, "environment_idle_ms": 50}
        ray.init(address="local", num_cpus=1, _system_config=limits)
        @ray.remote
        def see():
            return os.getcwd(), open("a").read()[0]
        @ray.remote
        class Stays:
            def see(self):
                return os.path.exists("a")
        stays = Stays.options(num_cpus=0, runtime_env={"working_dir": sys.argv[1] + "/0"}).remote()
        for i in range(60):
            number = str(i % 3)
            env = {"working_dir": f"{sys.argv[1]}/{number}"}
            folder, text = ray.get(see.options(runtime_env=env).remote())
            assert text == number
            kept = len(os.listdir(os.path.dirname(folder)))
            if i > 1 and kept == 2:
                break
            threading.Event().wait(0.1)
        print(kept, ray.get(stays.see.remote()))
        """,
        tmp_path,
        EAGLERAY_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert out == "2 True\n"


def test_a_full_disk(tmp_path: Path) -> None:
    """As far as one can be had without rights: files of this process may not grow."""
    make_tree(tmp_path / "d", {"a": "x" * 100_000})
    out, _ = run_program(
        """
        import resource, sys, os
        import eagleray as ray
        ray.init(address="local", num_cpus=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
        try:
            ray.remote(lambda: 1).options(runtime_env={"working_dir": sys.argv[1]}).remote()
        except ray.exceptions.RuntimeEnvSetupError as error:
            print("File too large" in str(error))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        env = {"working_dir": sys.argv[1]}
        print(ray.get(ray.remote(lambda: os.path.getsize("a")).options(runtime_env=env).remote()))
        """,
        tmp_path / "d",
        EAGLERAY_CACHE_DIR=str(tmp_path / "cache"),
    )
    assert out == "True\n100000\n"
    assert list((tmp_path / "cache" / "packing").iterdir()) == []


# ---- bad input ----


@pytest.mark.parametrize(
    ("env", "error", "says"),
    [
        ({"env_vars": ["A"]}, TypeError, r"must be of type Dict\[str, str\]"),
        ({"env_vars": {"A": 1}}, TypeError, "the value 1 is of type"),
        ({"env_vars": {"A=": "1"}}, ValueError, "cannot be in an environment"),
        ({"working_dir": 3}, TypeError, "`working_dir` must be a string"),
        ({"working_dir": "/does/not/exist"}, ValueError, "/does/not/exist is not a valid path"),
        ({"working_dir": "s3://b/x.zip"}, NotImplementedError, "s3://"),
        ({"working_dir": "https://h/x.txt"}, ValueError, "Only .zip.* files are supported"),
        ({"working_dir": "what://x.zip"}, ValueError, "Invalid protocol"),
        ({"working_dir": "local://x"}, ValueError, "an/absolute/directory"),
        ({"working_dir": __file__}, ValueError, "not a directory, and no archive"),
        ({"py_modules": "x"}, TypeError, "`py_modules` must be a list"),
        ({"py_modules": [3]}, TypeError, "file paths, URIs, or imported modules"),
        ({"excludes": "x"}, TypeError, "List.str."),
        ({"pip": 3}, TypeError, r"runtime_env\['pip'\] must be"),
        ({"pip": "/no/file"}, ValueError, "not a valid file"),
        ({"pip": {"x": 1}}, ValueError, "can only have these fields"),
        ({"pip": {"pip_check": True}}, ValueError, "must include field 'packages'"),
        ({"pip": {"packages": ["a"], "pip_check": "yes"}}, TypeError, "must be of type bool"),
        ({"uv": {"packages": "a"}}, ValueError, "must be of type list"),
        ({"uv": {"packages": ["a"], "uv_pip_install_options": [1]}}, TypeError, r"list\[str\]"),
        ({"pip": ["a"], "uv": ["b"]}, ValueError, "cannot be specified at the same time"),
        ({"image_uri": "a", "pip": ["b"]}, ValueError, "cannot be used together"),
        ({"container": "x"}, TypeError, "a dict with an 'image'"),
        ({"conda": 3}, TypeError, "must be of type str or dict"),
        ({"conda": "no.yml"}, ValueError, "Can't find conda YAML file"),
        ({"config": {"setup_timeout_seconds": 0}}, ValueError, "greater than zero"),
        ({"config": 3}, TypeError, "dict or RuntimeEnvConfig"),
        ({"worker_process_setup_hook": 3}, TypeError, "must be a function"),
        ({"java_jars": ["x"]}, NotImplementedError, "java_jars"),
        ({3: 1}, TypeError, "are strings"),
    ],
)
def test_bad_input(env: Any, error: type[Exception], says: str) -> None:
    """Where it is written, as in Ray: not where it is first used."""
    for decorated in (lambda: 1, type("A", (), {})):
        with pytest.raises(error, match=says):
            ray.remote(runtime_env=env)(decorated)
    with pytest.raises(error, match=says):
        look.options(runtime_env=env)


def test_a_package_that_is_not_in_the_store(cluster: None) -> None:
    with pytest.raises(RuntimeEnvSetupError, match="is not in the store of this cluster"):
        seen({"working_dir": "gcs://_ray_pkg_0000.zip"})


def test_init_refuses_before_anything_starts() -> None:
    program = start_program(
        """
        import eagleray as ray
        try:
            ray.init(runtime_env={"working_dir": "/does/not/exist"})
        except ValueError as error:
            print(error, ray.is_initialized())
        """
    )
    assert program.communicate(timeout=60)[0].endswith("nothing is there. False\n")
