"""Parts of runtime environments: patterns, packages, text, the cache, the public classes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from _packages import make_tree
from _support import run_program, start_program
from eagleray import _places as places
from eagleray._environments import conda, packages, python_packages, shipping, text
from eagleray._environments.cache import Cache
from eagleray._environments.ignore import Patterns
from eagleray._environments.tools import SetupFailed
from eagleray.runtime_env import RuntimeEnv, RuntimeEnvConfig

pytestmark = pytest.mark.only_eagleray


def test_what_is_too_large_is_named(tmp_path: Path) -> None:
    make_tree(tmp_path, {"data/large.bin": "x" * 5000, "small": "y"})
    listing = packages.list_files(str(tmp_path), [], [])
    with pytest.raises(
        packages.TooLarge, match=r"data/large.bin \(0.00 MiB\), small .*data/ .*excludes"
    ):
        packages.check_size(listing, str(tmp_path), "working_dir", 5000)
    packages.check_size(listing, str(tmp_path), "working_dir", 5001)


@pytest.mark.parametrize(
    ("lines", "out", "kept"),
    [
        (["*.log"], ["a.log", "d/b.log"], ["a.logs"]),
        (["/a"], ["a"], ["d/a"]),
        (["d/*.py"], ["d/x.py"], ["x.py", "e/d/x.py", "d/e/x.py"]),
        (["**/tmp"], ["tmp", "a/b/tmp"], ["tmpx"]),
        (["a/**/b"], ["a/b", "a/x/y/b"], ["b"]),
        (["a/**"], ["a/x", "a/x/y"], ["a", "b"]),
        (["x?z", "[ab]c", "[!a]d"], ["xyz", "ac", "bd"], ["xz", "cc", "ad"]),
        (["*.py", "!keep.py"], ["a.py"], ["keep.py"]),
        (["\\#a", "\\!b", "#c", ""], ["#a", "!b"], ["c", "a"]),
        (["trail  ", "esc\\ "], ["trail", "esc "], ["trail  "]),
        (["a.b", "c+d"], ["a.b", "c+d"], ["axb", "ccd"]),
    ],
)
def test_patterns_are_those_of_git(lines: list[str], out: list[str], kept: list[str]) -> None:
    patterns = Patterns(lines)
    assert [name for name in out if not patterns.match(name, False)] == []
    assert [name for name in kept if patterns.match(name, False)] == []


def test_patterns_for_directories() -> None:
    patterns = Patterns(["build/"])
    assert patterns.match("x/build", True) and not patterns.match("build", False)


def test_archives_do_not_write_outside(tmp_path: Path) -> None:
    bad = tmp_path / "bad.zip"
    with zipfile.ZipFile(bad, "w") as file:
        file.writestr("../outside", "x")
    with pytest.raises(packages.BadPackage, match="outside of it: ../outside"):
        packages.unpack(str(bad), str(tmp_path / "out"))
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(packages.BadPackage, match="neither a package nor"):
        packages.unpack(str(tmp_path / "text.zip"), str(tmp_path / "out2"))


def test_what_another_machine_packs_is_let_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Homes are shared: a process that is not here may be there."""
    monkeypatch.setenv("EAGLERAY_CACHE_DIR", str(tmp_path))
    (tmp_path / "packing").mkdir(mode=0o700)
    for name in (f"elsewhere@{2**30}-x", f"{os.uname().nodename}@{2**30}-x"):
        (tmp_path / "packing" / name).touch()
    with shipping._aside() as (fd, path):
        os.close(fd)
        left = sorted(each.name for each in (tmp_path / "packing").iterdir())
    assert left == sorted([os.path.basename(path), f"elsewhere@{2**30}-x"])


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    """Not that the package cannot be closed, which is what follows."""
    make_tree(tmp_path / "d", {"a": "x" * 100_000})
    listing = packages.list_files(str(tmp_path / "d"), [], [])
    with open(tmp_path / "p.zip", "wb") as out:
        packages.hash_and_pack(listing, out, "")
    out_text, _ = run_program(
        """
        import resource, signal, sys
        from eagleray._environments import packages
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            packages.unpack(sys.argv[1], sys.argv[1] + ".d")
        except Exception as error:
            print(type(error).__name__, error.errno)
        """,
        tmp_path / "p.zip",
    )
    assert out_text == f"OSError {errno.EFBIG}\n"


