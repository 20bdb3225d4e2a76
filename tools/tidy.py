"""Checks what reviewers should not have to: format, order of layers, purity of machines, bans, sizes.

Run by `./dev tidy` and by CI; reads the tree and changes nothing, except with --ratchet. Every
finding names the replacement.

    python tools/tidy.py                      # one line a finding; exit status 1 if there is any
    python tools/tidy.py --symbols build/dev  # only what the compiled machines call
    python tools/tidy.py --ratchet            # lowers tools/ratchet.toml to what is true now
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10; pytest brings the same parser under its older name
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
RATCHET = ROOT / "tools" / "ratchet.toml"
PYTHON_FOLDERS = ["python", "tests", "bench", "examples", "tools"]
FILE_LINES_MAX = 1000
FUNCTION_LINES_MAX = 70

# A folder may include only those before it. `message` stands first of the messages' two halves, and
# `wire` behind all machines, so that no machine sees bytes.
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
    "wire",
    "sim",
    "io",
    "store",
    "shell",
    "api",
    "gym",
    "learn",
    "bin",
]
# Layers beside the runtime, and all that they may include: it knows nothing of them, nor they of it.
ASIDE = {"gym": {"base", "gym"}, "learn": {"base", "gym", "learn"}}
MACHINES = {"sched", "object", "control", "node", "client"}
# No decisions of their own, but machines are made of them and simulated by them.
PURE = MACHINES | {"base", "config", "message", "sim"}
INCLUDE = re.compile(r'^\s*#include\s+[<"]([^>"]+)[>"]', re.M)

# In pure code: headers that would bring a clock, a thread, randomness or I/O.
BANNED_HEADERS = {
    "chrono": "take an Instant as an argument",
    "ctime": "take an Instant as an argument",
    "time.h": "take an Instant as an argument",
    "thread": "machines have no threads: emit an effect",
    "future": "machines have no threads: emit an effect",
    "pthread.h": "machines have no threads: emit an effect",
    "mutex": "machines have no locks: the shell owns one",
    "shared_mutex": "machines have no locks: the shell owns one",
    "condition_variable": "machines never wait: emit an effect",
    "random": "use base/random.h with a seed that is passed in",
    "iostream": "return text; the shell prints",
    "fstream": "machines do no I/O: emit an effect",
    "unistd.h": "machines do no I/O: emit an effect",
    "fcntl.h": "machines do no I/O: emit an effect",
    "filesystem": "machines do no I/O: emit an effect",
}

# What a compiled machine may not leave to the linker. The C library's names, then mangled beginnings.
BANNED_SYMBOLS = {
    *("clock_gettime", "gettimeofday", "time", "nanosleep", "usleep", "sleep"),
    *("pthread_create", "pthread_mutex_lock", "pthread_cond_wait", "fork", "posix_spawn"),
    *("open", "openat", "read", "write", "close", "socket", "connect", "send", "recv", "poll"),
    *("sendmsg", "recvmsg", "mmap", "fopen", "fwrite", "printf", "puts", "syscall"),
    *("getenv", "secure_getenv", "rand", "random", "getrandom"),
}
BANNED_SYMBOL_STARTS = ("_ZNSt6chrono3_V2", "_ZNSt6thread", "_ZNSt13random_device", "_ZSt4cout")


class Ban(NamedTuple):
    name: str  # as in [allowed] of the ratchet file
    pattern: re.Pattern[str]
    advice: str
    free: frozenset[str] = frozenset()  # layers in which it is the right thing
    in_tests: bool = True  # false: tests beside the source may


def ban(name: str, pattern: str, advice: str, *, free: str = "", in_tests: bool = True) -> Ban:
    return Ban(name, re.compile(pattern), advice, frozenset(free.split()), in_tests)


BANS = [
    ban("sleep", r"\bu?sleep\s*\(|\bsleep_(for|until)\b", "wait on a descriptor with a time-out"),
    ban("assert", r"(?<!\w)assert\s*\(", "use EAGLERAY_CHECK, which stays on in release builds"),
    ban("rand", r"(?<![\w.>])s?rand\s*\(|std::random_device", "use base/random.h with a seed"),
    ban("cout", r"\bstd::(cout|cerr)\b", "return text; a program in bin/ prints it with printf"),
    ban("printf", r"\b(v?f?printf|puts)\s*\(", "return text; a program prints it", free="bin"),
    ban(
        "thread",
        r"\bstd::(thread|jthread|async)\b|\bpthread_create\b",
        "threads are the shell's: emit an effect or poll from a loop",
        free="shell io bin learn",
        in_tests=False,
    ),
    ban("getenv", r"\b(secure_)?getenv\s*\(", "pass the setting in", free="shell io bin"),
    ban(
        "clock",
        r"\bstd::chrono::\w+_clock\b|\bclock_gettime\s*\(|\bgettimeofday\s*\("
        r"|(?<![\w.>])time\s*\(\s*(nullptr|NULL|0|&\w+)\s*\)",
        "take an Instant as an argument; io/ reads the clock",
        free="io shell bin store",
        in_tests=False,
    ),
    ban(
        "pointer order",
        r"\bstd::(map|set|multimap|multiset)<\s*(const\s+)?[\w:]+\s*(const\s*)?\*",
        "key it by a strong id: the order of addresses changes from run to run",
    ),
]
NOT_CODE = re.compile(
    r'R"(?P<tag>[^()\s\\]*)\(.*?\)(?P=tag)"'  # raw string
    r"|//[^\n]*|/\*.*?\*/"  # comment
    r'|"(?:\\.|[^"\\\n])*"'  # string
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",  # character, not the separator in 1'000
    re.S,
)


def code_of(text: str) -> str:
    """C++ with comments and literals blanked; every line keeps its number."""
    return NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group(0)), text)


def check_source(path: str, text: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Findings for one C++ file, given its path from the root; `allowed` holds "path: ban" items."""
    found = []
    parts = path.split("/")
    layer = parts[1] if parts[0] == "src" else "learn" if parts[1] == "rl" else "api"
    is_test = path.endswith(("_test.cc", "_bench.cc", "_fuzz.cc"))
    if parts[0] == "src" and layer not in LAYERS:
        found.append(f"{path}: {layer}/ is no layer: add it to LAYERS and to CMakeLists.txt")
        return found
    for name in INCLUDE.findall(text):
        other = name.split("/")[0] if "/" in name else None
        if other in LAYERS and LAYERS.index(other) > LAYERS.index(layer):
            found.append(
                f"{path}: includes {name}: {layer}/ stands above {other}/; turn the dependency round"
            )
        elif other in LAYERS and other not in ASIDE.get(layer, set(LAYERS) - set(ASIDE)):
            found.append(f"{path}: includes {name}: {layer}/ has nothing to do with {other}/")
        if layer in PURE and not is_test:
            if name in BANNED_HEADERS:
                found.append(f"{path}: includes <{name}>: {BANNED_HEADERS[name]}")
            if name.startswith("sys/"):
                found.append(f"{path}: includes <{name}>: machines do no I/O: emit an effect")
    code = code_of(text)
    is_program = path.endswith("_bench.cc")
    for rule in BANS:
        if is_program and "bin" in rule.free:
            continue
        if layer in rule.free or f"{path}: {rule.name}" in allowed:
            continue
        if is_test and not rule.in_tests:
            continue
        for match in rule.pattern.finditer(code):
            line = code.count("\n", 0, match.start()) + 1
            found.append(f"{path}:{line}: {match.group(0).strip()}: {rule.advice}")
    return found


