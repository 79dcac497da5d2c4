"""Faults in the middle of a tunnel that others are known to get wrong, injected one by one: what
konnect does instead.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from konnect.proxy import hold
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.functional.peers import Peer, arrived, closed, content, digest, echo, greet
from tests.functional.programs import AgentRig, ProxyRig
from tests.functional.raw import RawStream, raw_grpc
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    WAYS,
    FunctionalTestCase,
)
from tests.functional.waiting import turns, until

BEFORE = 1000
"""Bytes that come through before a write fails."""

GREETING = b"hello\n"


def break_writes(transport: Any) -> None:
    """From now on every write to this connection's socket fails (EPIPE); it still reads."""
    with socket.socket(fileno=os.dup(transport.fileno())) as same:
        same.shutdown(socket.SHUT_WR)


class LateClient(RawStream):
    """A client like Go's: it throws away what comes for a connection before it knows of that, some
    time after DIAL_RSP."""

    def __init__(self, protocol: Any) -> None:
        super().__init__(protocol)
        self.known: set[int] = set()
        self.got: dict[int, bytes] = {}

    def message(self, payload: bytes, cost: int) -> None:
        super().message(payload, cost)
        packet = self.packets[-1]
        if packet.type == PacketType.DATA and packet.data.connectID in self.known:
            self.got[packet.data.connectID] += packet.data.data

    def know(self, connect_id: int) -> None:
        """The connection may be used."""
        self.known.add(connect_id)
        self.got[connect_id] = b""


class DestinationFirstTests(FunctionalTestCase):
    """The destination speaks before its client."""

    async def test_right_behind_the_answer(self) -> None:
        """What a destination says at once is not lost on a client that is not ready for it until
        some time after DIAL_RSP."""
        # As long as the client takes; it is over when the client speaks.
        self.patch(hold, "HOLD", 3600.0)
        proxy, agent = await self.pair()
        destination = self.destination(greet)
        protocol = await raw_grpc(proxy.endpoint(GRPC_UNIX))
        client = LateClient(protocol)
        for number in range(40):
            client.ask(destination.address, random=number + 1)
        await until(lambda: len(client.of(PacketType.DIAL_RSP)) == 40, "40 tunnels")
        ledger = proxy.ledger
        await until(lambda: ledger.packets["from_agent", "DATA"] == 40, "the greetings")
        await turns()
        answers = [packet.dialResponse.connectID for packet in client.of(PacketType.DIAL_RSP)]
        for connect_id in answers:
            client.know(connect_id)
            client.stream.send(packets.data(connect_id, b"thanks"))
        whole = dict.fromkeys(answers, GREETING + b"thanks")
        await until(lambda: client.got == whole, "all greetings, and the answers behind them")
        self.assertEqual(len(agent.sessions[0].link.ends), 40)
        protocol.close("done")
        await self.nothing_left()


