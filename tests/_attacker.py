"""A client that speaks the node's protocol by hand, and need not keep to it: frames of a header (u32 bytes,
u32 descriptors), a u16 that says which message, and its fields as src/wire/codec.h writes them."""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct
from pathlib import Path

from _support import PATIENCE_S

LOCAL = (Path(__file__).parent.parent / "src/message/local.h").read_text()
CALLS = (Path(__file__).parent.parent / "src/message/control_calls.h").read_text()
VERSION = int(re.search(r"kLocalVersion = (\d+)", LOCAL)[1])
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
PAGE = 4096


def _numbers(header: str, name: str) -> dict[str, int]:
    names = re.search(rf"using {name} =\s*std::variant<([^>]*)>", header)[1]
    return {each.strip(): number for number, each in enumerate(names.split(","))}


TO_NODE, TO_CLIENT = _numbers(LOCAL, "ClientToNode"), _numbers(LOCAL, "NodeToClient")
CALL, ANSWER = _numbers(CALLS, "ControlCall"), _numbers(CALLS, "ControlAnswer")


def text(value: bytes) -> bytes:
    return struct.pack("<I", len(value)) + value


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def memory(size: int = PAGE, seals: int = SEALS) -> int:
    fd = os.memfd_create("attacker", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


class Attacker:
    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(path)
        self.requests = 0
        self.inbox = b""
        self.fds: list[int] = []

    def __enter__(self) -> Attacker:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        for fd in self.fds:
            os.close(fd)

    def send_raw(self, data: bytes, fds: list[int] | None = None) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], rights)
        if data[sent:]:
            self.socket.sendall(data[sent:])

    def send(self, name: str, fields: bytes = b"", fds: list[int] | None = None) -> None:
        body = struct.pack("<H", TO_NODE[name]) + fields
        self.send_raw(struct.pack("<II", len(body), len(fds or [])) + body, fds)

    def hello(self, version: int = VERSION) -> bytes:
        return (
            struct.pack("<IBIQ", version, 0, os.getpid(), 0)
            + text(b"")
            + text(b"{}")
            + b"\0"
            + u64(0)
        )

    def register(self, fds: list[int] | None = None) -> bytes:
        if fds is None:
            fds = [os.eventfd(0), os.eventfd(0), memory()]
        self.send("Register", self.hello(), fds)
        for fd in fds:
            os.close(fd)
        return self.receive("Registered")

    def ask(self, name: str, fields: bytes) -> int:
        self.requests += 1
        self.send("AskControl", u64(self.requests) + struct.pack("<H", CALL[name]) + fields)
        return self.requests

    def receive(self, name: str) -> bytes:
        """The fields of the next message of that name; others are dropped."""
        while True:
            while len(self.inbox) >= 8:
                size = struct.unpack_from("<I", self.inbox)[0]
                if len(self.inbox) < 8 + size:
                    break
                body, self.inbox = self.inbox[8 : 8 + size], self.inbox[8 + size :]
                if struct.unpack_from("<H", body)[0] == TO_CLIENT[name]:
                    return body[2:]
            data, rights, _, _ = self.socket.recvmsg(1 << 20, 1 << 10)
            if not data:
                raise EOFError(f"closed before {name}")
            self.inbox += data
            for _, _, fds in rights:
                got = array.array("i")
                got.frombytes(fds[: len(fds) - len(fds) % 4])
                self.fds += got

    def answer(self, name: str) -> bytes:
        """The fields of control's next answer, which is of that name."""
        body = self.receive("ControlSays")
        number = struct.unpack_from("<H", body, 8)[0]
        assert number == ANSWER[name], (number, body[:200])
        return body[10:]

    def is_cut_off(self) -> bool:
        """The node closes the connection, whatever it had sent before."""
        try:
            while self.socket.recv(1 << 20):
                pass
        except ConnectionError:
            pass
        return True
