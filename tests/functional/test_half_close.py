"""The end of one direction travels by itself between konnect halves, and costs nothing with others.

A half with `--half-close=false` announces nothing: to the other side it is a stock one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

from twisted.internet.error import ConnectionDone

from konnect.client import connect_dial
from konnect.net.hub.reactor import HubReactor
from konnect.wire.packets import PacketType
from tests.functional.peers import Destination, Peer, digest, echo, sending
from tests.functional.raw import RawStream, raw_connect, raw_grpc
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import pause, until

OFF = {"half-close": "false"}


def answer_at_eof(peer: Peer) -> None:
    """A destination of the HTTP/1.0 kind: it answers when it has read all, then closes."""
    peer.close_at_eof = False

    def at_eof() -> None:
        peer.eof = True
        peer.transport.write(b"read %d bytes" % peer.count)
        peer.transport.loseConnection()

    peer.readConnectionLost = at_eof  # type: ignore[method-assign]


def stay(peer: Peer) -> None:
    """A client that goes on writing after the other side's end."""
    peer.close_at_eof = False


class HalfCloseTests(FunctionalTestCase):
    """Between two konnect halves, over a unix socket; TLS is below."""

    way = CONNECT_UNIX

    async def ends(
        self, destination: Destination, behave: Callable[[Peer], object] | None = None
    ) -> tuple[ProxyRig, Peer, Peer]:
        """A proxy and an agent, and a tunnel through them: its client, and the destination's
        side."""
        proxy, _ = await self.pair(transport="hub")
        client, server = await self.tunnel(proxy, self.way, destination, behave, on_hub=True)
        return proxy, client, server

    async def test_client_ends_first(self) -> None:
        """What a client asks with its FIN is answered behind it."""
        _, client, server = await self.ends(self.destination(answer_at_eof))
        client.transport.write(b"x" * 1000)
        client.transport.loseWriteConnection()
        await until(lambda: client.over, "the answer")
        self.assertEqual(bytes(client.head), b"read 1000 bytes")
        self.assertTrue(server.eof)
        await self.nothing_left()

    async def test_destination_ends_first(self) -> None:
        """A client may go on writing to a destination that has said its last."""
        _, client, server = await self.ends(self.destination(stay), stay)
        server.transport.write(b"bye")
        server.transport.loseWriteConnection()
        await until(lambda: client.eof, "the destination's end")
        self.assertEqual(bytes(client.head), b"bye")
        client.transport.write(b"y" * 5000)
        await until(lambda: server.count == 5000, "what the client says after it")
        client.transport.loseConnection()
        await until(lambda: server.eof, "the client's end")
        server.transport.loseConnection()
        await self.nothing_left()

    async def test_both_at_once(self) -> None:
        """Ends that cross on the way close the tunnel once."""
        _, client, server = await self.ends(self.destination(stay), stay)
        client.transport.loseWriteConnection()
        server.transport.loseWriteConnection()
        await until(lambda: client.eof and server.eof, "both ends")
        client.transport.loseConnection()
        server.transport.loseConnection()
        await self.nothing_left()
        self.assertEqual([program.ledger.closed for program in self._programs()], [1, 1])

    async def test_asked_and_ended_before_the_answer(self) -> None:
        """A client that sends all it has and its FIN right behind the CONNECT (`nc -N`)."""
        proxy, _ = await self.pair(transport="hub")
        destination = self.destination(answer_at_eof)
        client = await raw_connect(proxy.endpoint(self.way, HubReactor(self.reactor)))
        client.ask(destination.address, b"z" * 300)
        client.transport.loseWriteConnection()
        await until(lambda: b"read 300 bytes" in client.body, "the answer")
        await self.nothing_left()

    async def test_bulk_behind_the_end(self) -> None:
        """Megabytes follow the client's FIN, whole and in order."""
        proxy, _ = await self.pair()
        size = 5 * 1024 * 1024
        client, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(sending(size)), stay)
        client.transport.loseWriteConnection()
        await until(lambda: client.eof, "everything")
        self.assertEqual((client.count, client.digest), (size, digest(size)))
        client.transport.loseConnection()
        await self.nothing_left()

    async def test_client_that_is_gone_is_no_half_close(self) -> None:
        """A client that is gone altogether ends the destination's side at once."""
        _, client, server = await self.ends(self.destination(stay), stay)
        client.transport.abortConnection()
        await until(lambda: server.over, "the end")
        server.transport.loseConnection()
        await self.nothing_left()


class TlsHalfCloseTests(HalfCloseTests):
    """Over TLS on the hub's transports, by close_notify."""

    way = CONNECT_TLS

    async def test_client_closes_under_a_flood(self) -> None:
        """A client that closes, and does not only end its direction, is not sent to for ever."""
        self.patch(connect_dial, "LINGER", 0.2)
        proxy, client, server = await self.ends(self.destination(sending(None)))
        await until(lambda: client.count > 100_000, "some of an endless answer")
        client.transport.loseConnection()
        await until(lambda: client.lost and server.lost, "the end of both")
        self.assertEqual(dict(proxy.ledger.closed_by_reason), {"client_lost": 1})
        await self.nothing_left()

    async def test_client_that_closes_whole(self) -> None:
        """A client that ends TCP behind its close_notify, as Go's Close does, is not waited for
        longer than the linger time."""
        proxy, _ = await self.pair(transport="hub", linger_timeout="100ms")
        destination = self.destination(stay)
        client, server = await self.tunnel(proxy, CONNECT_TLS, destination, stay, on_hub=True)
        client.transport.loseWriteConnection()
        await until(lambda: server.eof, "the client's end")
        socket.socket(fileno=os.dup(client.transport.fileno())).shutdown(socket.SHUT_WR)
        await until(lambda: proxy.service.ledger.closed, "the end of the tunnel")
        self.assertEqual(dict(proxy.service.ledger.closed_by_reason), {"linger": 1})
        client.transport.abortConnection()
        server.transport.loseConnection()
        await self.nothing_left()


