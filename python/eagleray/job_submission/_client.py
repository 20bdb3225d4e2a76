"""JobSubmissionClient: speaks Ray's job API over HTTP, with the standard library only."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import http.client
import json
import os
import secrets
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Mapping
from types import MappingProxyType
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from .. import _node, _token
from .._environments import fields
from ..exceptions import AuthenticationError
from ..widgets._html import Rows
from . import _packages
from ._types import JobDetails, JobRequest, JobStatus

TIMEOUT_S = 60.0  # of a request
PART_BYTES = 64 << 10


class JobSubmissionClient:
    """Submits jobs to a cluster and looks after them.

    address: None or "auto" (the cluster of `eagleray start --head` on this machine), its HOST:PORT as init() takes
    it, or the end point itself, "http://127.0.0.1:8265". RAY_API_SERVER_ADDRESS, or else RAY_ADDRESS, goes before
    it, as in Ray. metadata: added to that of every job. headers, cookies: sent along with every request. verify:
    False, or a file or directory of certificates, for https. The token is the cluster's, found as `eagleray
    get-auth-token` finds it. ConnectionError when there is no cluster, AuthenticationError for a wrong token.
    """

    def __init__(
        self,
        address: str | None = None,
        create_cluster_if_needed: bool = False,
        cookies: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        headers: dict[str, Any] | None = None,
        verify: str | bool | None = True,
        **kwargs: Any,
    ) -> None:
        for name, value, kind, words in (
            ("address", address, str, "a string"),
            ("cookies", cookies, dict, "a dict"),
            ("metadata", metadata, dict, "a dict"),
            ("headers", headers, dict, "a dict"),
        ):
            if value is not None and not isinstance(value, kind):
                raise TypeError(f"{name} must be {words}, got {type(value)}")
        if not isinstance(create_cluster_if_needed, bool):
            raise TypeError(
                f"create_cluster_if_needed must be a bool, got {type(create_cluster_if_needed)}"
            )
        if not isinstance(verify, (str, bool)):
            raise TypeError(f"verify must be a str or bool, got {type(verify)}")
        self._address, own_token = _resolve(address)
        self._default_metadata = dict(metadata or {})
        self._headers = {str(k): str(v) for k, v in (headers or {}).items()}
        if cookies:
            self._headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in cookies.items())
        if not any(name.lower() == "authorization" for name in self._headers):
            token = own_token or _token.given(os.environ)
            if token:
                self._headers["Authorization"] = f"Bearer {token}"
        self._ssl = _ssl_context(self._address, verify)
        self.get_version()

    def get_address(self) -> str:
        return self._address

    def get_version(self) -> str:
        """Of the job API."""
        version: str = self._request("GET", "/api/version")["version"]
        return version

    def submit_job(
        self,
        *,
        entrypoint: str,
        job_id: str | None = None,
        runtime_env: dict[str, Any] | None = None,
        metadata: dict[str, str] | None = None,
        submission_id: str | None = None,
        entrypoint_num_cpus: int | float | None = None,
        entrypoint_num_gpus: int | float | None = None,
        entrypoint_memory: int | None = None,
        entrypoint_resources: dict[str, float] | None = None,
        entrypoint_label_selector: dict[str, str] | None = None,
    ) -> str:
        """Has the cluster run a shell command, once, and returns the job's id without waiting.

        runtime_env: of the command and of what it starts; a local working_dir, and local py_modules, are sent
        along as they are now. metadata: strings, kept with the job. entrypoint_...: what the command holds while
        it runs (memory in bytes), beside its tasks and actors; nothing by default. RuntimeError when the id is
        taken or the cluster refuses; TypeError, ValueError for what cannot be meant.
        """
        env = copy.deepcopy(dict(runtime_env or {}))
        self._send_directories(env)
        hook = env.get("worker_process_setup_hook")
        if hook and not isinstance(hook, str):
            raise ValueError(
                f"Invalid type {type(hook)} for `worker_process_setup_hook`: a job takes the name of a function, "
                "`module.function`."
            )
        fields.check(env)
        request = JobRequest(
            entrypoint=entrypoint,
            submission_id=submission_id or job_id,
            runtime_env=env,
            metadata={**(metadata or {}), **self._default_metadata},
            entrypoint_num_cpus=entrypoint_num_cpus,
            entrypoint_num_gpus=entrypoint_num_gpus,
            entrypoint_memory=entrypoint_memory,
            entrypoint_resources=entrypoint_resources,
            entrypoint_label_selector=entrypoint_label_selector,
        )
        given = {name: value for name, value in vars(request).items() if value is not None}
        answer = self._request("POST", "/api/jobs/", json.dumps(given).encode())
        made: str = answer["submission_id"]
        return made

    def stop_job(self, job_id: str) -> bool:
        """Asks a job to end: SIGTERM, and SIGKILL 3 s later. False if it did not run. RuntimeError: no such job."""
        return bool(self._request("POST", f"{_of(job_id)}/stop")["stopped"])

    def delete_job(self, job_id: str) -> bool:
        """Forgets a job that has ended; its log stays. RuntimeError if there is none or it has not."""
        return bool(self._request("DELETE", _of(job_id))["deleted"])

    def get_job_info(self, job_id: str) -> JobDetails:
        """`job_id`: of the submission or of its driver. RuntimeError if there is none."""
        return JobDetails(**self._request("GET", _of(job_id)))

    def list_jobs(self) -> list[JobDetails]:
        """All that were submitted, and the programs that are connected by themselves."""
        return Rows(JobDetails(**each) for each in self._request("GET", "/api/jobs/"))

    def get_job_status(self, job_id: str) -> JobStatus:
        """RuntimeError if there is no such job."""
        return self.get_job_info(job_id).status

    def get_job_logs(self, job_id: str) -> str:
        """All that it has printed so far, to stdout and stderr. RuntimeError if there is no such job."""
        logs: str = self._request("GET", f"{_of(job_id)}/logs")["logs"]
        return logs

    def _stream_job_logs(self, job_id: str) -> Iterator[bytes]:
        """The same in parts: it may be larger than memory."""
        with self._answer("GET", f"{_of(job_id)}/logs", None, {"Accept": "text/plain"}) as answer:
            if answer.status != 200:
                self._check(answer.status, answer.read().decode(errors="replace"))
            while part := answer.read(PART_BYTES):
                yield part

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        """What it has printed, then what it prints, in parts as they come; ends with the job. RuntimeError if there
        is no such job, or when the connection breaks before."""
        parts = urlsplit(self._address)
        context = self._ssl if parts.scheme == "https" else None
        port = parts.port or (443 if context else 80)
        reader, writer = await asyncio.open_connection(parts.hostname, port, ssl=context)
        try:
            lines = [f"GET {_of(job_id)}/logs/tail HTTP/1.1", f"Host: {parts.netloc}"]
            lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
            key = base64.b64encode(secrets.token_bytes(16)).decode()
            lines += [f"Sec-WebSocket-Key: {key}"]
            lines += [f"{name}: {value}" for name, value in self._headers.items()]
            writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head.split(b" ", 2)[1])
            if status != 101:
                body = (await reader.read(4096)).decode(errors="replace")
                raise RuntimeError(f"Request failed with status code {status}: {body}.")
            while (text := await _next_text(reader)) is not None:
                yield text
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise RuntimeError(f"WebSocket connection closed unexpectedly: {error}") from None
        finally:
            writer.close()

    # -- packages --

    def _send_directories(self, env: dict[str, Any]) -> None:
        """Local directories of the environment become packages of the cluster."""
        excludes = env.get("excludes") or []
        directory = env.get("working_dir")
        if isinstance(directory, str) and "://" not in directory:
            env["working_dir"] = self._send(os.path.expanduser(directory), excludes, "")
            env.pop("excludes", None)
        modules = env.get("py_modules")
        if isinstance(modules, list):
            env["py_modules"] = [self._send_module(module, excludes) for module in modules]

    def _send_module(self, module: Any, excludes: list[str]) -> Any:
        if getattr(module, "__path__", None):
            module = list(module.__path__)[0]
        path = os.fspath(module) if isinstance(module, (str, os.PathLike)) else None
        if path is None or "://" in path or not os.path.isdir(path):
            return module
        return self._send(path, excludes, os.path.basename(os.path.abspath(path)))

    def _send(self, source: str, excludes: list[str], parent: str) -> str:
        uri = _packages.uri_of_archive(source)
        if uri is not None:
            self._upload(uri, source)
            return uri
        with _packages.packed(source, excludes, parent) as (uri, path):
            self._upload(uri, path)
            return uri

    def _upload(self, uri: str, path: str) -> None:
        """Unless it is there."""
        where = f"/api/packages/gcs/{uri.removeprefix(_packages.PREFIX)}"
        if self._exchange("GET", where, None)[0] == 200:
            return
        with open(path, "rb") as file:
            self._request("PUT", where, file)

    # -- HTTP --

    def _request(self, method: str, path: str, body: bytes | BinaryIO | None = None) -> Any:
        status, text = self._exchange(method, path, body)
        self._check(status, text)
        return json.loads(text or "{}")

    @staticmethod
    def _check(status: int, text: str) -> None:
        if status in (401, 403):
            raise AuthenticationError(
                f"{text}: the token is that of `eagleray get-auth-token` where the cluster runs; set "
                "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
            )
        if status != 200:
            said = text.rstrip(".")
            raise RuntimeError(f"Request failed with status code {status}: {said}.")

    def _exchange(self, method: str, path: str, body: bytes | BinaryIO | None) -> tuple[int, str]:
        with self._answer(method, path, body) as answer:
            return answer.status, answer.read().decode(errors="replace")

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        more_headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Iterator[http.client.HTTPResponse]:
        """ConnectionError when there is none, or it breaks while it is read."""
        parts = urlsplit(self._address)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.netloc, timeout=TIMEOUT_S, context=self._ssl
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=TIMEOUT_S)
        try:
            headers = {**self._headers, **more_headers}
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            if body is not None and not isinstance(body, bytes):
                headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
            connection.request(method, parts.path.rstrip("/") + path, body, headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise ConnectionError(
                f"Failed to connect to Ray at address: {self._address} ({error})."
            ) from None
        finally:
            connection.close()


def _of(job_id: str) -> str:
    return f"/api/jobs/{quote(job_id, safe='')}"


async def _next_text(reader: asyncio.StreamReader) -> str | None:
    """The next text frame of a server; None: it has closed in order."""
    while True:
        first, size = await reader.readexactly(2)
        if size & 0x7F == 126:
            (size,) = struct.unpack(">H", await reader.readexactly(2))
        elif size & 0x7F == 127:
            (size,) = struct.unpack(">Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if first & 0x0F == 8:
            return None
        if first & 0x0F == 1:
            return payload.decode(errors="replace")


def _resolve(address: str | None) -> tuple[str, str | None]:
    """The end point's URL, and its token if it is that of a cluster here."""
    address = (
        os.environ.get("RAY_API_SERVER_ADDRESS")
        or os.environ.get("RAY_ADDRESS")
        or address
        or "auto"
    )
    if address.startswith("ray://"):
        raise NotImplementedError("JobSubmissionClient('ray://...'): the ray:// client protocol")
    found = _node.find_running(None)
    here = found.get("jobs") if found else None
    if "://" not in address:
        if address != "auto" and not _node.is_here(address, found):
            raise ConnectionError(
                f"{address} is on another machine: give the URL of its job end point, as http://HOST:8265."
            )
        if found is None:
            raise ConnectionError(
                "Could not find any running cluster on this machine. Start one with `eagleray start --head`."
            )
        if not here:
            raise ConnectionError(
                "The cluster on this machine has no job end point: it was started with --include-dashboard false."
            )
        return here, _token_of(found)
    address = address.rstrip("/")
    scheme, _, rest = address.partition("://")
    if scheme not in ("http", "https"):
        raise RuntimeError(
            f"Module: {scheme} does not exist. This module was parsed from {address}"
        )
    local = rest.replace("localhost", "127.0.0.1", 1)
    return address, _token_of(found) if here and here.partition("://")[2] == local else None


def _token_of(found: Any) -> str | None:
    try:
        return _token.read(os.path.join(found["session_dir"], _token.FILE))
    except (OSError, ValueError):
        return None


def _ssl_context(address: str, verify: str | bool | None) -> ssl.SSLContext | None:
    if not address.startswith("https:"):
        return None
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if isinstance(verify, str):
        if os.path.isdir(verify):
            return ssl.create_default_context(capath=verify)
        if not os.path.isfile(verify):
            raise FileNotFoundError(f"Path to CA certificates: '{verify}', does not exist.")
        return ssl.create_default_context(cafile=verify)
    return ssl.create_default_context()
