"""The field conda: an environment that the user's conda has, or makes. Its Python must be able to load eagleray's
compiled core, so it is of the same version as the node's; one that is made here is asked for it, as in Ray."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import shlex
import shutil
import sys
from typing import Any

from .._files import write_whole
from .cache import Cache, Held, clear_away
from .tools import SetupFailed, check, find, read, status_of

_VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
_ADDED = (f"python={_VERSION}", "pip")  # to what an environment that is made here depends on
# Forms of a list in YAML: what stands before its first item, and how far that is indented; and of none.
_KEY = r"""^(?:dependencies|"dependencies"|'dependencies')[ \t]*:"""
_HEAD = _KEY + r"(?:[ \t]+[&!]\S*)*"  # with an anchor, a tag
_EMPTY = r"[ \t]*(?:#.*)?\n"
_BLOCK = re.compile(rf"({_HEAD}{_EMPTY}(?:{_EMPTY})*)([ \t]*)(?=-\s)", re.M)
_FLOW = re.compile(rf"({_HEAD}\s*\[)", re.M)
_NONE = re.compile(rf"({_KEY})[ \t]*(?:~|null)?{_EMPTY}(?=(?:{_EMPTY})*(?:\S|\Z))", re.M)
_ANY = re.compile(r"""^\s*(?:[{?]|["']?dependencies)""", re.M)
_UNSET = "***unset***"  # in the state of an environment: a variable that is not to be set
_OF_THE_SHELL = ("_", "SHLVL", "PWD", "OLDPWD")
_ACTIVATE = 'for script in "$@"; do . "$script" >&2; done; exec env -0'


def make(spec: Any, cache: Cache) -> tuple[str, Held | None]:
    """The directory of the environment, and what keeps it."""
    if isinstance(spec, str) and os.path.isabs(spec):
        if not os.path.isdir(spec):
            raise SetupFailed(f"runtime_env['conda']: there is no environment {spec} here")
        return _checked(os.path.normpath(spec)), None
    conda = _conda()
    if isinstance(spec, str):
        return _checked(_named(conda, spec)), None
    text = described(spec)
    key = hashlib.blake2b(f"{sys.version}\0{text}".encode(), digest_size=20).hexdigest()

    def fill(directory: str) -> None:
        _create(conda, directory, text, cache)
        _checked(directory)

    held = cache.make("conda", key, fill, in_place=True)
    return held.path, held


def _create(conda: str, directory: str, text: str, cache: Cache) -> None:
    """Packages come into a directory of the cache: a conda that is ended while it unpacks leaves half of one that
    it takes for whole later, and so do two at once. What the user's own conda has unpacked is used where
    it is."""
    folders = filter(_is_unpacked, _told(conda, "pkgs_dirs", "package cache"))
    described_in = os.path.join(directory + ".aside", "environment.yml")
    os.makedirs(os.path.dirname(described_in))
    write_whole(described_in, text)
    command = [conda, "env", "create", "-p", directory, "-f", described_in]

    def waits() -> None:
        print(f"{directory} waits: conda is at another environment, one at a time", flush=True)

    try:
        with cache.alone("conda_packages", "all", waits) as packages:
            clear_away(directory)  # of a conda that outlived its builder
            variables = {
                "CONDA_PKGS_DIRS": ",".join([packages.path, *folders]),
                "CONDA_ALWAYS_YES": "true",
                "MAMBA_ALWAYS_YES": "true",
            }
            status = status_of(command, variables, [text], [packages.lock])
            if status < 0:
                check(command, status)
    finally:
        shutil.rmtree(os.path.dirname(described_in))
    try:
        check(command, status)
    except SetupFailed as error:
        added = " and ".join(_ADDED)
        raise SetupFailed(
            f"{error}; beside what the environment lists it was asked for {added}, which eagleray needs there"
        ) from error


def _is_unpacked(folder: str) -> bool:
    """Whether a directory of packages has all that was fetched into it: conda unpacks the rest where it lies."""
    fetched = [
        each.removesuffix(kind)
        for kind in (".conda", ".tar.bz2")
        for each in glob.glob(os.path.join(glob.escape(folder), f"*{kind}"))
    ]
    return os.path.isdir(folder) and all(
        os.path.exists(os.path.join(each, "info", "index.json")) for each in fetched
    )


def described(spec: dict[str, Any]) -> str:
    """The text of environment.yml: a dict, or what the user's file says, and what eagleray needs."""
    if set(spec) == {"file"}:
        return _described_in(spec["file"])
    listed = spec.get("dependencies") or []
    if isinstance(listed, list):  # else conda says what is wrong
        spec = {**spec, "dependencies": [*listed, *_ADDED]}
    return json.dumps(spec, sort_keys=True)  # JSON is YAML


def _described_in(file: str) -> str:
    text = file if file.endswith("\n") or not file else file + "\n"
    items = "".join(f"- {each}\n" for each in _ADDED)
    before_each = items.replace("- ", r"\2- ")
    for form, instead in (
        (_BLOCK, rf"\1{before_each}\2"),
        (_FLOW, rf"\1{', '.join(_ADDED)}, "),
        (_NONE, rf"\1\n{items}"),
    ):
        made, found = form.subn(instead, text, count=1)
        if found:
            return made
    if not _ANY.search(text):
        return f"{text}dependencies:\n{items}"
    raise SetupFailed(
        f"runtime_env['conda']: {' and '.join(_ADDED)} cannot be put into the dependencies of the file, as it is not "
        "plain where they begin: write `dependencies:` at the beginning of a line, and each of them in a line of its own "
        "behind `- `"
    )


def _conda() -> str:
    home = os.environ.get("RAY_CONDA_HOME")
    named = os.path.join(home, "bin", "conda") if home else os.environ.get("CONDA_EXE")
    if named and os.access(named, os.X_OK):
        return named
    found = find("conda", "mamba", "micromamba")
    if not found:
        raise SetupFailed(
            "runtime_env['conda'] needs conda, mamba or micromamba, and there is none on the node's path (nor do "
            "RAY_CONDA_HOME or CONDA_EXE name one)"
        )
    return found


def _told(conda: str, name: str, of_mamba: str) -> Any:
    """What conda says of itself."""
    command = [conda, "info", "--json"]
    text = read(command)
    try:
        facts = json.loads(text[text.index("{") :])  # there may be a warning before it
        return facts[name] if name in facts else facts[of_mamba]
    except (ValueError, KeyError) as error:
        raise SetupFailed(
            f"`{shlex.join(command)}` was expected to say {name!r} in JSON, and printed {text[:200]!r}"
        ) from error


def _named(conda: str, name: str) -> str:
    """Where conda itself would look for an environment of this name."""
    if name == "base":
        return str(_told(conda, "root_prefix", "base environment"))
    there = {
        os.path.basename(each): each
        for folder in reversed(_told(conda, "envs_dirs", "envs directories"))
        for each in glob.glob(os.path.join(glob.escape(folder), "*"))
        if os.path.isdir(os.path.join(each, "conda-meta"))
    }
    if name not in there:
        raise SetupFailed(
            f"runtime_env['conda']: {conda} has no environment {name!r}; it has {sorted([*there, 'base'])} (others "
            "by their directory)"
        )
    return there[name]


def python_of(directory: str) -> str:
    return os.path.join(directory, "bin", "python")


def _checked(directory: str) -> str:
    python = python_of(directory)
    if not os.access(python, os.X_OK):
        raise SetupFailed(
            f"the conda environment {directory} has no Python ({python}): add python={_VERSION} to it"
        )
    version = read([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()
    if version != _VERSION:
        raise SetupFailed(
            f"the conda environment {directory} has Python {version}, and this cluster runs on {_VERSION}: list "
            f"python={_VERSION} in its dependencies"
        )
    return directory


def variables(directory: str) -> dict[str, str]:
    """What `conda activate` sets: its own, what packages and the environment ask for, and what the packages'
    scripts export."""
    folder, name = os.path.split(directory)
    if os.path.basename(folder) != "envs":
        name = "base" if os.path.isdir(os.path.join(directory, "condabin")) else directory
    found = {
        **_asked_for(directory),
        "CONDA_PREFIX": directory,
        "CONDA_DEFAULT_ENV": name,
        "CONDA_SHLVL": "1",
        "PATH": os.path.join(directory, "bin") + os.pathsep + os.environ.get("PATH", os.defpath),
    }
    scripts = _in_order(directory, "etc/conda/activate.d/*.sh")
    if scripts:
        exported = read(["/bin/bash", "-c", _ACTIVATE, "bash", *scripts], found).split("\0")
        for variable, _, value in (each.partition("=") for each in exported if each):
            if variable not in _OF_THE_SHELL and os.environ.get(variable) != value:
                found[variable] = value
    return found


def _asked_for(directory: str) -> dict[str, str]:
    asked: dict[str, str] = {}
    for path in _in_order(directory, "etc/conda/env_vars.d/*.json"):
        with open(path, encoding="utf-8") as file:
            asked.update(json.load(file))
    state = os.path.join(directory, "conda-meta", "state")
    if os.path.exists(state):
        with open(state, encoding="utf-8") as file:
            asked.update(json.load(file).get("env_vars") or {})
    return {name: str(value) for name, value in asked.items() if value != _UNSET}


def _in_order(directory: str, pattern: str) -> list[str]:
    return sorted(glob.glob(os.path.join(glob.escape(directory), pattern)))
