"""The field conda: an environment that the user's conda has, or makes. Its Python must be able to load eagleray's
compiled core, so it is of the same version as the node's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from typing import Any

from .cache import Cache, Held
from .tools import SetupFailed, find, read, run


def make(spec: Any, cache: Cache) -> tuple[str, Held | None]:
    """The directory of the environment, and what keeps it."""
    if isinstance(spec, str) and os.path.isabs(spec):
        if not os.path.isdir(spec):
            raise SetupFailed(f"runtime_env['conda']: there is no environment {spec} here")
        return _checked(spec), None
    conda = _conda()
    if isinstance(spec, str):
        return _checked(_named(conda, spec)), None
    text = spec["file"] if set(spec) == {"file"} else json.dumps(spec, sort_keys=True)
    key = hashlib.blake2b(f"{sys.version}\0{text}".encode(), digest_size=20).hexdigest()

    def fill(directory: str) -> None:
        described = os.path.join(directory + ".aside", "environment.yml")  # JSON is YAML
        os.makedirs(os.path.dirname(described))
        with open(described, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            run([conda, "env", "create", "--yes", "-p", directory, "-f", described])
        finally:
            shutil.rmtree(os.path.dirname(described))
        _checked(directory)

    held = cache.make("conda", key, fill, in_place=True)
    return held.path, held


def _conda() -> str:
    given = os.environ.get("CONDA_EXE")
    found = given if given and os.access(given, os.X_OK) else find("conda", "mamba", "micromamba")
    if not found:
        raise SetupFailed(
            "runtime_env['conda'] needs conda, mamba or micromamba, and there is none on the node's path (nor does "
            "CONDA_EXE name one)"
        )
    return found


def _named(conda: str, name: str) -> str:
    listed = json.loads(read([conda, "env", "list", "--json"]))["envs"]
    for path in listed:
        if os.path.basename(path) == name:
            return str(path)
    if name == "base" and listed:
        return str(listed[0])
    raise SetupFailed(
        f"runtime_env['conda']: {conda} has no environment {name!r}; it has "
        f"{sorted(os.path.basename(path) for path in listed)}"
    )


def python_of(directory: str) -> str:
    return os.path.join(directory, "bin", "python")


def _checked(directory: str) -> str:
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    version = read([python_of(directory), "-c", ask]).strip()
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version != here:
        raise SetupFailed(
            f"the conda environment {directory} has Python {version}, and this cluster runs on {here}: list "
            f"python={here} in its dependencies"
        )
    return directory


def variables(directory: str) -> dict[str, str]:
    """What `conda activate` would set."""
    return {
        "CONDA_PREFIX": directory,
        "CONDA_DEFAULT_ENV": os.path.basename(directory),
        "PATH": os.path.join(directory, "bin") + os.pathsep + os.environ.get("PATH", os.defpath),
    }
