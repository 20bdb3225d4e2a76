"""Runs what others have written for Ray, unchanged, on eagleray and on Ray: the tables of docs/user/moving-from-ray.md.

`packages` runs the tests of the packages that tools/third_party.toml lists, each in an environment of its own;
`samples` runs the programs of Ray's documentation. Neither is part of CI: they need the network and an hour.
Whatever is fetched, installed or written stands in --folder and is removed when its row is done, unless --keep.
uv installs: its variables (UV_FIND_LINKS, UV_INDEX_URL) say from where.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomllib

HERE = Path(__file__).resolve().parent
RAY = "ray==2.60.0"
SIDES = {"here": ["-m", "eagleray", "run"], "ray": []}
START = {"here": ["-m", "eagleray", "run", "-m", "eagleray"], "ray": ["-m", "ray.scripts.scripts"]}
PACKAGE_SECONDS_MAX = (
    1200  # of one package's tests on one side: what has not ended by then is ended
)
TEST_SECONDS_MAX = 180  # of one test of theirs: then it has failed
SAMPLE_SECONDS_MAX = 100  # of one sample: "no end"
SAMPLE_CPUS = 2  # of a cluster that a sample starts, as far as it does not say otherwise
TRIES_MAX = 3  # where Ray itself says that the machine was too busy for it to start
_BUSY = "The current node timed out during startup"
_ERROR = re.compile(r"[\w.]+(Error|Exception|NotFound)\b")
_MARK = "EAGLERAY_THIRD_PARTY"  # names a run in the environments of all its processes


@dataclass
class Package:
    """One row. `keep` is what of its repository the tests need; empty if the tests are installed with it."""

    name: str
    version: str
    requires: list[str]
    tests: list[str]
    repository: str = ""
    revision: str = ""
    keep: list[str] = field(default_factory=list)
    folder: str = "."  # of what is kept: where its tests run, and their imports are found
    environment: dict[str, str] = field(default_factory=dict)
    head: bool = False  # whether `start --head` comes first, as for tests that submit jobs
    beside: str = RAY  # an older one if the package does not run with this
    what: str = ""  # which tests, in the table's words
    here: str = ""  # why those that fail here fail
    ray: str = ""


@dataclass
class Samples:
    """Programs of one folder of a repository."""

    name: str
    repository: str
    revision: str
    folder: str
    requires: list[str]
    only: list[str] = field(default_factory=list)  # else all that are there
    program: dict[str, dict[str, Any]] = field(default_factory=dict)  # what is to say of each
    arguments: list[str] = field(default_factory=list)
    beside: str = RAY


@dataclass
class Sample:
    name: str  # without .py
    cpus: int = 0  # more than it finds here: then a cluster with as many comes first
    environment: dict[str, str] = field(default_factory=dict)  # as Ray's own tests set it
    here: str = ""  # why it fails here
    ray: str = ""


@dataclass
class Outcome:
    counts: Counter[str]
    bad: dict[str, str]  # test: the first line of why

    def cell(self, why: str) -> str:
        words = {"pass": "pass", "skip": "skipped", "fail": "fail"}
        text = ", ".join(f"{self.counts[k]} {w}" for k, w in words.items() if self.counts[k])
        return (text or "no end") + (f": {why}" if why else "")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=Path("/tmp/third"), help="%(default)s")
    parser.add_argument("--keep", action="store_true", help="what was fetched and installed, too")
    parser.add_argument(
        "--git", default="https://github.com/{owner}/{name}", help="of repositories: %(default)s"
    )
    parser.add_argument("--side", choices=SIDES, action="append", help="only on this one")
    parser.add_argument("command", choices=["packages", "samples"])
    parser.add_argument("name", nargs="*", help="only these rows")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    table = tomllib.loads((HERE / "third_party.toml").read_text())
    sides = given.side or list(SIDES)
    if given.command == "packages":
        packages = (Package(**row) for row in table["package"])
        run_packages(packages, given.name, given.folder, given.git, sides, given.keep)
    else:
        samples = [Samples(**row) for row in table["samples"]]
        run_samples(samples, given.name, given.folder, given.git, sides, given.keep)


def run_packages(
    packages: Iterable[Package],
    names: list[str],
    folder: Path,
    git: str,
    sides: list[str],
    keep: bool,
) -> None:
    for package in packages:
        if names and package.name not in names:
            continue
        home = folder / package.name
        python = environment(home / "venv", [*package.requires, package.beside])
        source = fetch(package.repository, package.revision, package.keep, home, git)
        outcomes = {side: run_tests(package, side, python, source, home) for side in sides}
        cells = {side: o.cell(getattr(package, side)) for side, o in outcomes.items()}
        total = max(sum(o.counts.values()) for o in outcomes.values())
        title = f"{package.name} {package.version}" + (f" ({package.what})" if package.what else "")
        print(f"| {title} | {total} | {' | '.join(cells.values())} |", flush=True)
        for side, outcome in outcomes.items():
            for test, why in outcome.bad.items():
                print(f"  {side}: {test}: {why}", file=sys.stderr, flush=True)
        if not keep:
            shutil.rmtree(home)


def environment(folder: Path, requires: list[str]) -> Path:
    """The Python of a virtual environment that has these, of this Python's version: the core is built for it."""
    python = folder / "bin" / "python"
    stamp = folder / "requires.txt"
    text = "\n".join(requires)
    if not stamp.exists() or stamp.read_text() != text:
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        call([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)])
        base = ["pytest", "pytest-timeout", "cloudpickle", "click"]
        call([uv, "pip", "install", "-q", "--python", str(python), *requires, *base])
        stamp.write_text(text)
    return python


