"""HTTP for the job end point, on the standard library's server: who may speak, how much, and WebSocket frames for
logs that are followed. It knows nothing of jobs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import math
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

HEAD_BYTES_MAX = 8 << 10  # of a request line and its headers; beyond, the connection ends
IDLE_S = 30.0  # a connection that says nothing for this long is closed, or has not said a whole head by then
CONNECTIONS_MAX = 64  # at once; a further one waits in the backlog
JSON_BYTES_MAX = 4 << 20
_WEBSOCKET_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _CLOSE = 0x81, 0x88  # first bytes of frames


class HttpError(Exception):
    """An answer that is an error: `status`, and a text that says what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class _Timed(io.RawIOBase):
    """What a connection says until `until`."""

    def __init__(self, raw: io.RawIOBase, connection: socket.socket) -> None:
        self._raw, self._connection = raw, connection
        self.until = math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        if self.until < math.inf:
            self._connection.settimeout(max(self.until - time.monotonic(), 0.001))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Limited(io.BufferedReader):
    """Of a request's head no more is read than `left` bytes."""

    left = HEAD_BYTES_MAX

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(min(self.left + 1, size if size and size > 0 else self.left + 1))
        self.left -= len(line)
        if self.left < 0:
            raise ConnectionAbortedError(f"a head of more than {HEAD_BYTES_MAX} bytes")
        return line


class Server(ThreadingMixIn, TCPServer):
    """Serves on a socket that listens already. `last_used`: when the last connection ended, or now."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, handler: type[Handler], token: str) -> None:
        super().__init__(("", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_address = listener.getsockname()
        self.token = token
        self._room = threading.Semaphore(CONNECTIONS_MAX)
        self._open = 0
        self._lock = threading.Lock()
        self._last_end = time.monotonic()

    def idle_s(self) -> float:
        with self._lock:
            return 0.0 if self._open else time.monotonic() - self._last_end

    def serve_until_idle(self, idle_s: float, busy: Callable[[], bool]) -> None:
        """Returns when there was no connection for so long and `busy` says no. Who comes then is not accepted
        here, but waits in the listener's backlog for the next process."""
        while True:
            threading.Thread(target=self.serve_forever, daemon=True).start()
            while busy() or self.idle_s() < idle_s:
                time.sleep(min(1.0, idle_s))
            self.shutdown()
            if not busy() and self.idle_s() >= idle_s:  # nobody came between the look and the end
                return

    def process_request(self, request: Any, client_address: Any) -> None:
        self._room.acquire()
        with self._lock:
            self._open += 1
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._open -= 1
                self._last_end = time.monotonic()
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections break; that is theirs."""


class Handler(BaseHTTPRequestHandler):
    """One connection. `answer()` is for a subclass to say."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "eagleray", ""
    timeout = IDLE_S
    is_websocket = False
    is_answered = False  # no HTTP may be said any more; for this request
    server: Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        self._words = _Timed(self.rfile.detach(), self.connection)
        self.rfile: _Limited = _Limited(self._words)

    def handle_one_request(self) -> None:
        self.rfile.left = HEAD_BYTES_MAX
        self._words.until = time.monotonic() + self.timeout
        super().handle_one_request()

    def log_message(self, format: str, *args: Any) -> None:
        """Not to stderr: requests may name what is private."""

    def answer(self, method: str, path: str) -> Any:
        """A dict or list as JSON; None: answered already. HttpError for anything else."""
        raise NotImplementedError

    def do_GET(self) -> None:
        self._do("GET")

    def do_POST(self) -> None:
        self._do("POST")

    def do_PUT(self) -> None:
        self._do("PUT")

    def do_DELETE(self) -> None:
        self._do("DELETE")

    def _do(self, method: str) -> None:
        self._words.until = math.inf
        self.is_answered = False
        self.connection.settimeout(self.timeout)
        self.body_left = int(self.headers.get("Content-Length") or 0)
        try:
            self._check_token()
            answer = self.answer(method, self.path.split("?")[0])
        except HttpError as error:
            self._send(error.status, str(error).encode(), "text/plain; charset=utf-8")
        except Exception as error:
            if self.is_answered or isinstance(error, ConnectionError):
                raise
            status = 400 if isinstance(error, (TypeError, ValueError)) else 500
            text = f"{type(error).__name__}: {error}"
            self._send(status, text.encode(), "text/plain; charset=utf-8")
        else:
            if answer is not None:
                self._send(200, json.dumps(answer).encode(), "application/json")

    def _check_token(self) -> None:
        said = self.headers.get("Authorization") or self.headers.get("X-Ray-Authorization") or ""
        if not said:
            raise HttpError(401, "Unauthorized: Missing authentication token")
        wanted = f"Bearer {self.server.token}"
        if not hmac.compare_digest(said.encode(), wanted.encode()):
            raise HttpError(403, "Forbidden: Invalid authentication token")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        if self.body_left > 0:
            self.close_connection = True  # what it still says is not a request
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def send_parts(self, kind: str, parts: Iterator[bytes]) -> None:
        """An answer whose length nobody knows."""
        chunked = self.request_version != "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("X-Content-Type-Options", "nosniff")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.close_connection = True
        self.end_headers()
        self.is_answered = True
        for part in parts:
            if part:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def body(self, limit: int) -> Any:
        """Its parts. HttpError 413 beyond `limit` bytes."""
        if self.body_left > limit or self.headers.get("Transfer-Encoding"):
            raise HttpError(
                413, f"a body of at most {limit} bytes, with its Content-Length, please"
            )
        while self.body_left > 0:
            part = self.rfile.read(min(self.body_left, 1 << 20))
            if not part:
                raise ConnectionAbortedError("the body ended too early")
            self.body_left -= len(part)
            yield part

    def json_body(self) -> Any:
        text = b"".join(self.body(JSON_BYTES_MAX))
        try:
            return json.loads(text)
        except RecursionError:
            raise ValueError("JSON that is too deep") from None

    # -- WebSocket, towards the client only --

    def open_websocket(self) -> None:
        key = self.headers.get("Sec-WebSocket-Key")
        if not key or self.headers.get("Upgrade", "").lower() != "websocket":
            raise HttpError(400, "this path speaks WebSocket only")
        digest = hashlib.sha1(key.encode() + _WEBSOCKET_GUID).digest()
        self.close_connection = True
        self.is_websocket = self.is_answered = True
        self.connection.settimeout(
            None
        )  # a pager that pauses is no dead client: that one's end is heard
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", base64.b64encode(digest).decode())
        self.end_headers()

    def send_text(self, text: str) -> None:
        self._frame(_TEXT, text.encode())

    def close_websocket(self) -> None:
        self._frame(_CLOSE, struct.pack(">H", 1000))

    def _frame(self, first: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", first, size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", first, 126, size)
        else:
            head = struct.pack(">BBQ", first, 127, size)
        self.wfile.write(head + payload)

    def client_is_gone(self) -> bool:
        """It has closed, or said anything, which is a close or nonsense."""
        self.connection.setblocking(False)
        try:
            return self.connection.recv(1, socket.MSG_PEEK) is not None
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None if self.is_websocket else self.timeout)
