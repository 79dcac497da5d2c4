"""grpcio as an agent that sends our proxy what it must not: everybody else is served on."""

from __future__ import annotations

import grpc

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.destination import pattern
from tests.interop.grpcio_agents import GrpcioAgentTestCase
from tests.interop.grpcio_streams import MALFORMED, bare, empty_data, oversized
from tests.interop.processes import wait_until


class MisbehaviourTests(GrpcioAgentTestCase):
    """Agents that send what they must not."""

    def test_unknown_ids(self) -> None:
        """A DIAL_RSP nobody asked for and DATA of no tunnel are told to close; others dropped."""
        agent = self.agent()
        client = self.joined(agent, 1)
        agent.send(packets.dial_rsp(12345, connect_id=9))
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 9)
        agent.send(packets.data(77, b"whose?"))
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 77)
        agent.send(
            packets.dial_rsp(12345, error="nobody asked"),
            packets.close_rsp(77),
            packets.data(0, b"zero"),
            packets.close_rsp(0),
            packets.dial_cls(12345),
            packets.close_req(1),
            packets.dial_req("tcp", "127.0.0.1:1", 4),
            bare(99),
        )
        self.exchange(agent, 1, client, b"Unharmed")
        agent.assert_silent()

    def test_duplicate_dial_rsp(self) -> None:
        """A second DIAL_RSP never reaches the client and does not hurt the tunnel."""
        agent = self.agent()
        client, random = self.asked(agent)
        agent.send(packets.dial_rsp(random, connect_id=1), packets.dial_rsp(random, connect_id=1))
        client.tunnel = client.receive(PacketType.DIAL_RSP).dialResponse.connectID
        self.exchange(agent, 1, client, b"Twice")
        agent.send(packets.dial_rsp(random, error="changed my mind"))
        self.exchange(agent, 1, client, b"Thrice")

    def test_data_after_close(self) -> None:
        """DATA behind the agent's own CLOSE_RSP never reaches the client."""
        agent = self.agent()
        client = self.joined(agent, 1)
        other = self.joined(agent, 2)
        agent.send(packets.close_rsp(1), packets.data(1, b"too late"))
        client.receive(PacketType.CLOSE_RSP)
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 1)
        client.finish()
        client.status()
        self.assertEqual(client.leftover(), [])
        self.exchange(agent, 2, other, b"Unharmed")

    def test_empty_data(self) -> None:
        """Empty DATA is not passed on: a Go client would take it for the end."""
        agent = self.agent()
        client = self.joined(agent, 1)
        agent.send(empty_data(1))
        self.exchange(agent, 1, client, b"Next")

    def test_malformed_packets(self) -> None:
        """Each malformed packet costs at most its link; the proxy serves the next agent."""
        for name, payload in MALFORMED.items():
            agent = self.agent(name)
            self.joined(agent, 1)
            agent.send(payload)
            agent.finish()
            self.assertTrue(agent.over.wait(10), f"{name}: the link did not end")
            wait_until(lambda: not self.server.ready(), f"{name}: the proxy forgets the agent")
        agent = self.agent("sound")
        self.exchange(agent, 1, self.joined(agent, 1), b"Sound")

    def test_oversized_packet(self) -> None:
        """A message over 4 MiB ends the link with grpc's text, and its tunnels with CLOSE_RSP."""
        agent = self.agent()
        client = self.joined(agent, 1)
        agent.send(oversized(1))
        code, text = agent.status()
        self.assertEqual(code, grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.assertIn("grpc: received message larger than max", text)
        self.assertEqual(
            client.receive(PacketType.CLOSE_RSP).closeResponse.connectID, client.tunnel
        )

    def test_largest_packet(self) -> None:
        """A packet of just under 4 MiB passes, in however many pieces."""
        agent = self.agent()
        client = self.joined(agent, 1)
        big = pattern(packets.MAX_DATA)
        agent.send(packets.data(1, big))
        self.assertEqual(client.receive_bytes(client.tunnel, len(big)), big)
