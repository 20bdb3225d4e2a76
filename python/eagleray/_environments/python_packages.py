"""The fields pip and uv: a virtual environment with what they list, which sees the packages of the node's Python
behind its own. Installed by uv where there is one, from its cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import sys
import sysconfig
from typing import Any

from .._files import write_whole
from .cache import Cache, Held
from .text import masked
from .tools import SetupFailed, find, run

_IN_FILES = ("-i", "--index-url", "--extra-index-url", "-f", "--find-links")
_SCRIPT_BYTES_MAX = 1 << 16  # of a command that an installer has written; what is longer is none
# For a shell and for Python: the kernel limits how long a path may be in a line of #!.
_BY_PYTHON = b"#!/bin/sh\n'''exec' \"%s\" \"$0\" \"$@\"\n' '''\n"
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def make(field: str, spec: dict[str, Any], working_dir: str | None, cache: Cache) -> Held:
    """The environment of runtime_env[field], made if it is not in the cache."""
    packages = [_expanded(line, working_dir) for line in spec["packages"]]
    facts = [field, {**spec, "packages": packages}, sys.version, sys.prefix, _visible_paths()]
    facts += [_signature(line) for line in packages]
    key = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=20).hexdigest()

    def fill(directory: str) -> None:
        _create(directory)
        _install(field, spec, packages, directory, working_dir)
        if sys.prefix != sys.base_prefix:  # else those of the whole machine
            bring_commands(os.path.dirname(sys.executable), directory)

    return cache.make("python", key, fill, in_place=True)


def _expanded(line: str, working_dir: str | None) -> str:
    return line.replace("${RAY_RUNTIME_ENV_CREATE_WORKING_DIR}", working_dir or "")


def _signature(line: str) -> str:
    """Changes with the files that a requirement names: their names alone do not say what is in them."""
    seen = []
    for word in [line, *line.replace("=", " ").split()]:
        path = word.removeprefix("file://").partition("[")[0]
        if not os.path.exists(path):
            continue
        inside = [path]
        if os.path.isdir(path):
            inside += [os.path.join(path, name) for name in sorted(os.listdir(path))]
        for each in inside:
            info = os.stat(each)
            seen.append(f"{each} {info.st_size} {info.st_mtime_ns}")
    return "\n".join(seen)


def _visible_paths() -> list[str]:
    """Where this Python has its packages, and the package itself; a virtual environment sees them last."""
    standard = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
    found = [p for p in sys.path if p and p not in standard and "-packages" in p]
    if _PACKAGE_ROOT not in found:
        found.append(_PACKAGE_ROOT)
    return found


def _create(directory: str) -> None:
    import venv

    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    packages = site_packages(directory)
    with open(os.path.join(packages, "_eagleray_parent.pth"), "w") as file:
        file.write("\n".join(_visible_paths()) + "\n")


def bring_commands(bin_of_parent: str, directory: str) -> None:
    """The commands of the packages behind its own, for its own Python: they see what is installed in it, as in Ray,
    which clones the virtual environment that it runs in."""
    python = re.escape(os.path.join(bin_of_parent, "python").encode()) + rb"[\d.]*"
    head = re.compile(rb"#!(/bin/sh\n'''exec' [\"']?)?" + python + rb"[^\n]*\n(' '''\n)?")
    for entry in os.scandir(bin_of_parent):
        target = os.path.join(directory, "bin", entry.name)
        if entry.name == "ray" or not entry.is_file() or os.path.lexists(target):
            continue  # `eagleray run` has a `ray` of its own
        if entry.stat().st_size > _SCRIPT_BYTES_MAX:
            continue
        with open(entry.path, "rb") as file:
            script = file.read()
        begins = head.match(script)
        if begins:
            with open(target, "wb") as file:
                file.write(_BY_PYTHON % python_of(directory).encode() + script[begins.end() :])
            os.chmod(target, 0o755)


def site_packages(directory: str) -> str:
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return os.path.join(directory, "lib", version, "site-packages")


def python_of(directory: str) -> str:
    return os.path.join(directory, "bin", "python")


def _install(
    field: str, spec: dict[str, Any], packages: list[str], directory: str, working_dir: str | None
) -> None:
    given = list(spec.get(f"{field}_install_options") or spec.get("uv_pip_install_options") or ())
    options, lines = _without_passwords(given)
    lines += packages
    listed = os.path.join(directory, "requirements.txt")
    write_whole(listed, "\n".join(lines) + "\n")
    environment = {"VIRTUAL_ENV": directory, "UV_NO_PROGRESS": "1", "PYTHONPATH": ""}
    if working_dir:
        environment["RAY_RUNTIME_ENV_CREATE_WORKING_DIR"] = working_dir
    program = _program(field, spec, directory, environment)
    install = [*program, "install", *_of_python(program, directory), *options, "-r", listed]
    run(install, environment, lines)
    if spec.get(f"{field}_check"):
        run([*program, "check", *_of_python(program, directory)], environment)


def _without_passwords(options: list[str]) -> tuple[list[str], list[str]]:
    """Options, and lines of a requirements file for those that have a password: everybody may read arguments."""
    rest, lines = [], []
    following = iter(options)
    for option in following:
        name, equals, value = option.partition("=")
        if name not in _IN_FILES:
            rest.append(option)
            continue
        if not equals:
            value = next(following, "")
        if masked(value) == value:
            rest += [name, value]
        else:
            lines.append(f"{name} {value}")
    return rest, lines


def _of_python(program: list[str], directory: str) -> list[str]:
    return (
        ["--python", python_of(directory)]
        if program[-2:] == ["uv", "pip"] or (os.path.basename(program[0]) == "uv")
        else []
    )


def _program(
    field: str, spec: dict[str, Any], directory: str, environment: dict[str, str]
) -> list[str]:
    """What installs: `uv pip`, or pip itself where its version or options are asked for."""
    uv = find("uv")
    wants_pip = field == "pip" and ("pip_version" in spec or "pip_install_options" in spec)
    if field == "uv" and not uv:
        raise SetupFailed(
            "runtime_env['uv'] needs uv, and there is none beside the node's Python or on its path: pip install uv"
        )
    if uv and spec.get("uv_version"):
        return [uv, "tool", "run", "--from", f"uv{spec['uv_version']}", "uv", "pip"]
    if uv and not wants_pip:
        return [uv, "pip"]
    return _pip(spec, directory, uv, environment)


def _pip(
    spec: dict[str, Any], directory: str, uv: str | None, environment: dict[str, str]
) -> list[str]:
    python = python_of(directory)
    version = spec.get("pip_version", "")
    has_pip = importlib.util.find_spec("pip") is not None  # seen from the virtual environment, too
    pip, wanted = [python, "-m", "pip"], f"pip{version}"
    if has_pip and not version:
        pass
    elif uv:
        run([uv, "pip", "install", "--python", python, wanted], environment)
    else:
        if not has_pip:
            _ensure_pip(python, environment)
        if version:
            run([*pip, "install", wanted], environment)
    return [*pip, "--disable-pip-version-check"]


def _ensure_pip(python: str, environment: dict[str, str]) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupFailed(
            "runtime_env['pip'] needs uv, pip or ensurepip, and the node's Python has none of them"
        )
    run([python, "-m", "ensurepip"], environment)
