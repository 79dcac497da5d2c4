"""Dials destinations: what a DIAL_REQ names is read, looked up if it is a name, and connected to.

Why not Twisted's `HostnameEndpoint`: its error says neither which address was tried nor whether the
lookup or the connecting failed, and Go's texts say both. IP addresses are dialled by
`konnect.agent.dialing`, names by `konnect.agent.race`. How many dials run at once is not limited
here, and the socket's options are its protocol's business.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IReactorTime

from konnect.agent.dialing import AddressDial, Asker, Cancellable, DialError, Make, Means, Reach
from konnect.agent.gotext import AddressError
from konnect.agent.places import place_of
from konnect.agent.race import NameDial
from konnect.agent.stock import stock_reach

TIMEOUT = 5.0
"""Seconds for a whole dial (upstream's)."""


class Dialer:
    """
    Dials for one agent.

    :param reactor: IReactorTCP, IReactorTime and IReactorPluggableNameResolver.
    :param clock: the clock of its limits; the reactor's own if None.
    :param timeout: seconds for a whole dial, lookup included.
    :param reach: what connects to an IP address; the reactor's stock endpoints if None.
    """

    def __init__(
        self,
        reactor: Any,
        timeout: float = TIMEOUT,
        *,
        reach: Reach | None = None,
        clock: IReactorTime | None = None,
    ) -> None:
        self._means = Means(reactor, clock or reactor, timeout, reach or stock_reach(reactor))

    def dial(self, network: str, address: str, make: Make, asker: Asker) -> Cancellable | None:
        """
        Connect the protocol that `make` makes to `address` (as in DIAL_REQ, with anything a peer
        may write), and tell `asker`, perhaps at once.

        What it returns cancels the dial: every socket and timer is closed at once; a lookup that
        runs in a thread goes on there unheard. None if there is nothing to cancel.
        """
        try:
            place = place_of(network, address)
        except AddressError as error:
            asker.unreached(DialError(str(error)))
            return None
        if place.ip:
            return AddressDial(self._means, place, make, asker)
        dial = NameDial(self._means, place, make, asker)
        dial.begin()
        return dial
