"""A session over the stream `DriverService.Session`."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import grpc.aio
from conveyor.v1 import driver_pb2, driver_pb2_grpc

from calls import channel_to, metadata_of
from held import Asked, Held
from launch import Launch
from runtime import Ended, Runtime, pause, say

# How long a new connection has for its welcome, and the engine to read that the driver leaves. In seconds.
WELCOME = 15.0
LEAVING = 2.0
# So many log batches are on their way at most: they are messages, too (R62).
BATCHES = 64
# A driver that broke a limit, or whose session is another's, comes back no earlier.
AFTER_A_MISTAKE = 1.0
# These end the driver: the same again is refused again.
FINAL = (
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
)


class Stream:
    """One connection."""

    def __init__(self) -> None:
        self.outgoing: asyncio.Queue[driver_pb2.SessionRequest] = asyncio.Queue()
        self.sequence = 0
        self.welcome = False
        # Bytes of log lines that may be sent (R31).
        self.window = 0

    def tell(self, **message: Any) -> int:
        """Sends a message; gives its number (R6)."""
        self.sequence += 1
        self.outgoing.put_nowait(driver_pb2.SessionRequest(sequence=self.sequence, **message))
        return self.sequence


class StreamSession(Runtime):
    """A driver that holds a stream."""

    def __init__(self, launch: Launch) -> None:
        super().__init__(launch)
        self.stream: Stream | None = None
        self.session = ""
        self.secret = b""
        self.generation = 0
        self.failures = 0
        # The earliest instant of the next connection, as a goodbye asks for it.
        self.not_before = 0.0

    async def run(self) -> None:
        tasks = [asyncio.create_task(self.look_always()), asyncio.create_task(self.beat_always())]
        try:
            while not self.may_leave():
                await self.connect()
                if self.may_leave():
                    break
                self.failures += 1
                wait = max(pause(self.failures - 1), self.not_before - time.monotonic())
                await self.unless_leaving(asyncio.create_task(asyncio.sleep(wait)))
        finally:
            for task in tasks:
                task.cancel()
            self.hand_back()

    async def unless_leaving(self, task: asyncio.Task[None]) -> None:
        """Waits for something, or until it is time to leave."""
        while not task.done() and not self.may_leave():
            await asyncio.wait([task], timeout=0.02)

    async def connect(self) -> None:
        """One connection, from its opening to its end."""
        async with channel_to(self.launch) as channel:
            call = driver_pb2_grpc.DriverServiceStub(channel).Session(metadata=metadata_of(self.launch))
            self.stream = stream = Stream()
            self.say_who()
            writer = asyncio.create_task(self.write(call, stream))
            reader = asyncio.create_task(self.read(call, stream))
            try:
                await self.unless_leaving(reader)
                if reader.done():
                    # Where the driver is to end, it says so here.
                    return reader.result()
                if stream.welcome:
                    await self.leave(stream, reader)
            finally:
                self.stream = None
                for task in (writer, reader):
                    task.cancel()
                call.cancel()

    def say_who(self) -> None:
        """The first message: who this is, or which session goes on (R1, R41)."""
        assert self.stream is not None
        if not self.session:
            self.stream.tell(hello=self.hello())
            return
        self.generation += 1
        resume = driver_pb2.Resume(
            session=self.session,
            resume_secret=self.secret,
            generation=self.generation,
            tokens=self.unanswered(),
        )
        self.stream.tell(resume=resume)

    async def write(self, call: Any, stream: Stream) -> None:
        while True:
            message = await stream.outgoing.get()
            try:
                await call.write(message)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # A broken connection is seen where it is read.
                return
            finally:
                stream.outgoing.task_done()

    async def read(self, call: Any, stream: Stream) -> None:
        """Takes what the engine says, until the connection ends."""
        try:
            while True:
                limit = None if stream.welcome else WELCOME
                response = await asyncio.wait_for(call.read(), limit)
                if response is grpc.aio.EOF:
                    # Raises, where it did not end well.
                    if await call.code() is not grpc.StatusCode.OK:
                        raise Broken(await call.code(), await call.details())
                    return self.lost(stream, "the server ended the stream")
                if self.take_message(stream, response):
                    return None
        except grpc.aio.AioRpcError as error:
            self.broken(stream, error.code(), error.details())
        except Broken as error:
            self.broken(stream, error.code, error.details)
        except asyncio.TimeoutError:
            self.lost(stream, f"the server did not say welcome within {WELCOME:.0f} s")

    def broken(self, stream: Stream, code: grpc.StatusCode, details: str | None) -> None:
        if code in FINAL:
            raise Ended(f"{self.launch.url}: {details}")
        self.lost(stream, details or code.name)

    def lost(self, stream: Stream, why: str) -> None:
        if (stream.welcome or self.failures == 0) and not self.may_leave():
            say(f"no connection: {why}; trying again")

    def take_message(self, stream: Stream, told: driver_pb2.SessionResponse) -> bool:
        """What the engine says. Whether the connection ends with it."""
        kind = told.WhichOneof("message")
        if kind == "welcome":
            self.welcome(stream, told.welcome)
        elif kind == "task":
            self.came(told.task)
        elif kind == "cancel":
            self.cancel(told.cancel)
        elif kind == "acknowledgement":
            self.acknowledged(told.acknowledgement)
        elif kind == "outcome":
            self.outcome(told.outcome)
        elif kind == "log_window":
            stream.window += told.log_window.bytes
            self.flush_logs()
        elif kind == "drain":
            say(f"the engine drains: {told.drain.reason}")
        elif kind == "goodbye":
            self.goodbye(told.goodbye)
            return True
        # Any other is of a later contract (R5).
        return False

    def welcome(self, stream: Stream, welcome: driver_pb2.Welcome) -> None:
        if welcome.session != self.session:
            self.session, self.generation = welcome.session, 0
        self.secret = welcome.resume_secret
        self.failures, self.not_before = 0, 0.0
        stream.welcome, stream.window = True, welcome.log_window
        say(f"connected to {self.launch.url} as {self.launch.driver}")
        free = self.free()
        self.welcomed(welcome)
        if self.stopping is not None:
            self.tell(drain=driver_pb2.Drain(reason="the driver stops"))
        elif free > 0:
            self.tell(credits=driver_pb2.Credits(count=free))
        # What was not acknowledged goes out again (R43).
        for held in list(self.held.values()):
            held.log.begin_again()
            for asked in (held.checkpoint, held.detaching):
                if asked is not None:
                    self.tell_asked(held, asked)
            if held.report is not None:
                self.tell_report(held)
        self.beaten = 0.0
        self.beat_now()
        self.flush_logs()

    def acknowledged(self, told: driver_pb2.Acknowledgement) -> None:
        if not told.logs:
            # One of lines says nothing of heartbeats (R22).
            self.heard()
        for token in told.stale_tokens:
            self.stale(token)
        for kept in told.logs:
            self.log_kept(kept)
        for refused in told.refused:
            self.refused(refused)
        for held in list(self.held.values()):
            if is_done(held.checkpoint, told.sequence):
                assert held.checkpoint is not None
                held.checkpoint.end(True)
                held.checkpoint = None
            if is_done(held.detaching, told.sequence):
                self.is_elsewhere(held)
        self.clear()

    def refused(self, refused: driver_pb2.RefusedMessage) -> None:
        """It was not taken, is not sent again, and the task goes on (R63, R64)."""
        held = self.held.get(refused.token)
        if held is None:
            return
        numbers = range(refused.first_sequence, refused.sequence + 1)
        if refused.kind == driver_pb2.REFUSED_KIND_CHECKPOINT:
            if held.checkpoint is not None and held.checkpoint.sequence in numbers:
                held.checkpoint.end(False)
                held.checkpoint = None
        elif refused.kind == driver_pb2.REFUSED_KIND_DETACHED:
            if held.detaching is not None and held.detaching.sequence in numbers:
                held.detaching.end(False)
                held.detaching = None

    def goodbye(self, goodbye: driver_pb2.Goodbye) -> None:
        """Does what the reason asks for (R74)."""
        say(f"goodbye: {goodbye.message}")
        after = goodbye.retry_after_ms / 1000
        if goodbye.reason in (
            driver_pb2.GOODBYE_REASON_REFUSED,
            driver_pb2.GOODBYE_REASON_VERSION,
        ):
            raise Ended(goodbye.message)
        if goodbye.reason == driver_pb2.GOODBYE_REASON_UNKNOWN_SESSION:
            # A new one adopts what is held (R44).
            self.session = ""
        elif goodbye.reason == driver_pb2.GOODBYE_REASON_REPLACED:
            # Somebody else goes on with the session: what it held is theirs.
            self.session = ""
            self.stream = None
            for token in list(self.held):
                self.forget(token)
            after = max(after, AFTER_A_MISTAKE)
        elif goodbye.reason == driver_pb2.GOODBYE_REASON_LIMIT:
            after = max(after, AFTER_A_MISTAKE)
            # Whatever was on its way may have been too large: it is not said again.
            for held in list(self.held.values()):
                for asked in (held.checkpoint, held.detaching):
                    if asked is not None:
                        asked.end(False)
                held.checkpoint = held.detaching = None
        self.not_before = time.monotonic() + after

    # What it tells.

    def tell(self, **message: Any) -> int | None:
        """Sends a message, where there is a session to hear it. What is lost goes out over the next connection."""
        if self.stream is None or not self.stream.welcome:
            return None
        return self.stream.tell(**message)

    def take(self, held: Held) -> None:
        self.tell_accepted(held)
        self.start(held)

    def tell_accepted(self, held: Held) -> None:
        accepted = driver_pb2.TaskAnswer(token=held.token, accepted=driver_pb2.Accepted())
        self.tell(answer=accepted)

    def tell_refused(self, token: bytes, reason: str) -> None:
        refused = driver_pb2.TaskAnswer(token=token, refused=driver_pb2.Refused(reason=reason))
        self.tell(answer=refused)

    def tell_report(self, held: Held) -> None:
        if held.report is not None and self.tell(report=held.report) is not None:
            held.reported = time.monotonic()

    def tell_again(self, report: driver_pb2.TaskReport) -> None:
        self.tell(report=report)

    def tell_asked(self, held: Held, asked: Asked) -> None:
        if isinstance(asked.message, driver_pb2.Checkpoint):
            asked.sequence = self.tell(checkpoint=asked.message)
        else:
            asked.sequence = self.tell(answer=asked.message)

    def tell_room(self) -> None:
        if self.stopping is None:
            self.tell(credits=driver_pb2.Credits(count=1))

    def beat(self) -> None:
        self.tell(heartbeat=driver_pb2.SessionHeartbeat(tasks=self.progress(), free=self.free()))

    def flush_logs(self) -> None:
        stream = self.stream
        if stream is None or not stream.welcome:
            return
        under_way = sum(held.log.under_way() for held in self.held.values())
        waiting = [held for held in self.held.values() if held.log.has_unsent()]
        # One batch of each in turn, so that none waits for another's flood.
        while waiting and under_way < BATCHES:
            rest = []
            for held in waiting:
                batch = held.log.next_batch(held.token, stream.window)
                if batch is None:
                    continue
                stream.window -= sum(len(line.text) + 64 for line in batch.lines)
                under_way += 1
                stream.tell(logs=batch)
                rest.append(held)
            waiting = rest

    # The end.

    def told_to_stop(self) -> None:
        first = self.stopping is None
        super().told_to_stop()
        if first:
            self.tell(drain=driver_pb2.Drain(reason="the driver stops"))

    async def leave(self, stream: Stream, reader: asyncio.Task[None]) -> None:
        """Ends what is left, hands it back, and waits until the engine has read that."""
        left = len(self.held)
        self.hand_back()
        stream.tell(leaving=driver_pb2.Leaving(reason="the driver stops"))
        say(f"stopped; {left} tasks are handed back")
        # The engine ends the stream once it has read all of it.
        await asyncio.wait([reader], timeout=LEAVING)


class Broken(Exception):
    """The stream ended with a status that is not OK."""

    def __init__(self, code: grpc.StatusCode, details: str | None) -> None:
        super().__init__(details)
        self.code, self.details = code, details


def is_done(asked: Asked | None, sequence: int) -> bool:
    """Whether the engine is done with the message that asks for it (R7)."""
    return asked is not None and asked.sequence is not None and asked.sequence <= sequence
