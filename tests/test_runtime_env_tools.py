"""Runtime environments that foreign tools make, conda, podman and docker, played by programs of the tests."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
from _conda import Conda
from _support import run_program, start_program, wait_for
from eagleray._environments import container

pytestmark = pytest.mark.only_eagleray


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of each test's own."""
    monkeypatch.setenv("EAGLERAY_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    out, _ = run_program(
        """
        import eagleray as ray
        ray.init(address="local", num_cpus=1)
        for env in ({"conda": "some-env"}, {"image_uri": "some/image"}):
            try:
                ray.get(ray.remote(lambda: 1).options(runtime_env=env).remote())
            except ray.exceptions.RuntimeEnvSetupError as error:
                print(error.error_message.splitlines()[0])
        """,
        PATH=str(tmp_path / "bin"),
        CONDA_EXE="",
    )
    conda, image = out.splitlines()
    assert "needs conda, mamba or micromamba, and there is none" in conda
    assert "need podman or docker, and neither is on the node's path" in image


FAKE_PODMAN = """#!{python}
import os, sys
arguments = sys.argv[1:]
if arguments[0] == "kill":
    sys.exit()
if arguments[0] == "rm":
    os.unlink({folder!r} + "/" + arguments[-1])
    sys.exit()
if os.getuid() == 0 and "--userns=keep-id" in arguments:
    sys.exit("keep-id is only supported in rootless mode")
open({folder!r} + "/" + arguments[arguments.index("--name") + 1], "w").close()
at = arguments.index("--entrypoint")
for i, word in enumerate(arguments[:at]):
    if word == "--env":
        name, given, value = arguments[i + 1].partition("=")
        os.environ[name] = value if given else os.environ[name]  # it takes its own
assert "secret" not in " ".join(arguments), "everybody may read arguments"
os.environ["IN_IMAGE"] = arguments[at + 2]
os.execv({python!r}, [{python!r}, *arguments[at + 3 :]])
"""


def _put_tool(tmp_path: Path, name: str, text: str) -> str:
    """The path on which the tool is found."""
    tool = tmp_path / "bin" / name
    tool.parent.mkdir(exist_ok=True)
    tool.write_text(text)
    tool.chmod(0o755)
    return f"{tool.parent}:{os.environ['PATH']}"


def _with_tool(tmp_path: Path, name: str, text: str, code: str, *arguments: object) -> list[str]:
    path = _put_tool(tmp_path, name, text)
    return run_program(code, *arguments, PATH=path)[0].splitlines()


@pytest.fixture
def conda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conda:
    made = Conda(tmp_path)
    monkeypatch.setenv("PATH", f"{made.path}:{os.environ['PATH']}")
    for name in ("CONDA_EXE", "RAY_CONDA_HOME"):
        monkeypatch.delenv(name, raising=False)
    return made


_SEES = """
    import os, sys
    import eagleray as ray
    ray.init(address="local", num_cpus=2)
    @ray.remote
    def see():
        made = os.path.join(sys.prefix, "made-of")
        assert sys.prefix == os.environ["CONDA_PREFIX"]
        assert os.environ["PATH"].startswith(sys.prefix + "/bin:")
        return os.environ["CONDA_DEFAULT_ENV"], os.path.exists(made) and open(made).read()
    def show(task, conda, **more):
        try:
            print(ray.get(task.options(runtime_env={"conda": conda, **more}).remote()), flush=True)
        except ray.exceptions.RuntimeEnvSetupError as error:
            print(str(error).replace("\\n", " "), flush=True)
"""


def test_conda_by_name_and_directory(conda: Conda, tmp_path: Path) -> None:
    mine = conda.add("mine")
    conda.add("another")  # sorts before base
    (tmp_path / "empty").mkdir()
    other = tmp_path / "other" / "bin" / "python"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho 3.9\n")
    other.chmod(0o755)
    out, _ = run_program(
        _SEES + "    for each in sys.argv[1:]: show(see, each)",
        *("mine", mine, f"{mine}/", "base", "no-such", tmp_path / "empty", tmp_path / "other"),
    )
    lines = out.splitlines()
    assert lines[:4] == ["('mine', False)"] * 3 + ["('base', False)"]
    assert "no environment 'no-such'; it has ['another', 'base', 'mine']" in lines[4]
    assert f"{tmp_path}/empty has no Python" in lines[5]
    assert f"{tmp_path}/other has Python 3.9, and this cluster runs on" in lines[6]


