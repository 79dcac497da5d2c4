"""The sockets to a link's destinations: counted while they are open, asked for what they hold."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.net.deadlines import deadlines_of
from konnect.net.sockets import SocketEnd
from konnect.net.unwritten import unwritten
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import CLIENT_CLOSED, Reason
from konnect.tunnel.waiting import TRANSPORTS


class Destinations:
    """
    What the ends of one link's destinations have in common.

    :param linger: seconds that a closed tunnel's socket may take.
    """

    def __init__(self, ledger: Ledger, clock: IReactorTime, linger: float) -> None:
        self.ledger = ledger
        self.clock = clock
        self.lingering = deadlines_of(clock, linger, SocketEnd.lingered)
        self.open: set[DestinationEnd] = set()


@implementer(IHalfCloseableProtocol)
class DestinationEnd(SocketEnd):
    """
    A tunnel's end at a destination, and the protocol of its own transport: between the two there
    is nothing to say that either would not hear anyway. It is an end once it has its transport.
    """

    __slots__ = ("_destinations",)

    ended_reason = Reason.DESTINATION_CLOSED
    lost_reason = Reason.DESTINATION_LOST

    def __init__(self, destinations: Destinations) -> None:
        self._destinations = destinations

    # -- as a tunnel's end

    def close(self, reason: Reason) -> None:
        """As any socket's end; but where the client has gone, and nothing can be lost, the
        destination is not waited for."""
        if reason is CLIENT_CLOSED and self._backlog is None:
            close_settled = getattr(self.transport, "close_settled", None)
            if close_settled is not None and close_settled():
                return
        SocketEnd.close(self, reason)

    # -- as an IProtocol

    def makeConnection(self, transport: Any) -> None:
        """See IProtocol."""
        common = self._destinations
        SocketEnd.__init__(self, transport, common)
        common.ledger.open_endpoint_connections += 1
        common.open.add(self)
        # As `attach` does: its tunnel is opened next.
        transport.registerProducer(self, True)

    dataReceived = SocketEnd.received
    readConnectionLost = SocketEnd.read_ended

    def writeConnectionLost(self) -> None:
        """Our own FIN is out: nothing to do."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """See IProtocol."""
        common = self._destinations
        common.ledger.open_endpoint_connections -= 1
        common.open.discard(self)
        self.lost(isinstance(reason.value, ConnectionDone))

    # -- as a konnect.tunnel.waiting.Holder

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """See `konnect.tunnel.waiting.Holder`."""
        waiting[TRANSPORTS] += unwritten(self.transport)
