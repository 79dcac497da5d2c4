"""An answer to `/metrics` that holds nobody up.

What waits in the process is looked for at each of its connections. With ten thousand of them that
is some 50 ms, so it is done in pieces, with a turn of the event loop between two; the numbers are
written down behind the last, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure


class Scrape:
    """
    Asked for every answer.

    :param look: begins a look at what changes by itself; it is done when the iterator ends.
    :param give: the text, by what the last look has found.
    :param clock: gives the others their turn.
    """

    def __init__(
        self, look: Callable[[], Iterator[None]], give: Callable[[], bytes], clock: IReactorTime
    ) -> None:
        self._look = look
        self._give = give
        self._clock = clock
        self._asking: list[Deferred[bytes]] = []
        self._next: IDelayedCall | None = None

    def __call__(self) -> bytes | Deferred[bytes]:
        """
        The text: at once where one piece is all.

        Whoever asks during a look gets what it finds. The Deferred fails with what `look` or `give`
        raises, and may be cancelled.
        """
        if not self._asking:
            pieces = self._look()
            if _ended(pieces):
                return self._give()
            self._next = self._clock.callLater(0, self._go_on, pieces)
        asking: Deferred[bytes] = Deferred(self._left)
        self._asking.append(asking)
        return asking

    def _go_on(self, pieces: Iterator[None]) -> None:
        answer: bytes | Failure
        try:
            if not _ended(pieces):
                self._next = self._clock.callLater(0, self._go_on, pieces)
                return
            answer = self._give()
        except Exception:
            answer = Failure()
        self._next = None
        # One of them may be cancelled by what another's answer sets off.
        while self._asking:
            self._asking.pop(0).callback(answer)

    def _left(self, asking: Deferred[bytes]) -> None:
        self._asking.remove(asking)
        if not self._asking and self._next is not None:
            self._next.cancel()
            self._next = None


def _ended(pieces: Iterator[None]) -> bool:
    """Do the next piece; whether there was none."""
    for _ in pieces:
        return False
    return True
