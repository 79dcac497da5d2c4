"""One HTTP/2 connection to a proxy for many tunnels, each on a stream of its own.

The connection is opened by the first dial, kept while it lives, and opened anew by the dial after
its loss. A connection whose proxy is going away (GOAWAY), or whose stream ids are used up, takes no
further dials and ends with its last tunnel. There is no health check and no balancing over several
proxies.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from konnect.client.connections import ClientConnection, OwnConnections
from konnect.client.errors import TunnelClosed
from konnect.net.grpc import GrpcProtocol

_NO_MORE = "it takes no more streams"


class SharedConnection(OwnConnections):
    """
    A reusable tunnel: `acquire` gives every dial the same connection.

    Dials that wait for the connection wait for one attempt together; it is given up when the last
    of them is cancelled. `close` ends all tunnels and fires when the connection is gone.
    """

    def __init__(self, endpoint: IStreamClientEndpoint, clock: IReactorTime) -> None:
        super().__init__(endpoint, clock)
        self._current: ClientConnection | None = None
        self._attempt: Deferred[ClientConnection] | None = None
        self._waiters: list[Deferred[ClientConnection]] = []
        self._users: dict[ClientConnection, int] = {}

    def acquire(self) -> Deferred[ClientConnection]:
        """See `Connections.acquire`."""
        if self._live.closed:
            return fail(TunnelClosed())
        current = self._current
        if current is not None and current.takes_streams:
            self._users[current] += 1
            return succeed(current)
        if current is not None and not self._users[current]:
            current.close(_NO_MORE)
        waiter: Deferred[ClientConnection] = Deferred(self._give_up)
        self._waiters.append(waiter)
        if self._attempt is None:
            self._attempt = super().acquire()
            self._attempt.addCallbacks(self._connected, self._failed)
        return waiter

    def release(self, connection: ClientConnection) -> None:
        """See `Connections.release`."""
        users = self._users.get(connection, 0) - 1
        if users >= 0:
            self._users[connection] = users
        if users == 0 and not connection.takes_streams:
            connection.close(_NO_MORE)

    def _give_up(self, waiter: Deferred[ClientConnection]) -> None:
        if waiter not in self._waiters:
            return  # the attempt is over, and those before it in the list are being told
        self._waiters.remove(waiter)
        if not self._waiters and self._attempt is not None:
            self._attempt.cancel()

    def _connected(self, connection: ClientConnection) -> None:
        self._attempt = None
        waiters, self._waiters = self._waiters, []
        self._current = connection
        self._users[connection] = len(waiters)
        for waiter in waiters:
            if waiter.called:
                self.release(connection)  # cancelled by what one before it did
            else:
                waiter.callback(connection)

    def _failed(self, failure: Failure) -> None:
        self._attempt = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(failure)

    def _lost(self, connection: GrpcProtocol, why: str) -> None:
        if self._current is connection:
            self._current = None
        assert isinstance(connection, ClientConnection)
        self._users.pop(connection, None)
        super()._lost(connection, why)
