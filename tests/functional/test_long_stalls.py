"""Tunnels that stay stopped for a long time are neither cut nor forgotten: read again, they go on
where they were, byte for byte.

The time passes by the reactor's own clock, which is set forward while everything else stands.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from tests.functional.peers import Peer, Source, deaf, digest
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    FunctionalTestCase,
)
from tests.functional.waiting import steady, the_reactor, turns, until

LONG = 1800.0
"""Seconds that tunnels are stopped: longer than any limit that might have cut them."""

STEP = 5.0
"""Seconds at a time: less than what a peer has to answer in, if it is asked whether it is there."""

CREDIT = 64 * 1024
RESUMED = 4 * CREDIT
"""Bytes that a tunnel is read on for: more than its halves may hold."""

EACH = 3
"""Stopped tunnels of each kind."""


class GrpcUnixLongStalls(FunctionalTestCase):
    """Over gRPC and a unix socket; the other frontends are below."""

    way = GRPC_UNIX

    timeout = LONG * 2  # type: ignore[assignment]
    """Trial measures it by the clock that is set forward. Each wait has a bound of its own."""

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        self._ahead = 0.0
        reactor = the_reactor()
        # Undone last, when nothing waits for a time of that clock any more.
        self.addCleanup(setattr, reactor, "seconds", reactor.seconds)
        return super().setUp()

    async def _begin(self) -> None:
        await super()._begin()
        honest = self.reactor.seconds
        self.reactor.seconds = lambda: honest() + self._ahead

    async def pass_time(self, seconds: float) -> None:
        """Set the reactor's clock forward, and let it do what is due."""
        for _ in range(int(seconds / STEP)):
            self._ahead += STEP
            await turns(3)

    async def test_read_again_after_a_long_time(self) -> None:
        """Readers that stopped and writers of a destination that did, half an hour later."""
        proxy = self.proxy(credit=str(CREDIT), linger_timeout="10s")
        agent = self.agent(proxy, credit=str(CREDIT), linger_timeout="10s")
        await self.linked(proxy)
        source, sink = self.destination(_endless), self.destination(deaf).narrow()
        dialer = self.dialer(proxy, self.way)
        readers: list[Peer] = []
        writers: list[Peer] = []
        for _ in range(EACH):
            readers.append(await self.dial(dialer, source.port, deaf))
            writers.append(await self.dial(dialer, sink.port, _endless))
        sources = [*source.peers, *writers]
        books: list[dict[Any, int]] = [proxy.ledger.bytes, agent.ledger.bytes]
        await steady(
            lambda: sum(sum(book.values()) for book in books) + sum(peer.taken for peer in sources),
            "full tunnels",
        )
        before = [peer.taken for peer in sources]

        await self.pass_time(LONG)

        self.assertEqual([peer.taken for peer in sources], before)
        self.assertEqual((proxy.live, agent.live), (2 * EACH, 2 * EACH))
        stalled = [*readers, *sink.peers]
        self.assertEqual([peer.lost for peer in stalled], [None] * 2 * EACH)
        already = [peer.count for peer in stalled]
        for peer in stalled:
            peer.go_on()
        await until(
            lambda: all(
                peer.count > count + RESUMED for peer, count in zip(stalled, already, strict=True)
            ),
            "more than stalled tunnels held",
        )
        for peer in stalled:
            self.assertEqual(peer.digest, digest(peer.count))
        for peer in (*readers, *writers, *sink.peers):
            peer.transport.abortConnection()
        await self.nothing_left()


class GrpcTlsLongStalls(GrpcUnixLongStalls):
    """gRPC over mTLS."""

    way = GRPC_TLS


class ConnectUnixLongStalls(GrpcUnixLongStalls):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsLongStalls(GrpcUnixLongStalls):
    """CONNECT over mTLS."""

    way = CONNECT_TLS


def _endless(peer: Peer) -> None:
    Source(peer, None)
