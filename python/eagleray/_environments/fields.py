"""The fields of a runtime environment: their types and what may stand beside what. Messages follow Ray 2.60."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any

from .packages import ARCHIVES, WORKING_DIR_ARCHIVES
from .text import masked

logger = logging.getLogger("eagleray")

LATER = ("java_jars", "_nsight", "_rocprof_sys")
KNOWN = {
    "working_dir",
    "py_modules",
    "py_executable",
    "pip",
    "uv",
    "conda",
    "container",
    "image_uri",
    "env_vars",
    "excludes",
    "config",
    "worker_process_setup_hook",
    "_worker_process_setup_hook",  # pickled, of a job that submits another one
    "_ray_release",
    "_ray_commit",
    "_inject_current_ray",
    *LATER,
}
_URIS = ("gcs", "file", "http", "https", "local")
_URIS_LATER = ("s3", "gs", "azure", "abfss")


def check(env: dict[str, Any]) -> None:
    """Raises TypeError and ValueError for what cannot be meant, NotImplementedError for what does not act.

    A field that nobody knows is carried along, as in Ray, where packages keep marks of their own in it; it is
    logged, once, as it may be a slip."""
    for name, value in env.items():
        if not is_known(name, env):
            _say_unknown(name)
        if name in LATER and value:
            raise NotImplementedError(f"runtime_env field '{name}'")
        if value is not None and name in _CHECKS:
            _CHECKS[name](value)
    check_together(env)


def _say_unknown(name: str) -> None:
    from ..util.debug import log_once

    if log_once(f"runtime_env field {name}"):
        logger.warning(
            f"Unknown field '{name}' in runtime_env: nothing reads it. Known: {sorted(KNOWN)}, and those of the "
            "plugins in RAY_RUNTIME_ENV_PLUGINS."
        )


def is_known(name: str, env: dict[str, Any]) -> bool:
    """Whether something reads the field: we, or a plugin, which is asked what it thinks of `env`."""
    if not isinstance(name, str):
        raise TypeError(f"the fields of a runtime_env are strings, not {name!r}")
    if name in KNOWN:
        return True
    if not os.environ.get("RAY_RUNTIME_ENV_PLUGINS"):
        return False
    from . import plugins as loaded

    plugin = loaded.load().get(name)
    if plugin is None:
        return False
    plugin.instance.validate(env)
    return True


def check_together(env: dict[str, Any]) -> None:
    """ValueError for fields that exclude each other."""
    packages = [name for name in ("pip", "uv", "conda") if env.get(name)]
    if len(packages) > 1:
        raise ValueError(
            "The 'pip' field, 'uv' field, and 'conda' field of runtime_env cannot be specified at the same time.\n"
            f"specified: {', '.join(packages)}. To use pip with conda, put the pip packages into the conda "
            "environment's 'dependencies'."
        )
    for name in ("container", "image_uri"):
        others = {key for key, value in env.items() if value} - {name, "config", "env_vars"}
        if env.get(name) and others:
            raise ValueError(
                f"The '{name}' field currently cannot be used together with other fields of runtime_env. "
                f"Specified fields: {sorted(others)}"
            )


# ---- one field each ----


def _check_env_vars(value: Any) -> None:
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['env_vars'] must be of type Dict[str, str], got {type(value)}"
        )
    for key, text in value.items():
        for what, each in (("key", key), ("value", text)):
            if not isinstance(each, str):
                raise TypeError(
                    f"runtime_env['env_vars'] must be of type Dict[str, str], but the {what} {each} is of type "
                    f"{type(each)}"
                )
        if not key or "=" in key or "\0" in key + text:
            raise ValueError(
                f"runtime_env['env_vars']: {key!r}={text!r} cannot be in an environment"
            )


def _check_working_dir(value: Any) -> None:
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
    check_source(os.fspath(value), "working_dir")


def _check_py_modules(value: Any) -> None:
    if not isinstance(value, list):
        raise TypeError(
            f"`py_modules` must be a list of local paths, imported modules, or URIs, got {type(value)}."
        )
    for module in value:
        if isinstance(module, (str, os.PathLike)):
            check_source(os.fspath(module), "py_modules")
        else:
            module_path(module)


def module_path(module: Any) -> str:
    """Where an imported module lies."""
    from types import ModuleType

    if not isinstance(module, ModuleType):
        raise TypeError(
            f"`py_modules` must be a list of file paths, URIs, or imported modules, got {type(module)}."
        )
    folders = list(getattr(module, "__path__", ()))
    if len(folders) > 1:
        raise ValueError(
            "py_modules only supports modules whose __path__ has length 1 or those who are single-file."
        )
    path = folders[0] if folders else module.__file__
    if path is None:
        raise ValueError(f"py_modules: {module.__name__} has no file")
    return str(path)


def scheme_of(text: str) -> str:
    """ "" for a path."""
    scheme, separator, _ = text.partition("://")
    return scheme.lower() if separator else ""


def check_source(text: str, field: str) -> None:
    """A path that is there, or a URI that can be fetched."""
    scheme = scheme_of(text)
    if not scheme:
        if not os.path.exists(text):
            raise ValueError(
                f"runtime_env['{field}']: {text} is not a valid path: nothing is there."
            )
        allowed = (*ARCHIVES, ".py") if field == "py_modules" else WORKING_DIR_ARCHIVES
        if not os.path.isdir(text) and not text.endswith(allowed):
            raise ValueError(
                f"runtime_env['{field}']: {text} is not a directory, and no archive ({', '.join(allowed)})"
            )
        return
    if scheme in _URIS_LATER:
        raise NotImplementedError(f"runtime_env['{field}'] as a URI of {scheme}://")
    if scheme not in _URIS:
        raise ValueError(
            f'Invalid protocol for runtime_env URI "{masked(text)}". Supported protocols: {list(_URIS)}'
        )
    path = text.split("?", 1)[0]
    if scheme == "local":
        if not path.startswith("local:///") or path.endswith(ARCHIVES):
            raise ValueError(
                f'Invalid "local://" runtime_env URI "{text}": local:///an/absolute/directory'
            )
        return
    formats = ARCHIVES if field == "py_modules" else WORKING_DIR_ARCHIVES
    if not path.endswith(formats):
        raise ValueError(
            f"Only {', '.join(formats)} files are supported for {field} URIs; got {masked(path)}."
        )


def _check_excludes(value: Any) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"runtime_env['excludes'] must be of type List[str], got {type(value)}")


def _packages_of(value: Any, field: str, allowed: dict[str, type]) -> None:
    if isinstance(value, str):
        if not os.path.isfile(value):
            raise ValueError(f"{value} is not a valid file")
        return
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return
    if not isinstance(value, dict):
        raise TypeError(
            f"runtime_env['{field}'] must be of type str or List[str], got {type(value)}"
        )
    unknown = set(value) - set(allowed) - {"packages"}
    if unknown:
        raise ValueError(
            f"runtime_env['{field}'] can only have these fields: {['packages', *allowed]}, but got: {list(value)}"
        )
    if "packages" not in value:
        raise ValueError(f"runtime_env['{field}'] must include field 'packages', but got {value}")
    for name, wanted in allowed.items():
        if name in value and not isinstance(value[name], wanted):
            raise TypeError(
                f"runtime_env['{field}']['{name}'] must be of type {wanted.__name__}, got {type(value[name])}"
            )
        if wanted is list and not all(isinstance(each, str) for each in value.get(name, ())):
            raise TypeError(f"runtime_env['{field}']['{name}'] must be of type list[str]")
    packages = value["packages"]
    if isinstance(packages, str) and field == "pip":
        return _packages_of(packages, field, allowed)
    if not isinstance(packages, list):
        raise ValueError(
            f"runtime_env['{field}']['packages'] must be of type list, got: {type(packages)}"
        )
    if not all(isinstance(each, str) for each in packages):
        raise TypeError(f"runtime_env['{field}']['packages'] must be of type list[str]")


def _check_pip(value: Any) -> None:
    _packages_of(value, "pip", {"pip_check": bool, "pip_version": str, "pip_install_options": list})


def _check_uv(value: Any) -> None:
    _packages_of(value, "uv", {"uv_check": bool, "uv_version": str, "uv_pip_install_options": list})


def _check_conda(value: Any) -> None:
    if not isinstance(value, (str, dict)):
        raise TypeError(f"runtime_env['conda'] must be of type str or dict, got {type(value)}.")
    if isinstance(value, dict):
        return
    if value.endswith((".yml", ".yaml")) and not os.path.isfile(value):
        raise ValueError(f"Can't find conda YAML file {value}.")
    if os.path.isabs(value) and not value.endswith((".yml", ".yaml")) and not os.path.isdir(value):
        raise ValueError(f"Can't find conda env directory {value}.")


def _check_text(field: str) -> Callable[[Any], None]:
    def check_text(value: Any) -> None:
        if not isinstance(value, str) or not value.strip():
            raise TypeError(f"runtime_env['{field}'] must be a string, got {value!r}")

    return check_text


def _check_container(value: Any) -> None:
    if not isinstance(value, dict) or not isinstance(value.get("image"), str):
        raise TypeError(f"runtime_env['container'] must be a dict with an 'image', got {value!r}")
    options = value.get("run_options") or []
    if not isinstance(options, list) or not all(isinstance(each, str) for each in options):
        raise TypeError("runtime_env['container']['run_options'] must be of type list[str]")


def _check_hook(value: Any) -> None:
    if not isinstance(value, str) and not callable(value):
        raise TypeError(f"worker_process_setup_hook must be a function, got {type(value)}.")
    if isinstance(value, str) and "." not in value:
        raise ValueError(
            f"worker_process_setup_hook {value!r} must be the full name of a function: module.function"
        )


def _check_config(value: Any) -> None:
    from ..runtime_env import RuntimeEnvConfig

    RuntimeEnvConfig.parse_and_validate_runtime_env_config(value)


_CHECKS: dict[str, Callable[[Any], None]] = {
    "env_vars": _check_env_vars,
    "working_dir": _check_working_dir,
    "py_modules": _check_py_modules,
    "excludes": _check_excludes,
    "pip": _check_pip,
    "uv": _check_uv,
    "conda": _check_conda,
    "py_executable": _check_text("py_executable"),
    "image_uri": _check_text("image_uri"),
    "container": _check_container,
    "worker_process_setup_hook": _check_hook,
    "config": _check_config,
}
