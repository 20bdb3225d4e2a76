"""Names that stand for trainables, environments, models: register them in the driver, use them in any process of
the job.

What is registered lives in this process and, once `init()` has been called, in control's key-value table under the
job's number, where workers find it. Follows `ray.tune.registry`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

import eagleray as ray
from eagleray import cloudpickle
from eagleray.experimental import internal_kv

TRAINABLE_CLASS = "trainable_class"
ENV_CREATOR = "env_creator"
RLLIB_MODEL = "rllib_model"
RLLIB_PREPROCESSOR = "rllib_preprocessor"
RLLIB_ACTION_DIST = "rllib_action_dist"
RLLIB_INPUT = "rllib_input"
RLLIB_CONNECTOR = "rllib_connector"
CATEGORIES = (
    TRAINABLE_CLASS,
    ENV_CREATOR,
    RLLIB_MODEL,
    RLLIB_PREPROCESSOR,
    RLLIB_ACTION_DIST,
    RLLIB_INPUT,
    RLLIB_CONNECTOR,
)


class _Registry:
    """One per process. Thread-safe."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], Any] = {}  # guarded by _lock
        self._unsent: set[tuple[str, str]] = set()  # guarded by _lock
        self._sent_to = ""  # the job that has what is not in _unsent; guarded by _lock
        self._lock = threading.Lock()

    def register(self, category: str, key: str, value: Any) -> None:
        """Makes `value` known as `key`; a later value replaces an earlier one."""
        if category not in CATEGORIES:
            raise ValueError(f"unknown category {category!r}; there are {', '.join(CATEGORIES)}")
        with self._lock:
            self._values[category, key] = value
            self._unsent.add((category, key))
        if ray.is_initialized():
            self.flush()

    def unregister(self, category: str, key: str) -> None:
        """Forgets `key` in this process and for processes to come."""
        with self._lock:
            self._values.pop((category, key), None)
            self._unsent.discard((category, key))
        if ray.is_initialized():
            internal_kv._internal_kv_del(_place(category, key))

    def contains(self, category: str, key: str) -> bool:
        try:
            self.get(category, key)
        except KeyError:
            return False
        return True

    def get(self, category: str, key: str) -> Any:
        """The value; KeyError when no process of this job has registered it."""
        with self._lock:
            if (category, key) in self._values:
                return self._values[category, key]
        data = internal_kv._internal_kv_get(_place(category, key)) if ray.is_initialized() else None
        if data is None:
            raise KeyError(key)
        value = cloudpickle.loads(data)
        with self._lock:
            self._values.setdefault((category, key), value)
        return value

    def flush(self) -> None:
        """Sends to control what was registered before init(), and all of it again to a new job."""
        job = ray.get_runtime_context().get_job_id()
        with self._lock:
            if job != self._sent_to:
                self._unsent |= set(self._values)
                self._sent_to = job
            unsent, self._unsent = self._unsent, set()
            values = {place: self._values[place] for place in unsent}
        for (category, key), value in values.items():
            internal_kv._internal_kv_put(_place(category, key), cloudpickle.dumps(value))

    def keys(self, category: str) -> list[str]:
        """What this process has registered, sorted."""
        with self._lock:
            return sorted(key for kind, key in self._values if kind == category)


def _place(category: str, key: str) -> bytes:
    return f"tune:{ray.get_runtime_context().get_job_id()}:{category}:{key}".encode()


_global_registry = _Registry()


def register_trainable(name: str, trainable: Any, warn: bool = True) -> None:
    """Makes `tune.run(name)` run `trainable`.

    trainable: a subclass of Trainable, or a function of one argument (the config). Anything else: TypeError.
    """
    from .trainable.util import as_trainable_class

    if not isinstance(name, str):
        raise TypeError(f"a trainable's name is a string, not {type(name).__name__}")
    _global_registry.register(TRAINABLE_CLASS, name, as_trainable_class(trainable, name))


def register_env(name: str, env_creator: Callable[[Any], Any]) -> None:
    """Makes `config={"env": name}` build its environment by `env_creator(env_config)`."""
    if not callable(env_creator):
        raise TypeError(f"the second argument must be callable, not {type(env_creator).__name__}")
    _global_registry.register(ENV_CREATOR, name, env_creator)


def register_input(name: str, input_creator: Callable[[Any], Any]) -> None:
    """Makes `config={"input": name}` read its offline data by `input_creator(io_context)`."""
    if not callable(input_creator):
        raise TypeError(f"the second argument must be callable, not {type(input_creator).__name__}")
    _global_registry.register(RLLIB_INPUT, name, input_creator)


def registry_contains_input(name: str) -> bool:
    return _global_registry.contains(RLLIB_INPUT, name)


def registry_get_input(name: str) -> Any:
    return _global_registry.get(RLLIB_INPUT, name)


def get_trainable_cls(name: str) -> type:
    """The class that `name` stands for: a registered one, or an algorithm of RLlib.

    ValueError when there is none, with those there are.
    """
    try:
        return _global_registry.get(TRAINABLE_CLASS, name)
    except KeyError:
        pass
    try:
        algorithms = importlib.import_module("eagleray.rllib.algorithms.registry")
    except (ImportError, NotImplementedError) as error:
        raise ValueError(f"no trainable is registered as {name!r} ({error})") from None
    try:
        return algorithms.get_algorithm_class(name)
    except (KeyError, ValueError) as error:
        known = ", ".join(_global_registry.keys(TRAINABLE_CLASS)) or "none"
        raise ValueError(
            f"no trainable is registered as {name!r} (registered: {known}). {error}"
        ) from None


def validate_trainable(name: str) -> None:
    """ValueError when `name` stands for nothing."""
    get_trainable_cls(name)


def is_function_trainable(trainable: Any) -> bool:
    """Whether it is a function, or the class that was made from one."""
    if isinstance(trainable, str):
        trainable = get_trainable_cls(trainable)
    from .trainable.function_trainable import FunctionTrainable

    if isinstance(trainable, type):
        return issubclass(trainable, FunctionTrainable)
    return callable(trainable)
