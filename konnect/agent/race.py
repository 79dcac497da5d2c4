"""The dial of a name: it is looked up, its addresses are tried, the first that connects wins.

The rules are Go's: one deadline for all of it; the families take turns; the next address is tried
when one fails or has been silent for 300 ms; if all fail, the error of the first is told, or that
of the first for which the agent lacked something.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall

from konnect.agent.dialing import (
    Asker,
    Cancellable,
    DialError,
    Make,
    Means,
    connect_error,
    lookup_error,
    silence,
)
from konnect.agent.gotext import lookup_error_text, no_suitable_address_text
from konnect.agent.lookup import Lookup
from konnect.agent.places import Place, in_turns, suits

NEXT_ADDRESS_AFTER = 0.3
"""Seconds of silence after which the next address is tried beside the last one (RFC 8305 §5)."""


class NameDial:
    """A dial of a name on its way."""

    def __init__(self, means: Means, place: Place, make: Make, asker: Asker) -> None:
        self._means = means
        self._place = place
        self._make = make
        self._asker: Asker | None = asker
        self._lookup: Lookup | None = None
        self._waiting: list[str] = []
        self._attempts: dict[int, _Attempt] = {}
        self._failures: dict[int, DialError] = {}
        self._begun = 0
        self._next: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = means.clock.callLater(means.timeout, self._expired)

    def begin(self) -> None:
        """Look the name up."""
        self._lookup = Lookup(self._looked_up)
        try:
            self._means.reactor.nameResolver.resolveHostName(
                self._lookup, self._place.host, self._place.port, transportSemantics="TCP"
            )
        except Exception as error:
            self._fail(error)

    def _looked_up(self, ips: list[str]) -> None:
        lookup, self._lookup = self._lookup, None
        assert lookup is not None
        place = self._place
        suitable = [ip for ip in ips if suits(place.network, ip)]
        if suitable:
            self._waiting = in_turns(suitable)
            self._try_next()
        elif ips:
            self._fail(DialError(no_suitable_address_text(place.network, place.host)))
        else:
            self._fail(lookup_error(place, lookup.problem))

    def _try_next(self) -> None:
        self._cancel_next()
        attempt = _Attempt(self, self._begun, self._waiting.pop(0))
        self._attempts[self._begun] = attempt
        self._begun += 1
        if self._waiting:
            self._next = self._means.clock.callLater(NEXT_ADDRESS_AFTER, self._try_next)
        attempt.begin(self._means, self._place.port, self._make)

    def won(self, attempt: _Attempt, protocol: Any) -> None:
        """One of the attempts has connected."""
        asker = self._asker
        if asker is not None:
            del self._attempts[attempt.number]
            self.cancel()
            asker.reached(protocol)

    def lost(self, attempt: _Attempt, error: Exception) -> None:
        """One of the attempts has failed."""
        if self._asker is None:
            return
        del self._attempts[attempt.number]
        error = connect_error(self._place, attempt.ip, error)
        if not isinstance(error, DialError):
            self._fail(error)
            return
        self._failures[attempt.number] = error
        if self._waiting:
            self._try_next()
        elif not self._attempts:
            # None has connected: another agent may reach those for which this one lacked something.
            told = self._first_failure(faults=True) or self._first_failure(faults=False)
            assert told is not None
            self._fail(told)

    def _first_failure(self, *, faults: bool) -> DialError | None:
        """Of those that the agent is to blame for, or of the others; None if there is none."""
        of_them = {n: error for n, error in self._failures.items() if bool(error.fault) is faults}
        return of_them[min(of_them)] if of_them else None

    def _expired(self) -> None:
        self._deadline = None
        # An address was silent for all of the time: that is no reason to ask another agent.
        told = self._first_failure(faults=False)
        if told is not None:
            self._fail(told)
        elif self._attempts:
            self._fail(silence(self._place, self._attempts[min(self._attempts)].ip))
        else:
            text = lookup_error_text(self._place.network, self._place.host, "i/o timeout")
            self._fail(DialError(text, timed_out=True))

    def _fail(self, error: Exception) -> None:
        asker = self._asker
        if asker is not None:
            self.cancel()
            asker.unreached(error)

    def _cancel_next(self) -> None:
        call, self._next = self._next, None
        if call is not None and call.active():
            call.cancel()

    def cancel(self) -> None:
        """See `Cancellable`; a lookup that runs in a thread goes on there unheard."""
        self._asker = None
        self._cancel_next()
        deadline, self._deadline = self._deadline, None
        if deadline is not None:
            deadline.cancel()
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup.abandon()
        self._waiting.clear()
        attempts, self._attempts = self._attempts, {}
        for attempt in attempts.values():
            attempt.cancel()


class _Attempt:
    """One address of a name."""

    __slots__ = ("_dial", "_under_way", "ip", "number")

    def __init__(self, dial: NameDial, number: int, ip: str) -> None:
        self._dial = dial
        self.number = number
        self.ip = ip
        self._under_way: Cancellable | None = None

    def begin(self, means: Means, port: int, make: Make) -> None:
        """Connect; `connected` or `failed` may be called at once."""
        self._under_way = means.reach(self.ip, port, make, self)

    def connected(self, protocol: Any) -> None:
        """See `Taker`."""
        self._dial.won(self, protocol)

    def failed(self, error: Exception) -> None:
        """See `Taker`."""
        self._dial.lost(self, error)

    def cancel(self) -> None:
        """Give the address up."""
        if self._under_way is not None:
            self._under_way.cancel()
