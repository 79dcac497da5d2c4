"""The receive windows of gRPC clients' streams: small at first, larger for those that use them.

What a client may have on its way is what the proxy holds when its destination does not read, so the
windows of all clients together are bounded: a stream begins with `INITIAL`, which is announced by
SETTINGS, and only one that moves its window's worth in `FAST` seconds is given more, out of what
all streams share (`ClientWindows.room`), up to `LARGEST`. A window that was given cannot be taken
back, but what its client uses of it need not be given again: so the windows of streams that have
become slow shrink, and while much waits in the process (`konnect.tunnel.pressure`) those of all.

    bytes held for clients <= streams * INITIAL + the room at the beginning

A lone upload soon has a window of `ENOUGH`, and the largest when it has moved `LASTING` and one
megabyte.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from konnect.tunnel.ledger import UNBOUNDED
from konnect.tunnel.pressure import WHOLE

INITIAL = 65536
"""Bytes of a new stream's window, and of one that is slow: what grpc-go begins with as well."""

ENOUGH = 131072
"""Bytes of a window that carries an upload on a short path: 64 KiB took 1.3 times the CPU for each
byte, 1 MiB as much, or over TLS 0.9 of it (measured). A quarter of the room is kept for windows to
become as large as this, since those of clients whose destinations have stopped can use up the rest
for good."""

LARGEST = 1024 * 1024
"""Bytes of the largest window."""

LASTING = 8 * 1024 * 1024
"""Bytes that a stream has to move before its window becomes larger than `ENOUGH`. Towards a
destination that reads nothing some 5 MiB move, into sockets' buffers and the tunnel's credit: so
those that stop leave the room to those that go on (uploads over TLS beside 200 that had stopped
came to 0.84 of what they had alone, and so to 0.95; measured)."""

SMALLEST = 32768
"""Bytes of the smallest window. HTTP/2 is told of a quarter of `INITIAL` at a time, and we keep up
to a quarter of the window ourselves: a client must not wait for what both keep back."""

PART = 4
"""A window goes back by this part of itself."""

FAST = 0.5
"""Seconds in which a window's worth has to move for the window to grow. A window is used up where
its worth moves in one round trip, and few clients are that far away."""

SLOW = 4.0
"""The same for a window to shrink."""


class ClientWindows:
    """
    What the streams of one process share.

    :param now: the clock, in seconds.
    :param limit: bytes that may wait in the process, a quarter of which is for larger windows; 0:
        no bound.
    """

    __slots__ = ("crowded", "kept", "most", "now", "room")

    def __init__(self, now: Callable[[], float], limit: int) -> None:
        self.now = now
        self.room = limit // 4 if limit > 0 else UNBOUNDED
        """Bytes by which windows may still grow, all together."""
        self.kept = self.room // 4
        """How many of them are for windows below `ENOUGH`."""
        self.most = LARGEST
        """Bytes above which windows shrink now."""
        self.crowded = False
        """Whether much waits in the process: no window grows."""

    def resize(self, share: int) -> None:
        """Each tunnel's share of what may wait is so many bytes now; `WHOLE`: there is no need to
        share."""
        self.crowded = share < WHOLE
        self.most = max(SMALLEST, min(LARGEST, share))


class ClientWindow:
    """One stream's window; made when the first part of it is to go back."""

    __slots__ = ("_moved", "_since", "_windows", "size")

    def __init__(self, windows: ClientWindows) -> None:
        self._windows = windows
        self._since = -math.inf
        self._moved = 0
        self.size = INITIAL
        """Bytes that the client may have on its way or held here."""

    @property
    def part(self) -> int:
        """Bytes that are worth to be given back."""
        return self.size // PART

    def give_back(self, owed: int) -> int:
        """`owed` bytes, at least 1, have been passed on. How many go back: fewer as the window
        shrinks, more as it grows."""
        windows, size = self._windows, self.size
        now = windows.now()
        seconds = (now - self._since) * size / owed
        self._since = now
        self._moved += owed
        if size > windows.most:
            change = -min(owed, size - windows.most)
        elif seconds < FAST and not windows.crowded:
            small = size < ENOUGH or self._moved < LASTING
            most, kept = (ENOUGH, 0) if small else (LARGEST, windows.kept)
            room = max(windows.room - kept, 0) + max(INITIAL - size, 0)
            change = min(owed, most - size, room)
        elif seconds > SLOW and size > INITIAL:
            change = -min(owed, size - INITIAL)
        else:
            return owed
        self._become(size + change)
        return owed + change

    def end(self) -> None:
        """The stream is over: leave what it had of the room."""
        self._become(0)

    def _become(self, size: int) -> None:
        self._windows.room += max(self.size - INITIAL, 0) - max(size - INITIAL, 0)
        self.size = size
