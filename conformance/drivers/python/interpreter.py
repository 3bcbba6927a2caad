"""The action `interpret`: performs a program's commands, one after the other, in a thread of its own."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import Any, Protocol

from conveyor.v1 import types_pb2

from mask import Mask

# How often it looks whether a file is there, in seconds.
LOOK_FOR_FILE = 0.01
STREAMS = {
    "": types_pb2.LOG_STREAM_STDOUT,
    "stdout": types_pb2.LOG_STREAM_STDOUT,
    "stderr": types_pb2.LOG_STREAM_STDERR,
}
INPUTS_SCHEMA = {
    "type": "object",
    "required": ["program"],
    "properties": {"program": {"type": "array", "items": {"type": "object"}}},
}

SUCCEEDED = types_pb2.ATTEMPT_STATE_SUCCEEDED
FAILED = types_pb2.ATTEMPT_STATE_FAILED
ERRORED = types_pb2.ATTEMPT_STATE_ERRORED
CANCELLED = types_pb2.ATTEMPT_STATE_CANCELLED


class GivenUp(BaseException):
    """The task was cut off, or is another's: nothing of it is told any more."""


class Elsewhere(Exception):
    """The task goes on elsewhere: its program is over, and has no result."""


class Work(Protocol):
    """What user code has of its task. Each method may raise GivenUp."""

    task: types_pb2.Task
    mask: Mask
    cancelled: threading.Event
    given_up: threading.Event

    def line(self, stream: types_pb2.LogStream, text: bytes) -> None: ...
    def progress(self, permille: int, message: str) -> None: ...
    def save(self, data: bytes) -> None: ...
    def detach(self, within: float, principals: list[str]) -> bool: ...
    def time_left(self) -> float: ...
    def report_twice(self) -> None: ...


