"""The end of one direction travels by itself between konnect halves, and costs nothing with others.

A half with `--half-close=false` announces nothing: to the other side it is a stock one.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone

from tests.functional.peers import Peer, digest, echo, sending
from tests.functional.raw import raw_connect
from tests.functional.rig import CONNECT_TLS, CONNECT_UNIX, FunctionalTestCase
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
    """Between two konnect halves, over a unix socket."""

    async def test_client_ends_first(self) -> None:
        """What a client asks with its FIN is answered behind it."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(answer_at_eof))
        client.transport.write(b"x" * 1000)
        client.transport.loseWriteConnection()
        await until(lambda: client.over, "the answer")
        self.assertEqual(bytes(client.head), b"read 1000 bytes")
        self.assertTrue(server.eof)
        await self.nothing_left()

    async def test_destination_ends_first(self) -> None:
        """A client may go on writing to a destination that has said its last."""
        proxy, _ = await self.pair()
        destination = self.destination(stay)
        client, server = await self.tunnel(proxy, CONNECT_UNIX, destination, stay)
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
        proxy, agent = await self.pair()
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(stay), stay)
        client.transport.loseWriteConnection()
        server.transport.loseWriteConnection()
        await until(lambda: client.eof and server.eof, "both ends")
        client.transport.loseConnection()
        server.transport.loseConnection()
        await self.nothing_left()
        self.assertEqual((proxy.service.ledger.closed, agent.service.ledger.closed), (1, 1))

    async def test_asked_and_ended_before_the_answer(self) -> None:
        """A client that sends all it has and its FIN right behind the CONNECT (`nc -N`)."""
        proxy, _ = await self.pair()
        destination = self.destination(answer_at_eof)
        client = await raw_connect(proxy.endpoint(CONNECT_UNIX))
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
        """A unix socket that is closed whole ends the destination's side at once."""
        proxy, _ = await self.pair()
        client, server = await self.tunnel(proxy, CONNECT_UNIX, self.destination(stay), stay)
        client.transport.abortConnection()
        await until(lambda: server.over, "the end")
        server.transport.loseConnection()
        await self.nothing_left()

    async def test_tls_client_ends_whole(self) -> None:
        """Over TLS, where Twisted knows no half-close, the destination's end is the client's."""
        proxy, _ = await self.pair()
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

    async def test_destination_resets(self) -> None:
        """The client is told by a reset (TLS: by an end without close_notify), behind the data."""
        for way in (CONNECT_UNIX, CONNECT_TLS):
            proxy, agent = await self.pair()
            client, server = await self.tunnel(proxy, way, self.destination(stay))
            server.transport.write(b"before")
            await until(lambda client=client: client.count == 6, "the data")  # type: ignore[misc]
            server.transport.abortConnection()
            await until(lambda client=client: client.lost, "the end")  # type: ignore[misc]
            closed = dict(proxy.service.ledger.closed_by_reason)
            self.assertEqual(closed, {"destination_lost": 1})
            if way == CONNECT_TLS:
                assert client.lost is not None
                self.assertIsNot(client.lost.type, ConnectionDone)
            await self.nothing_left()
            await agent.stop()
            await proxy.stop()
            await pause(0)
