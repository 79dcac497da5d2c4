"""Whoever ends an open tunnel first, in whatever way: the others learn it, what was read before is
delivered, and nothing is left.

All waits are shorter than the linger time of the services under test, so what only a timer would
notice fails here. `FunctionalTestCase` checks that nothing is left.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone

from konnect.client import connect_dial
from tests.functional.peers import (
    Peer,
    Source,
    arrived,
    closed,
    content,
    deaf,
    digest,
    echo,
    sending,
)
from tests.functional.rig import CONNECT_TLS, CONNECT_UNIX, GRPC_TLS, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import steady, until

MIB = 1024 * 1024


class GrpcUnixEnds(FunctionalTestCase):
    """Ends on each frontend: here gRPC over a unix socket; the classes below are the others."""

    way = GRPC_UNIX

    async def _talk(self, client: Peer, server: Peer) -> None:
        """Make sure that bytes pass in both directions."""
        client.transport.write(b"ping")
        await until(lambda: server.count >= 4, "bytes at the destination")
        server.transport.write(b"pong")
        await until(lambda: client.count >= 4, "bytes at the client")

    async def test_client_closes(self) -> None:
        """A client that closes ends the destination's connection, cleanly."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        await self._talk(client, server)
        client.transport.loseConnection()
        await closed(client, server)
        assert server.lost is not None and client.lost is not None
        self.assertIs(server.lost.type, ConnectionDone)
        self.assertIs(client.lost.type, ConnectionDone)
        await self.nothing_left()

    async def test_destination_closes(self) -> None:
        """A destination that closes ends the client's connection, cleanly."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        await self._talk(client, server)
        server.transport.loseConnection()
        await closed(client, server)
        assert client.lost is not None
        self.assertIs(client.lost.type, ConnectionDone)
        await self.nothing_left()

    async def test_client_resets(self) -> None:
        """A client that is gone at once, amid data, ends the destination's connection."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        source = Source(client, None)
        await arrived(MIB, server)
        client.transport.abortConnection()
        await closed(client, server)
        self.assertTrue(source.stopped)
        await self.nothing_left()

    async def test_destination_resets(self) -> None:
        """A destination that resets in the middle of data ends the client's connection."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(sending(None)))
        await arrived(MIB, client)
        server.transport.abortConnection()
        await closed(client, server)
        self.assertEqual(client.digest, digest(client.count))
        await self.nothing_left()

    async def test_client_closes_under_a_flood(self) -> None:
        """A client that has enough of an endless answer stops it at the destination."""
        # On TLS the closing client waits for the other side's close_notify, within this time.
        self.patch(connect_dial, "LINGER", 0.2)
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(sending(None)))
        await arrived(MIB, client)
        client.transport.loseConnection()
        await closed(client, server)
        await self.nothing_left()

    async def test_destination_closes_under_a_flood(self) -> None:
        """A destination that has enough of an endless request stops it at the client."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        Source(client, None)
        await arrived(MIB, server)
        server.transport.loseConnection()
        await closed(client, server)
        await self.nothing_left()

    async def test_both_close_at_once(self) -> None:
        """Closes that cross on the way end the tunnel once."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        await self._talk(client, server)
        client.transport.loseConnection()
        server.transport.loseConnection()
        await closed(client, server)
        await self.nothing_left()
        self.assertEqual(proxy.service.ledger.closed, 1)
        self.assertEqual(agent.service.ledger.closed, 1)

    async def test_destination_hangs_up_at_once(self) -> None:
        """A destination that accepts and closes gives an open tunnel that ends, not an error."""
        proxy, _ = await self.pair()
        destination = self.destination(lambda peer: peer.transport.loseConnection())
        client, _ = await self.tunnel(proxy, self.way, destination)
        await closed(client)
        self.assertEqual(client.count, 0)
        await self.nothing_left()

    async def test_destination_speaks_and_hangs_up(self) -> None:
        """What a destination says before it closes at once is read to the last byte."""
        proxy, _ = await self.pair()
        destination = self.destination(sending(200_000))
        for _ in range(10):
            client, _ = await self.tunnel(proxy, self.way, destination)
            await closed(client)
            self.assertEqual(client.digest, digest(200_000))
        await self.nothing_left()

    async def test_tail_for_a_slow_destination(self) -> None:
        """What a client wrote before it closed reaches a destination that reads only later."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(deaf))
        Source(client, 4 * MIB).then(client.transport.loseConnection)
        await steady(lambda: client.taken, "what is taken of the client")
        server.go_on()
        await until(lambda: server.over, "the end of the request")
        self.assertEqual(server.count, 4 * MIB)
        self.assertEqual(server.digest, digest(4 * MIB))
        await self.nothing_left()

    async def test_tail_for_a_slow_client(self) -> None:
        """What a destination wrote before it closed reaches a client that reads only later."""
        proxy, _ = await self.pair()
        destination = self.destination(sending(4 * MIB))
        client, server = await self.tunnel(proxy, self.way, destination, deaf)
        await steady(lambda: server.taken, "what is taken of the destination")
        client.go_on()
        await until(lambda: client.over, "the end of the answer")
        self.assertEqual(client.count, 4 * MIB)
        self.assertEqual(client.digest, digest(4 * MIB))
        await self.nothing_left()

    async def test_agent_dies_idle(self) -> None:
        """An agent that dies takes its tunnels along: client and destination learn it."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        await self._talk(client, server)
        await agent.crash()
        await closed(client, server)
        await self.nothing_left()

    async def test_agent_dies_under_load(self) -> None:
        """What was read before the agent died in the middle of data is a whole beginning."""
        proxy, agent = await self.pair()
        destination = self.destination(sending(None))
        client, server = await self.tunnel(proxy, self.way, destination)
        Source(client, None)
        await arrived(MIB, client, server)
        await agent.crash()
        await closed(client, server)
        self.assertEqual(client.digest, digest(client.count))
        self.assertEqual(server.digest, digest(server.count))
        await self.nothing_left()

    async def test_agent_dies_while_the_client_reads_nothing(self) -> None:
        """A full tunnel ends with its agent, and the client still gets what the proxy had taken."""
        proxy, agent = await self.pair()
        destination = self.destination(sending(None))
        client, server = await self.tunnel(proxy, self.way, destination, deaf)
        await steady(lambda: server.taken, "what is taken of the destination")
        await agent.crash()
        await closed(server)
        client.go_on()
        await closed(client)
        self.assertEqual(client.digest, digest(client.count))
        await self.nothing_left()

    async def test_agent_dies_during_the_close(self) -> None:
        """A tunnel that is being closed when its agent dies is closed."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(deaf))
        client.transport.write(content(0, 8 * MIB))
        client.transport.loseConnection()
        await steady(lambda: proxy.service.ledger.packets["to_agent", "DATA"], "what goes out")
        await agent.crash()
        await closed(client)
        server.go_on()
        await closed(server)
        await self.nothing_left()

    async def test_proxy_dies_idle(self) -> None:
        """A proxy that dies takes its tunnels along: client and destination learn it."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination())
        await self._talk(client, server)
        await proxy.crash()
        await closed(client, server)
        await until(lambda: not agent.live, "the agent's tunnel is gone")

    async def test_proxy_dies_under_load(self) -> None:
        """What was read before the proxy died in the middle of data is a whole beginning."""
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, self.way, self.destination(sending(None)))
        Source(client, None)
        await arrived(MIB, client, server)
        await proxy.crash()
        await closed(client, server)
        self.assertEqual(client.digest, digest(client.count))
        self.assertEqual(server.digest, digest(server.count))
        await until(lambda: not agent.live, "the agent's tunnel is gone")

    async def test_one_end_leaves_the_others_alone(self) -> None:
        """Tunnels beside one that is reset, in any place, go on."""
        proxy, _ = await self.pair()
        destination = self.destination(echo)
        tunnels = [await self.tunnel(proxy, self.way, destination) for _ in range(6)]
        tunnels[0][0].transport.abortConnection()
        tunnels[1][1].transport.abortConnection()
        tunnels[2][0].transport.loseConnection()
        tunnels[3][1].transport.loseConnection()
        for pair in tunnels[:4]:
            await closed(*pair)
        for client, _ in tunnels[4:]:
            client.transport.write(b"still here")
            await arrived(10, client)
            client.transport.loseConnection()
        await self.nothing_left()


class GrpcTlsEnds(GrpcUnixEnds):
    """gRPC over mTLS."""

    way = GRPC_TLS


class ConnectUnixEnds(GrpcUnixEnds):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsEnds(GrpcUnixEnds):
    """CONNECT over mTLS."""

    way = CONNECT_TLS
