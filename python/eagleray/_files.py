"""Files that others read while they are written anew."""

from __future__ import annotations

import os
import threading

PRIVATE = 0o600


def write_whole(path: str, content: str | bytes, mode: int = PRIVATE) -> None:
    """Readers see what was there or all of `content`, also when several threads or processes write. mode: before the
    umask."""
    aside = f"{path}.{threading.get_native_id()}"
    with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content.encode() if isinstance(content, str) else content)
    os.replace(aside, path)