def test_files_of_all_sizes_arrive(tmp_path: Path) -> None:
    """Those around the size of a buffer, too; and what has changed since it was listed is as it is now."""
    (tmp_path / "d").mkdir()
    chunk = packages._CHUNK
    contents = {}
    for size in (0, 1, chunk - 2, chunk - 1, chunk, chunk + 1, 3 * chunk, 7):
        contents[f"f{size}"] = os.urandom(size)
        (tmp_path / "d" / f"f{size}").write_bytes(contents[f"f{size}"])
    listing = packages.list_files(str(tmp_path / "d"), [], [])
    for name in ("f7", f"f{chunk}"):
        for longer in (b"", b"grown" * 1000):
            contents[name] = longer
            (tmp_path / "d" / name).write_bytes(longer)
            with open(tmp_path / "p.zip", "wb") as out:
                packages.hash_and_pack(listing, out, "")
            packages.unpack(str(tmp_path / "p.zip"), str(tmp_path / "out"))
            found = {each.name: each.read_bytes() for each in (tmp_path / "out").iterdir()}
            assert found == contents
            shutil.rmtree(tmp_path / "out")


def test_packing_says_that_the_disk_is_full(tmp_path: Path) -> None:
    """Its writer is another thread."""
    make_tree(tmp_path / "d", {f"{number}": "x" * 3_000_000 for number in range(6)})
    out, _ = run_program(
        """
        import resource, sys
        from eagleray._environments import packages
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        listing = packages.list_files(sys.argv[1] + "/d", [], [])
        try:
            with open(sys.argv[1] + "/p.zip", "wb") as out:
                packages.hash_and_pack(listing, out, "")
        except OSError as error:
            print(error.errno)
        """,
        tmp_path,
    )
    assert out == f"{errno.EFBIG}\n"


def test_trees_are_made_where_files_are_made_quickly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = [900_000, 400_000, 20_000, 10_000]
    asked: list[str] = []

    def probe(directory: str) -> int:
        asked.append(os.path.basename(directory))
        Path(directory, "mark").write_text(asked[-1])
        return costs[len(asked) - 1]

    monkeypatch.setattr(places, "_probe", probe)
    places.make_directory(str(tmp_path / "trees" / "one"))
    assert len(asked) == 3 and os.listdir(tmp_path / "trees") == ["one"]
    assert (tmp_path / "trees/one/mark").read_text() == asked[2]
    asked.clear()
    costs[:] = [9_000_000] * 3 + [8_000_000] + [9_000_000] * 9
    places.make_directory(str(tmp_path / "trees" / "two"))  # none is quick: the best
    assert (tmp_path / "trees/two/mark").read_text() == asked[3]
    assert sorted(os.listdir(tmp_path / "trees")) == ["one", "two"]


@pytest.mark.parametrize(
    ("slow", "moves"),
    [(range(0), 0), (range(100, 300), 12), (range(100, 120), 1), (range(10**6), 32)],
)
def test_where_files_have_become_slow_no_more_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: range, moves: int
) -> None:
    made, moved, now = 0, 0, 0

    def clock() -> int:
        nonlocal now, made
        made += 1
        now += 1_000_000 if made // 2 in slow else 10_000
        return now

    def make_directory(path: str) -> None:
        nonlocal moved
        moved += 1
        os.mkdir(path)

    (tmp_path / "t").mkdir()
    (tmp_path / "t.files").mkdir()  # of one that was killed
    (tmp_path / "t.files/file").touch()
    monkeypatch.setattr(places.time, "thread_time_ns", clock)
    monkeypatch.setattr(places, "make_directory", make_directory)
    with places.Files(str(tmp_path / "t")) as files:
        for number in range(1000):
            fd = files.make(str(tmp_path / "t" / str(number)), 0o755)
            os.write(fd, b"%d" % number)
            os.close(fd)
    assert moved == moves
    assert all((tmp_path / f"t/{n}").read_text() == str(n) for n in range(1000))
    assert os.stat(tmp_path / "t/999").st_mode & 0o111
    assert moves == 0 or not (tmp_path / "t.files").exists()


