"""Runs what others have written for Ray, unchanged, on eagleray and on Ray: the tables of docs/user/moving-from-ray.md.

`packages` runs the tests of the packages that tools/third_party.toml lists, each in an environment of its own;
`samples` runs the programs of Ray's documentation. Neither is part of CI: they need the network and an hour.
Whatever is fetched, installed or written stands in --folder, and may be removed afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import uuid
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

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
    commands = parser.add_subparsers(dest="command", required=True)
    packages = commands.add_parser("packages", help="the tests of other packages")
    packages.add_argument("name", nargs="*", help="only these rows")
    packages.add_argument(
        "--git", default="https://github.com/{owner}/{name}", help="of repositories: %(default)s"
    )
    packages.add_argument("--side", choices=SIDES, action="append", help="only on this one")
    samples = commands.add_parser("samples", help="the programs of Ray's documentation")
    samples.add_argument("checkout", type=Path, help="of Ray's repository")
    samples.add_argument("name", nargs="*", help="only these programs, without .py")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.command == "packages":
        run_packages(given.folder, given.name, given.git, given.side or list(SIDES))
    else:
        run_samples(given.folder, given.checkout, given.name)


def run_packages(folder: Path, names: list[str], git: str, sides: list[str]) -> None:
    rows = tomllib.loads((HERE / "third_party.toml").read_text())["package"]
    for package in (Package(**row) for row in rows):
        if names and package.name not in names:
            continue
        home = folder / package.name
        python = environment(home / "venv", [*package.requires, package.beside])
        source = fetch(package, home, git)
        outcomes = {side: run_tests(package, side, python, source, home) for side in sides}
        cells = {side: o.cell(getattr(package, side)) for side, o in outcomes.items()}
        total = max(sum(o.counts.values()) for o in outcomes.values())
        title = f"{package.name} {package.version}" + (f" ({package.what})" if package.what else "")
        print(f"| {title} | {total} | {' | '.join(cells.values())} |", flush=True)
        for side, outcome in outcomes.items():
            for test, why in outcome.bad.items():
                print(f"  {side}: {test}: {why}", file=sys.stderr, flush=True)


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


def fetch(package: Package, home: Path, git: str) -> Path:
    """A folder with what of the package's repository its tests need, at the pinned revision."""
    source = home / "source"
    if not package.keep or source.exists():
        source.mkdir(exist_ok=True)
        return source
    owner, name = package.repository.split("/")
    clone = home / "repository"
    if not clone.exists():
        url = git.format(owner=owner, name=name)
        call(["git", "clone", "-q", "--bare", "--filter=blob:none", url, str(clone)])
    source.mkdir()
    call(["git", f"--git-dir={clone}", f"--work-tree={source}", "checkout", "-q",
          package.revision, "--", *package.keep])  # fmt: skip
    return source


def run_tests(package: Package, side: str, python: Path, source: Path, home: Path) -> Outcome:
    report = home / f"{side}.xml"
    report.unlink(missing_ok=True)
    first = [str(python), *START[side], "start", "--head"] if package.head else []
    command = [str(python), *SIDES[side], "-m", "pytest", f"--junitxml={report}",
               f"--timeout={TEST_SECONDS_MAX}", "--continue-on-collection-errors", *package.tests]  # fmt: skip
    log = home / f"{side}.log"
    folder = source / package.folder
    run_alone(command, side, folder, log, package.environment, PACKAGE_SECONDS_MAX, first)
    return read_report(report)


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


def run_samples(folder: Path, checkout: Path, names: list[str]) -> None:
    python = environment(folder / "samples" / "venv", [RAY, "numpy", "pandas", "torch", "tqdm"])
    code = checkout / "doc/source/ray-core/doc_code"
    for program in sorted(code.glob("*.py")):
        if names and program.stem not in names:
            continue
        words = [
            run_sample(program, side, python, folder / "samples" / f"{program.stem}.{side}.log")
            for side in SIDES
        ]
        print(f"| `{program.stem}` | {' | '.join(words)} |", flush=True)


def run_sample(program: Path, side: str, python: Path, log: Path) -> str:
    command = [str(python), *SIDES[side], str(program)]
    status = run_alone(command, side, program.parent, log, {}, SAMPLE_SECONDS_MAX)
    if status is None:
        return f"no end in {SAMPLE_SECONDS_MAX} s"
    return "ends well" if status == 0 else f"fails: {last_line(log)}"


def last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:120] if lines else ""


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
