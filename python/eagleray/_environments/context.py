"""What a builder makes of an environment: what a worker has to do, and how its Python is started if that is not
the node's."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import Any


class RuntimeEnvContext:
    """What plugins change in modify_context(). Names and meaning follow Ray 2.60.

    command_prefix: words of a shell command in front of the Python's, such as ["cd", "/x", "&&"]. env_vars: of
    workers. py_executable: a shell command that runs Python.
    """

    def __init__(
        self,
        command_prefix: list[str] | None = None,
        env_vars: dict[str, str] | None = None,
        py_executable: str | None = None,
        override_worker_entrypoint: str | None = None,
        java_jars: list[str] | None = None,
    ) -> None:
        self.command_prefix = command_prefix or []
        self.env_vars = env_vars or {}
        self.py_executable = py_executable or sys.executable
        self.override_worker_entrypoint = override_worker_entrypoint
        self.java_jars = java_jars or []

    def serialize(self) -> str:
        import json

        return json.dumps(self.__dict__)

    @staticmethod
    def deserialize(json_string: str) -> RuntimeEnvContext:
        import json

        return RuntimeEnvContext(**json.loads(json_string))


class Plan:
    """What has been found out about one environment so far."""

    def __init__(self) -> None:
        self.context = RuntimeEnvContext()
        self.cwd: str | None = None
        self.sys_path: list[str] = []  # in front of all others
        self.python: list[str] | None = None  # a command; None: the node's
        self.foreign = False  # its Python does not see the packages of this one
        self.begins_with_variables = False  # it is started with all of them
        self.variables: dict[str, str] = {}  # of its zygote and all workers, beside the user's

    def setup(self) -> dict[str, Any]:
        """For workers."""
        return {
            "cwd": self.cwd,
            "sys_path": self.sys_path,
            "env_vars": {**self.variables, **self.context.env_vars},
            "foreign": self.foreign,
            "begins_with_variables": self.begins_with_variables,
        }


def expanded(value: str, environment: Mapping[str, str]) -> str:
    """${NAME} as the environment has it, and nothing where it has none; as Ray."""
    return re.sub(
        r"\$(?:\{(\w+)\}|(\w+))",
        lambda m: environment.get(m[1] or m[2], "" if m[1] else m[0]),
        value,
    )


def put_into(environment: Any, variables: Mapping[str, str]) -> None:
    """Sets `variables` in a process's or child's environment."""
    for name, value in variables.items():
        environment[name] = expanded(value, environment)


def joined(folders: list[str], rest: str | None) -> str:
    return os.pathsep.join([*folders, *([rest] if rest else [])])