def check_test(path: str, text: str) -> list[str]:
    """Findings for one Python test."""
    if path.endswith(("_support.py", "test_tidy.py")):
        return []
    return [
        f"{path}:{number}: sleeps: use wait_for() of _support"
        for number, line in enumerate(text.splitlines(), 1)
        # A task that is there to be ended sleeps for ever; that waits for nothing.
        if re.search(r"time\.sleep\((?!1000\b|30\b)", line) and "__import__" not in line
    ]


def cpp_functions(text: str) -> dict[str, int]:
    """Names of functions outside of functions, and their lines, found by matching braces."""
    lengths: dict[str, int] = {}
    code = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*", "", code_of(text), flags=re.M)
    stack: list[tuple[str, str, int]] = []  # of open braces: kind, name, the line they begin in
    head, line = "", 1
    for char in code:
        if char == "{":
            stack.append(_brace(head, stack, line))
            head = head + " " if stack[-1][0] == "initializer" else ""
        elif char == "}":
            kind, name, first = stack.pop() if stack else ("block", "", line)
            if kind == "function":
                lengths[name] = max(lengths.get(name, 0), line - first + 1)
            head = head + " " if kind == "initializer" else ""
        else:
            head = "" if char == ";" else head + char
        line += char == "\n"
    return lengths


def _brace(head: str, stack: list[tuple[str, str, int]], line: int) -> tuple[str, str, int]:
    """What the brace opens that `head`, all since the last statement, stands before."""
    if any(kind == "function" for kind, _, _ in stack):
        return "block", "", line
    if re.search(r"\)[^()]*[^:]:[^:]", head) and re.search(r"[\w>]$", head):
        return "initializer", "", line  # of a member, in a constructor's list
    name = re.search(r"((?:[\w~]|::)+|operator\S+)\s*\(", head)
    scope = re.match(r"\s*(?:template\b.*>\s*)?(struct|class|enum|union|namespace|extern)\b", head)
    if scope or not name:
        return "scope", "", line
    return "function", name[1], line - head.lstrip().count("\n")


def python_functions(text: str) -> dict[str, int]:
    """Names of functions, with their classes, and their lines."""
    lengths: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            name = prefix
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    length = (child.end_lineno or child.lineno) - _first_line(child) + 1
                    lengths[name] = max(lengths.get(name, 0), length)
                name += "."
            visit(child, name)

    visit(ast.parse(text), "")
    return lengths


