"""The worker's side: what its environment wants of it before the first user code runs."""

from __future__ import annotations

import base64
import importlib
import json
import os
import pickle
import sys
import traceback
from typing import Any

from .context import joined, put_into
from .text import HOOK


def apply(env: dict[str, Any], setup_text: str, cwd: str | None, driver_path: list[str]) -> None:
    """Directory, import path and variables. RuntimeEnvSetupError where one cannot be had, or the hook fails."""
    from ..exceptions import RuntimeEnvSetupError

    setup = json.loads(setup_text or "{}")
    folders = setup.get("sys_path") or []
    foreign = bool(setup.get("foreign"))
    for path in driver_path:
        if path not in sys.path and not (foreign and _has_packages(path)):
            sys.path.append(path)
    sys.path[:0] = folders
    if folders:
        os.environ["PYTHONPATH"] = joined(folders, os.environ.get("PYTHONPATH"))
    variables = {**(setup.get("env_vars") or {}), **(env.get("env_vars") or {})}
    if setup.get("begins_with_variables"):  # what ${NAME} stood for is in them: not once more
        variables = {name: value for name, value in variables.items() if "$" not in value}
    put_into(os.environ, variables)
    directory = setup.get("cwd")
    try:
        if directory or cwd:
            os.chdir(directory or cwd or ".")
    except OSError as error:
        if directory:  # the driver's own may be gone, and that need not matter
            raise RuntimeEnvSetupError(f"working_dir: {error}") from error
    _run_hook(env)


def _has_packages(path: str) -> bool:
    return "-packages" in path or f"{os.sep}lib{os.sep}python" in path


def _run_hook(env: dict[str, Any]) -> None:
    from ..exceptions import RuntimeEnvSetupError

    name = env.get("worker_process_setup_hook")
    if not name:
        return
    try:
        if env.get(HOOK):
            hook = pickle.loads(base64.b64decode(env[HOOK]))
        else:
            module, _, function = name.rpartition(".")
            hook = getattr(importlib.import_module(module), function)
        hook()
    except BaseException as error:
        raise RuntimeEnvSetupError(
            f"Failed to execute the setup hook method, {name}:\n{traceback.format_exc()}"
        ) from error
