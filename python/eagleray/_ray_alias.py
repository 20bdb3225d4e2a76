"""`import ray` as `import eagleray`, for programs run by `eagleray run` and for what they start."""

from __future__ import annotations

import builtins
import importlib
import importlib.abc
import importlib.machinery
import os
import runpy
import sys
from types import ModuleType
from typing import Any

RAY_VERSION = (
    "2.60.0"  # the release whose API is followed: what `ray.__version__` says where it is asked for
)
_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_as_ray")


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name == "ray" or name.startswith("ray."):
            return importlib.machinery.ModuleSpec(name, self, is_package=name == "ray")
        return None

    def create_module(self, spec: Any) -> ModuleType:
        module = importlib.import_module("eagleray" + spec.name[len("ray") :])
        sys.modules[spec.name] = module
        return module

    def exec_module(self, module: ModuleType) -> None:
        pass


def install() -> None:
    """From here on `ray` and its submodules are ours, in this process."""
    import eagleray

    eagleray.__version__ = RAY_VERSION
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


def install_in_children() -> None:
    """The same in every Python that this process starts, workers included; and `ray` is a command there."""
    package = os.path.dirname(os.path.dirname(_FOLDER))
    _prepend("PYTHONPATH", [_FOLDER, package])
    sys.path.append(_FOLDER)  # which multiprocessing gives to those that it spawns
    _prepend("PATH", [os.path.join(_FOLDER, "bin")])
    os.environ["EAGLERAY_PYTHON"] = sys.executable


def _prepend(variable: str, paths: list[str]) -> None:
    there = [p for p in os.environ.get(variable, "").split(os.pathsep) if p and p not in paths]
    os.environ[variable] = os.pathsep.join([*paths, *there])


def run_script(path: str, arguments: list[str]) -> None:
    """As `python path arguments` would: it is __main__, for pickle and for multiprocessing, too."""
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    if os.path.isdir(path) or not path.endswith((".py", ".pyw")):
        runpy.run_path(path, run_name="__main__")  # an archive, a folder, or by its contents
        return
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    main = ModuleType("__main__")
    main.__file__ = os.path.abspath(path)
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    sys.excepthook = _shows_only(path)
    exec(code, main.__dict__)


def _shows_only(path: str) -> Any:
    """Prints an exception that nobody has caught from the program's first frame on, as `python` would."""

    def hook(kind: Any, error: Any, trace: Any) -> None:
        own = trace
        while own is not None and own.tb_frame.f_code.co_filename != path:
            own = own.tb_next
        own = own or trace
        sys.__excepthook__(kind, error.with_traceback(own), own)

    return hook


def run_module(name: str, arguments: list[str]) -> None:
    """As `python -m name arguments` would."""
    sys.argv = [name, *arguments]
    sys.path.insert(0, os.getcwd())
    runpy.run_module(name, run_name="__main__", alter_sys=True)
