"""The cluster's key-value pairs. They survive the death of control, and end with the cluster."""

from __future__ import annotations

from .. import _planned
from .._state import client, state

__all__ = [
    "_internal_kv_del",
    "_internal_kv_exists",
    "_internal_kv_get",
    "_internal_kv_initialized",
    "_internal_kv_list",
    "_internal_kv_put",
]


def _space(namespace: str | bytes | None) -> str:
    if isinstance(namespace, bytes):
        return namespace.decode()
    return namespace or ""


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _internal_kv_initialized() -> bool:
    return state.client is not None


def _internal_kv_get(key: str | bytes, *, namespace: str | bytes | None = None) -> bytes | None:
    """The value, or None."""
    value: bytes | None = client().kv_get(_space(namespace), _bytes(key))
    return value


def _internal_kv_exists(key: str | bytes, *, namespace: str | bytes | None = None) -> bool:
    return _internal_kv_get(key, namespace=namespace) is not None


def _internal_kv_put(
    key: str | bytes,
    value: str | bytes,
    overwrite: bool = True,
    *,
    namespace: str | bytes | None = None,
) -> bool:
    """True if the key existed already. ValueError beyond 32 MiB a value or 1,000,000 keys."""
    existed = _internal_kv_exists(key, namespace=namespace)
    stored = client().kv_put(_space(namespace), _bytes(key), _bytes(value), overwrite)
    return existed or not stored


def _internal_kv_del(
    key: str | bytes, *, del_by_prefix: bool = False, namespace: str | bytes | None = None
) -> int:
    """How many keys are gone."""
    gone = (
        len(_internal_kv_list(key, namespace=namespace))
        if del_by_prefix
        else int(_internal_kv_exists(key, namespace=namespace))
    )
    client().kv_delete(_space(namespace), _bytes(key), del_by_prefix)
    return gone


def _internal_kv_list(prefix: str | bytes, *, namespace: str | bytes | None = None) -> list[bytes]:
    """The keys that begin with `prefix`."""
    keys: list[bytes] = client().kv_list(_space(namespace), _bytes(prefix))
    return keys


__getattr__ = _planned.lazily(__name__)