class UnixTests(FunctionalTestCase):
    """A client on a unix socket that ends its direction right behind its CONNECT, in any way."""

    async def _asks_and_ends(self, transport: str) -> None:
        proxy, _ = await self.pair(transport=transport)
        size = 300_000
        for address, expected in (
            (self.destination(sending(size)).address, 200),
            ("127.0.0.1:1", 502),
        ):
            client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
            client.ask(address)
            client.transport.loseWriteConnection()
            await until(lambda: client.over, "the answer")  # noqa: B023
            self.assertEqual(client.status, expected)
            if expected == 200:
                self.assertGreater(client.count, size)
        await self.nothing_left()

    async def test_on_the_hub(self) -> None:
        """It gets what a destination says by itself, or the error."""
        await self._asks_and_ends("hub")

    async def test_on_twisted(self) -> None:
        """As above, on Twisted's transports."""
        await self._asks_and_ends("stock")


class StockTlsTests(FunctionalTestCase):
    """Over Twisted's own TLS, which cannot end one direction."""

    async def test_client_ends_whole(self) -> None:
        """The destination's end is the client's, behind everything that it said."""
        proxy, _ = await self.pair(transport="stock")
        client, _ = await self.tunnel(proxy, CONNECT_TLS, self.destination(sending(100_000)))
        await until(lambda: client.lost, "the end")
        self.assertEqual(client.digest, digest(100_000))
        await self.nothing_left()


class FallbackTests(FunctionalTestCase):
    """With a half that has not announced it, as a stock one has not."""

    async def test_destination_ends_first(self) -> None:
        """Everything read before the destination's end is delivered, then the tunnel is over."""
        for proxy_flags, agent_flags in ((OFF, {}), ({}, OFF)):
            proxy = self.proxy(**proxy_flags)
            agent = self.agent(proxy, **agent_flags)
            await self.linked(proxy)
            client, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(sending(300_000)))
            await until(lambda client=client: client.lost, "the end")  # type: ignore[misc]
            self.assertEqual(client.digest, digest(300_000))
            await self.nothing_left()
            await agent.stop()
            self.assertEqual(agent.service.ledger.packets["to_agent", "HALF_CLOSE"], 0)
            self.assertEqual(agent.service.ledger.packets["from_agent", "HALF_CLOSE"], 0)

    async def test_client_ends_first(self) -> None:
        """The client's end is the tunnel's; what is on its way back still comes, or the end."""
        proxy, _ = await self.pair(**OFF)
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(echo), stay)
        client.transport.write(b"q" * 100)
        await until(lambda: client.count == 100, "the echo")
        client.transport.loseWriteConnection()
        await until(lambda: client.over and server.over, "the end of both")
        client.transport.loseConnection()
        await self.nothing_left()


class ResetTests(FunctionalTestCase):
    """A broken connection is not a clean end."""

    async def test_connect_client_is_told(self) -> None:
        """The client is told by a reset (TLS: by an end without close_notify), behind the data, on
        either kind of transport."""
        for way in (CONNECT_UNIX, CONNECT_TLS):
            for transport in ("stock", "hub"):
                await self._connect_client_is_told(way, transport)

    async def _connect_client_is_told(self, way: str, transport: str) -> None:
        proxy, agent = await self.pair(transport=transport)
        destination = self.destination(stay)
        client, server = await self.tunnel(proxy, way, destination, on_hub=True)
        server.transport.write(b"before")
        await until(lambda: client.count == 6, "the data")
        server.transport.abortConnection()
        await until(lambda: client.lost, "the end")
        self.assertEqual(dict(proxy.service.ledger.closed_by_reason), {"destination_lost": 1})
        self.assertFalse(client.eof and way == CONNECT_TLS, "close_notify says a clean end")
        assert client.lost is not None
        self.assertTrue(way == CONNECT_UNIX or client.lost.type is not ConnectionDone)
        await self.nothing_left()
        await agent.stop()
        await proxy.stop()
        await pause(0)

    async def test_grpc_client_is_told(self) -> None:
        """A gRPC client reads the reason in CLOSE_RSP, behind the data."""
        proxy, _ = await self.pair()
        for number, way in enumerate((GRPC_UNIX, GRPC_TLS), 1):
            destination = self.destination(stay)
            protocol = await raw_grpc(proxy.endpoint(way))
            stream = RawStream(protocol)
            stream.ask(destination.address)
            await stream.one(PacketType.DIAL_RSP)
            server = await destination.peer()
            server.transport.write(b"before")
            await until(lambda stream=stream: stream.bytes, "the data")  # type: ignore[misc]
            server.transport.abortConnection()
            told = await stream.one(PacketType.CLOSE_RSP)
            self.assertEqual(told.closeResponse.error, "the destination's connection was lost")
            self.assertEqual(proxy.service.ledger.closed_by_reason["destination_lost"], number)
            protocol.close("done")
            await until(lambda protocol=protocol: protocol.lost, "the end")  # type: ignore[misc]
        await self.nothing_left()
