"""What every driver owes whatever way it talks: the tasks that it holds, when they stop, and what is told of them.

All of it happens in the event loop of the main thread; user code runs in threads of its own. `session.py` talks over
a stream, `polled.py` by calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable

from conveyor.v1 import driver_pb2, types_pb2

from held import Asked, Held, UserWork
from interpreter import CANCELLED, ERRORED, INPUTS_SCHEMA, SUCCEEDED, Elsewhere, GivenUp, failure, perform
from launch import Launch
from logs import LogBuffer
from mask import Mask

# So many ended tasks are remembered, so that none is started a second time (R13); of the last few the reports,
# too, which are told again.
REMEMBERED = 10_000
REPORTS_REMEMBERED = 256
# Heartbeats come no faster than this, whatever is asked (R20). In seconds, as all times here.
SHORTEST_BEAT = 0.1
# A report that is not answered for so long is sent again (R25).
REPORT_AGAIN = 5.0
# How often deadlines are looked at.
LOOK = 0.02
# Lines that are said within so long go out in one batch.
TOGETHER = 0.005
UNHEARD = "the engine was not heard for too long"
# What the engine takes where it does not say (`Limits`).
OUTPUTS_BYTES, LOG_LINE_BYTES, LOG_BATCH_BYTES, CHECKPOINT_BYTES = 8 << 20, 64 << 10, 1 << 20, 1 << 20
DETAILS_BYTES, CODE_BYTES, SENTENCE_BYTES = 256 << 10, 128, 64 << 10
FEATURES = [
    *("stream", "unary", "rest", "tls", "unix"),
    *("adoption", "cancel", "checkpoints", "concurrency", "detached", "drain"),
    *("exit", "logs", "progress", "report-twice", "secrets"),
]


class Ended(Exception):
    """The driver ends, for the reason that it says: to be started again as it was does not help."""


def say(what: str) -> None:
    """A line for people."""
    print(what, file=sys.stderr, flush=True)


def pause(failures: int) -> float:
    """Growing pauses with jitter, at most 5 s (R42)."""
    return min(5.0, 0.1 * 2 ** min(failures, 10)) * random.uniform(0.5, 1.0)


def until_cut_off(grace: float) -> float:
    """How much of its grace user code has: the rest is for the report (R34)."""
    return max(grace * 0.8, grace - 1.0)


class Runtime(ABC):
    """One driver's session, over whatever connections it takes."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self.loop = asyncio.get_running_loop()
        self.held: dict[bytes, Held] = {}
        # Tokens that are done with, and whether they were refused; of the last few the reports.
        self.ended: OrderedDict[bytes, bool] = OrderedDict()
        self.reports: OrderedDict[bytes, driver_pb2.TaskReport] = OrderedDict()
        self.limits = driver_pb2.Limits()
        # When a heartbeat was answered, when the last one was sent, and the first that waits for its answer (R22).
        self.answered = time.monotonic()
        self.beaten = 0.0
        self.waits_since: float | None = None
        self.interval = 5.0
        self.shortest_timeout: float | None = None
        # When it was told to stop.
        self.stopping: float | None = None
        self.stop = asyncio.Event()
        self._lines_waiting = False

    # What each way to talk does in its own manner. What cannot be told now is told over the next connection.

    @abstractmethod
    def take(self, held: Held) -> None:
        """Tells that the task is accepted, and starts it."""

    @abstractmethod
    def tell_accepted(self, held: Held) -> None: ...

    @abstractmethod
    def tell_refused(self, token: bytes, reason: str) -> None: ...

    @abstractmethod
    def tell_report(self, held: Held) -> None: ...

    @abstractmethod
    def tell_asked(self, held: Held, asked: Asked) -> None:
        """A checkpoint, or that the task goes on elsewhere."""

    @abstractmethod
    def tell_room(self) -> None:
        """There is room for one more task."""

    @abstractmethod
    def tell_again(self, report: driver_pb2.TaskReport) -> None:
        """A report that was answered, of a task that came again."""

    @abstractmethod
    def flush_logs(self) -> None: ...

    @abstractmethod
    def beat(self) -> None:
        """A heartbeat, where there is somebody to hear it."""

    @abstractmethod
    async def run(self) -> None:
        """Until it was told to stop, and has left. Raises Ended where it cannot go on."""

    # Who this is.

    def hello(self) -> driver_pb2.Hello:
        action = driver_pb2.Action(
            name="interpret",
            description="Performs a program of the conformance suite.",
            inputs_schema=json.dumps(INPUTS_SCHEMA).encode(),
        )
        return driver_pb2.Hello(
            driver=self.launch.driver,
            version=self.launch.version,
            sdk="none: Python over grpcio",
            contract_versions=[1],
            actions=[action],
            capabilities=FEATURES,
            capacity=self.launch.capacity,
            adopts=self.unanswered(),
            instance=f"process {os.getpid()}",
        )

    def welcomed(self, welcome: driver_pb2.Welcome) -> None:
        """The session is open, or goes on."""
        self.limits.CopyFrom(welcome.limits)
        self.heard()
        self.interval = max(SHORTEST_BEAT, (welcome.heartbeat_interval_ms or 5000) / 1000)
        self.beat_within(self.shortest_timeout)
        for note in welcome.notes:
            # What the suite asks for is no capability that an engine knows.
            if "the capability" not in note:
                say(f"the engine notes: {note}")
        for token in welcome.stale_tokens:
            self.stale(token)

    def beat_within(self, timeout: float | None) -> bool:
        """Three heartbeats fit into the shortest time that was given (R20). Whether they come faster now."""
        if timeout is None:
            return False
        self.shortest_timeout = min(timeout, self.shortest_timeout or timeout)
        interval = max(SHORTEST_BEAT, self.shortest_timeout * 0.3)
        faster = interval < self.interval
        self.interval = min(self.interval, interval)
        return faster

    # Tasks.

    def free(self) -> int:
        """How many more tasks it takes."""
        if self.stopping is not None:
            return 0
        running = sum(held.runs() for held in self.held.values())
        return max(0, self.launch.capacity - running)

    def unanswered(self) -> list[bytes]:
        """Tokens of tasks whose reports are not answered (R21)."""
        return [token for token, held in self.held.items() if not held.answered]

    def progress(self) -> list[driver_pb2.TaskProgress]:
        return [
            driver_pb2.TaskProgress(token=token, permille=held.permille, message=held.message)
            for token, held in self.held.items()
            if not held.answered
        ]

    def came(self, task: types_pb2.Task) -> None:
        """A task came, perhaps again."""
        token = task.token
        held = self.held.get(token)
        if held is not None:
            if held.runs():
                self.tell_accepted(held)
            elif held.report is not None:
                self.tell_report(held)
            return
        if token in self.ended:
            if self.ended[token]:
                self.tell_refused(token, "it was refused before")
            elif token in self.reports:
                self.tell_again(self.reports[token])
            return
        timeout = task.heartbeat_timeout_ms / 1000
        unheard = time.monotonic() - self.answered > timeout * 2 / 3 and self.is_overdue()
        faster = self.beat_within(timeout)
        if self.free() == 0 or unheard:
            why = "the driver is about to stop" if self.stopping else "the driver has no room"
            self.remember(token, refused=True)
            return self.tell_refused(token, UNHEARD if unheard else why)
        batch_bytes = self.limits.log_batch_bytes or LOG_BATCH_BYTES
        line_bytes = min(self.limits.log_line_bytes or LOG_LINE_BYTES, batch_bytes)
        held = Held(task, LogBuffer(line_bytes, batch_bytes), Mask(task.secrets.values()))
        self.held[token] = held
        self.take(held)
        self.loop.call_later(task.time_left_ms / 1000, self.time_is_over, held)
        if faster:
            self.beat_now()

    def start(self, held: Held) -> None:
        """Its user code begins, in a thread of its own."""
        work = UserWork(held, self.post, self)

        def user_code() -> None:
            try:
                result = perform(work)
            except (Elsewhere, GivenUp):
                return
            self.post(self.done, held, result)

        threading.Thread(target=user_code, daemon=True).start()

    def post(self, function: Callable[..., None], *arguments: object) -> None:
        """Has a function called in this thread, from any."""
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The driver has ended.
            pass

    def lines_are_there(self, held: Held) -> None:
        """From the thread of user code."""
        if not self._lines_waiting:
            self._lines_waiting = True
            self.post(self._soon)

    def _soon(self) -> None:
        # What is said together goes out together.
        self.loop.call_later(TOGETHER, self._take_lines)

    def _take_lines(self) -> None:
        self._lines_waiting = False
        self.flush_logs()

    def save(self, held: Held, asked: Asked) -> None:
        """A checkpoint that user code waits for."""
        most = self.limits.checkpoint_bytes or CHECKPOINT_BYTES
        if not held.runs() or len(asked.message.data) > most:
            return asked.end(False)
        held.checkpoint = asked
        self.tell_asked(held, asked)

    def detach(self, held: Held, asked: Asked) -> None:
        """User code lets the task go on elsewhere, and waits until that is kept."""
        if not held.runs():
            return asked.end(False)
        held.detaching = asked
        # What was said before is numbered before.
        self.flush_logs()
        self.tell_asked(held, asked)

    def is_elsewhere(self, held: Held) -> None:
        """The engine has it that the task goes on elsewhere (R58)."""
        if held.runs():
            held.answered = True
            held.log.close()
            if held.detaching is not None:
                held.detaching.end(True)
            self.clear()
            self.tell_room()

    def done(self, held: Held, result: types_pb2.Result) -> None:
        """User code has ended, or was cut off."""
        if self.held.get(held.token) is not held or not held.runs():
            return
        held.log.close()
        if held.unheard and result.state != SUCCEEDED:
            return self.give_back(held)
        result = self.within_limits(result)
        last = held.log.last_offset()
        if last is not None:
            result.last_log_offset = last
        held.report = driver_pb2.TaskReport(token=held.token, result=result)
        # The place is free before the report is taken, so that the next claim joins its commit (R11).
        self.tell_room()
        self.flush_logs()
        self.tell_report(held)

    def within_limits(self, result: types_pb2.Result) -> types_pb2.Result:
        """What the engine would not take is told as what it is."""
        size, most = len(result.outputs), self.limits.outputs_bytes or OUTPUTS_BYTES
        if size > most:
            why = f"the outputs have {size} bytes; the limit `outputs_bytes` is {most}"
            return failure(ERRORED, "output_too_large", why)
        if result.HasField("failure"):
            told = result.failure
            told.code = told.code.encode()[:CODE_BYTES].decode(errors="ignore")
            told.message = told.message.encode()[:SENTENCE_BYTES].decode(errors="ignore")
            if len(told.details) > (self.limits.failure_details_bytes or DETAILS_BYTES):
                told.details = b""
        return result

    def give_back(self, held: Held) -> None:
        """Nobody asked for its end: it is another attempt's (R22)."""
        self.flush_logs()
        self.tell_refused(held.token, UNHEARD)
        self.remember(held.token, refused=True)
        self.forget(held.token)

    # What the engine says of them.

    def cancel(self, cancel: driver_pb2.Cancel, late: float = 0.0) -> None:
        """A task has to end. The cancel may have been under way for so long."""
        held = self.held.get(cancel.token)
        if cancel.grace_ms == 0:
            # Its claim is over already (R33).
            return self.forget(cancel.token)
        if held is not None and held.runs():
            grace = cancel.grace_ms / 1000
            self.cancel_held(held, max(grace - late, grace / 2))
            # Now somebody asks for its end.
            held.unheard = False

    def cancel_held(self, held: Held, grace: float) -> None:
        """Asks user code to end, and cuts it off shortly before the grace is over."""
        if held.runs() and not held.stopping:
            held.stopping = True
            held.cancelled.set()
            self.loop.call_later(until_cut_off(grace), self.cut_off, held)

    def cut_off(self, held: Held) -> None:
        if held.runs() and self.held.get(held.token) is held:
            held.give_up()
            self.done(held, types_pb2.Result(state=CANCELLED))

    def time_is_over(self, held: Held) -> None:
        """The engine says so, too, where it is heard (R17)."""
        self.cancel_held(held, held.grace)

    def stale(self, token: bytes) -> None:
        """Its claim is over (R24). Where user code has ended, that is by the very report whose answer was lost, or came
        before this: its lines go on to the log."""
        held = self.held.get(token)
        if held is None or (held.report is None and not held.answered):
            return self.forget(token)
        self.over(held)

    def over(self, held: Held) -> None:
        """Its report is done with."""
        if held.report is not None:
            self.reports[held.token] = held.report
            if len(self.reports) > REPORTS_REMEMBERED:
                self.reports.popitem(last=False)
        self.remember(held.token)
        held.answered, held.report = True, None
        self.clear()

    def forget(self, token: bytes) -> None:
        """The task is nobody's any more: it stops at once, and nothing of it is told."""
        held = self.held.pop(token, None)
        if held is None:
            return
        self.remember(token)
        ran = held.runs()
        held.give_up()
        held.log.drop()
        if ran:
            self.tell_room()

    def remember(self, token: bytes, refused: bool = False) -> None:
        self.ended.setdefault(token, refused)
        if len(self.ended) > REMEMBERED:
            self.ended.popitem(last=False)

    def outcome(self, outcome: driver_pb2.ReportOutcome) -> None:
        """What became of a report."""
        held = self.held.get(outcome.token)
        if held is None or held.report is None:
            return
        if outcome.status == driver_pb2.REPORT_STATUS_INVALID:
            say(f"a report was not valid: {outcome.reason}")
        elif outcome.status not in (
            driver_pb2.REPORT_STATUS_ACCEPTED,
            driver_pb2.REPORT_STATUS_ALREADY,
            driver_pb2.REPORT_STATUS_STALE,
        ):
            # Not told, or of a later contract: it is sent again (R25).
            return
        held.reports -= 1
        if held.reports > 0 and outcome.status == driver_pb2.REPORT_STATUS_ACCEPTED:
            return self.tell_report(held)
        self.over(held)

    def log_kept(self, told: driver_pb2.LogAcknowledgement) -> None:
        held = self.held.get(told.token)
        if held is not None:
            held.log.acknowledge(told.next_offset, told.sealed)

    def clear(self) -> None:
        for token in [token for token, held in self.held.items() if held.is_over()]:
            del self.held[token]
            self.remember(token)

    # Time.

    def look(self) -> None:
        """Looks at what is due."""
        now = time.monotonic()
        for held in list(self.held.values()):
            silent = now - max(self.answered, held.since)
            if held.runs() and not held.stopping and silent > held.heartbeat_timeout * 2 / 3:
                # The engine gives the task to another soon: it must not run twice (R22).
                held.unheard = True
                self.cancel_held(held, held.grace)
            elif held.report is not None and held.reported is not None:
                if now - held.reported > REPORT_AGAIN:
                    self.tell_report(held)
            held.log.look(now)
        self.flush_logs()

    async def beat_always(self) -> None:
        while True:
            due = self.beaten + self.interval - time.monotonic()
            if due <= 0:
                self.beat_now()
            await asyncio.sleep(min(max(due, 0.001), LOOK))

    def beat_now(self) -> None:
        """A heartbeat, unless the last one was a moment ago."""
        now = time.monotonic()
        if now - self.beaten >= SHORTEST_BEAT:
            self.beaten = now
            if self.waits_since is None:
                self.waits_since = now
            self.beat()

    def heard(self) -> None:
        """The engine has answered a heartbeat."""
        self.answered, self.waits_since = time.monotonic(), None

    def is_overdue(self) -> bool:
        """Whether a heartbeat should have been answered: between two of them it is silent anyway."""
        since = self.waits_since
        return since is not None and time.monotonic() - since > self.interval / 2

    async def look_always(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK)

    def told_to_stop(self) -> None:
        """SIGTERM: finish what is held (R46)."""
        if self.stopping is None:
            say(f"told to stop; {len(self.held)} tasks are held")
            self.stopping = time.monotonic()
            self.stop.set()

    def may_leave(self) -> bool:
        """Whether nothing is held any more, or the time for that is over."""
        if self.stopping is None:
            return False
        return not self.held or time.monotonic() - self.stopping >= self.launch.drain

    def hand_back(self) -> None:
        """Ends what is left: its claims end uncharged once the driver has left (R47)."""
        for held in list(self.held.values()):
            held.give_up()
        self.held.clear()
