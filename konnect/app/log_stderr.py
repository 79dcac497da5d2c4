"""
Log lines to stderr, whether or not it is read.

A pipe whose reader stops (a stuck container runtime, a pager) fills, and a program that writes on
stands still with all its tunnels. Here lines wait in a bounded queue instead. What is too much for
it is lost, counted, and told of in the place where it is missing, when stderr is read again.

Before the reactor runs, and after it has stopped, nobody would come back to the queue: then a line
waits for its reader, though not for long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from threading import Lock
from typing import Any, Protocol, TextIO

from konnect.app.nonblocking import PIECE, NonblockingWriter

WAITING = 256 * 1024
"""Bytes of lines that wait at most."""

INTERVAL = 0.05
"""Seconds between two tries to write what waits. Each line that comes is a try as well."""

PAUSE, PAUSES = 0.01, 100
"""Seconds between two tries where no reactor runs, and how many there are before it runs, and again
after it has stopped."""


class Lines(Protocol):
    """Where a log observer writes its lines."""

    def write(self, text: str) -> None:
        """Whole lines; never raises."""

    def run(self, reactor: Any) -> None:
        """The reactor runs: from now on nothing waits for the reader."""

    def rest(self) -> None:
        """The reactor has stopped."""

    def close(self) -> None: ...


def lines_to(stream: TextIO, lost: Callable[[int], None], lost_text: Callable[[int], str]) -> Lines:
    """
    For a stream, as it is at the program's start.

    :param lost: told how many lines were lost, as soon as they are.
    :param lost_text: the line that tells so.
    """
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        descriptor = -1
    if descriptor < 0:  # a stream of Python's own, or one of Twisted's
        return _StreamLines(stream, lost)
    return StderrLines(descriptor, lost, lost_text, stream.encoding or "utf-8")


class StderrLines:
    """
    Lines to a descriptor. Threads of the reactor's pool may write too: libraries log from there.

    :param sleep: waits where no reactor runs.
    """

    def __init__(
        self,
        descriptor: int,
        lost: Callable[[int], None],
        lost_text: Callable[[int], str],
        encoding: str = "utf-8",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._descriptor = descriptor
        self._count_lost = lost
        self._lost_text = lost_text
        self._encoding = encoding
        self._sleep = sleep
        self._writer = NonblockingWriter(descriptor, reopen=False)
        self._lock = Lock()
        self._new: deque[str] = deque()
        self._waiting = bytearray()
        """Whole lines; of the first one perhaps only what is left of it."""
        self._lost = 0
        """Lines that nobody has been told of, all of them younger than those that wait."""
        self._pauses = PAUSES
        self._reactor: Any = None
        self._call: Any = None
        self._asked = False
        """Whether a call of `_drain_later` is on its way to the reactor's thread, or done."""

    def write(self, text: str) -> None:
        self._new.append(text)
        self._take_all()

    def run(self, reactor: Any) -> None:
        with self._lock:
            self._writer.close()
            self._writer = NonblockingWriter(self._descriptor)
            self._reactor = reactor
            if self._late:
                self._see_to_the_rest()
        self._take_all()

    def rest(self) -> None:
        with self._lock:
            if self._call is not None:
                self._call.cancel()
                self._call = None
            self._reactor = None
            self._asked = False
            self._pauses = PAUSES
            if self._late:
                self._see_to_the_rest()
        self._take_all()

    def close(self) -> None:
        self.rest()
        self._writer.close()

    def _take_all(self) -> None:
        # The lock may be another thread's, or our own: collecting garbage can log, at any moment.
        # Whoever has it takes what has come meanwhile.
        while self._new and self._lock.acquire(blocking=False):
            try:
                while self._new:
                    self._take(self._new.popleft())
            finally:
                self._lock.release()

    def _take(self, text: str) -> None:
        data = text.encode(self._encoding, "backslashreplace")
        if self._late:
            self._drain()
        if self._late:
            self._keep(data)
        else:
            done = self._put(data)
            if done < len(data):
                self._keep(data[done:], begun=done > 0 and data[done - 1 : done] != b"\n")
        if self._late:
            self._see_to_the_rest()

    @property
    def _late(self) -> bool:
        """Whether there is something to write."""
        return bool(self._waiting or self._lost)

    def _see_to_the_rest(self) -> None:
        if self._reactor is None:
            while self._late and self._pauses:
                self._pauses -= 1
                self._sleep(PAUSE)
                self._drain()
        elif not self._asked:
            self._asked = True
            self._reactor.callFromThread(self._drain_later)

    def _drain_later(self) -> None:
        if self._reactor is not None:
            self._call = self._reactor.callLater(INTERVAL, self._drain_again)

    def _drain_again(self) -> None:
        self._call = None
        with self._lock:
            self._drain()
            self._asked = self._late
        if self._asked:
            self._drain_later()
        self._take_all()

    def _drain(self) -> None:
        """Write what waits, as far as possible, and tell of what was lost once there is room."""
        del self._waiting[: self._put(self._waiting)]
        # Not as soon as one line fits: a slow reader would get such a report for every other line.
        if self._lost and len(self._waiting) <= WAITING // 2:
            self._waiting += self._lost_text(self._lost).encode(self._encoding, "backslashreplace")
            self._lost = 0
            del self._waiting[: self._put(self._waiting)]

    def _keep(self, data: bytes, *, begun: bool = False) -> None:
        """Let these lines wait as far as there is room; `begun`: the first has to, in any case."""
        room = 0 if self._lost else max(0, WAITING - len(self._waiting))
        if len(data) > room:
            end = data.rfind(b"\n", 0, room) + 1
            if begun and not end:
                end = data.find(b"\n") + 1
            lines = data.count(b"\n", end)
            self._count_lost(lines)
            self._lost += lines
            data = data[:end]
        self._waiting += data

    def _put(self, data: bytes | bytearray) -> int:
        """How many of these bytes have been written, or are lost since nobody can take them."""
        done = 0
        try:
            while done < len(data):
                # Whole lines, where others write to the same pipe.
                end = data.rfind(b"\n", done, done + PIECE) + 1 or done + PIECE
                piece = bytes(data[done:end])
                taken = self._writer.write(piece)
                done += taken
                if taken < len(piece):
                    break
        except OSError:  # stderr is gone, and there is nobody left to tell
            self._count_lost(data.count(b"\n", done))
            return len(data)
        return done


class _StreamLines:
    """Lines to a stream without a descriptor, which takes what it is given."""

    def __init__(self, stream: TextIO, lost: Callable[[int], None]) -> None:
        self._stream = stream
        self._lost = lost

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self._lost(text.count("\n"))

    def run(self, reactor: Any) -> None:
        """Nothing changes."""

    def rest(self) -> None:
        """Nothing changes."""

    def close(self) -> None:
        """The stream is another's."""