def test_a_place_is_left_as_it_was_found(tmp_path: Path) -> None:
    places.make_directory(str(tmp_path / "trees" / "one"))
    assert os.listdir(tmp_path / "trees/one") == [] and os.listdir(tmp_path / "trees") == ["one"]


def test_merging() -> None:
    parent = {"pip": {"packages": ["a"]}, "env_vars": {"A": "1"}, "working_dir": "w"}
    child = {"conda": "base", "env_vars": {"A": "2"}}
    assert text.merge(parent, child) == {
        "conda": "base",
        "env_vars": {"A": "2"},
        "working_dir": "w",
    }


def test_text_and_back() -> None:
    simple = {"env_vars": {"A": "1"}}
    assert text.to_text({}) == "" and text.to_text(simple) == json.dumps(simple)
    built = {
        "working_dir": "gcs://x.zip",
        "config": {"setup_timeout_seconds": 5},
        "excludes": ["y"],
    }
    said = text.to_text(built)
    assert said == '5\n{"working_dir": "gcs://x.zip"}'
    assert text.from_text(said) == {
        "working_dir": "gcs://x.zip",
        "config": {"setup_timeout_seconds": 5},
    }
    assert text.to_text({"env_vars": {"LD_LIBRARY_PATH": "x"}}).startswith("600\n")


def test_the_least_used_goes_first_and_what_is_used_stays(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))

    def fill(path: str) -> None:
        Path(path).write_bytes(b"x" * 1000)

    held = [cache.make("packages", name, fill) for name in ("one", "two", "three")]
    for number, each in enumerate(held):
        os.utime(each.lock, (number + 1, number + 1))
    assert cache.evict(0) == []  # all are in use
    for each in held:
        each.release()
    again = cache.find("packages", "one")
    assert again is not None
    again.release()
    removed = cache.evict(2000)
    assert [os.path.basename(path) for path in removed] == ["two"]
    assert cache.find("packages", "two") is None
    assert len(cache.evict(0)) == 2


def test_what_is_removed_leaves_no_lock(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))

    def fail(path: str) -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        cache.make("packages", "bad", fail)
    assert os.listdir(tmp_path / "c/locks") == []
    for name in ("one", "two"):
        cache.make("packages", name, lambda path: Path(path).write_bytes(b"x" * 10)).release()
    cache.evict(10)
    assert len(os.listdir(tmp_path / "c/locks")) == 1
    cache.evict(0)
    assert os.listdir(tmp_path / "c/locks") == []


def test_locks_that_are_removed_meanwhile_lock_nothing(tmp_path: Path) -> None:
    """Processes that make, find and remove the same entries: nobody holds one that is not there."""
    code = """
    import os, sys
    from eagleray._environments.cache import Cache
    cache = Cache(sys.argv[1])
    def fill(path):
        with open(path, "w") as file:
            file.write(path)
    for i in range(300):
        held = cache.make("packages", str(i % 3), fill)
        assert os.path.exists(held.path)
        held.release()
        cache.evict(0)
    """
    programs = [start_program(code, tmp_path / "c") for _ in range(3)]
    assert [each.wait(120) for each in programs] == [0, 0, 0]
    assert os.listdir(tmp_path / "c/locks") == [] == os.listdir(tmp_path / "c/packages")


def test_what_a_process_keeps_costs_it_one_descriptor(tmp_path: Path) -> None:
    code = """
    import os, sys, threading
    from pathlib import Path
    from eagleray._environments.cache import Cache
    cache = Cache(sys.argv[1])
    before = len(os.listdir("/proc/self/fd"))
    for i in range(50):
        for _ in range(2):
            cache.keep(cache.make("packages", str(i), lambda path: Path(path).write_text("x")))
    print(len(os.listdir("/proc/self/fd")) - before, flush=True)
    threading.Event().wait()
    """
    program = start_program(code, tmp_path / "c")
    assert program.stdout is not None and program.stdout.readline() == "1\n"
    cache = Cache(str(tmp_path / "c"))
    cache.make("packages", "mine", lambda path: Path(path).write_text("x")).release()
    assert cache.evict(0) == [cache.path("packages", "mine")]
    program.kill()
    program.communicate()
    cache.evict(1000)  # which removes nothing
    assert os.listdir(tmp_path / "c/keepers") == []
    assert len(cache.evict(0)) == 50
    assert os.listdir(tmp_path / "c/keepers") == []


