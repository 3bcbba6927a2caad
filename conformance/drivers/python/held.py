"""A task, from its arrival until its report is answered and its log is kept; and what its user code has of it."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conveyor.v1 import driver_pb2, types_pb2

from interpreter import GivenUp
from logs import LogBuffer
from mask import Mask

# The most bytes of words of progress.
PROGRESS_BYTES = 1024


@dataclass
class Asked:
    """Something that the engine takes or refuses, and that user code waits for: the answer is whether it was taken."""

    message: Any
    answer: concurrent.futures.Future[bool]
    # The message that carries it over this connection; None where none does.
    sequence: int | None = None

    def end(self, taken: bool) -> None:
        if not self.answer.done():
            self.answer.set_result(taken)


@dataclass
class Held:
    """What the runtime knows of a task. Its thread sees `work` alone. Instants are of `time.monotonic`."""

    task: types_pb2.Task
    log: LogBuffer
    mask: Mask
    since: float = field(default_factory=time.monotonic)
    cancelled: threading.Event = field(default_factory=threading.Event)
    given_up: threading.Event = field(default_factory=threading.Event)
    # Whether it was told to stop only because the engine was not heard (R22).
    unheard: bool = False
    # Whether its end is near: it was cancelled, by whomever.
    stopping: bool = False
    permille: int | None = None
    message: str = ""
    checkpoint: Asked | None = None
    detaching: Asked | None = None
    # How it ended, until that is answered, and how often it is still to be told.
    report: driver_pb2.TaskReport | None = None
    reports: int = 1
    reported: float | None = None
    answered: bool = False
    # Whether a call without a stream carries its lines.
    pumping: bool = False

    @property
    def token(self) -> bytes:
        return self.task.token

    @property
    def grace(self) -> float:
        return self.task.grace_ms / 1000

    @property
    def heartbeat_timeout(self) -> float:
        return self.task.heartbeat_timeout_ms / 1000

    @property
    def deadline(self) -> float:
        return self.since + self.task.time_left_ms / 1000

    def runs(self) -> bool:
        """Whether its user code still runs."""
        return self.report is None and not self.answered

    def is_over(self) -> bool:
        """Whether nothing of it is left to do."""
        return self.answered and self.log.is_empty()

    def give_up(self) -> None:
        """Its user code has nobody to tell anything any more. What waits ends."""
        self.given_up.set()
        self.cancelled.set()
        self.log.close()
        for asked in (self.checkpoint, self.detaching):
            if asked is not None:
                asked.end(False)


class UserWork:
    """What user code has of its task: `Work` of interpreter.py. `post` has a function called in the session's
    thread."""

    def __init__(self, held: Held, post: Callable[..., None], runtime: Any) -> None:
        self.task = held.task
        self.mask = held.mask
        self.cancelled = held.cancelled
        self.given_up = held.given_up
        self._held = held
        self._post = post
        self._runtime = runtime

    def _check(self) -> None:
        if self.given_up.is_set():
            raise GivenUp

    def line(self, stream: types_pb2.LogStream, text: bytes) -> None:
        self._check()
        self._held.log.add(stream, text)
        self._runtime.lines_are_there(self._held)

    def progress(self, permille: int, message: str) -> None:
        self._check()
        words = message.encode()[:PROGRESS_BYTES].decode(errors="ignore")

        def set_it() -> None:
            self._held.permille, self._held.message = min(permille, 1000), words

        self._post(set_it)

    def save(self, data: bytes) -> None:
        asked = Asked(driver_pb2.Checkpoint(token=self.task.token, data=data), concurrent.futures.Future())
        self._ask(self._runtime.save, asked)

    def detach(self, within: float, principals: list[str]) -> bool:
        # By the engine's clock, which need not be this one.
        now = self.task.deadline_ms - self.task.time_left_ms
        until = now + int((time.monotonic() - self._held.since + within) * 1000)
        detached = driver_pb2.Detached(until_ms=until, principals=principals)
        answer = driver_pb2.TaskAnswer(token=self.task.token, detached=detached)
        return self._ask(self._runtime.detach, Asked(answer, concurrent.futures.Future()))

    def _ask(self, ask: Callable[[Held, Asked], None], asked: Asked) -> bool:
        self._check()
        self._post(ask, self._held, asked)
        taken = asked.answer.result()
        self._check()
        return taken

    def time_left(self) -> float:
        return max(0.0, self._held.deadline - time.monotonic())

    def report_twice(self) -> None:
        def set_it() -> None:
            self._held.reports = 2

        self._post(set_it)
