"""One proxied connection, from its dial to its last byte.

State table (what is not listed changes nothing):

    state     event                        does                                     next
    DIALING   opened(far)                  joins near and far, near.opened()        OPEN
    DIALING   fail(reason, text)           near.failed(reason, text)                CLOSED
    DIALING   close(reason)                cancels the dial; nobody to tell         CLOSED
    OPEN      ended(end), the first        end.other.finish()                       OPEN
    OPEN      ended(end), the second       close(reason of the first)               CLOSED
    OPEN      close(reason)                both ends close(reason)                  CLOSED

"near" is the end that asked (the client on the proxy, the link on the agent), "far" the end towards
the destination. A tunnel is counted once when it opens and once when it closes.
"""

from __future__ import annotations

import enum
from typing import Protocol

from konnect.tunnel.account import account_of, account_of_dial
from konnect.tunnel.ends import End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason


class State(enum.Enum):
    """Where in its life a tunnel is."""

    DIALING = "dialing"
    OPEN = "open"
    CLOSED = "closed"


DIALING, OPEN, CLOSED = State
"""By these names they cost 10 ns; a member of an enumeration is looked up in Python's own slow way
(180 ns in 3.11, measured), and a tunnel asks for its state a dozen times."""


class Dial(Protocol):
    """A dial on its way; owned by the tunnel until it succeeds, fails or is cancelled."""

    def cancel(self) -> None:
        """Forget the dial and tell whoever is dialing; harmless on an answered dial. Never calls
        the tunnel back."""


class Via(Protocol):
    """The link that carries a tunnel, or was asked to."""

    name: str
    """Whose it is: the id of the agent, or of the proxy."""
    peer: str
    """The address of its other side."""


class Tunnel:
    """One tunnel, shared by both programs. `address` is the destination, as the client named it."""

    __slots__ = (
        "_ledger",
        "address",
        "dial",
        "far",
        "first",
        "near",
        "opened_at",
        "reason",
        "started",
        "state",
        "via",
    )

    def __init__(self, ledger: Ledger, near: End, address: str) -> None:
        self._ledger = ledger
        self.near: End | None = near
        self.far: End | None = None
        self.address = address
        self.started = ledger.now()
        self.opened_at = 0.0
        self.state = DIALING
        self.dial: Dial | None = None
        self.first: End | None = None
        """The end that gave its last byte first, while the other has not."""
        self.reason: Reason | None = None
        self.via: Via | None = None
        near.tunnel = self
        ledger.pending_dials += 1

    @property
    def can_finish_far(self) -> bool:
        """Whether the end of the near end's bytes can be told beyond the far end (half-close)."""
        return self.far is not None and self.far.can_finish

    def opened(self, far: End) -> None:
        """The dial has succeeded with `far`."""
        near = self.near
        assert near is not None and self.state is DIALING
        self.state = OPEN
        self.dial = None
        self.far = far
        far.tunnel = self
        near.other, far.other = far, near
        ledger = self._ledger
        ledger.pending_dials -= 1
        self.opened_at = ledger.now()
        ledger.dial_seconds.observe(self.opened_at - self.started)
        near.opened()

    def fail(self, reason: Reason, text: str = "") -> None:
        """The dial has failed, or is given up; `text` is what the asker is told instead of the
        reason's."""
        if self.state is not DIALING:
            return
        near = self._end_dial(reason, text)
        near.failed(reason, text or reason.text)

    def ended(self, end: End, reason: Reason) -> None:
        """`end` has given its last byte (EOF); the other direction may go on."""
        if self.state is not OPEN or self.first is end:
            return
        if self.first is not None:
            self.close(self.reason or reason)
            return
        self.first = end
        self.reason = reason
        other = end.other
        assert other is not None
        other.finish()

    def close(self, reason: Reason) -> None:
        """End it now: both ends deliver what they hold and let go. Idempotent, counted once."""
        if self.state is DIALING:
            self._end_dial(reason).close(reason)
            return
        if self.state is CLOSED:
            return
        self.state = CLOSED
        self.reason = reason
        ledger = self._ledger
        ledger.closed_by_reason[reason.label] += 1
        now = ledger.now()
        ledger.connection_seconds.observe(now - self.opened_at)
        near, far = self.near, self.far
        assert near is not None and far is not None
        if ledger.account is not None:
            ledger.account(account_of(self, near, far, now))
        self.near = self.far = self.first = None
        near.tunnel = near.other = far.tunnel = far.other = None
        near.close(reason)
        far.close(reason)

    def _end_dial(self, reason: Reason, text: str = "") -> End:
        self.state = CLOSED
        self.reason = reason
        ledger = self._ledger
        if ledger.account is not None:
            ledger.account(account_of_dial(self, reason, ledger.now(), text or reason.text))
        near, self.near = self.near, None
        assert near is not None
        near.tunnel = None
        dial, self.dial = self.dial, None
        if dial is not None:
            dial.cancel()
        ledger.pending_dials -= 1
        ledger.failed_by_reason[reason.label] += 1
        if reason.dial_failure is not None:
            ledger.dial_failures[reason.dial_failure] += 1
        return near
