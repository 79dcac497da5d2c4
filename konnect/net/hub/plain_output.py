"""How a plain socket sends: a write by itself, or what the queue holds."""

from __future__ import annotations

import errno
from typing import Any

from konnect.net.hub.facts import SocketFacts
from konnect.net.hub.output import Chunk, Output

PIECES = 64
"""Pieces of the queue given to one sendmsg."""

SENDS = 16
"""Calls of sendmsg before others have their turn."""

_FULL = (errno.EAGAIN, errno.ENOBUFS)
"""The kernel takes no more for now; the second of a unix socket, for want of memory."""


class PlainOutput(SocketFacts):
    """What is sent without TLS; a transport with TLS has both calls of its own."""

    __slots__ = ()

    def write_now(self, data: Chunk) -> None:
        """
        See `Kind`; past the queue, unless the kernel leaves something over.

        By the queue 64 echoes over a unix socket came to 0.83 and 0.91 of the rate (measured;
        medians of seven and ten).
        """
        if self._due or self._blocked or self._attentive or not self._open or not data:
            self.write(data)
            return
        try:
            sent = self._sock.send(data)  # type: ignore[union-attr]
        except OSError as error:
            if error.errno not in _FULL:
                self._over(self._why(error), last_read=True)
                return
            sent = 0
        if sent < len(data):
            self._keep(data, sent)

    def _keep(self, data: Chunk, sent: int) -> None:
        """The kernel took `sent` bytes of the first write: the rest waits for an event."""
        self._queue.append(bytes(data[sent:]))
        self._queued = len(data) - sent
        self.startWriting()
        self._mind_producer()

    def flush(self) -> None:
        """See `Output`; one piece that the kernel takes, as most are, goes in one step."""
        queue = self._queue
        if len(queue) == 1 and self._open and not (self._blocked or self._attentive):
            try:
                sent = self._sock.send(queue[0])  # type: ignore[union-attr]
            except OSError:
                sent = 0  # below it is said once more
            if sent == self._queued:
                self._due = False
                queue.clear()
                self._queued = 0
                return
            self._queued -= sent
            queue[0] = memoryview(queue[0])[sent:]
        Output.flush(self)

    def _send(self) -> bool:
        queue = self._queue
        sock: Any = self._sock
        if len(queue) == 1:
            try:
                sent = sock.send(queue[0])
            except OSError as error:
                if error.errno in _FULL:
                    return False
                raise
            if sent == self._queued:
                queue.clear()
                self._queued = 0
                return True
            self._queued -= sent
            queue[0] = memoryview(queue[0])[sent:]
            return False
        for _ in range(SENDS):
            try:
                pieces = queue[:PIECES]
                sent = sock.sendmsg(pieces)
                full = sent < sum(map(len, pieces))
            except OSError as error:
                if error.errno in _FULL:
                    return False
                raise
            self._queued -= sent
            if not self._queued:
                queue.clear()
                return True
            gone = 0
            while sent:
                head = queue[gone]
                if sent < len(head):
                    queue[gone] = memoryview(head)[sent:]
                    break
                sent -= len(head)
                gone += 1
            del queue[:gone]
            if full:
                return False
        return False
