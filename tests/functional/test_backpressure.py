"""A fast source and a reader that stands still hold bounded memory; then every byte still comes.

The bound is on bytes that were taken from the source and not read at the other side. It includes
what the kernel keeps for the sockets on the way.
"""

from __future__ import annotations

from tests.functional.peers import Peer, Source, arrived, deaf, digest
from tests.functional.rig import CONNECT_TLS, CONNECT_UNIX, GRPC_TLS, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import pause, steady, until

MIB = 1024 * 1024

TOTAL = 64 * MIB
"""Far above the bound, so that "it took everything" shows."""

BOUND = 24 * MIB
"""What a tunnel and its windows hold, and the kernel's buffers of up to eight sockets on each of
which Linux may keep some MiB."""

HELD = 4 * MIB
"""What the two programs themselves may hold of a tunnel that nobody reads."""


class GrpcUnixBackpressure(FunctionalTestCase):
    """Back-pressure on each frontend: here gRPC over a unix socket; the others are below."""

    way = GRPC_UNIX

    async def test_client_that_does_not_read(self) -> None:
        """A destination is read no further than the client can take; later all of it comes."""
        proxy, agent = await self.pair()

        def send(peer: Peer) -> None:
            Source(peer, TOTAL, most=200_000).then(peer.transport.loseConnection)

        client, server = await self.tunnel(proxy, self.way, self.destination(send), deaf)
        taken = await steady(lambda: server.taken, "what is taken of the destination")
        self.assertLess(taken, BOUND)
        self.assertLess(proxy.service.ledger.buffered + agent.service.ledger.buffered, HELD)
        self.assertEqual(client.count, 0)
        client.go_on()
        await until(lambda: client.over, "the rest", seconds=60)
        self.assertEqual(client.count, TOTAL)
        self.assertEqual(client.digest, digest(TOTAL))
        self.assertGreater(sum(proxy.service.ledger.frontend_waits.counts), 0)
        await self.nothing_left()

    async def test_destination_that_does_not_read(self) -> None:
        """A client is read no further than the destination can take; later all of it goes there."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(deaf))
        Source(client, TOTAL, most=200_000).then(client.transport.loseConnection)
        taken = await steady(lambda: client.taken, "what is taken of the client")
        self.assertLess(taken, BOUND)
        self.assertLess(proxy.service.ledger.buffered + agent.service.ledger.buffered, HELD)
        self.assertEqual(server.count, 0)
        server.go_on()
        await until(lambda: server.over, "the rest", seconds=60)
        self.assertEqual(server.count, TOTAL)
        self.assertEqual(server.digest, digest(TOTAL))
        await self.nothing_left()

    async def test_reader_that_stops_now_and_then(self) -> None:
        """Pauses in the middle, at both ends, cost no byte and change no order."""
        proxy, agent = await self.pair()
        size = 6 * MIB

        def both(peer: Peer) -> None:
            Source(peer, size)

        client, server = await self.tunnel(proxy, self.way, self.destination(both), both)
        for stop in range(1, 6):
            for peer in (client, server):
                await arrived(stop * MIB, peer)
                peer.hold()
                await pause(0.1)
                peer.go_on()
        await arrived(size, client, server)
        self.assertEqual(client.digest, digest(size))
        self.assertEqual(server.digest, digest(size))
        client.transport.loseConnection()
        await self.nothing_left()
        self.assertEqual(proxy.service.ledger.buffered + agent.service.ledger.buffered, 0)


class GrpcTlsBackpressure(GrpcUnixBackpressure):
    """gRPC over mTLS."""

    way = GRPC_TLS


class ConnectUnixBackpressure(GrpcUnixBackpressure):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsBackpressure(GrpcUnixBackpressure):
    """CONNECT over mTLS."""

    way = CONNECT_TLS
