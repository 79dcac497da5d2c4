"""The reading half of a tunnel's transport: bytes for a protocol that may pause, and their end.

Window is given back for bytes when the protocol has had them, so what waits here is bounded by the
window. As on a socket, the end comes after the bytes before it, and only to a protocol that reads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Input:
    """
    :param deliver: gives bytes to the protocol.
    :param acknowledge: gives window back.
    :param ended: called once, when the protocol has read everything before the end.
    """

    def __init__(
        self,
        clock: IReactorTime,
        deliver: Callable[[bytes], None],
        acknowledge: Callable[[int], None],
        ended: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._deliver = deliver
        self._acknowledge = acknowledge
        self._tell_end = ended
        self._held: deque[tuple[bytes, int]] = deque()
        self._paused = False
        self._dropping = False
        self._ended = False
        self._call: IDelayedCall | None = None

    def received(self, data: bytes, cost: int) -> None:
        """Bytes have come, at the `cost` of so much window."""
        if self._dropping:
            self._acknowledge(cost)
        elif self._paused or self._held:
            self._held.append((data, cost))
        else:
            self._deliver(data)
            self._acknowledge(cost)

    def end(self) -> None:
        """No more will come."""
        if (self._held or self._paused) and not self._dropping:
            self._ended = True
        else:
            self._tell_end()

    def pause(self) -> None:
        """Deliver nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Deliver what was held in the next turn of the reactor, and again what comes."""
        self._paused = False
        if (self._held or self._ended) and self._call is None:
            self._call = self._clock.callLater(0, self._catch_up)

    def drop(self) -> None:
        """The protocol wants no more: what was held keeps the window shut no longer."""
        self._dropping = True
        self._ended = False
        for _, cost in self._held:
            self._acknowledge(cost)
        self._held.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _catch_up(self) -> None:
        self._call = None
        while self._held and not self._paused:
            data, cost = self._held.popleft()
            self._deliver(data)
            self._acknowledge(cost)
        if self._ended and not self._held and not self._paused:
            self._ended = False
            self._tell_end()
