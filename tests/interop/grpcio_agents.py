"""The test case of a proxy of ours whose agents, and clients, are grpcio's."""

from __future__ import annotations

import secrets

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.grpcio_streams import (
    CONNECT_METHOD,
    PROXY_METHOD,
    ClientStream,
    agent_channel,
    frontend_channel,
)
from tests.interop.pairs import InteropTestCase, Proxy
from tests.interop.processes import wait_until


class DialingClient(ClientStream):
    """A client's stream with one dial: the number it chose, and its tunnel once that is open."""

    dialed = 0
    tunnel = 0


class GrpcioAgentTestCase(InteropTestCase):
    """One proxy of ours whose agents and clients are both grpcio's."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.lone_proxy()
        self.clients = frontend_channel(self.server)
        self.addCleanup(self.clients.close)
        # The next test's proxy may be this one: it must have forgotten this test's agents by then.
        self.addCleanup(wait_until, lambda: not self.server.ready(), "all agents are forgotten")

    def attempt(self, *metadata: tuple[str, str], method: str = CONNECT_METHOD) -> ClientStream:
        """A Connect call with just this metadata, on a connection of its own."""
        channel = agent_channel(self.server)
        self.addCleanup(channel.close)
        stream = ClientStream(channel, method, metadata)
        self.addCleanup(stream.cancel)
        return stream

    def agent(self, name: str = "grpcio-agent", identifiers: str = "") -> ClientStream:  # type: ignore[override]
        """An admitted agent."""
        stream = self.attempt(("agentid", name), ("agentidentifiers", identifiers))
        headers = stream.initial_metadata()
        self.assertEqual(len(headers["serverid"]), 1)
        self.assertEqual(headers["servercount"], ["1"])
        return stream

    def client(self) -> DialingClient:
        stream = DialingClient(self.clients, PROXY_METHOD)
        self.addCleanup(stream.cancel)
        return stream

    def asked(
        self, agent: ClientStream, address: str = "pod.example:80"
    ) -> tuple[DialingClient, int]:
        """A client that has dialed, and the number of its dial as the agent got it."""
        client = self.client()
        random = secrets.randbits(62)
        client.send(packets.dial_req("tcp", address, random))
        request = agent.receive(PacketType.DIAL_REQ).dialRequest
        self.assertEqual((request.protocol, request.address), ("tcp", address))
        client.dialed = random
        return client, request.random

    def joined(self, agent: ClientStream, connect_id: int) -> DialingClient:
        """A client whose dial the agent has answered with success."""
        client, random = self.asked(agent)
        agent.send(packets.dial_rsp(random, connect_id=connect_id))
        answer = client.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual((answer.error, answer.random), ("", client.dialed))
        client.tunnel = answer.connectID
        return client

    def exchange(
        self, agent: ClientStream, connect_id: int, client: DialingClient, word: bytes
    ) -> None:
        """Bytes pass both ways through the tunnel."""
        client.send(packets.data(client.tunnel, word))
        self.assertEqual(agent.receive_bytes(connect_id, len(word)), word)
        agent.send(packets.data(connect_id, word.swapcase()))
        self.assertEqual(client.receive_bytes(client.tunnel, len(word)), word.swapcase())

    def lone_proxy(self) -> Proxy:
        """The proxy that this module shares."""
        return self.shared_proxy("grpc", "uds")
