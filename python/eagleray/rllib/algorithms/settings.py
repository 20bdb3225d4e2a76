"""Settings: what `algorithm.config` is."""

from __future__ import annotations

from typing import Any

from ..utils.names import unknown
from .config_tables import CLASSIC_NAMES

__all__ = ["Settings"]


class Settings(dict[str, Any]):
    """The settings of an algorithm as a dict, also under the names of Ray 1.x (`config["num_workers"]`), and as
    attributes as in Ray 2.x (`config.lr`)."""

    def __missing__(self, key: str) -> Any:
        name = self._name(key)
        if dict.__contains__(self, name):
            return dict.__getitem__(self, name)
        raise KeyError(unknown("setting", key, [*self, *CLASSIC_NAMES]))

    def __contains__(self, key: object) -> bool:
        return dict.__contains__(self, key) or dict.__contains__(self, self._name(key))

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(
                f"{error.args[0]} (get_config() gives the AlgorithmConfig)"
            ) from None

    @staticmethod
    def _name(key: Any) -> Any:
        name = CLASSIC_NAMES.get(key, key) if isinstance(key, str) else key
        return "lambda" if name == "lambda_" else name
