"""Runtime environments: the directory, modules, packages and variables that tasks and actors run with. See
docs/user/runtime-environments.md. Names, checks and messages follow Ray 2.60."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from typing import Any, ClassVar

from .._environments import fields
from .._environments.text import DEFAULT_TIMEOUT_S

__all__ = ["RuntimeEnv", "RuntimeEnvConfig"]


class RuntimeEnvConfig(dict):  # type: ignore[type-arg]
    """Settings of a runtime environment; they do not make it another one.

    setup_timeout_seconds: how long its setup may take, -1 for any time. eager_install: a job's is set up at
    init() already. log_files: kept for Ray's sake. TypeError and ValueError for what cannot be meant.
    """

    known_fields: ClassVar[set[str]] = {"setup_timeout_seconds", "eager_install", "log_files"}

    def __init__(
        self,
        setup_timeout_seconds: int = DEFAULT_TIMEOUT_S,
        eager_install: bool = True,
        log_files: list[str] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(setup_timeout_seconds, int):
            raise TypeError(
                f"setup_timeout_seconds must be of type int, got: {type(setup_timeout_seconds)}"
            )
        if setup_timeout_seconds <= 0 and setup_timeout_seconds != -1:
            raise ValueError(
                "setup_timeout_seconds must be greater than zero or equals to -1, got: "
                f"{setup_timeout_seconds}"
            )
        if not isinstance(eager_install, bool):
            raise TypeError(f"eager_install must be a boolean. got {type(eager_install)}")
        if log_files is not None and not isinstance(log_files, list):
            raise TypeError(
                f"log_files must be a list of strings or None, got {log_files} with type {type(log_files)}."
            )
        for name in log_files or ():
            if not isinstance(name, str):
                raise TypeError("Each item in log_files must be a string.")
        self["setup_timeout_seconds"] = setup_timeout_seconds
        self["eager_install"] = eager_install
        self["log_files"] = log_files or []

    @classmethod
    def parse_and_validate_runtime_env_config(
        cls, config: dict[str, Any] | RuntimeEnvConfig
    ) -> RuntimeEnvConfig:
        """One that is checked; unknown entries are left out with a warning, as in Ray."""
        if isinstance(config, RuntimeEnvConfig):
            return config
        if not isinstance(config, dict):
            raise TypeError(
                f"runtime_env['config'] must be of type dict or RuntimeEnvConfig, got: {type(config)}"
            )
        unknown = set(config) - cls.known_fields
        if unknown:
            import logging

            logging.getLogger("eagleray").warning(
                "The following unknown entries in the runtime_env_config dictionary will be ignored: %s.",
                unknown,
            )
        return cls(**{name: config[name] for name in cls.known_fields if name in config})

    @classmethod
    def default_config(cls) -> RuntimeEnvConfig:
        return cls()

    def to_dict(self) -> dict[str, Any]:
        return dict(deepcopy(self))


class RuntimeEnv(dict):  # type: ignore[type-arg]
    """A runtime environment: a dict whose fields were checked. TypeError and ValueError for what cannot be
    meant, NotImplementedError for what does not act.

    working_dir: a directory, an archive or a URI of one. py_modules: a list of such, or modules. pip, uv:
    a list of requirements, the path of a file of them, or a dict. conda: the name or directory of an
    environment, the path of a YAML file, or its contents. py_executable: a command that is Python.
    env_vars: name to value. worker_process_setup_hook: a function or its full name. image_uri, container: an
    image. config: RuntimeEnvConfig. Other fields are plugins'.
    """

    known_fields: ClassVar[set[str]] = fields.KNOWN

    def __init__(
        self,
        *,
        py_modules: list[Any] | None = None,
        py_executable: str | None = None,
        working_dir: str | None = None,
        pip: Any = None,
        conda: Any = None,
        container: dict[str, Any] | None = None,
        env_vars: dict[str, str] | None = None,
        worker_process_setup_hook: Any = None,
        nsight: Any = None,
        rocprof_sys: Any = None,
        config: Any = None,
        _validate: bool = True,
        image_uri: str | None = None,
        uv: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        given = {
            **kwargs,
            "py_modules": py_modules,
            "py_executable": py_executable,
            "working_dir": working_dir,
            "pip": pip,
            "uv": uv,
            "conda": conda,
            "container": container,
            "env_vars": env_vars,
            "worker_process_setup_hook": worker_process_setup_hook,
            "config": config,
            "image_uri": image_uri,
            "_nsight": nsight,
            "_rocprof_sys": rocprof_sys,
        }
        found = {name: value for name, value in given.items() if value is not None}
        if not _validate:
            self.update(found)
            return
        fields.check({k: asdict(v) if is_dataclass(v) else v for k, v in found.items()})  # type: ignore[arg-type]
        for name, value in found.items():
            self[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        if is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        if name == "working_dir" and value is not None and not isinstance(value, str):
            raise TypeError(f"`working_dir` must be a string, got {type(value)}.")
        for module in value if name == "py_modules" and isinstance(value, list) else ():
            if not isinstance(module, str):
                raise TypeError(f"`py_module` must be a string, got {type(module)}.")
        if value is not None:
            fields.check({name: value})
        value = _normal(name, value)
        if value is not None or name not in _LEFT_OUT:
            super().__setitem__(name, value)

    def set(self, name: str, value: Any) -> None:
        self[name] = value

    def get(self, name: str, default: Any = None, data_class: Any = None) -> Any:
        """The field; as an instance of `data_class`, a dataclass, if that is given."""
        if name not in self:
            return default
        return self[name] if data_class is None else data_class(**self[name])

    @classmethod
    def deserialize(cls, serialized_runtime_env: str) -> RuntimeEnv:
        return cls(_validate=False, **json.loads(serialized_runtime_env))

    def serialize(self) -> str:
        return json.dumps(type(self)(_validate=True, **self), sort_keys=True)

    def to_dict(self) -> dict[str, Any]:
        return {
            name: dict(value) if isinstance(value, RuntimeEnvConfig) else deepcopy(value)
            for name, value in self.items()
        }

    def has_working_dir(self) -> bool:
        return self.get("working_dir") is not None

    def working_dir_uri(self) -> str | None:
        return self.get("working_dir")  # type: ignore[no-any-return]

    def working_dir(self) -> str:
        return self.get("working_dir", "")  # type: ignore[no-any-return]

    def py_modules_uris(self) -> list[str]:
        return list(self.get("py_modules") or ())

    def py_modules(self) -> list[str]:
        return list(self.get("py_modules") or ())

    def py_executable(self) -> str | None:
        return self.get("py_executable")  # type: ignore[no-any-return]

    def env_vars(self) -> dict[str, str]:
        return self.get("env_vars") or {}

    def has_conda(self) -> bool:
        return bool(self.get("conda"))

    def conda_env_name(self) -> str | None:
        return self["conda"] if isinstance(self.get("conda"), str) else None

    def has_pip(self) -> bool:
        return bool(self.get("pip"))

    def pip_config(self) -> dict[str, Any]:
        return self.get("pip") or {}

    def has_uv(self) -> bool:
        return bool(self.get("uv"))

    def uv_config(self) -> dict[str, Any]:
        return self.get("uv") or {}

    def has_py_container(self) -> bool:
        return bool(self.get("container"))

    def py_container_image(self) -> str | None:
        return (self.get("container") or {}).get("image")

    def py_container_run_options(self) -> list[str]:
        return (self.get("container") or {}).get("run_options") or []

    def image_uri(self) -> str | None:
        return self.get("image_uri")  # type: ignore[no-any-return]

    def plugins(self) -> list[tuple[str, Any]]:
        """Fields that are not eagleray's own, with their values."""
        return [(name, value) for name, value in self.items() if name not in self.known_fields]


_LEFT_OUT = ("pip", "uv", "env_vars", "excludes")  # where they are empty


def _normal(name: str, value: Any) -> Any:
    """As Ray keeps it; None: not at all."""
    if name in ("env_vars", "excludes"):
        return value or None
    if name == "config" and value is not None:
        return RuntimeEnvConfig.parse_and_validate_runtime_env_config(value)
    if name not in ("pip", "uv") or value is None:
        return value
    found = dict(value) if isinstance(value, dict) else {"packages": value}
    if isinstance(found["packages"], str):
        with open(found["packages"], encoding="utf-8") as file:
            found["packages"] = file.read().strip().split("\n")
    found["packages"] = list(dict.fromkeys(found["packages"]))
    found.setdefault(f"{name}_check", False)
    return found if found["packages"] else None
