"""What dials are made of: who asks, who connects, and the dial of one address.

Nothing here is a Deferred: who asks is called back, once. A dial by Deferreds and endpoints took
750 opcodes and 24 calls more, of the agent's 7,700 and 260 for a tunnel (counted).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectError

from konnect.agent.gotext import (
    dial_error_text,
    is_timeout,
    lookup_error_text,
    timeout_text,
    words,
)
from konnect.agent.places import Place
from konnect.agent.shortage import missing, shortage
from konnect.net.deadlines import Deadlines
from konnect.tunnel.reasons import FAULTS, Reason, classify


class DialError(Exception):
    """The dial failed. `text` is Go's; `timed_out` says whether Go would call it a timeout, and
    `fault` what the agent lacked for it, if that is why."""

    def __init__(self, text: str, timed_out: bool = False, *, fault: Reason | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.timed_out = timed_out
        self.fault = fault

    @property
    def reason(self) -> Reason:
        """Why, as it is counted."""
        if self.fault is not None:
            return self.fault
        reason = classify(self.text)
        # The text has the address in it, which may be any words.
        return Reason.DIAL_ERROR if reason in FAULTS else reason


class Asker(Protocol):
    """Who asked for a dial: one of these is called once, unless the dial is cancelled before."""

    def reached(self, protocol: Any) -> None:
        """The protocol that was made, with its transport."""

    def unreached(self, error: Exception) -> None:
        """A `DialError`; anything else is a mistake of ours."""


class Cancellable(Protocol):
    """What is under way."""

    def cancel(self) -> None:
        """Close everything of it at once, and call nobody. Harmless when it is over."""


class Taker(Protocol):
    """Who gets what an attempt to connect comes to: one of these is called once, unless the
    attempt is cancelled before. The hub's never call at once, the stock reactor's may."""

    def connected(self, protocol: Any) -> None:
        """The protocol that was made, with its transport."""

    def failed(self, error: Exception) -> None:
        """A ConnectError or an OSError; anything else is a mistake of ours."""


Make = Callable[[], Any]
"""Makes the protocol of a connection."""

Reach = Callable[[str, int, Make, Taker], Cancellable]
"""Connects to an IP address (with its zone) and a port, for as long as it takes: the dial has the
deadline."""


class Means:
    """
    What dials need.

    :param reactor: IReactorPluggableNameResolver.
    :param clock: IReactorTime, for their limits.
    :param timeout: seconds for a whole dial, lookup included.
    """

    __slots__ = ("clock", "limits", "reach", "reactor", "timeout")

    def __init__(self, reactor: Any, clock: Any, timeout: float, reach: Reach) -> None:
        self.reactor = reactor
        self.clock = clock
        self.timeout = timeout
        self.limits: Deadlines[AddressDial] = Deadlines(
            clock, timeout, AddressDial.expired, lasting=True
        )
        """Of dials of one address, as nearly all are: an entry each, and no timer."""
        self.reach = reach


def connect_error(place: Place, ip: str, error: Exception) -> Exception:
    """Why an address was not reached, for who asked."""
    if not isinstance(error, ConnectError | OSError):
        return error  # not the network's doing: the protocol's, or a mistake of ours
    return DialError(
        dial_error_text(place.network, place.shown(ip), error),
        is_timeout(error),
        fault=shortage(error, ip, place.port),
    )


def lookup_error(place: Place, problem: Exception | None = None) -> DialError:
    """
    A name has no address, or the agent lacked something to ask for one.

    :param problem: what the resolver has said of it. The C library has mostly the same words for
        both, so it is seen what a socket would say.
    """
    for error in (problem, missing()):
        if error is not None and (fault := shortage(error)):
            # Go names the call that has failed.
            call = "socket: " if fault is Reason.TOO_MANY_FILES else ""
            text = lookup_error_text(place.network, place.host, call + words(error))
            return DialError(text, fault=fault)
    return DialError(lookup_error_text(place.network, place.host))


def silence(place: Place, ip: str) -> DialError:
    """An address has not answered in time."""
    return DialError(timeout_text(place.network, place.shown(ip)), timed_out=True)


class AddressDial:
    """A dial of an IP address on its way. It begins when it is made."""

    __slots__ = ("_asker", "_attempt", "_limits", "_place")

    def __init__(self, means: Means, place: Place, make: Make, asker: Asker) -> None:
        self._asker: Asker | None = asker
        self._place = place
        limits = self._limits = means.limits
        limits.set(self)
        self._attempt = means.reach(place.ip, place.port, make, self)

    def connected(self, protocol: Any) -> None:
        """See `Taker`."""
        asker = self._asker
        if asker is not None:
            self._asker = None
            self._limits.drop(self)
            asker.reached(protocol)

    def failed(self, error: Exception) -> None:
        """See `Taker`."""
        asker, self._asker = self._asker, None
        if asker is not None:
            self._limits.drop(self)
            asker.unreached(connect_error(self._place, self._place.ip, error))

    def expired(self) -> None:
        """The time is over."""
        asker, self._asker = self._asker, None
        if asker is not None:
            self._attempt.cancel()
            asker.unreached(silence(self._place, self._place.ip))

    def cancel(self) -> None:
        """See `Cancellable`."""
        if self._asker is not None:
            self._asker = None
            self._limits.drop(self)
            self._attempt.cancel()