def to_json(value: Any) -> bytes:
    """JSON as the contract has it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def failure(state: types_pb2.AttemptState, code: str, message: str, **more: Any) -> types_pb2.Result:
    """A result that is not a success."""
    return types_pb2.Result(state=state, failure=types_pb2.Failure(code=code, message=message, **more))


def succeeded(outputs: dict[str, Any]) -> types_pb2.Result:
    return types_pb2.Result(state=SUCCEEDED, outputs=to_json(outputs))


def perform(work: Work) -> types_pb2.Result:
    """Performs the task's program to its end.

    Raises GivenUp where the task was cut off, and Elsewhere where it goes on elsewhere.
    """
    try:
        return Interpreter(work).run()
    except Elsewhere:
        raise
    except Exception as error:
        # As any runtime has it: an error that was not meant is a failure, and the document says what follows.
        return failure(FAILED, "exception", work.mask.text(str(error)))


class Interpreter:
    """One program."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.ignores_cancel = False
        self.kept: list[bytearray] = []

    def run(self) -> types_pb2.Result:
        inputs = json.loads(self.work.task.inputs)
        for command in inputs["program"]:
            if self.work.given_up.is_set():
                raise GivenUp
            command = dict(command)
            if command.pop("attempt", 0) not in (0, self.work.task.id.attempt):
                continue
            if len(command) != 1:
                raise ValueError(f"a command has one name, not {sorted(command)}")
            name, arguments = next(iter(command.items()))
            perform = getattr(self, f"do_{name}", None)
            if perform is None:
                raise ValueError(f"there is no command `{name}`")
            result = perform(**self.filled_in(arguments))
            if result is not None:
                return result
        if self.work.cancelled.is_set():
            return types_pb2.Result(state=CANCELLED)
        return succeeded({})

    def filled_in(self, value: Any) -> Any:
        """With what `${…}` stands for in each string of it."""
        if isinstance(value, str):
            return re.sub(r"\$\{(attempt|checkpoint|secret:[^}]*)\}", self.stands_for, value)
        if isinstance(value, list):
            return [self.filled_in(one) for one in value]
        if isinstance(value, dict):
            return {key: self.filled_in(one) for key, one in value.items()}
        return value

    def stands_for(self, found: re.Match[str]) -> str:
        task, name = self.work.task, found[1]
        if name == "attempt":
            return str(task.id.attempt)
        if name == "checkpoint":
            return task.checkpoint.decode(errors="replace")
        secret = name.removeprefix("secret:")
        if secret not in task.secrets:
            # It stands for nothing.
            return found[0]
        return task.secrets[secret].decode(errors="replace")

    def pause(self, seconds: float) -> types_pb2.Result | None:
        """Waits; a result where a cancel ends the program."""
        if self.ignores_cancel:
            self.work.given_up.wait(seconds)
        elif self.work.cancelled.wait(seconds):
            if not self.work.given_up.is_set():
                return types_pb2.Result(state=CANCELLED)
        if self.work.given_up.is_set():
            raise GivenUp
        return None

    def do_log(self, text: str = "", stream: str = "", times: int = 1, length: int = 0) -> None:
        whole = repeated(text.encode(), length)
        # Before it is cut into lines: a secret may have several.
        lines = self.work.mask.bytes(whole).removesuffix(b"\n").split(b"\n")
        times = times or 1
        for number in range(times):
            suffix = f" {number}".encode() if times > 1 else b""
            for line in lines:
                self.work.line(STREAMS[stream], line.removesuffix(b"\r") + suffix)

    def do_sleep(self, ms: int = 0) -> types_pb2.Result | None:
        return self.pause(ms / 1000)

    def do_progress(self, permille: int = 0, message: str = "") -> None:
        self.work.progress(permille, self.work.mask.text(message))

    def do_checkpoint(self, text: str = "", length: int = 0) -> None:
        self.work.save(repeated(text.encode(), length))

    def do_return(self, outputs: dict[str, Any] | None = None, length: int = 0) -> types_pb2.Result:
        outputs = outputs or {}
        if length:
            outputs["text"] = "x" * length
        return succeeded(outputs)

    def do_fail(
        self,
        code: str = "",
        message: str = "",
        retryable: bool | None = None,
        retry_after_ms: int | None = None,
        details: Any = None,
        errored: bool = False,
    ) -> types_pb2.Result:
        mask = self.work.mask
        return failure(
            ERRORED if errored else FAILED,
            mask.text(code),
            mask.text(message),
            retryable=retryable,
            retry_after_ms=retry_after_ms,
            details=b"" if details is None else mask.bytes(to_json(details)),
        )

    def do_throw(self, message: str = "") -> None:
        raise RuntimeError(message)

    def do_await_cancel(self) -> None:
        self.work.cancelled.wait()
        if self.work.given_up.is_set():
            raise GivenUp
        # It is known now: what follows is done.
        self.ignores_cancel = True

    def do_ignore_cancel(self) -> None:
        self.ignores_cancel = True

    def do_spin(self, ms: int = 0) -> None:
        end = time.monotonic() + ms / 1000
        while time.monotonic() < end:
            # Python cannot end a thread: a computation that was cut off has to see it.
            if self.work.given_up.is_set():
                raise GivenUp

    def do_allocate(self, bytes: int = 0) -> None:
        self.kept.append(bytearray(b"\1") * bytes)

    def do_exit(self, code: int = 0) -> None:
        os._exit(code)

    def do_record(self, file: str, text: str = "") -> None:
        with open(file, "ab", buffering=0) as to:
            to.write(f"{text}\n".encode())

    def do_wait_for(self, file: str) -> types_pb2.Result | None:
        while not os.path.exists(file):
            ended = self.pause(LOOK_FOR_FILE)
            if ended is not None:
                return ended
        return None

    def do_echo(self) -> types_pb2.Result:
        task = self.work.task
        carried: dict[str, Any] = {
            "run": task.id.run,
            "namespace": task.namespace,
            "pipeline": task.pipeline,
            "step": task.id.step,
            "instance": task.id.instance,
            "attempt": task.id.attempt,
            "action": task.action,
            "inputs": json.loads(task.inputs),
            "labels": dict(task.labels),
            "traceparent": task.traceparent,
            "time_left_ms": int(self.work.time_left() * 1000),
            "grace_ms": task.grace_ms,
            "secrets": sorted(task.secrets),
        }
        if task.parameters:
            carried["parameters"] = json.loads(task.parameters)
        if task.HasField("checkpoint"):
            carried["checkpoint"] = task.checkpoint.decode(errors="replace")
        return succeeded(carried)

    def do_detach(self, within_ms: int = 0, principals: list[str] | None = None) -> None:
        if self.work.detach(within_ms / 1000, principals or []):
            raise Elsewhere

    def do_report_twice(self, outputs: dict[str, Any] | None = None) -> types_pb2.Result:
        self.work.report_twice()
        return succeeded(outputs or {})


def repeated(text: bytes, length: int) -> bytes:
    """The text again and again, cut at the length; as it is where that is 0."""
    if not length or not text:
        return text
    return (text * (length // len(text) + 1))[:length]
