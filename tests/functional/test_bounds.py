"""What a whole process holds for slow readers is bounded, whatever the credit of each tunnel."""

from __future__ import annotations

from collections.abc import Callable

from konnect.proxy.client_window import INITIAL, LARGEST
from konnect.wire.frames import data_head
from konnect.wire.framing import prefix
from konnect.wire.status import Status
from tests.functional.peers import Peer, Source, deaf, digest
from tests.functional.raw import RawStream, raw_connect, raw_grpc
from tests.functional.rig import (
    CONNECT_UNIX,
    GRPC_UNIX,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import steady, until

MIB = 1024 * 1024

LIMIT = 4 * MIB
"""A sixth of what the tunnels of a test would hold by their credit."""

ON_THE_WAY = 8 * MIB
"""Certainly more than had been sent on the link when the windows became smaller, also on a busy
machine, whose link seems long; half of what credit alone would let come."""

TUNNELS = 48


def _endless(peer: Peer) -> None:
    Source(peer, None)


class BoundTests(FunctionalTestCase):
    """More readers have stopped than the process has room for."""

    way = CONNECT_UNIX

    async def _tunnels(
        self,
        proxy: ProxyRig,
        behave: Callable[[Peer], object] | None = None,
        *,
        narrow: bool = False,
    ) -> tuple[list[Peer], list[Peer]]:
        """Clients that behave so, and their destinations; nothing has been sent yet, since a full
        process refuses dials."""
        destination = self.destination()
        if narrow:
            destination.narrow()
        tunnels = [await self.tunnel(proxy, self.way, destination, behave) for _ in range(TUNNELS)]
        clients, servers = zip(*tunnels, strict=True)
        return list(clients), list(servers)

    async def _fill(
        self, rig: ProxyRig | AgentRig, readers: list[Peer], sources: list[Peer]
    ) -> None:
        """
        All but the first reader have stopped, and all sources send: the program's bound holds while
        the first goes on. Then all are read: everything comes, and windows are as before.
        """
        ledger = rig.ledger
        for reader in readers[1:]:
            reader.hold()
        for source in sources:
            Source(source, None)
        links = rig.service.registry.links() if isinstance(rig, ProxyRig) else rig.service._links()
        (link,) = links
        await until(lambda: link.window < link.receive_credit, "small windows")
        # Windows shrink above half of the limit; what waits may then settle just below it.
        self.assertGreater(ledger.buffered, LIMIT // 4, "else nothing is at stake")
        for _ in range(5):
            before = readers[0].count
            await until(lambda: readers[0].count > before + MIB, "what is read goes on")  # noqa: B023
            self.assertLess(ledger.buffered, LIMIT + ON_THE_WAY)
        for reader in readers[1:]:
            reader.go_on()
        await until(lambda: all(each.count > MIB for each in readers), "more than was held", 60)
        for reader, source in zip(readers, sources, strict=True):
            source.transport.abortConnection()
            self.assertEqual(reader.digest, digest(reader.count))
        await until(lambda: link.window == link.receive_credit, "whole windows")

    async def test_clients_that_do_not_read(self) -> None:
        """The proxy's bound."""
        proxy, _ = await self.pair(buffer_limit=str(LIMIT))
        clients, servers = await self._tunnels(proxy)
        await self._fill(proxy, clients, servers)
        await self.nothing_left()

    async def test_destinations_that_do_not_read(self) -> None:
        """The agent's bound."""
        proxy = self.proxy()
        agent = self.agent(proxy, buffer_limit=str(LIMIT))
        await self.linked(proxy)
        clients, servers = await self._tunnels(proxy)
        await self._fill(agent, servers, clients)
        await self.nothing_left()

    async def test_a_full_agent_refuses_dials(self) -> None:
        """An agent above its bound refuses dials with the reason, which a client sees as 503."""
        proxy = self.proxy()
        # Less than one read, since windows shrink before a larger limit is reached.
        agent = self.agent(proxy, buffer_limit="1000")
        await self.linked(proxy)
        sink = self.destination(deaf)
        # It is full for as long as a socket takes no more, which a stock transport soon does: so
        # ask until one dial has come just then.
        answer = 0
        while answer != 503:
            client = await self.dial(self.dialer(proxy, self.way), sink.port, _endless)
            asked = await raw_connect(proxy.endpoint(CONNECT_UNIX))
            await until(lambda: agent.ledger.buffered > 1000, "a full agent")
            asked.ask(sink.address)
            answer = await asked.answer()
            client.transport.abortConnection()
            if answer == 200:
                asked.transport.abortConnection()
        await until(lambda: b"slow readers" in asked.body, "the reason")
        self.assertEqual(proxy.ledger.failed_by_reason["overloaded"], 1)
        for peer in sink.peers:
            if not peer.lost:
                peer.transport.abortConnection()
        await self.nothing_left()


class GrpcBoundTests(BoundTests):
    """gRPC clients."""

    way = GRPC_UNIX

    async def test_clients_whose_destinations_do_not_read(self) -> None:
        """What the proxy holds of clients that write is the first window of each and a quarter of
        its bound, however much they had moved before."""
        proxy = self.proxy(buffer_limit=str(LIMIT))
        self.agent(proxy, credit="65536")
        await self.linked(proxy)
        clients, servers = await self._tunnels(proxy, narrow=True)
        for server in servers:
            server.hold()
        for client in clients:
            Source(client, None)
        most = TUNNELS * INITIAL + LIMIT // 4
        held = await steady(lambda: proxy.ledger.buffered, "what the proxy holds")
        self.assertGreater(held, TUNNELS * INITIAL // 4, "else nothing is at stake")
        self.assertLessEqual(held, most)
        for server in servers:
            server.go_on()
        await until(lambda: all(server.count > MIB for server in servers), "what was held", 60)
        for server in servers:
            server.hold()
        self.assertLessEqual(await steady(lambda: proxy.ledger.buffered, "what it holds"), most)
        for client, server in zip(clients, servers, strict=True):
            self.assertEqual(server.digest, digest(server.count))
            client.transport.abortConnection()
            server.transport.abortConnection()
        await self.nothing_left()

    async def test_a_lone_upload(self) -> None:
        """It gets a large window, and leaves it to others at its end."""
        proxy, _ = await self.pair()
        windows = proxy.service._windows
        room = windows.room
        client, _ = await self.tunnel(proxy, self.way, self.destination())
        Source(client, None)
        await until(lambda: windows.room < room - 4 * INITIAL, "a larger window", 60)
        self.assertGreaterEqual(windows.room, room - LARGEST)
        client.transport.abortConnection()
        await self.nothing_left()
        self.assertEqual(windows.room, room)


class MessageTests(FunctionalTestCase):
    """Messages of gRPC clients that do not come whole."""

    async def _start(self, proxy: ProxyRig) -> RawStream:
        """A new client that begins the largest message there is, and says no more."""
        client = RawStream(await raw_grpc(proxy.endpoint(GRPC_UNIX)))
        message = prefix(4 * MIB) + b"\xff" * 1000
        client.protocol.transport.write(data_head(client.stream.id, len(message)) + message)
        return client

    async def test_together(self) -> None:
        """All clients together have room for so many; the next is told, and the others go on."""
        proxy, _ = await self.pair(buffer_limit=str(LIMIT))
        first = await self._start(proxy)
        await until(lambda: proxy.service._collecting.room < 4 * MIB, "the first message")
        second = await self._start(proxy)
        await until(lambda: second.status is not None, "the end of a stream")
        self.assertEqual(second.status, Status.RESOURCE_EXHAUSTED)
        self.assertIn("has no room beside others", second.text)
        await self.tunnel(proxy, GRPC_UNIX, self.destination())
        first.protocol.close("the test is over")
        await until(lambda: proxy.service._collecting.room == 4 * MIB, "its end")
        third = await self._start(proxy)
        await until(lambda: proxy.service._collecting.room < 4 * MIB, "the third message")
        for client in (second, third):
            client.protocol.close("the test is over")
