"""Fields of one's own: classes that RAY_RUNTIME_ENV_PLUGINS names, `[{"class": "module.Class", "priority": 5}]`.
The contract follows Ray 2.60."""

from __future__ import annotations

import importlib
import json
import logging
import os
from typing import Any, NamedTuple

from .context import RuntimeEnvContext

PRIORITY_DEFAULT, PRIORITY_MIN, PRIORITY_MAX = 10, 0, 100


class RuntimeEnvPlugin:
    """A field of runtime environments. Subclasses have a `name`, which is the field's, and may have a
    `priority` (0 to 100, the least first).

    They run in the process that sets the environment up; its environment is the node's, and what the class
    needs must be importable there.
    """

    name: str = ""
    priority: int = PRIORITY_DEFAULT

    @staticmethod
    def validate(runtime_env_dict: dict[str, Any]) -> None:
        """Raises ValueError for a field that cannot be meant. Also called in the driver."""

    def get_uris(self, runtime_env: Any) -> list[str]:
        """What is created once and then found again, by name. None: create() is called each time."""
        return []

    async def create(
        self, uri: str | None, runtime_env: Any, context: RuntimeEnvContext, logger: logging.Logger
    ) -> float:
        """Makes what `uri` names; gives its size in bytes."""
        return 0

    def modify_context(
        self,
        uris: list[str],
        runtime_env: Any,
        context: RuntimeEnvContext,
        logger: logging.Logger,
    ) -> None:
        """Changes how workers of the environment start."""

    def delete_uri(self, uri: str, logger: logging.Logger) -> float:
        """Removes what `uri` names; gives the bytes that this has freed."""
        return 0


class Plugin(NamedTuple):
    instance: RuntimeEnvPlugin
    priority: int


def load() -> dict[str, Plugin]:
    """The plugins by name, those of the least priority first. RuntimeError for what is none."""
    text = os.environ.get("RAY_RUNTIME_ENV_PLUGINS")
    found: dict[str, Plugin] = {}
    for config in json.loads(text) if text else ():
        if not isinstance(config, dict) or "class" not in config:
            raise RuntimeError(
                f"Invalid runtime env plugin config {config}, it should be a object which contains the class field."
            )
        cls = _class_of(config["class"])
        if not (isinstance(cls, type) and issubclass(cls, RuntimeEnvPlugin)):
            raise RuntimeError(
                f"Invalid runtime env plugin class {cls}. It must inherit RuntimeEnvPlugin."
            )
        if not cls.name:
            raise RuntimeError(f"No valid name in runtime env plugin {cls}.")
        if cls.name in found:
            raise RuntimeError(f"The name of runtime env plugin {cls} is taken by another one.")
        priority = config.get("priority", cls.priority)
        if not isinstance(priority, int) or not PRIORITY_MIN <= priority <= PRIORITY_MAX:
            raise RuntimeError(
                f"Invalid runtime env priority {priority}, it should be an integer between {PRIORITY_MIN} and "
                f"{PRIORITY_MAX}."
            )
        found[cls.name] = Plugin(cls(), priority)
    return dict(sorted(found.items(), key=lambda each: each[1].priority))


def _class_of(path: str) -> Any:
    module, _, name = path.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), name)


def set_up(env: dict[str, Any], context: RuntimeEnvContext, session: str) -> None:
    """Runs the plugins of the fields that `env` has. What one has created is found again by later setups of
    the session, by the URI."""
    import asyncio

    from ..runtime_env import RuntimeEnv

    runtime_env = RuntimeEnv(_validate=False, **env)
    logger = logging.getLogger("eagleray.runtime_env")
    for name, plugin in load().items():
        if env.get(name) is None:
            continue
        plugin.instance.validate(env)
        uris = plugin.instance.get_uris(runtime_env)
        for uri in uris or [None]:  # type: ignore[list-item]
            _create(plugin.instance, uri, runtime_env, context, session, asyncio.run, logger)
        plugin.instance.modify_context(uris, runtime_env, context, logger)


def _create(
    plugin: RuntimeEnvPlugin,
    uri: str | None,
    runtime_env: Any,
    context: RuntimeEnvContext,
    session: str,
    run: Any,
    logger: logging.Logger,
) -> None:
    if uri is None:
        run(plugin.create(None, runtime_env, context, logger))
        return
    import hashlib

    from .cache import Cache

    def create(path: str) -> None:
        size = run(plugin.create(uri, runtime_env, context, logger))
        with open(path, "w") as file:
            json.dump([uri, size], file)

    key = hashlib.blake2b(f"{plugin.name} {uri}".encode(), digest_size=20).hexdigest()
    Cache(session).make("plugins", key, create).release()
