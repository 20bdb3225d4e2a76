"""Bearer tokens of the job end point: 64 hexadecimal digits or more in a file of mode 0600, never in arguments or
in the environment of what a cluster starts."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import MutableMapping

FILE = "auth_token"  # in a session directory
CHARS_MIN = 16
CHARS_MAX = 4096
_VARIABLES = ("EAGLERAY_AUTH_TOKEN", "RAY_AUTH_TOKEN")


def default_path() -> str:
    return os.path.join(os.path.expanduser("~"), ".ray", "auth_token")


def given(environment: MutableMapping[str, str]) -> str | None:
    """The user's own: EAGLERAY_AUTH_TOKEN or RAY_AUTH_TOKEN, the file RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token if
    it is private. PermissionError for a file named that others may read; ValueError for what is too short to be
    safe."""
    for name in _VARIABLES:
        if environment.get(name):
            return _checked(environment[name].strip(), name)
    path = environment.get("RAY_AUTH_TOKEN_PATH")
    if path:
        return read(path)
    try:
        return read(default_path())
    except (OSError, ValueError):
        return None  # Ray has made one that others can read, or nobody has made one


def forget(environment: MutableMapping[str, str]) -> None:
    """So that nothing that is started from here on inherits it."""
    for name in _VARIABLES:
        environment.pop(name, None)


def read(path: str) -> str:
    """The token in a file. OSError when there is none or when it is not ours alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor) as file:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_uid != os.geteuid() or info.st_mode & 0o077:
            raise PermissionError(
                f"{path} must be a file of yours that nobody else can read: chmod 600 it"
            )
        return _checked(file.read(CHARS_MAX).strip(), path)


def write(path: str, token: str) -> None:
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w") as file:
        file.write(token + "\n")


def make() -> str:
    return secrets.token_hex(32)


def _checked(token: str, where: str) -> str:
    if not CHARS_MIN <= len(token) < CHARS_MAX or not token.isascii() or not token.isprintable():
        raise ValueError(
            f"the token of {where} must be {CHARS_MIN} or more printable ASCII characters; "
            "`eagleray get-auth-token --generate` makes one"
        )
    return token
