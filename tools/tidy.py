"""Checks what reviewers should not have to: formatting, the order of layers, banned calls, sizes.

python tools/tidy.py        # prints one line a finding, with what to do; exit status 1 if any
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# A folder may include only those before it; `message` stands before `wire`, which no machine sees.
LAYERS = [
    "base",
    "config",
    "message",
    "sched",
    "object",
    "control",
    "node",
    "client",
    "env",
    "sim",
    "wire",
    "io",
    "store",
    "shell",
    "api",
    "bin",
]
MACHINES = {"base", "message", "sched", "object", "control", "node", "client", "sim"}
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.M)

# In machines: headers that would bring a clock, a thread, randomness or I/O.
BANNED_HEADERS = {
    "chrono": "take an Instant as an argument",
    "thread": "machines have no threads: emit an effect",
    "mutex": "machines have no locks: the shell owns one",
    "condition_variable": "machines never wait: emit an effect",
    "random": "use base/random.h with a seed that is passed in",
    "iostream": "return text; the shell prints",
    "fstream": "machines do no I/O: emit an effect",
    "unistd.h": "machines do no I/O: emit an effect",
    "filesystem": "machines do no I/O: emit an effect",
}
BANNED_EVERYWHERE = [
    (re.compile(r"\busleep\s*\("), "wait on a descriptor with a time-out"),
    (re.compile(r"(?<![\w_])assert\s*\("), "use EAGLERAY_CHECK, which stays on in release builds"),
    (re.compile(r"\brand\s*\(\)"), "use base/random.h"),
    (re.compile(r"\bstd::cout\b"), "use printf in bin/, logs elsewhere"),
]
FILE_LINES_MAX = 1000
# May only shrink.
LONG_FILES = {"bindings/core.cc": 1250}


def check_source(path: str, text: str) -> list[str]:
    """Findings for one file of src/, given its path from the repository's root."""
    found = []
    parts = path.split("/")
    layer = parts[1] if parts[0] == "src" else "api"
    is_test = path.endswith("_test.cc")
    for name in INCLUDE.findall(text):
        other = name.split("/")[0] if "/" in name else None
        if other in LAYERS and layer in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
            found.append(
                f"{path}: includes {name}: {layer}/ stands above {other}/; turn the dependency round"
            )
        if layer in MACHINES and not is_test:
            if name in BANNED_HEADERS:
                found.append(f"{path}: includes <{name}>: {BANNED_HEADERS[name]}")
            if name.startswith("sys/"):
                found.append(f"{path}: includes <{name}>: machines do no I/O: emit an effect")
    for pattern, advice in BANNED_EVERYWHERE:
        for match in pattern.finditer(text):
            if "static_assert" in text[max(0, match.start() - 7) : match.end()]:
                continue
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {match.group(0)}...: {advice}")
    lines = text.count("\n")
    if lines > LONG_FILES.get(path, FILE_LINES_MAX):
        found.append(f"{path}: {lines} lines: split it (the limit is {FILE_LINES_MAX})")
    return found


def check_test(path: str, text: str) -> list[str]:
    """Findings for one Python test."""
    if path.endswith(("_support.py", "test_tidy.py")):
        return []
    return [
        f"{path}:{number}: sleeps: use wait_for() of _support"
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"time\.sleep\((?!1000\b|30\b)", line) and "__import__" not in line
    ]


def main() -> int:
    root = Path(__file__).resolve().parent.parent
    found = []
    sources = [
        p
        for d in ("src", "bindings")
        for p in sorted((root / d).rglob("*"))
        if p.suffix in (".h", ".cc")
    ]
    for path in sources:
        found += check_source(str(path.relative_to(root)), path.read_text())
    for path in sorted((root / "tests").glob("*.py")):
        found += check_test(str(path.relative_to(root)), path.read_text())
    formatted = subprocess.run(
        ["clang-format-16", "--dry-run", "-Werror", *map(str, sources)],
        capture_output=True,
        text=True,
    )
    if formatted.returncode:
        found.append("C++ is not formatted: run ./dev fmt")
    for line in found:
        print(line)
    print(f"tidy: {len(sources)} C++ files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