def test_conda_makes_environments(conda: Conda, tmp_path: Path) -> None:
    (tmp_path / "spec.yml").write_text("name: s\ndependencies:  # all\n\n  - x\n  - pip\n")
    (tmp_path / "flow.yaml").write_text("dependencies: [x]\n")
    out, _ = run_program(
        _SEES
        + """
    for each in (
        {"dependencies": ["x"]}, {"name": "only"}, *sys.argv[1:], {"dependencies": ["bad"]}
    ):
        show(see, each)
        """,
        *(tmp_path / "spec.yml", tmp_path / "flow.yaml"),
    )
    lines = out.splitlines()
    python = f"python={sys.version_info[0]}.{sys.version_info[1]}"
    made = [line.rpartition(", ")[2] for line in lines[:4]]
    assert made == [f"'pip {python} x')", f"'pip {python}')", *[f"'pip {python} x')"] * 2]
    assert "PackagesNotFoundInChannelsError: bad" in lines[4]
    assert f"it was asked for {python} and pip" in lines[4]


def test_an_environment_of_conda_is_activated(conda: Conda) -> None:
    out, _ = run_program(
        _SEES
        + """
    @ray.remote
    def active():
        names = ("ACTS", "OF_FILE", "OF_USER", "PATH")
        assert os.environ["COSTS"] == "${NOPE} costs $HOME"
        assert os.environb[b"RAW"] == b"a\\r\\n\\xff", "it is what the script exports"
        return [os.environ[name].replace(sys.prefix, "PREFIX") for name in names]
    spec = {"dependencies": ["acts"], "variables": {"OF_FILE": "a file"}}
    show(active, spec, env_vars={"OF_USER": "${CONDA_PREFIX}/lib", "PATH": "/user:${PATH}"})
        """,
        PATH=f"{conda.path}:/usr/bin:/bin",
    )
    assert out.strip() == str(
        ["PREFIX of\na file", "a file", "PREFIX/lib"]
        + [f"/user:/acts:PREFIX/bin:{conda.path}:/usr/bin:/bin"]
    )


def test_packages_of_conda_are_never_left_half_unpacked(conda: Conda) -> None:
    """Not when it is killed, and not when several environments are wanted at once."""
    out, _ = run_program(
        _SEES
        + """
    show(see, {"dependencies": ["killed"]})
    specs = [{"dependencies": ["x"], "variables": {"A": str(i)}} for i in range(4)]
    tasks = [see.options(runtime_env={"conda": spec}).remote() for spec in specs for _ in range(2)]
    print(len({name for name, _ in ray.get(tasks)}))
        """
    )
    killed, made = out.splitlines()
    assert "was ended by signal 9" in killed
    assert made == "4"
    assert not (conda.root / "pkgs").exists()


_MAKES = """
    import os, sys
    from eagleray._environments import cache, conda
    made, held = conda.make({"dependencies": sys.argv[1:]}, cache.Cache(cache.default_directory()))
    print("made", open(os.path.join(made, "made-of")).read(), flush=True)
"""


@pytest.mark.parametrize("wanted", ["x", "orphaned"])
def test_a_conda_that_outlives_its_builder_is_waited_for(conda: Conda, wanted: str) -> None:
    """Whether the next builder wants another environment or the same; what could not be removed meanwhile goes."""
    first = start_program(_MAKES, "orphaned")
    first.wait()
    with start_program(_MAKES, wanted) as program:
        assert program.stdout is not None
        seen = iter(program.stdout)
        waits = next(line for line in seen if "waits: conda is at another environment" in line)
        left = Path(waits.split()[0] + ".x.left")
        left.mkdir()
        conda.go_on.write_text("")
        last = list(seen)[-1]
    first.communicate()
    assert last.startswith("made ") and wanted in last.split()
    assert not left.exists()


