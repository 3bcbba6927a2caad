"""gRPC's channel to the engine, and calls without a stream: by gRPC, or as JSON over HTTP."""

from __future__ import annotations

import asyncio
import concurrent.futures
import http.client
import json
import socket
import ssl
import urllib.parse
from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import grpc
import grpc.aio
from conveyor.v1 import driver_pb2, driver_pb2_grpc
from google.protobuf.message import Message

from forms import from_json, to_json
from launch import Launch

# A silent connection is asked whether it lives, and is broken where no answer comes. In milliseconds.
KEEPALIVE_MS = 5_000
# The channel's own pauses before it connects again; over a stream the session makes a channel each time.
LONGEST_PAUSE_MS = 2_000
# Calls at once over HTTP: of each task one, and the session's own.
THREADS = 256

# What each call is named by gRPC and by REST, and what it answers.
CALLS: dict[str, tuple[str, type[Message]]] = {
    "register": ("Register", driver_pb2.RegisterResponse),
    "poll": ("Poll", driver_pb2.PollResponse),
    "answer": ("Answer", driver_pb2.AnswerResponse),
    "heartbeat": ("Heartbeat", driver_pb2.HeartbeatResponse),
    "checkpoint": ("SaveCheckpoint", driver_pb2.SaveCheckpointResponse),
    "report": ("Report", driver_pb2.ReportResponse),
    "logs": ("AppendLogs", driver_pb2.AppendLogsResponse),
    "leave": ("Leave", driver_pb2.LeaveResponse),
}


# Status, `retry-after` and body.
Answered = tuple[int, str | None, bytes]


class Kind(Enum):
    """What a driver does about a call that is not answered well: the table of `Errors of calls`."""

    # It is repeated as it was, with growing pauses.
    AGAIN = auto()
    # The session is not known: the driver registers again.
    UNKNOWN = auto()
    # It is not repeated: a mistake of the driver.
    MISTAKE = auto()
    # The driver ends.
    FORBIDDEN = auto()


@dataclass
class CallFailed(Exception):
    """A call has no answer that counts."""

    kind: Kind
    message: str
    # In seconds.
    retry_after: float = 0.0


class Calls(ABC):
    """Calls of DriverService."""

    @abstractmethod
    async def call(self, name: str, request: Message, timeout: float) -> Any:
        """One try of a call. Raises CallFailed."""

    @abstractmethod
    async def close(self) -> None: ...


def channel_to(launch: Launch) -> grpc.aio.Channel:
    """A channel of its own connection."""
    options: list[tuple[str, str | int]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", LONGEST_PAUSE_MS),
    ]
    path = launch.unix_path()
    if path is not None:
        # Without it the authority is the path, which is no host.
        options.append(("grpc.default_authority", "localhost"))
        return grpc.aio.insecure_channel(f"unix:{path}", options)
    url = urllib.parse.urlsplit(launch.url)
    host, secure = url.hostname, url.scheme == "https"
    if url.scheme not in ("http", "https") or not host:
        raise ValueError(f"`{launch.url}` is no address: `http://HOST:PORT`, `https://` or `unix:PATH`")
    host = f"[{host}]" if ":" in host else host
    target = f"dns:///{host}:{url.port or (443 if secure else 80)}"
    if not secure:
        return grpc.aio.insecure_channel(target, options)
    authority = None
    if launch.ca:
        with open(launch.ca, "rb") as file:
            authority = file.read()
    return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authority), options)


def metadata_of(launch: Launch) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {launch.token}")] if launch.token else []


class UnaryCalls(Calls):
    """By gRPC."""

    MISTAKES = (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
    )
    FORBIDDEN = (
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    )

    def __init__(self, launch: Launch) -> None:
        self._channel = channel_to(launch)
        self._stub = driver_pb2_grpc.DriverServiceStub(self._channel)
        self._metadata = metadata_of(launch)

    async def call(self, name: str, request: Message, timeout: float) -> Any:
        method = getattr(self._stub, CALLS[name][0])
        try:
            return await method(request, timeout=timeout, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error

    def _failed(self, error: grpc.aio.AioRpcError) -> CallFailed:
        code, message = error.code(), error.details() or error.code().name
        if code in self.MISTAKES:
            return CallFailed(Kind.MISTAKE, message)
        if code in self.FORBIDDEN:
            return CallFailed(Kind.FORBIDDEN, message)
        if code is grpc.StatusCode.NOT_FOUND:
            return CallFailed(Kind.UNKNOWN, message)
        after = dict(error.trailing_metadata() or ()).get("retry-after")
        return CallFailed(Kind.AGAIN, message, seconds(after))

    async def close(self) -> None:
        await self._channel.close()


class RestCalls(Calls):
    """As JSON over HTTP, each in a thread and over a connection that no other has meanwhile."""

    MISTAKES = (400, 409, 413, 415)
    FORBIDDEN = (401, 403, 501)

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._url = urllib.parse.urlsplit(launch.url)
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS)
        # Connections that wait for their next call.
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._tls = None
        if self._url.scheme == "https":
            self._tls = ssl.create_default_context(cafile=launch.ca or None)

    async def call(self, name: str, request: Message, timeout: float) -> Any:
        loop = asyncio.get_running_loop()
        try:
            status, after, body = await loop.run_in_executor(self._threads, self._post, name, request, timeout)
        except (OSError, http.client.HTTPException) as error:
            raise CallFailed(Kind.AGAIN, f"no answer: {error}") from error
        if status == 200:
            response = CALLS[name][1]()
            from_json(response, json.loads(body))
            return response
        raise self._failed(status, after, body)

    def _failed(self, status: int, after: str | None, body: bytes) -> CallFailed:
        try:
            message = str(json.loads(body)["detail"])
        except (ValueError, KeyError, TypeError):
            message = f"HTTP {status}"
        if status in self.MISTAKES:
            return CallFailed(Kind.MISTAKE, message)
        if status in self.FORBIDDEN:
            return CallFailed(Kind.FORBIDDEN, message)
        if status == 404:
            return CallFailed(Kind.UNKNOWN, message)
        return CallFailed(Kind.AGAIN, message, seconds(after))

    def _post(self, name: str, request: Message, timeout: float) -> Answered:
        headers = {"content-type": "application/json"}
        if self._launch.token:
            headers["authorization"] = f"Bearer {self._launch.token}"
        body = json.dumps(to_json(request), ensure_ascii=False).encode()
        asked = ("POST", f"/v1/driver/{name}", body, headers)
        while True:
            connection, used = self._connection(timeout)
            try:
                connection.request(*asked)
                response = connection.getresponse()
                answered = response.status, response.headers.get("retry-after"), response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if used and not isinstance(error, TimeoutError):
                    # It was closed since its last call, which says nothing of this one.
                    continue
                raise
            if connection.sock is not None:
                self._idle.append(connection)
            return answered

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, bool]:
        """A connection, and whether it had a call before."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._new(timeout), False
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        return connection, True

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        path = self._launch.unix_path()
        if path is not None:
            return UnixConnection(path, timeout)
        host, port = self._url.hostname or "", self._url.port
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def seconds(text: Any) -> float:
    """What `retry-after` says; 0 where it says nothing that is a number."""
    try:
        return max(0.0, float(text))
    except (TypeError, ValueError):
        return 0.0
