"""How a proxy stops: who is told first, who is given time, and who is cut.

    1  not ready any more; what announces the proxy to others (leases) is taken back
    2  for `delay` everything is served as before, so that whoever balances over proxies by their
       readiness sends no client into a closed door; gRPC clients learn by GOAWAY that they had
       better go elsewhere
    3  no new clients, no new dials, no new agents; konnect agents are told to look for another
       proxy (stock agents are not: they would drop their tunnels, see docs/protocol.md)
    4  tunnels and dials go on until the last has ended and its last bytes have gone out, or the
       time is up
    5  what is left is closed, with the reason, and then the connections

A second signal ends steps 2 and 4, and leaves a moment for step 5: whoever reads is told why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from konnect.app.listening import Listeners
from konnect.log import make_logger
from konnect.net.grpc import GrpcProtocol
from konnect.net.stopping import Stopping
from konnect.proxy.dialing import Switchboard
from konnect.proxy.frontend_connect import ConnectProtocol
from konnect.proxy.link import AgentLink
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.tunnel.waiting import PLACES, STREAMS, TRANSPORTS

log = make_logger(__name__)

Connection = GrpcProtocol | ConnectProtocol

WITHDRAW = 3.0
"""Seconds that taking back the proxy's announcements may take."""

FAREWELL = 1.0
"""Seconds that gRPC clients have to end their streams after their tunnels were closed, and agents
to take what waits for them."""

LIMIT = 5.0
"""Seconds that closing connections may take after the tunnels are over."""

MOMENT = 0.2
"""Seconds of either when a second signal has come: what says why has left by then, if its reader
reads."""


class ProxyStop(Stopping):
    """
    One proxy's stopping.

    :param clients: the clients' connections, as of now.
    :param agents: the agents' connections, as of now.
    :param delay: seconds of step 2; at most half of `graceful`.
    :param graceful: seconds from the beginning until tunnels are cut; 0: at once.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        ledger: Ledger,
        switchboard: Switchboard,
        registry: Registry[AgentLink],
        listeners: Listeners,
        clients: Callable[[], list[Connection]],
        agents: Callable[[], list[Connection]],
        delay: float,
        graceful: float,
    ) -> None:
        self.begun = False
        self.withdraw: list[Callable[[], Awaitable[Any]]] = []
        """What takes back an announcement of this proxy."""
        super().__init__(clock)
        self._ledger = ledger
        self._switchboard = switchboard
        self._registry = registry
        self._listeners = listeners
        self._clients = clients
        self._agents = agents
        self._delay = min(delay, graceful / 2)
        self._graceful = graceful

    async def run(self) -> None:
        """Done when nothing is left: no port, connection or delayed call."""
        self.begun = True
        await self._withdraw()
        if self._delay:
            self._goaway(self._clients(), notice=True)
            await self._wait(lambda: False, self._delay)
        await self._take_nothing_new()
        await self._wait(self._idle, self._graceful - self._delay)
        await self._close()

    async def _withdraw(self) -> None:
        waits = [Deferred.fromCoroutine(_call(call)) for call in self.withdraw]
        await self._wait(lambda: all(wait.called for wait in waits), WITHDRAW)
        for wait in waits:
            wait.cancel()

    async def _take_nothing_new(self) -> None:
        self._switchboard.closing = True
        await self._listeners.close(spare=("health port", "admin port"))
        self._goaway(self._clients(), notice=True)
        for link in self._registry.links():
            link.announce_end()

    def _idle(self) -> bool:
        ledger = self._ledger
        if ledger.live or ledger.pending_dials or ledger.buffered:
            return False
        # The last bytes of tunnels that have ended may still wait for a slow reader.
        return not self._waiting(self._connections(), STREAMS, TRANSPORTS)

    @staticmethod
    def _waiting(connections: list[Connection], *places: str) -> int:
        waiting = dict.fromkeys(PLACES, 0)
        for connection in connections:
            connection.count_waiting(waiting)
        return sum(waiting[place] for place in places)

    async def _close(self) -> None:
        tunnels, dials = self._ledger.live, self._ledger.pending_dials
        if tunnels or dials:
            log.warn(
                "{n} tunnels and {dials} dials are cut: {why}",
                n=tunnels,
                dials=dials,
                why="a second signal came"
                if self._hurried
                else f"the time to stop is over ({self._graceful:g} s)",
            )
        for link in self._registry.links():
            link.shut_down()
        self._goaway(self._connections())
        # A gRPC client ends its stream itself when its tunnel is closed; if it is cut off before,
        # it may never read why. The same goes for an agent whose window was full: what it is told
        # waits there.
        await self._wait(self._all_told, FAREWELL, hurried=MOMENT)
        for connection in self._connections():
            connection.close("the proxy is shutting down")
        await self._wait(self._no_connections, LIMIT, hurried=MOMENT)
        for connection in self._connections():
            connection.abort()
        await self._wait(self._no_connections, LIMIT, hurried=MOMENT)
        await self._listeners.close()

    def _goaway(self, connections: list[Connection], *, notice: bool = False) -> None:
        for connection in connections:
            if isinstance(connection, GrpcProtocol) and connection.live_streams:
                connection.goaway(notice=notice)

    def _connections(self) -> list[Connection]:
        return self._clients() + self._agents()

    def _all_told(self) -> bool:
        told = not self._ledger.grpc_streams.get("Proxy")
        return told and not self._waiting(self._agents(), STREAMS)

    def _no_connections(self) -> bool:
        return not self._connections()


async def _call(withdraw: Callable[[], Awaitable[Any]]) -> None:
    try:
        await withdraw()
    except Exception as error:
        log.warn("could not take back the announcement of this proxy: {error}", error=error)
