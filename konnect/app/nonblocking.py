"""
Writing to a descriptor that the program was given, without ever waiting for whoever reads it.

Setting O_NONBLOCK would be simple, and wrong: the flag belongs to the open file, which the program
shares with those it got it from (a shell, a supervisor, its siblings), and their writes would begin
to fail. So a write is kept from blocking by other means, which differ by what is written to:

    a pipe, a terminal  is opened a second time (through /proc), as an open file of our own, which
                        may have the flag
    a socket            takes the flag with each call
    all else            is written as it is: files, which are always ready, and /dev/null

Where a second opening is refused (no /proc, a pipe or terminal of another user's), `poll` is asked
before each write of at most PIPE_BUF bytes. On Linux a pipe that is ready has a free page, which
takes as much. It is not as good: another process may fill the page in between, and a terminal that
is ready may have room for less; then one write waits.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Callable

PIECE = select.PIPE_BUF
"""Bytes of one write at most: what a pipe takes as a whole or not at all."""

_FLAGS = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class NonblockingWriter:
    """
    :param descriptor: what is written to; it is not closed here, and may be given another file.
    :param reopen: whether it may be opened a second time. Not before a program has gone to the
        background, where its descriptors are given other files, and the second would stay.
    """

    def __init__(self, descriptor: int, *, reopen: bool = True) -> None:
        self._descriptor = descriptor
        self._own: int | None = None
        self._write = self._way(reopen)

    def _way(self, reopen: bool) -> Callable[[bytes], int]:
        mode = os.fstat(self._descriptor).st_mode
        if stat.S_ISSOCK(mode):
            return self._send
        if not stat.S_ISFIFO(mode) and not os.isatty(self._descriptor):
            return self._write_as_it_is
        if reopen:
            try:
                self._own = os.open(f"/proc/self/fd/{self._descriptor}", _FLAGS)
            except OSError:
                pass
            else:
                return self._write_own
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)
        return self._write_polled

    def write(self, data: bytes) -> int:
        """How many of these bytes (at most PIECE) were taken; 0: none without waiting. Raises
        OSError when there is nobody to take any."""
        try:
            return self._write(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Let go of what was opened here."""
        if self._own is not None:
            os.close(self._own)
            self._own = None
            self._write = self._way(reopen=False)

    def _write_own(self, data: bytes) -> int:
        assert self._own is not None
        return os.write(self._own, data)

    def _write_polled(self, data: bytes) -> int:
        return self._write_as_it_is(data) if self._poll.poll(0) else 0

    def _write_as_it_is(self, data: bytes) -> int:
        return os.write(self._descriptor, data)

    def _send(self, data: bytes) -> int:
        # The family does not matter for a socket that is there; naming it saves looking it up.
        given = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=self._descriptor)
        try:
            return given.send(data, socket.MSG_DONTWAIT)
        finally:
            given.detach()
