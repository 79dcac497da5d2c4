"""Keeps a destination's first bytes back until the client can take them.

Two clients in the field lose or refuse bytes that come right behind the answer to their dial: the
Go gRPC client registers the connection only after its dialing goroutine wakes (DATA before that is
"unknown" and lost, and a close before that is ignored), and kube-apiserver fails a CONNECT dial
when anything but the response head is in its first read. So what a destination says before the
client has spoken waits a moment. A client that has sent its first byte is certainly ready.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

HOLD = 0.02
"""Seconds that a destination's first bytes wait for a client that has not spoken."""


class Hold:
    """One tunnel's hold: what is kept runs, in order, when the client speaks or HOLD is over."""

    __slots__ = ("_call", "_clock", "_kept", "over")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._kept: list[Callable[[], None]] | None = None
        self._call: IDelayedCall | None = None
        self.over = False
        """True once nothing is kept any more; callers on the data path look here first."""

    @property
    def empty(self) -> bool:
        """Whether nothing is waiting; True as well while the last of what was kept runs."""
        return not self._kept

    def after(self, action: Callable[[], None]) -> None:
        """Run `action` at the release, or now when that has been."""
        if self.over:
            action()
            return
        if self._kept is None:
            self._kept = []
        self._kept.append(action)
        if self._call is None:
            self._call = self._clock.callLater(HOLD, self._expired)

    def release(self) -> None:
        """The client has spoken: run what was kept, keep nothing more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.over = True
        kept = self._kept
        while kept:
            kept.pop(0)()
        self._kept = None

    def drop(self) -> None:
        """The client is gone: forget what was kept."""
        if self._kept is not None:
            self._kept.clear()
        if not self.over:
            self.release()

    def _expired(self) -> None:
        self._call = None
        self.release()
