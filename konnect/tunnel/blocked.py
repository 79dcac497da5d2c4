"""A link whose peer takes nothing while tunnels wait: seen, told and counted.

A stock half stops reading its link when one of its tunnels' readers stops, and everybody waits for
that one (upstream has no flow control for each tunnel). To give up the link would end all tunnels
without unblocking that half, so that is the operator's choice. What an agent can do about it is in
`konnect.agent.unblocking`.
"""

from __future__ import annotations

from collections.abc import Callable

from konnect.tunnel.later import Delayed, Later
from konnect.tunnel.ledger import Ledger

LEAST = 1.0
"""Seconds that nothing has to move at least."""

LOOKS = 5
"""Looks in that time: so it is told by a fifth of it too late at most."""


class BlockedWatch:
    """
    Watches one link.

    :param seconds: how long nothing has to move.
    :param waiting: how many tunnels wait now, or control packets.
    :param taken: bytes that the peer has taken since the link began.
    :param told: called with how many tunnels wait for a peer that takes nothing; 0: it takes again.
    """

    __slots__ = (
        "_before",
        "_call",
        "_later",
        "_ledger",
        "_seconds",
        "_still",
        "_taken",
        "_told",
        "_waiting",
        "blocked",
    )

    def __init__(
        self,
        ledger: Ledger,
        later: Later,
        seconds: float,
        waiting: Callable[[], int],
        taken: Callable[[], int],
        told: Callable[[int], None],
    ) -> None:
        self._ledger = ledger
        self._later = later
        self._seconds = max(LEAST, seconds)
        self._waiting = waiting
        self._taken = taken
        self._told = told
        self._call: Delayed | None = None
        self._before = 0
        self._still = 0
        self.blocked = False

    def parked(self) -> None:
        """A tunnel, or a control packet, has to wait."""
        if self._call is None:
            self._before = self._taken()
            self._still = 0
            self._wait()

    def moved(self) -> None:
        """The link has taken something."""
        if self.blocked:
            self._set(False)
            self._told(0)

    def clear(self) -> None:
        """The link is gone, or nobody waits any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self.blocked:
            self._set(False)

    def _wait(self) -> None:
        self._call = self._later(self._seconds / LOOKS, self._look)

    def _look(self) -> None:
        self._call = None
        waiting = self._waiting()
        if not waiting:
            self.clear()
            return
        taken = self._taken()
        if taken != self._before:
            self._before = taken
            self._still = 0
            self.moved()
        else:
            self._still += 1
            if self._still >= LOOKS and not self.blocked:
                self._set(True)
                self._told(waiting)
        self._wait()

    def _set(self, blocked: bool) -> None:
        self.blocked = blocked
        self._ledger.blocked_links += 1 if blocked else -1