class FailedWriteTests(FunctionalTestCase):
    """A write fails amid a tunnel: nothing may follow it, or what arrives has a hole. The tunnel is
    closed, once; the other side is told, and it is counted."""

    def assert_closed(self, rig: ProxyRig | AgentRig, **reasons: int) -> None:
        """All tunnels of a program are closed, for these reasons."""
        ledger = rig.service.ledger
        self.assertEqual(dict(ledger.closed_by_reason), reasons)
        self.assertEqual((ledger.closed, ledger.live), (sum(reasons.values()), 0))

    async def test_towards_a_connect_client(self) -> None:
        """A proxy's write to a CONNECT client: the destination's connection ends."""
        for way in (CONNECT_UNIX, CONNECT_TLS):
            proxy, agent = await self.pair()
            before = proxy.service.connections()
            client, server = await self.tunnel(proxy, way, self.destination())
            (connection,) = set(proxy.service.connections()) - set(before)
            server.transport.write(content(0, BEFORE))
            await arrived(BEFORE, client)
            client.hold()  # It must not be the one who ends the tunnel.
            break_writes(connection.transport)
            server.transport.write(content(BEFORE, BEFORE))
            await closed(server)
            client.go_on()
            await closed(client)
            self.assertEqual((client.count, client.digest), (BEFORE, digest(BEFORE)))
            await self.nothing_left()
            self.assert_closed(proxy, client_lost=1)
            self.assert_closed(agent, client_lost=1)
            await agent.stop()

    async def test_towards_a_grpc_client(self) -> None:
        """A proxy's write to a gRPC client's connection: all its tunnels end."""
        for way in (GRPC_UNIX, GRPC_TLS):
            await self._towards_a_grpc_client(way)

    async def _towards_a_grpc_client(self, way: str) -> None:
        proxy, agent = await self.pair()
        before = proxy.service.connections()
        protocol: Any = await raw_grpc(proxy.endpoint(way))
        stream, destination = RawStream(protocol), self.destination()
        for number in (1, 2):
            stream.ask(destination.address, random=number)
        await until(lambda: len(stream.of(PacketType.DIAL_RSP)) == 2, "two tunnels")
        (connection,) = set(proxy.service.connections()) - set(before)
        server = await destination.peer(1)
        server.transport.write(content(0, BEFORE))
        await until(lambda: len(stream.bytes) == BEFORE, "bytes at the client")
        protocol.transport.pauseProducing()
        break_writes(connection.transport)
        server.transport.write(content(BEFORE, BEFORE))
        await closed(*destination.peers)
        protocol.transport.resumeProducing()
        await until(lambda: stream.status is not None, "the end of the client's stream")
        self.assertEqual(stream.bytes, content(0, BEFORE))
        await self.nothing_left()
        self.assert_closed(proxy, client_lost=2)
        self.assert_closed(agent, client_lost=2)
        await agent.stop()

    async def test_towards_a_destination(self) -> None:
        """An agent's write to a destination: the client's connection ends."""
        for way in WAYS:
            proxy, agent = await self.pair()
            client, server = await self.tunnel(proxy, way, self.destination())
            client.transport.write(content(0, BEFORE))
            await arrived(BEFORE, server)
            server.hold()
            (_, connection) = agent.sessions[0].link.holders
            break_writes(connection.transport)
            client.transport.write(content(BEFORE, BEFORE))
            await closed(client)
            server.go_on()
            await closed(server)
            self.assertEqual((server.count, server.digest), (BEFORE, digest(BEFORE)))
            await self.nothing_left()
            self.assert_closed(proxy, destination_lost=1)
            self.assert_closed(agent, destination_lost=1)
            await agent.stop()

    async def test_towards_an_agent(self) -> None:
        """A proxy's write to an agent's link: all tunnels of the link end, and the agent links
        anew."""
        proxy, agent, clients, servers = await self._tunnels()
        at_proxy, at_agent = self._link(proxy, agent)
        at_agent.pauseProducing()  # It must not be the one who ends the link.
        break_writes(at_proxy)
        clients[0].transport.write(content(0, BEFORE))
        await closed(*clients)
        at_agent.resumeProducing()
        await closed(*servers)
        self.assertEqual([server.count for server in servers], [BEFORE] * len(WAYS))
        await self._over(proxy, agent)

    async def test_towards_a_proxy(self) -> None:
        """An agent's write to its proxy: so it is there."""
        proxy, agent, clients, servers = await self._tunnels()
        at_proxy, at_agent = self._link(proxy, agent)
        at_proxy.pauseProducing()
        break_writes(at_agent)
        servers[0].transport.write(content(0, BEFORE))
        await closed(*servers)
        at_proxy.resumeProducing()
        await closed(*clients)
        self.assertEqual([client.count for client in clients], [0] * len(WAYS))
        await self._over(proxy, agent)

    async def _tunnels(self) -> tuple[ProxyRig, AgentRig, list[Peer], list[Peer]]:
        """A pair, and a tunnel by each way that has carried something."""
        proxy, agent = await self.pair()
        destination = self.destination()
        tunnels = [await self.tunnel(proxy, way, destination) for way in WAYS]
        for client, server in tunnels:
            client.transport.write(content(0, BEFORE))
            await arrived(BEFORE, server)
        clients, servers = zip(*tunnels, strict=True)
        return proxy, agent, list(clients), list(servers)

    def _link(self, proxy: ProxyRig, agent: AgentRig) -> tuple[Any, Any]:
        """The two transports of a pair's link."""
        (link,) = proxy.service.registry.links()
        return link.stream.transport, agent.sessions[0].protocol.transport

    async def _over(self, proxy: ProxyRig, agent: AgentRig) -> None:
        """The link's tunnels are over on both sides; then another works."""
        await self.nothing_left()
        self.assert_closed(proxy, agent_lost=len(WAYS))
        self.assert_closed(agent, proxy_lost=len(WAYS))
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, CONNECT_UNIX, self.destination(echo))
        client.transport.write(b"ping")
        await arrived(4, client)
        client.transport.loseConnection()


class LossTests(FunctionalTestCase):
    """An agent may have several links; each is a connection of its own."""

    async def test_a_link_that_loses_everything(self) -> None:
        """Where nothing comes through on one link, tunnels on the other go on, dials take it, and
        what was on the first is late, not lost."""
        proxy = self.proxy(dial_answer_timeout="2s")
        network = self.balancer(proxy)
        good = self.agent(proxy, agent_id="twin")
        await self.linked(proxy)
        destination = self.destination(echo)
        lively, _ = await self.tunnel(proxy, CONNECT_UNIX, destination)
        bad = self.agent(network, agent_id="twin")
        await self.linked(proxy, 2)
        # Dials take an id's newest link.
        late, _ = await self.tunnel(proxy, CONNECT_UNIX, destination)
        self.assertEqual((good.live, bad.live), (1, 1))
        network.stick()
        for client in (lively, late):
            client.transport.write(content(0, BEFORE))
        await arrived(BEFORE, lively)
        client, _ = await self.tunnel(proxy, GRPC_UNIX, destination)
        client.transport.write(b"ping")
        await arrived(4, client)
        self.assertEqual(dict(proxy.ledger.dials_retried), {"unanswered": 1})
        self.assertEqual((good.live, late.count), (2, 0))
        network.go_on()
        await arrived(BEFORE, late)
        self.assertEqual(late.digest, digest(BEFORE))
        for each in (lively, late, client):
            each.transport.loseConnection()
        await self.nothing_left()
