"""A reader that is slow, but goes on, gets all that was said before the end, however long it takes.

The linger time is far shorter than what these readers need.
"""

from __future__ import annotations

import socket

from tests.functional.peers import Peer, Source, digest, sending
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    FunctionalTestCase,
)
from tests.functional.waiting import the_reactor, until

MIB = 1024 * 1024

SIZE = 2 * MIB

SIP = 0.04
"""Seconds between two reads, of 64 KiB at most: a second for all, at least."""

LINGER = "500ms"


def sip(peer: Peer, seconds: float = SIP) -> None:
    """Read a little, and wait."""
    kernel = getattr(peer.transport, "socket", None)
    if kernel is not None:
        kernel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)

    def later(data: bytes) -> None:
        peer.hold()
        if not peer.over:
            the_reactor().callLater(seconds, lambda: None if peer.over else peer.go_on())

    peer.on_data = later


class GrpcUnixSlowReaders(FunctionalTestCase):
    """What holds on each frontend: here gRPC over a unix socket, the others below."""

    way = GRPC_UNIX

    async def test_client(self) -> None:
        """What a destination said before it closed reaches a slow client."""
        proxy = self.proxy(linger_timeout=LINGER)
        self.agent(proxy, linger_timeout=LINGER)
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, self.way, self.destination(sending(SIZE)), sip)
        await until(lambda: client.over, "the end of the answer", seconds=60)
        self.assertEqual((client.count, client.digest), (SIZE, digest(SIZE)))
        await self.nothing_left()
        self.assertEqual(dict(proxy.ledger.closed_by_reason), {"destination_closed": 1})

    async def test_destination(self) -> None:
        """What a client said before it closed reaches a slow destination."""
        proxy = self.proxy(linger_timeout=LINGER)
        self.agent(proxy, linger_timeout=LINGER)
        await self.linked(proxy)
        client, server = await self.tunnel(proxy, self.way, self.destination(sip).narrow())
        Source(client, SIZE).then(client.transport.loseConnection)
        await until(lambda: server.over, "the end of the request", seconds=60)
        self.assertEqual((server.count, server.digest), (SIZE, digest(SIZE)))
        await self.nothing_left()


class SlowerThanCreditTests(FunctionalTestCase):
    """What waits here is a share of a link's, the same for every frontend."""

    async def test_slower_than_credit(self) -> None:
        """All reaches a reader that takes longer than the linger time for what credit goes back
        by."""
        proxy = self.proxy(linger_timeout=LINGER)
        agent = self.agent(proxy, linger_timeout=LINGER)
        await self.linked(proxy)
        destination = self.destination(lambda peer: sip(peer, 0.3)).narrow()
        client, server = await self.tunnel(proxy, CONNECT_UNIX, destination)
        Source(client, MIB).then(client.transport.loseConnection)
        await until(lambda: server.over, "the end of the request", seconds=60)
        self.assertEqual((server.count, server.digest), (MIB, digest(MIB)))
        await self.nothing_left()
        self.assertEqual(dict(agent.ledger.closed_by_reason), {"client_closed": 1})


class GrpcTlsSlowReaders(GrpcUnixSlowReaders):
    """gRPC over mTLS."""

    way = GRPC_TLS


class ConnectUnixSlowReaders(GrpcUnixSlowReaders):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsSlowReaders(GrpcUnixSlowReaders):
    """CONNECT over mTLS."""

    way = CONNECT_TLS
