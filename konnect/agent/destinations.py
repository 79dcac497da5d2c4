"""The sockets to a link's destinations: counted while they are open, asked for what they hold."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from konnect.net.sockets import RelayProtocol
from konnect.net.unwritten import unwritten
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import TRANSPORTS


class DestinationProtocol(RelayProtocol):
    """The socket to a destination, counted while it is open."""

    def __init__(self, ledger: Ledger, open_ones: set[DestinationProtocol]) -> None:
        self._ledger = ledger
        self._open_ones = open_ones

    def connectionMade(self) -> None:
        self._ledger.open_endpoint_connections += 1
        self._open_ones.add(self)

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """See `konnect.tunnel.waiting.Holder`."""
        waiting[TRANSPORTS] += unwritten(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ledger.open_endpoint_connections -= 1
        self._open_ones.discard(self)
        super().connectionLost(reason)


class DestinationFactory(Factory):
    """Makes the protocols of a link's destinations."""

    noisy = False

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.connections: set[DestinationProtocol] = set()

    def buildProtocol(self, addr: Any) -> DestinationProtocol:
        return DestinationProtocol(self._ledger, self.connections)
