"""The log of one attempt: lines numbered from 0, kept until the engine has them (R30–R32, R73)."""

from __future__ import annotations

import threading
import time
from collections import deque

from conveyor.v1 import driver_pb2, types_pb2

# What a line takes of the window besides its text (R31).
LINE_COST = 64
# The most lines and bytes of a batch: less than the contract allows, so that other messages come through.
BATCH_LINES = 1_000
BATCH_BYTES = 256 << 10
# Bytes of one task's lines that wait here: user code that says more waits.
ROOM = 4 << 20
# Lines that were sent and are not acknowledged for so long are sent again, in seconds.
AGAIN = 5.0
# Lines behind a gap are sent again at most once in so many seconds.
GAP_PAUSE = 0.5


def cost(line: driver_pb2.LogLine) -> int:
    """What a line takes of the window."""
    return len(line.text) + LINE_COST


def parts(text: bytes, most: int) -> list[bytes]:
    """A line in parts of at most so many bytes, cut between letters where it is UTF-8. At least one."""
    found = []
    while len(text) > most:
        end = most
        while end > most - 4 and text[end] & 0xC0 == 0x80:
            end -= 1
        found.append(text[:end])
        text = text[end:]
    found.append(text)
    return found


class LogBuffer:
    """User code adds lines in its thread; the session takes them from its own."""

    def __init__(self, line_bytes: int) -> None:
        self._line_bytes = line_bytes
        self._lock = threading.Condition()
        self._lines: deque[driver_pb2.LogLine] = deque()
        self._bytes = 0
        self._first = 0
        self._sent = 0
        self._closed = False
        self._moved = 0.0
        self._went_back = 0.0
        # Ends of batches that are on their way over this connection.
        self._ends: deque[int] = deque()

    def add(self, stream: types_pb2.LogStream, text: bytes) -> None:
        """Adds a line, in parts where it is too long; waits until there is room for it."""
        now = int(time.time() * 1000)
        pieces = parts(text, self._line_bytes)
        with self._lock:
            self._lock.wait_for(lambda: self._closed or self._bytes <= ROOM)
            if self._closed:
                return
            for at, piece in enumerate(pieces):
                line = driver_pb2.LogLine(time_ms=now, stream=stream, text=piece, truncated=at + 1 < len(pieces))
                self._lines.append(line)
                self._bytes += cost(line)

    def close(self) -> None:
        """No line is added any more; those that are there go out."""
        with self._lock:
            self._closed = True
            self._lock.notify_all()

    def drop(self) -> None:
        """Nothing of it goes out any more."""
        with self._lock:
            self._closed = True
            self._first += len(self._lines)
            self._sent = self._first
            self._lines.clear()
            self._ends.clear()
            self._bytes = 0
            self._lock.notify_all()

    def last_offset(self) -> int | None:
        """The offset of the last line; None where there is none (R28)."""
        with self._lock:
            count = self._first + len(self._lines)
        return count - 1 if count else None

    def is_empty(self) -> bool:
        """Whether the engine has all lines."""
        return not self._lines

    def has_unsent(self) -> bool:
        return self._first + len(self._lines) > self._sent

    def under_way(self) -> int:
        """How many batches are on their way."""
        return len(self._ends)

    def next_batch(self, token: bytes, room: int) -> driver_pb2.LogBatch | None:
        """The next lines that take at most `room` of the window; None where there is none or no room."""
        batch = driver_pb2.LogBatch(token=token, first_offset=self._sent)
        size = 0
        with self._lock:
            skip = self._sent - self._first
            # A deque is slow in its middle: what is on its way is little, as the window is.
            for at in range(skip, min(len(self._lines), skip + BATCH_LINES)):
                line = self._lines[at]
                more = cost(line)
                if size + more > room or (size and size + more > BATCH_BYTES):
                    break
                size += more
                batch.lines.append(line)
        if not batch.lines:
            return None
        if not self._ends:
            self._moved = time.monotonic()
        self._sent += len(batch.lines)
        self._ends.append(self._sent)
        return batch

    def acknowledge(self, next_offset: int, sealed: bool) -> None:
        """All lines before the offset are durable. Where it does not move, lines behind a gap were dropped: they
        go out again from there (R32)."""
        if sealed:
            return self.drop()
        moved = next_offset > self._first
        with self._lock:
            while self._lines and self._first < next_offset:
                self._bytes -= cost(self._lines.popleft())
                self._first += 1
            self._lock.notify_all()
        self._sent = max(self._sent, self._first)
        while self._ends and self._ends[0] <= next_offset:
            self._ends.popleft()
        now = time.monotonic()
        if moved:
            self._moved = now
        elif self._sent > self._first and now - self._went_back > GAP_PAUSE:
            self.begin_again()

    def begin_again(self) -> None:
        """What is not acknowledged goes out again: over another connection, or behind a gap."""
        self._sent = self._first
        self._ends.clear()
        self._went_back = self._moved = time.monotonic()

    def look(self, now: float) -> None:
        """Sends again what was not acknowledged for too long."""
        if self._ends and now - self._moved > AGAIN:
            self.begin_again()
