"""How the suite starts a driver: `Launch` of interpreter.proto, from the environment or standard input."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

from conveyor.conformance.v1 import interpreter_pb2

DEFAULT_URL = "http://127.0.0.1:7420"
TRANSPORTS = ("stream", "unary", "rest")


@dataclass(frozen=True)
class Launch:
    """What the driver is started with. Times are in seconds."""

    url: str
    token: str
    ca: str
    transport: str
    driver: str
    version: str
    capacity: int
    drain: float

    def unix_path(self) -> str | None:
        """The socket's path where the address is one; that of a data directory is `control.sock` in it."""
        if not self.url.startswith("unix:"):
            return None
        path = self.url.removeprefix("unix:")
        if not os.path.isdir(path):
            return path
        named = os.path.join(path, "control.path")
        if os.path.exists(named):
            with open(named, encoding="utf-8") as file:
                return file.read()
        return os.path.join(path, "control.sock")


def read() -> Launch:
    """The environment, where it names the driver; else the message on standard input.

    Raises ValueError, with what is wrong in a sentence.
    """
    if os.environ.get("CONVEYOR_CONFORMANCE_DRIVER"):
        message = _environment()
    else:
        message = _standard_input()
    transport = message.transport or "stream"
    if transport not in TRANSPORTS:
        raise ValueError(f"the transport is `{transport}`; this driver has {', '.join(TRANSPORTS)}")
    return Launch(
        url=message.url or DEFAULT_URL,
        token=message.token,
        ca=message.ca,
        transport=transport,
        driver=message.driver or "interpreter",
        version=message.version or "1.0.0",
        capacity=message.capacity or 1,
        drain=message.drain_ms / 1000,
    )


def _environment() -> interpreter_pb2.Launch:
    read = os.environ.get
    return interpreter_pb2.Launch(
        url=read("CONVEYOR_URL", ""),
        token=read("CONVEYOR_TOKEN", ""),
        ca=read("CONVEYOR_CA", ""),
        transport=read("CONVEYOR_CONFORMANCE_TRANSPORT", ""),
        driver=read("CONVEYOR_CONFORMANCE_DRIVER", ""),
        version=read("CONVEYOR_CONFORMANCE_VERSION", ""),
        capacity=_number("CONVEYOR_CONFORMANCE_CAPACITY"),
        drain_ms=_number("CONVEYOR_CONFORMANCE_DRAIN_MS"),
    )


def _number(name: str) -> int:
    text = os.environ.get(name, "") or "0"
    if not text.isdecimal():
        raise ValueError(f"{name} is `{text}`; it has to be a whole number")
    return int(text)


def _standard_input() -> interpreter_pb2.Launch:
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise ValueError("neither CONVEYOR_CONFORMANCE_DRIVER nor standard input say how to start")
    length = sys.stdin.buffer.read(4)
    if len(length) < 4:
        raise ValueError("standard input ends before the four bytes of the message's length")
    size = int.from_bytes(length, "big")
    text = sys.stdin.buffer.read(size)
    if len(text) < size:
        raise ValueError(f"standard input ends after {len(text)} of the message's {size} bytes")
    return interpreter_pb2.Launch.FromString(text)
