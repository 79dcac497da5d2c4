"""The sockets to a link's destinations: counted while they are open, asked for what they hold."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from konnect.net.sockets import RelayProtocol
from konnect.net.unwritten import unwritten
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import TRANSPORTS


class Destination(RelayProtocol):
    """
    The socket to a destination.

    :param open_ones: it is one of these while it is open.
    """

    def __init__(self, ledger: Ledger, open_ones: set[Destination]) -> None:
        self._ledger = ledger
        self._open_ones = open_ones

    def makeConnection(self, transport: Any) -> None:
        # All of Protocol's own, and what `connectionMade` would do: one call instead of three.
        self.connected = 1
        self.transport = transport
        self._ledger.open_endpoint_connections += 1
        self._open_ones.add(self)

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """See `konnect.tunnel.waiting.Holder`."""
        waiting[TRANSPORTS] += unwritten(self.transport)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ledger.open_endpoint_connections -= 1
        self._open_ones.discard(self)
        super().connectionLost(reason)
