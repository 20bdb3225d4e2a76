"""Runtime environments. Today `env_vars` and `working_dir` (a directory of this machine) act; the other
fields raise NotImplementedError by name."""

from __future__ import annotations

from typing import Any

_ACT = {"env_vars", "working_dir", "config"}
_KNOWN = _ACT | {
    "py_modules",
    "py_executable",
    "pip",
    "uv",
    "conda",
    "container",
    "image_uri",
    "excludes",
    "java_jars",
    "worker_process_setup_hook",
    "_nsight",
    "_rocprof_sys",
}


def check_fields(env: dict[str, Any]) -> None:
    """Raises for unknown fields, wrong types and fields that do not act yet."""
    for name, value in env.items():
        if name not in _KNOWN:
            raise ValueError(f"unknown field '{name}' in runtime_env; known: {sorted(_KNOWN)}")
        if name not in _ACT and value:
            raise NotImplementedError(f"runtime_env field '{name}'")
    variables = env.get("env_vars") or {}
    if not isinstance(variables, dict) or not all(
        isinstance(k, str) and isinstance(v, str) for k, v in variables.items()
    ):
        raise TypeError("runtime_env['env_vars'] must be a dictionary of type Dict[str, str]")
    directory = env.get("working_dir")
    if directory is not None:
        import os

        if not isinstance(directory, str):
            raise TypeError("runtime_env['working_dir'] must be a string")
        if "://" in directory:
            raise NotImplementedError("runtime_env['working_dir'] as a URI")
        if not os.path.isdir(directory):
            raise ValueError(f"runtime_env['working_dir']: {directory} is not a directory")


class RuntimeEnv(dict):  # type: ignore[type-arg]
    """A runtime environment: a dict whose fields were checked."""

    def __init__(self, **fields: Any) -> None:
        fields = {k: v for k, v in fields.items() if v is not None}
        check_fields(fields)
        super().__init__(**fields)


class RuntimeEnvConfig(dict):  # type: ignore[type-arg]
    """Settings of a runtime environment: setup_timeout_seconds, eager_install, log_files."""
