"""Fields of one's own: classes that RAY_RUNTIME_ENV_PLUGINS names, `[{"class": "module.Class", "priority": 5}]`.
The contract follows Ray 2.60."""

from __future__ import annotations

import hashlib
import importlib
import json
import logging
import os
import traceback
from collections.abc import Coroutine
from typing import Any, NamedTuple
from urllib.parse import quote

from .cache import Cache, Held
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
        """Removes what `uri` names; gives the bytes that this has freed. Called when an environment is set up
        and what the plugin has created has more than RAY_RUNTIME_ENV_<NAME>_CACHE_SIZE_GB (10) altogether: for what
        was not used for longest and no environment uses. It may be another process than that of create()."""
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


def set_up(
    env: dict[str, Any], context: RuntimeEnvContext, session: Cache, held: list[Held]
) -> None:
    """Runs the plugins of the fields that `env` has. What one has created is found again by later setups of
    the session, by the URI. held: where the locks go that keep it."""
    from ..runtime_env import RuntimeEnv

    runtime_env = RuntimeEnv(_validate=False, **env)
    logger = logging.getLogger("eagleray.runtime_env")
    for name, plugin in load().items():
        if env.get(name) is None:
            continue
        plugin.instance.validate(env)
        uris = plugin.instance.get_uris(runtime_env)
        if not uris:
            _run(plugin.instance.create(None, runtime_env, context, logger))
        for uri in uris:
            held.append(_created(plugin.instance, uri, runtime_env, context, session, logger))
        plugin.instance.modify_context(uris, runtime_env, context, logger)
        _keep_limit(plugin.instance, session, logger)


def _run(creating: Coroutine[Any, Any, float]) -> float:
    import asyncio  # takes as long to load as all else here

    return asyncio.run(creating)


def _kind(plugin: RuntimeEnvPlugin) -> str:
    return f"plugin-{quote(plugin.name, safe='')}"


def _created(
    plugin: RuntimeEnvPlugin,
    uri: str,
    runtime_env: Any,
    context: RuntimeEnvContext,
    session: Cache,
    logger: logging.Logger,
) -> Held:
    """Its entry has the URI; what is created lies where the plugin wants it."""

    def create(path: str) -> int:
        size = _run(plugin.create(uri, runtime_env, context, logger))
        with open(path, "w") as file:
            file.write(uri)
        return int(size or 0)

    key = hashlib.blake2b(uri.encode(), digest_size=20).hexdigest()
    return session.make(_kind(plugin), key, create)


def _keep_limit(plugin: RuntimeEnvPlugin, session: Cache, logger: logging.Logger) -> None:
    def delete(path: str) -> None:
        with open(path) as file:
            uri = file.read()
        try:
            plugin.delete_uri(uri, logger)
        except Exception:
            traceback.print_exc()  # into the log of this setup, which does not fail for it

    gigabytes = os.environ.get(f"RAY_RUNTIME_ENV_{plugin.name}_CACHE_SIZE_GB".upper(), "10")
    session.evict(int(float(gigabytes) * (1 << 30)), (_kind(plugin),), delete)