def fetch(repository: str, revision: str, keep: list[str], home: Path, git: str) -> Path:
    """A folder with these parts of a repository, at this revision."""
    source = home / "source"
    if not keep or source.exists():
        source.mkdir(exist_ok=True)
        return source
    owner, name = repository.split("/")
    clone = home / "repository"
    if not clone.exists():
        url = git.format(owner=owner, name=name)
        call(["git", "clone", "-q", "--bare", "--filter=blob:none", url, str(clone)])
    source.mkdir()
    call(["git", f"--git-dir={clone}", f"--work-tree={source}", "checkout", "-q",
          revision, "--", *keep])  # fmt: skip
    return source


def run_tests(package: Package, side: str, python: Path, source: Path, home: Path) -> Outcome:
    report = home / f"{side}.xml"
    first = [str(python), *START[side], "start", "--head"] if package.head else []
    command = [str(python), *SIDES[side], "-m", "pytest", f"--junitxml={report}",
               f"--timeout={TEST_SECONDS_MAX}", "--continue-on-collection-errors", *package.tests]  # fmt: skip
    log = home / f"{side}.log"
    folder = source / package.folder
    for _ in tries(log):
        report.unlink(missing_ok=True)
        run_alone(command, side, folder, log, package.environment, PACKAGE_SECONDS_MAX, first)
    return read_report(report)


def tries(log: Path) -> Iterator[None]:
    """Once, and again while the log says that Ray itself did not start."""
    for _ in range(TRIES_MAX):
        yield
        if _BUSY not in log.read_text(errors="replace"):
            return


def read_report(report: Path) -> Outcome:
    outcome = Outcome(Counter(), {})
    if not report.exists():
        return outcome
    for case in ElementTree.parse(report).iter("testcase"):
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        if bad is not None:
            outcome.counts["fail"] += 1
            why = (bad.get("message") or "").strip().split("\n")[0][:200]
            outcome.bad[f"{case.get('classname')}.{case.get('name')}"] = why
        else:
            outcome.counts["pass" if case.find("skipped") is None else "skip"] += 1
    return outcome