def test_passwords_are_masked() -> None:
    for said, shown in (
        ("--index-url https://me:secret@host/simple", "--index-url https://****@host/simple"),
        ("--proxy=me:secret@host:3128", "--proxy=****@host:3128"),
        (
            "'https://secret@host/a' 'x @ http://a:secret@b'",
            "'https://****@host/a' 'x @ http://****@b'",
        ),
        ("'http//me:secret@host:9/none'", "'http//****@host:9/none'"),
        ("x@https://host/a@b a:1", "x@https://host/a@b a:1"),
    ):
        assert text.masked(said) == shown


def test_passwords_are_in_no_arguments() -> None:
    """Of installers: other users may read those."""
    private = "https://me:secret@host/simple"
    given = ["-i", private, "--no-deps", f"--extra-index-url={private}", "-f", "https://host/open"]
    assert python_packages._without_passwords(given) == (
        ["--no-deps", "-f", "https://host/open"],
        [f"-i {private}", f"--extra-index-url {private}"],
    )


def test_what_an_environment_shared_counts_when_it_is_removed(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))

    def fill(path: str) -> None:
        with cache.alone("conda_packages", "all", lambda: None) as (packages, _):
            Path(packages, "package").write_text("x" * 1000)
            os.makedirs(path)
            os.link(Path(packages, "package"), Path(path, "package"))

    made = cache.make("conda", "key", fill, in_place=True)
    os.utime(made.lock, (1, 1))
    made.release()
    packages = cache.path("conda_packages", "all")
    assert cache.evict(999) == [made.path, packages]


def test_what_cannot_be_removed_is_in_nobodys_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "c"))
    shared = Path(cache.path("conda_packages", "all"))
    shared.mkdir(parents=True)
    (shared / "stays").touch()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        with cache.alone("conda_packages", "all", lambda: None) as held:
            assert os.listdir(held.path) == []
        assert len(list(shared.parent.glob("*/stays"))) == 1
    (shared / ".eagleray-ready").unlink()
    with cache.alone("conda_packages", "all", lambda: None):
        assert os.listdir(shared.parent) == ["all"]


def test_what_could_not_be_removed_goes_with_the_next_eviction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(str(tmp_path / "c"))
    locks = Path(cache.directory, "locks")
    with cache.alone("conda_packages", "all", lambda: None) as (packages, _):
        Path(packages, "package").write_text("x" * 1000)
        os.makedirs(cache.path("conda", "key"))
        os.link(Path(packages, "package"), Path(cache.path("conda", "key"), "package"))
    os.makedirs(cache.path("trees", "key.aside"))
    for kind in ("conda", "trees"):
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
            cache.make(kind, "key", os.makedirs, in_place=kind == "conda").release()
        assert len(os.listdir(cache.path(kind, ""))) == 2
    held = cache.find("conda", "key")
    assert held is not None
    assert cache.evict(1 << 40, ["plugin-a"]) == []
    assert len(os.listdir(cache.path("conda", ""))) == 2
    assert cache.evict(1 << 40) == []
    assert os.listdir(cache.path("conda", "")) == os.listdir(cache.path("trees", "")) == ["key"]
    assert sorted(os.listdir(locks)) == ["conda@key", "conda_packages@all", "trees@key"]
    assert (locks / "conda_packages@all").read_text() == "1000"
    held.release()