def _first_line(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Where it begins to do something: behind its parameters and its docstring, which are there to be long."""
    body = (
        function.body[1:]
        if ast.get_docstring(function) and len(function.body) > 1
        else function.body
    )
    return body[0].lineno


def too_long(path: str, text: str) -> dict[str, int]:
    """What of this file exceeds a limit: "path" or "path: function", and its lines."""
    functions = python_functions(text) if path.endswith(".py") else cpp_functions(text)
    long = {f"{path}: {k}": n for k, n in functions.items() if n > FUNCTION_LINES_MAX}
    lines = text.count("\n")
    if lines > FILE_LINES_MAX:
        long[path] = lines
    return long


def check_sizes(long: dict[str, int], ratchet: dict[str, int]) -> list[str]:
    """Findings for what is longer than its limit, or than the ratchet file says it already was."""
    found = []
    for key, lines in sorted(long.items()):
        limit = FUNCTION_LINES_MAX if ": " in key else FILE_LINES_MAX
        if key not in ratchet:
            found.append(f"{key}: {lines} lines: split it (the limit is {limit})")
        elif lines > ratchet[key]:
            found.append(f"{key}: {lines} lines: split it; it may only shrink from {ratchet[key]}")
    found += [
        f"tools/ratchet.toml: {key}: no longer too long; ./dev fmt takes it off the list"
        for key in sorted(set(ratchet) - set(long))
    ]
    return found


def check_symbols(name: str, nm_output: str) -> list[str]:
    """Findings for one compiled machine, from `nm --undefined-only` of its library."""
    found = set()
    for line in nm_output.splitlines():
        kind, _, symbol = line.strip().partition(" ")
        if kind == "U" and (symbol in BANNED_SYMBOLS or symbol.startswith(BANNED_SYMBOL_STARTS)):
            found.add(f"{name}: calls {symbol}: machines do no I/O: emit an effect")
    return sorted(found)


def compiled_machines(build: Path) -> list[str]:
    """Findings for all machines compiled in `build`; not to find one there is a finding."""
    libraries = [p for m in sorted(MACHINES) if (p := build / f"libeagleray_{m}.a").exists()]
    if not libraries:
        return [f"{build}: no machine is built there: run ./dev build"]
    found = []
    for library in libraries:
        nm = subprocess.run(
            ["nm", "--undefined-only", library], capture_output=True, text=True, check=True
        )
        found += check_symbols(library.name, nm.stdout)
    return found


def lower_ratchet(long: dict[str, int], ratchet: dict[str, int]) -> None:
    """Writes the smaller of what is listed and what is true; adds nothing."""
    head = RATCHET.read_text().partition("[lines]\n")[0]
    kept = {k: min(n, long[k]) for k, n in sorted(ratchet.items()) if k in long}
    text = head + "[lines]\n" + "".join(f'"{k}" = {n}\n' for k, n in kept.items())
    if text != RATCHET.read_text():
        RATCHET.write_text(text)


def formatters(sources: list[Path]) -> list[str]:
    """Findings of the tools that have an opinion on layout."""
    folders = [d for d in PYTHON_FOLDERS if (ROOT / d).is_dir()]
    ruff = [sys.executable, "-m", "ruff"]
    commands = [
        (["clang-format-16", "--dry-run", "-Werror", *map(str, sources)], "run ./dev fmt"),
        ([*ruff, "format", "--check", "-q", *folders], "run ./dev fmt"),
        ([*ruff, "check", "-q", *folders], "see the lines above"),
        ([sys.executable, "-m", "mypy", "--strict", "--no-error-summary"], "see the lines above"),
    ]
    found = []
    for command, advice in commands:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            print((done.stdout + done.stderr)[-4000:], file=sys.stderr)
            found.append(f"{Path(command[0]).name} {' '.join(command[1:4])[:40]}: {advice}")
    return found


def report(found: list[str], summary: str) -> int:
    for line in found:
        print(line)
    print(f"tidy: {summary}, {len(found)} findings")
    return 1 if found else 0


def main(arguments: list[str]) -> int:
    if "--symbols" in arguments:
        build = Path(arguments[arguments.index("--symbols") + 1])
        return report(compiled_machines(build), f"machines compiled in {build}")
    settings = tomllib.loads(RATCHET.read_text())
    ratchet, allowed = settings["lines"], frozenset(settings["allowed"])
    sources = [
        path
        for folder in ("include", "src", "bindings")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".h", ".cc")
    ]
    python = [p for d in PYTHON_FOLDERS for p in sorted((ROOT / d).rglob("*.py"))]
    found = []
    long: dict[str, int] = {}
    for path in [*sources, *python]:
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        long |= too_long(name, text)
        if path.suffix != ".py":
            found += check_source(name, text, allowed)
        elif name.startswith("tests/"):
            found += check_test(name, text)
    if "--ratchet" in arguments:
        lower_ratchet(long, ratchet)
        return 0
    found += check_sizes(long, ratchet) + formatters(sources)
    return report(found, f"{len(sources)} C++ files, {len(python)} Python files")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
