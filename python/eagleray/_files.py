"""Files that others read while they are written anew."""

from __future__ import annotations

import os
import threading

PRIVATE = 0o600


def write_whole(path: str, text: str, mode: int = PRIVATE) -> None:
    """Readers see what was there or all of `text`, also when several threads or processes write. mode: before the umask."""
    aside = f"{path}.{threading.get_native_id()}"
    with open(aside, "w", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(text)
    os.replace(aside, path)
