"""HTTP/2 connections to a proxy's gRPC frontend: one for each tunnel.

`konnect.client.shared` is the other way to have them. Neither knows what a tunnel is: a dialer
acquires a connection, opens a stream on it and releases it when the tunnel is over.
"""

from __future__ import annotations

from typing import Any
from typing import Protocol as Shape

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from konnect.client.errors import StreamSetupFailed, TunnelClosed
from konnect.client.live import Live
from konnect.client.reaching import reach
from konnect.net.diagnosis import explain, with_peer
from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_terms import own_terms
from konnect.wire.grpc import Role


class ClientConnection(GrpcProtocol):
    """One connection to a frontend."""

    lost_text = ""
    """Why the connection was lost; set before its streams are told."""

    @property
    def takes_streams(self) -> bool:
        """Whether it is for new dials: neither side has begun to end it, and it has stream ids
        left."""
        return not self.going_away and self._closing is None and not self._wire.used_up

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost_text = with_peer(explain(reason, self.transport), self.transport)
        super().connectionLost(reason)


class Connections(Shape):
    """Where a dialer's connections come from."""

    def acquire(self) -> Deferred[ClientConnection]:
        """
        A connection that takes streams; may be cancelled. Fails with StreamSetupFailed, or with
        TunnelClosed after `close`.
        """

    def release(self, connection: ClientConnection) -> None:
        """The tunnel for which it was acquired is over; to be called once for each `acquire`."""

    def close(self) -> Deferred[None]:
        """End everything, dials and tunnels included; fires when no connection is left."""


class OwnConnections:
    """A new connection for each tunnel, closed with it (as upstream's single-use tunnels)."""

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._opening: set[Deferred[ClientConnection]] = set()
        self._live: Live[GrpcProtocol] = Live()

    def acquire(self) -> Deferred[ClientConnection]:
        """See `Connections.acquire`."""
        opening = Deferred.fromCoroutine(self._open())
        if not opening.called:
            self._opening.add(opening)
            opening.addBoth(self._opened, opening)
        return opening

    def release(self, connection: ClientConnection) -> None:
        """See `Connections.release`."""
        connection.close("the tunnel is over")

    def close(self) -> Deferred[None]:
        """See `Connections.close`."""
        self._live.closed = True
        for opening in list(self._opening):
            opening.cancel()
        for connection in self._live.members():
            connection.close("the client was closed")
        return self._live.gone()

    async def _open(self) -> ClientConnection:
        if self._live.closed:
            raise TunnelClosed()
        connection = ClientConnection(own_terms(Role.CLIENT, self._clock, on_lost=self._lost))
        try:
            await reach(self._endpoint, connection)
            if not connection.lost:  # its endpoint may be late to tell
                self._live.add(connection)
            await connection.ready
        except CancelledError:
            connection.close("the dial was cancelled", abort=True)
            if self._live.closed:
                raise TunnelClosed() from None
            raise
        except ConnectionError as problem:
            why = with_peer(str(problem), connection.transport)
            raise StreamSetupFailed(f"cannot reach the proxy: {why}") from problem
        return connection

    def _opened(self, result: Any, opening: Deferred[ClientConnection]) -> Any:
        self._opening.discard(opening)
        return result

    def _lost(self, connection: GrpcProtocol, why: str) -> None:
        self._live.discard(connection)
