"""Bytes arrive whole and in order, both ways, on every frontend, in any pieces and sizes."""

from __future__ import annotations

from tests.functional.peers import Peer, Source, digest, sending
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import until

MIB = 1024 * 1024

SIZES = (
    (1, 1),
    (2, 1),
    (1000, 3),
    (4095, 4096),
    (65535, 70000),
    (65536, 65536),
    (65537, 65537),
    (300_001, 777),
    (3 * MIB + 1, 200_000),
)
"""Bytes in all, and the most in one write."""


class GrpcUnixIntegrity(FunctionalTestCase):
    """What holds on each frontend: here gRPC over a unix socket, the others below."""

    way = GRPC_UNIX

    async def _both_ways(self, proxy: ProxyRig, size: int, most: int) -> None:
        """Client and destination send `size` bytes to each other at the same time."""

        def behave(peer: Peer) -> None:
            Source(peer, size, most=most, seed=size)

        destination = self.destination(behave)
        client, server = await self.tunnel(proxy, self.way, destination, behave)
        await until(lambda: client.count >= size and server.count >= size, f"{size} bytes each way")
        self.assertEqual(client.digest, digest(size))
        self.assertEqual(server.digest, digest(size))
        client.transport.loseConnection()
        await until(lambda: client.lost and server.lost, "both sides are closed")

    async def test_sizes_and_pieces(self) -> None:
        """From 1 byte to some MiB, in pieces of any size, both ways at once, hashes agree."""
        proxy, _ = await self.pair()
        for size, most in SIZES:
            await self._both_ways(proxy, size, most)
        await self.nothing_left()

    async def test_all_before_the_end_arrives_down(self) -> None:
        """A destination that closes right behind its last byte is read to that byte."""
        proxy, _ = await self.pair()
        destination = self.destination(sending(8 * MIB))
        client, _ = await self.tunnel(proxy, self.way, destination)
        await until(lambda: client.over, "the end of the answer")
        self.assertEqual(client.count, 8 * MIB)
        self.assertEqual(client.digest, digest(8 * MIB))
        await self.nothing_left()

    async def test_all_before_the_end_arrives_up(self) -> None:
        """A client that closes right behind its last byte is read to that byte."""
        proxy, _ = await self.pair()
        destination = self.destination()
        client, server = await self.tunnel(proxy, self.way, destination)
        Source(client, 8 * MIB).then(client.transport.loseConnection)
        await until(lambda: server.over, "the end of the request")
        self.assertEqual(server.count, 8 * MIB)
        self.assertEqual(server.digest, digest(8 * MIB))
        await self.nothing_left()


class GrpcTlsIntegrity(GrpcUnixIntegrity):
    """gRPC over mTLS."""

    way = GRPC_TLS

    async def test_64_mib_up(self) -> None:
        """64 MiB from a client to a destination keep their hash."""
        proxy, _ = await self.pair()
        destination = self.destination()
        client, server = await self.tunnel(proxy, self.way, destination)
        Source(client, 64 * MIB, most=300_000).then(client.transport.loseConnection)
        await until(lambda: server.over, "64 MiB", seconds=90)
        self.assertEqual(server.count, 64 * MIB)
        self.assertEqual(server.digest, digest(64 * MIB))


class ConnectUnixIntegrity(GrpcUnixIntegrity):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsIntegrity(GrpcUnixIntegrity):
    """CONNECT over mTLS."""

    way = CONNECT_TLS

    async def test_64_mib_down(self) -> None:
        """64 MiB from a destination to a client keep their hash."""
        proxy, _ = await self.pair()
        destination = self.destination(sending(64 * MIB, most=300_000))
        client, _ = await self.tunnel(proxy, self.way, destination)
        await until(lambda: client.over, "64 MiB", seconds=90)
        self.assertEqual(client.count, 64 * MIB)
        self.assertEqual(client.digest, digest(64 * MIB))