def test_what_is_written_where_an_entry_was_removed_goes_with_the_next_eviction(
    tmp_path: Path,
) -> None:
    cache = Cache(str(tmp_path / "c"))

    def fill(path: str) -> None:
        os.makedirs(path)
        Path(path, "being-made").touch()
        os.makedirs(path + ".aside")
        assert cache.evict(1 << 40) == []  # by another process, say
        assert os.listdir(path) == ["being-made"] and os.path.isdir(path + ".aside")
        os.rmdir(path + ".aside")

    made = cache.make("conda", "made", fill, in_place=True)
    os.makedirs(cache.path("conda", "orphan"))  # by a conda that outlived its builder
    assert cache.evict(1 << 40) == []
    assert os.listdir(cache.path("conda", "")) == ["made"]
    assert os.listdir(os.path.join(cache.directory, "locks")) == ["conda@made"]
    made.release()


def test_failure_and_death_leave_nothing_that_counts(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "c"))

    def fail(path: str) -> None:
        os.makedirs(path)
        raise OSError(28, "No space left on device")

    for in_place, kind in ((False, "trees"), (True, "python")):
        with pytest.raises(OSError, match="No space"):
            cache.make(kind, "key", fail, in_place=in_place)
        assert cache.find(kind, "key") is None and os.listdir(cache.path(kind, "")) == []
        # Killed in the middle: half of it is there.
        half = cache.path(kind, "key") + ("" if in_place else ".aside")
        os.makedirs(half)
        Path(half, "left").write_text("half")
        assert cache.find(kind, "key") is None

        def fill(path: str) -> None:
            os.makedirs(path)
            Path(path, "whole").write_text("")

        made = cache.make(kind, "key", fill, in_place=in_place)
        assert "left" not in os.listdir(made.path) and "whole" in os.listdir(made.path)
        made.release()


def test_two_processes_make_one(tmp_path: Path) -> None:
    code = """
    import os, sys, time
    from eagleray._environments.cache import Cache
    def fill(path):
        with open(sys.argv[1] + "/count", "a") as file:
            file.write("x")
        open(path, "w").close()
    Cache(sys.argv[1] + "/c").make("packages", "key", fill).release()
    """
    programs = [start_program(code, tmp_path) for _ in range(3)]
    assert [each.wait(60) for each in programs] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "x"


def test_what_one_process_changes_is_kept_when_it_is_done(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path / "cache"))
    with cache.alone("conda_packages", "all", lambda: None) as (path, _):
        Path(path, "kept").write_text("x" * 300)
        os.makedirs(Path(path, "below"))
        os.link(Path(path, "kept"), tmp_path / "elsewhere")
        Path(path, "below", "counted").write_text("x" * 200)
        assert cache.evict(0) == []  # in use
    assert Path(cache.directory, "locks", "conda_packages@all").read_text() == "200"
    with pytest.raises(KeyError):
        with cache.alone("conda_packages", "all", lambda: None) as (path, _):
            assert Path(path, "kept").exists()
            raise KeyError
    with cache.alone("conda_packages", "all", lambda: None) as (path, _):
        assert os.listdir(path) == []
    assert cache.evict(-1) == [path] and not os.path.exists(path)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("dependencies:\n- a\n", "dependencies:\n{0}{1}- a\n"),
        (
            "name: n\ndependencies: # c\n\n  # d\n  - a\nvariables:\n  - b\n",
            "name: n\ndependencies: # c\n\n  # d\n  {0}  {1}  - a\nvariables:\n  - b\n",
        ),
        ("dependencies: [a,\n b]\n", "dependencies: [{2}, {3}, a,\n b]\n"),
        ("dependencies: []", "dependencies: [{2}, {3}, ]\n"),
        ("'dependencies': &a !!seq [a]\n", "'dependencies': &a !!seq [{2}, {3}, a]\n"),
        ('"dependencies" : &a\n -\n  a\n', '"dependencies" : &a\n {0} {1} -\n  a\n'),
        ("dependencies:\n\nname: a\n", "dependencies:\n{0}{1}\nname: a\n"),
        ("dependencies: ~ # none\n", "dependencies:\n{0}{1}"),
        ("dependencies:", "dependencies:\n{0}{1}"),
        ("name: dependencies\n", "name: dependencies\ndependencies:\n{0}{1}"),
        ("", "dependencies:\n{0}{1}"),
    ],
)
def test_what_conda_is_asked_for_beside_a_file(given: str, meant: str) -> None:
    python = f"python={sys.version_info[0]}.{sys.version_info[1]}"
    assert conda.described({"file": given}) == meant.format(
        f"- {python}\n", "- pip\n", python, "pip"
    )