def test_passwords_of_channels_are_shown_nowhere(conda: Conda) -> None:
    out, _ = run_program(
        _SEES
        + """
    import pathlib
    show(see, {"dependencies": ["bad"], "channels": ["https://me:secret@host/none"]})
    session = pathlib.Path(ray._state.state.context.address_info["session_dir"])
    print([each.read_text() for each in session.glob("logs/runtime_env_setup-*.log")])
        """
    )
    error, log = out.splitlines()
    for shown in (error, log):
        assert (
            "PackagesNotFoundInChannelsError: bad in ['https://****@host/none']"
            in shown.replace("\\", "")
        )
        assert "secret" not in shown


def _made_containers(tmp_path: Path) -> tuple[Path, str]:
    """Where FAKE_PODMAN keeps what it has not removed, and its text."""
    folder = tmp_path / "containers"
    folder.mkdir()
    return folder, FAKE_PODMAN.format(python=sys.executable, folder=str(folder))


def test_containers(tmp_path: Path) -> None:
    made, podman = _made_containers(tmp_path)
    lines = _with_tool(
        tmp_path,
        "podman",
        podman,
        """
        import os, sys
        import eagleray as ray
        ray.init(address="local", num_cpus=2)
        @ray.remote
        def see():
            return os.environ["IN_IMAGE"], os.environ.get("A")
        print(ray.get(see.options(runtime_env={"image_uri": "an/image:1", "env_vars": {"A": "a secret"}}).remote()))
        print(ray.get(see.options(runtime_env={"container": {"image": "other", "run_options": ["-v", "x"]}}).remote()))
        print(len(os.listdir(sys.argv[1])))
        """,
        made,
    )
    assert lines == ["('an/image:1', 'a secret')", "('other', None)", "2"]
    assert not os.listdir(made)


def test_a_removal_that_was_cut_off_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "last").mkdir()
    (tmp_path / "last" / "eagleray-1").touch()
    container.remove_those_of(str(tmp_path))
    assert not os.listdir(tmp_path / "last")


STARTS_A_CONTAINER = """
import os, signal, sys
import eagleray as ray
ray.init(address="local", num_cpus=1, _temp_dir=sys.argv[1])
see = ray.remote(runtime_env={"image_uri": "an/image:1"})(lambda: os.environ["IN_IMAGE"])
print(ray.get(see.remote()), flush=True)
if sys.argv[2] == "killed with its guard":
    guard = ray._state.state.node.process.pid
    os.kill(guard, signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
signal.pause()
"""


def test_containers_of_programs_that_were_killed_are_removed(tmp_path: Path) -> None:
    made, podman = _made_containers(tmp_path)
    path = _put_tool(tmp_path, "podman", podman)
    with tempfile.TemporaryDirectory() as sessions:  # a socket's path is short
        killed = start_program(STARTS_A_CONTAINER, sessions, "killed with its guard", PATH=path)
        assert killed.communicate()[0] == "an/image:1\n"
        (left,) = os.listdir(made)
        stays = start_program(STARTS_A_CONTAINER, sessions, "stays", PATH=path)
        assert stays.stdout and stays.stdout.readline() == "an/image:1\n"
        # Its builder removes what the program before has left.
        wait_for(lambda: left not in os.listdir(made) and os.listdir(made))
        stays.kill()
        stays.communicate()
        wait_for(lambda: not os.listdir(made))


def test_the_core_needs_no_libstdcxx_of_the_interpreters(tmp_path: Path) -> None:
    (tmp_path / "libstdc++.so.6").touch()  # the loader refuses it
    out, _ = run_program(
        "from eagleray import _core, _rl; print(_core.__name__, _rl.__name__)",
        LD_LIBRARY_PATH=str(tmp_path),
    )
    assert out.split() == ["eagleray._core", "eagleray._rl"]
