"""A client that has gone, and a destination that does not close: it is not waited for."""

from __future__ import annotations

from tests.functional.peers import Peer, closed, content
from tests.functional.rig import CONNECT_UNIX, GRPC_TLS, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import until


class SettledTests(FunctionalTestCase):
    """Clients of which the proxy knows that they have gone, not only ended their direction."""

    async def _gone(self, way: str, tail: int) -> Peer:
        """A destination whose client sent a tail and closed; the agent has let go of it."""
        proxy = self.proxy()
        # Twisted's transports cannot tell what nothing can be lost by.
        agent = self.agent(proxy, transport="hub")
        await self.linked(proxy)
        client, server = await self.tunnel(proxy, way, self.destination())
        server.close_at_eof = False
        client.transport.write(b"ping")
        await until(lambda: server.count >= 4, "bytes at the destination")
        server.transport.write(b"pong")
        await until(lambda: client.count >= 4, "bytes at the client")
        client.transport.write(content(0, tail))
        client.transport.loseConnection()
        await until(lambda: server.eof, "the end at the destination")
        await until(lambda: not agent.ledger.open_endpoint_connections, "the agent has let go")
        self.assertIsNone(server.lost)
        self.assertEqual(server.count, 4 + tail)
        return server

    async def test_each_way(self) -> None:
        """The destination sees an ordinary end, and the agent keeps no socket for it."""
        for way in (CONNECT_UNIX, GRPC_UNIX, GRPC_TLS):
            server = await self._gone(way, 0)
            server.transport.loseConnection()
            await closed(server)
        await self.nothing_left()

    async def test_it_goes_on_sending(self) -> None:
        """Then it is told that nobody is there, as by a client without a tunnel."""
        server = await self._gone(CONNECT_UNIX, 0)
        server.transport.write(b"x")
        await until(lambda: server.transport.write(b"x") or server.lost, "the reset")
        await self.nothing_left()