@pytest.mark.parametrize(
    "given",
    [
        "{dependencies: [a]}",
        "dependencies: *all\n",
        "dependencies:\n  &a\n  - a\n",
        "? dependencies\n: [a]\n",
    ],
)
def test_dependencies_that_are_not_plain_are_refused(given: str) -> None:
    with pytest.raises(SetupFailed, match="write `dependencies:` at the beginning of a line"):
        conda.described({"file": given})


def test_a_cache_with_what_is_fetched_and_not_unpacked_is_not_given_to_conda(
    tmp_path: Path,
) -> None:
    assert not conda._is_unpacked(str(tmp_path / "none"))
    for name in ("a-1.0-0.conda", "b-1.0-0.tar.bz2"):
        (tmp_path / name).touch()
    (tmp_path / "a-1.0-0/info").mkdir(parents=True)
    (tmp_path / "a-1.0-0/info/index.json").touch()
    assert not conda._is_unpacked(str(tmp_path))
    (tmp_path / "b-1.0-0.tar.bz2").unlink()
    assert conda._is_unpacked(str(tmp_path))


def test_a_foreign_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    os.chmod(tmp_path / "c", 0o777)
    with pytest.raises(PermissionError, match="EAGLERAY_CACHE_DIR"):
        Cache(str(tmp_path / "c"))


def test_the_classes(tmp_path: Path) -> None:
    """As Ray 2.60 answers, where it does not need a cluster."""
    env = RuntimeEnv(pip=["a", "a"], env_vars={"A": "1"}, config={"setup_timeout_seconds": 5})
    assert env["pip"] == {"packages": ["a"], "pip_check": False}
    assert env["config"] == RuntimeEnvConfig(setup_timeout_seconds=5)
    assert RuntimeEnv.deserialize(env.serialize()) == json.loads(env.serialize())
    assert env.to_dict()["config"] == {
        "setup_timeout_seconds": 5,
        "eager_install": True,
        "log_files": [],
    }
    assert RuntimeEnvConfig.default_config()["setup_timeout_seconds"] == 600
    env.set("env_vars", {"B": "2"})
    assert env.env_vars() == {"B": "2"} and env.has_pip() and not env.has_uv()
    with pytest.raises(TypeError):
        env["env_vars"] = {"B": 2}
    with pytest.raises(TypeError):
        RuntimeEnvConfig(eager_install=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        RuntimeEnv(working_dir=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        RuntimeEnv(py_modules=[json])
    assert RuntimeEnv(pip=[], env_vars={}, excludes=[]) == {}
    assert RuntimeEnv(conda="base").conda_env_name() == "base"


@pytest.mark.parametrize(
    "head",
    ["#!{python}\n", "#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\n"],
    ids=["short", "long"],
)
def test_commands_of_the_parent_are_run_by_the_environments_python(
    tmp_path: Path, head: str
) -> None:
    parent, directory = tmp_path / "parent", tmp_path / "a folder"
    script = (
        head.format(python=parent / "bin" / "python3")
        + "import sys\nprint(sys.prefix, sys.argv[1:])\n"
    )
    make_tree(parent, {"bin/tell": script, "bin/mine": script, "bin/ray": script})
    make_tree(parent, {"bin/other": "#!/bin/sh\ntrue\n"})
    python_packages._create(str(directory))
    make_tree(directory, {"bin/mine": "installed"})
    python_packages.bring_commands(str(parent / "bin"), str(directory))
    told = subprocess.run([directory / "bin/tell", "a b"], capture_output=True, text=True)
    assert told.stdout == f"{directory} ['a b']\n", told
    assert (directory / "bin/mine").read_text() == "installed"
    assert not (directory / "bin/other").exists() and not (directory / "bin/ray").exists()
