"""Which paths a package leaves out: patterns as in .gitignore, from `excludes`, from .gitignore and .rayignore
files in the tree, and the names that are never meant (.git, virtual environments)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

DEFAULT_EXCLUDES = ".git,.venv,venv,__pycache__"  # as in Ray
_IGNORE_FILES = (".gitignore", ".rayignore")


class Patterns:
    """Lines of a .gitignore, for paths relative to where it stands. The last one that matches decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules: list[
            tuple[re.Pattern[str], bool, bool]
        ] = []  # pattern, negated, only directories
        for line in lines:
            rule = _rule(line)
            if rule is not None:
                self._rules.append(rule)

    def __bool__(self) -> bool:
        return bool(self._rules)

    def match(self, path: str, is_directory: bool) -> bool:
        """Whether `path`, with / between its parts, is left out."""
        for pattern, negated, only_directories in reversed(self._rules):
            if (is_directory or not only_directories) and pattern.fullmatch(path):
                return not negated
        return False


def _rule(line: str) -> tuple[re.Pattern[str], bool, bool] | None:
    line = line.rstrip("\r\n")
    while line.endswith(" ") and not line.endswith("\\ "):
        line = line[:-1]
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    if negated or line.startswith(("\\!", "\\#")):
        line = line[1:]
    only_directories = line.endswith("/")
    line = line.rstrip("/") if line.rstrip("/") else line
    anchored = "/" in line
    line = line.removeprefix("/")
    try:
        return (
            re.compile(("" if anchored else "(?:.*/)?") + _regex(line)),
            negated,
            only_directories,
        )
    except re.error:
        return None  # as git: a pattern that cannot be read matches nothing


def _regex(glob: str) -> str:
    out, i = "", 0
    while i < len(glob):
        if glob.startswith("**/", i) and (i == 0 or glob[i - 1] == "/"):
            out, i = out + "(?:.*/)?", i + 3
        elif glob.startswith("**", i) and i + 2 == len(glob) and (i == 0 or glob[i - 1] == "/"):
            out, i = out + ".*", i + 2
        elif glob[i] == "*":
            out, i = out + "[^/]*", i + 1
        elif glob[i] == "?":
            out, i = out + "[^/]", i + 1
        elif glob[i] == "[" and glob.find("]", i + 2) > 0:
            end = glob.find("]", i + 2)
            inner = glob[i + 1 : end].replace("\\", "\\\\")
            out += "[" + ("^" + inner[1:] if inner[0] in "!^" else inner) + "]"
            i = end + 1
        else:
            i += glob[i] == "\\" and i + 1 < len(glob)
            out, i = out + re.escape(glob[i]), i + 1
    return out


def default_excludes() -> list[str]:
    """Names that no package has unless RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES says otherwise."""
    text = os.environ.get("RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES", DEFAULT_EXCLUDES)
    return [name for part in text.split(",") if (name := part.strip())]


def patterns_in(directory: str, names: Iterable[str]) -> list[Patterns]:
    """Those of the ignore files among `names` in `directory`. RAY_RUNTIME_ENV_IGNORE_GITIGNORE=1 passes over
    .gitignore."""
    found = []
    for name in _IGNORE_FILES:
        ignored = os.environ.get("RAY_RUNTIME_ENV_IGNORE_GITIGNORE", "0") == "1"
        if name not in names or (name == ".gitignore" and ignored):
            continue
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                patterns = Patterns(file)
        except OSError:
            continue
        if patterns:
            found.append(patterns)
    return found