def run_samples(
    groups: list[Samples], names: list[str], folder: Path, git: str, sides: list[str], keep: bool
) -> None:
    """One row for each pair of outcomes, with all the programs that have them."""
    for group in groups:
        home = folder / f"samples-{group.name}"
        home.mkdir(exist_ok=True)
        python = environment(home / "venv", [*group.requires, group.beside])
        code = fetch(group.repository, group.revision, [group.folder], home, git) / group.folder
        rows: dict[tuple[str, ...], list[str]] = {}
        for source in sorted(code.glob("*.py")):
            if source.stem not in (names or group.only or [source.stem]):
                continue
            program = Sample(source.stem, **group.program.get(source.stem, {}))
            ends = tuple(run_sample(group, program, source, side, python, home) for side in sides)
            print(f"  {program.name}: {'; '.join(ends)}", file=sys.stderr, flush=True)
            rows.setdefault(ends, []).append(f"`{program.name}`")
        for ends, each in sorted(rows.items(), key=lambda row: -len(row[1])):
            print(f"| {', '.join(each)} | {len(each)} | {' | '.join(ends)} |", flush=True)
        if not keep:
            shutil.rmtree(home)


def run_sample(
    group: Samples, program: Sample, source: Path, side: str, python: Path, home: Path
) -> str:
    """In a folder of its own, which other programs' names do not shadow and what it writes does not stay in."""
    folder = home / f"{program.name}.{side}"
    command = [str(python), *SIDES[side], source.name, *group.arguments]
    first = [
        str(python),
        *START[side],
        "start",
        "--head",
        f"--num-cpus={program.cpus or SAMPLE_CPUS}",
    ]
    more = program.environment | ({"RAY_ADDRESS": "auto"} if program.cpus else {})
    log = home / f"{program.name}.{side}.log"
    for _ in tries(log):
        folder.mkdir()
        shutil.copy(source, folder)
        status = run_alone(
            command, side, folder, log, more, SAMPLE_SECONDS_MAX, first if program.cpus else []
        )
        shutil.rmtree(folder)
    if status == 0:
        return "ends well"
    why = getattr(program, side)
    if status is None:
        return f"no end in {SAMPLE_SECONDS_MAX} s" + (f": {why}" if why else "")
    return f"fails: {why or last_line(log)}"


def last_line(log: Path) -> str:
    """That names an error, else the last of all."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    named = [line for line in lines if _ERROR.match(line)]
    return (named or lines or [""])[-1][:120]


def run_alone(
    command: list[str],
    side: str,
    folder: Path,
    log: Path,
    more: dict[str, str],
    seconds: int,
    first: Sequence[str] = (),
) -> int | None:
    """What comes `first`, then the command: its exit status, or None if it did not end in time. Afterwards no process of it is left."""
    mark = uuid.uuid4().hex
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "PYTHON", "EAGLERAY"))}
    kept |= {_MARK: mark, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONDONTWRITEBYTECODE": "1", **more}
    kept["RAY_TMPDIR"] = kept["EAGLERAY_TMPDIR"] = (
        f"/tmp/third-{mark[:8]}"  # no other cluster is found
    )
    kept["PYTHONPATH"] = str(folder)  # for workers, too, which Ray does not tell of `python -m`
    if side == "here":
        kept["PYTHONPATH"] += os.pathsep + str(HERE.parent / "python")
    kept["PATH"] = f"{Path(command[0]).parent}{os.pathsep}{kept['PATH']}"
    os.makedirs(kept["RAY_TMPDIR"], mode=0o700)
    with log.open("w") as output:
        if first:
            subprocess.run(first, cwd=folder, env=kept, stdout=output, stderr=subprocess.STDOUT)
        child = subprocess.Popen(
            command, cwd=folder, env=kept, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            for each in processes(mark):
                try:
                    os.kill(each, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            child.wait()
            shutil.rmtree(kept["RAY_TMPDIR"], ignore_errors=True)


def processes(mark: str) -> Iterator[int]:
    """All that have the mark in the environment that they were started with."""
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and f"{_MARK}={mark}".encode() in (entry / "environ").read_bytes()
            ):
                yield int(entry.name)
        except OSError:
            continue


def call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"third_party: {' '.join(command)} failed:\n{done.stderr}")


if __name__ == "__main__":
    main()
