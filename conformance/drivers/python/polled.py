"""A session without a stream: by gRPC's unary calls, or the same as JSON."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from conveyor.v1 import driver_pb2
from google.protobuf.message import Message

from calls import CallFailed, Calls, Kind, RestCalls, UnaryCalls
from held import Asked, Held
from launch import Launch
from runtime import Ended, Runtime, pause, say

# How long a poll waits for a task, and a call for its answer beyond what it waits (R77). In seconds.
WAIT = 20.0
PATIENCE = 30.0
# What is to be said again every 5 s, or is late after them, waits no longer (R12, R25).
AGAIN = 5.0
LEAVING = 2.0
# A poll that comes back early with nothing is not the next at once.
NOTHING = 0.2
# So many heartbeats at most wait for their answers.
BEATS = 10
# A report waits so long for the lines before it.
LOGS_FIRST = 0.5
STALE = driver_pb2.REPORT_STATUS_STALE


class PolledSession(Runtime):
    """A driver that polls."""

    def __init__(self, launch: Launch) -> None:
        super().__init__(launch)
        rest = launch.transport == "rest"
        self.calls: Calls = RestCalls(launch) if rest else UnaryCalls(launch)
        self.session = ""
        self.secret = b""
        self.registering = asyncio.Lock()
        self.changed = asyncio.Event()
        self.beats = 0
        # Bytes of log lines on their way (R31).
        self.on_their_way = 0
        self.log_window = 0
        # What is under way; the first that fails with Ended ends the driver.
        self.tasks: set[asyncio.Task[Any]] = set()
        self.failed: Ended | None = None

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.ended_task)
        return task

    def ended_task(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            self.failed = error if isinstance(error, Ended) else Ended(repr(error))

    async def run(self) -> None:
        self.spawn(self.look_always())
        self.spawn(self.beat_always())
        polls = self.spawn(self.poll_always())
        while not self.may_leave() and self.failed is None:
            await asyncio.sleep(0.02)
            if self.stopping is not None:
                # Whatever it was to bring ends with the session.
                polls.cancel()
        self.hand_back()
        for task in self.tasks:
            task.cancel()
        if self.failed is not None:
            raise self.failed
        await self.leave()

    async def leave(self) -> None:
        """It holds nothing any more (R47)."""
        if self.session:
            request = driver_pb2.LeaveRequest(reason="the driver stops", **self.who())
            try:
                await self.calls.call("leave", request, LEAVING)
            except CallFailed as failed:
                say(f"the engine was not told that the driver leaves: {failed.message}")
        say("stopped")
        await self.calls.close()

    # The session.

    def who(self) -> dict[str, Any]:
        return {"session": self.session, "resume_secret": self.secret}

    async def register(self, unknown: str) -> None:
        """Opens a session in place of the one that is not known any more; it goes on with what is held (R44)."""
        async with self.registering:
            if self.session != unknown:
                return
            # Once a hello adopts what is held, it is no longer the earlier session's.
            self.session = ""
            failures = 0
            while True:
                try:
                    request = driver_pb2.RegisterRequest(hello=self.hello())
                    answer = await self.calls.call("register", request, PATIENCE)
                    break
                except CallFailed as failed:
                    if failed.kind in (Kind.MISTAKE, Kind.FORBIDDEN):
                        raise Ended(failed.message) from failed
                    if failures == 0:
                        say(f"no session: {failed.message}; trying again")
                    await asyncio.sleep(failed.retry_after + pause(failures))
                    failures += 1
            self.session = answer.welcome.session
            self.secret = answer.welcome.resume_secret
            self.log_window = answer.welcome.log_window
            say(f"registered at {self.launch.url} as {self.launch.driver}")
            self.welcomed(answer.welcome)

    async def call(
        self,
        name: str,
        request: Callable[[], Message],
        timeout: float = PATIENCE,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Any:
        """A call, repeated as it was until it is answered (R78), or not wanted any more: then None.

        Raises CallFailed where it is not to be repeated, and Ended where the driver is to end.
        """
        failures = 0
        while wanted():
            session = self.session
            if not session:
                await self.register(session)
                continue
            try:
                return await self.calls.call(name, request(), timeout)
            except CallFailed as failed:
                if failed.kind is Kind.FORBIDDEN:
                    raise Ended(failed.message) from failed
                if failed.kind is Kind.MISTAKE:
                    say(f"{name}: {failed.message}")
                    raise
                if failed.kind is Kind.UNKNOWN:
                    await self.register(session)
                    continue
                if failures == 0:
                    say(f"{name}: {failed.message}; trying again")
                await asyncio.sleep(failed.retry_after + pause(failures))
                failures += 1
        return None

    # Tasks come, and are answered.

    async def poll_always(self) -> None:
        while True:
            self.changed.clear()
            free = self.free()
            if free == 0:
                await self.changed.wait()
                continue
            began = time.monotonic()
            request_id = uuid.uuid4().hex

            # A repeat is the same, though of another session where that is new.
            def request(request_id: str = request_id, free: int = free) -> driver_pb2.PollRequest:
                return driver_pb2.PollRequest(
                    request_id=request_id, max_tasks=free, wait_ms=int(WAIT * 1000), **self.who()
                )

            try:
                answer = await self.call("poll", request, WAIT + PATIENCE)
            except CallFailed as failed:
                raise Ended(f"poll: {failed.message}") from failed
            for cancel in answer.cancels:
                self.cancel(cancel)
            for task in answer.tasks:
                self.came(task)
            nothing = not answer.tasks and not answer.cancels
            if nothing and time.monotonic() - began < NOTHING:
                await asyncio.sleep(NOTHING)

    def take(self, held: Held) -> None:
        # Where all places are taken nothing is polled, and cancels come with heartbeats alone (R52): some are to come
        # within the grace.
        self.beat_within(held.grace)
        self.spawn(self.answer_and_start(held))

    async def answer_and_start(self, held: Held) -> None:
        if await self.answer(accepted(held.token), held.runs) and held.runs():
            self.start(held)
        else:
            self.forget(held.token)

    async def answer(
        self, answer: driver_pb2.TaskAnswer, wanted: Callable[[], bool] = lambda: True
    ) -> driver_pb2.AnswerResponse | None:
        """Answers a task. None where it is not to be started, or the task is another's."""

        def request() -> driver_pb2.AnswerRequest:
            return driver_pb2.AnswerRequest(answers=[answer], **self.who())

        try:
            told = await self.call("answer", request, AGAIN, wanted)
        except CallFailed:
            return None
        if told is None or answer.token in told.stale_tokens:
            self.stale(answer.token)
            return None
        return told

    def tell_accepted(self, held: Held) -> None:
        self.spawn(self.answer(accepted(held.token), held.runs))

    def tell_refused(self, token: bytes, reason: str) -> None:
        refused = driver_pb2.Refused(reason=reason)
        self.spawn(self.answer(driver_pb2.TaskAnswer(token=token, refused=refused)))

    def tell_room(self) -> None:
        self.changed.set()

    # Heartbeats.

    def beat(self) -> None:
        if self.session and self.beats < BEATS:
            self.spawn(self.one_beat())

    async def one_beat(self) -> None:
        """A heartbeat. One that is not answered is not repeated: the next one says what holds then."""
        session = self.session
        request = driver_pb2.HeartbeatRequest(tasks=self.progress(), **self.who())
        self.beats += 1
        try:
            answer = await self.calls.call("heartbeat", request, PATIENCE)
        except CallFailed as failed:
            if failed.kind is Kind.UNKNOWN:
                await self.register(session)
            elif failed.kind is Kind.FORBIDDEN:
                raise Ended(failed.message) from failed
            elif failed.kind is Kind.MISTAKE:
                say(f"heartbeat: {failed.message}")
            return
        finally:
            self.beats -= 1
        self.heard()
        for token in answer.stale_tokens:
            self.stale(token)
        for cancel in answer.cancels:
            # It may have waited for this heartbeat.
            self.cancel(cancel, late=self.interval)

    # Reports.

    def tell_report(self, held: Held) -> None:
        # It is repeated by the call itself.
        self.spawn(self.report(held))

    async def report(self, held: Held) -> None:
        # What it said comes before how it ended, where that does not take long.
        patience = time.monotonic() + LOGS_FIRST
        while held.pumping and time.monotonic() < patience:
            await asyncio.sleep(0.005)
        while (report := held.report) is not None:
            request = driver_pb2.ReportRequest(report=report)
            try:
                answer = await self.call("report", partial(same, request), AGAIN, partial(is_to_tell, held, report))
            except CallFailed:
                # A mistake is not made twice; the attempt ends with its lease.
                return self.over(held)
            if answer is None:
                return
            before = held.reports
            self.outcome(answer.outcome)
            if held.reports == before and held.report is not None:
                # Not told what became of it: it is sent again (R25).
                await asyncio.sleep(AGAIN)
            elif held.report is not None:
                # Told once more by `outcome`.
                return

    def tell_again(self, report: driver_pb2.TaskReport) -> None:
        request = driver_pb2.ReportRequest(report=report)
        self.spawn(self.say_again(request))

    async def say_again(self, request: driver_pb2.ReportRequest) -> None:
        try:
            await self.call("report", partial(same, request), AGAIN)
        except CallFailed:
            pass

    # Checkpoints, and what goes on elsewhere.

    def tell_asked(self, held: Held, asked: Asked) -> None:
        if isinstance(asked.message, driver_pb2.Checkpoint):
            self.spawn(self.save_checkpoint(held, asked))
        else:
            self.spawn(self.go_on_elsewhere(held, asked))

    async def save_checkpoint(self, held: Held, asked: Asked) -> None:
        request = driver_pb2.SaveCheckpointRequest(checkpoint=asked.message)
        try:
            answer = await self.call("checkpoint", partial(same, request), wanted=lambda: held.checkpoint is asked)
        except CallFailed:
            answer = None
        if answer is not None and answer.status == STALE:
            self.stale(held.token)
        asked.end(answer is not None and answer.status == driver_pb2.REPORT_STATUS_ACCEPTED)
        if held.checkpoint is asked:
            held.checkpoint = None

    async def go_on_elsewhere(self, held: Held, asked: Asked) -> None:
        answer = await self.answer(asked.message, held.runs)
        if answer is None or any(one.token == held.token for one in answer.refused):
            asked.end(False)
        else:
            self.is_elsewhere(held)

    # Logs.

    def flush_logs(self) -> None:
        for held in self.held.values():
            if not held.pumping and held.log.has_unsent():
                held.pumping = True
                self.spawn(self.pump(held))

    async def pump(self, held: Held) -> None:
        """Carries a task's lines, a batch after the other, until none are left."""
        try:
            while held.log.has_unsent():
                room = self.log_window - self.on_their_way
                batch = held.log.next_batch(held.token, room)
                if batch is None:
                    # Others' lines have the window; each look begins anew.
                    return
                size = sum(len(line.text) + 64 for line in batch.lines)
                self.on_their_way += size
                try:
                    await self.carry(held, batch)
                finally:
                    self.on_their_way -= size
            self.clear()
        finally:
            held.pumping = False

    async def carry(self, held: Held, batch: driver_pb2.LogBatch) -> None:
        request = driver_pb2.AppendLogsRequest(logs=batch)
        try:
            # The answer may tell that all is there already, so that a repeat does no harm.
            answer = await self.call("logs", partial(same, request), wanted=lambda: not held.log.is_empty())
        except CallFailed:
            return held.log.drop()
        if answer is None:
            return
        if answer.status == STALE:
            held.log.drop()
            self.stale(held.token)
        else:
            held.log.acknowledge(answer.acknowledgement.next_offset, answer.acknowledgement.sealed)


def same(request: Message) -> Message:
    """A request that names no session."""
    return request


def is_to_tell(held: Held, report: driver_pb2.TaskReport) -> bool:
    return held.report is report


def accepted(token: bytes) -> driver_pb2.TaskAnswer:
    return driver_pb2.TaskAnswer(token=token, accepted=driver_pb2.Accepted())
