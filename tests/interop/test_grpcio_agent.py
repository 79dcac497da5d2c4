"""grpcio as an agent of our proxy: admission, and tunnels from dial to close that it serves."""

from __future__ import annotations

import grpc

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.destination import pattern
from tests.interop.grpcio_agents import GrpcioAgentTestCase
from tests.interop.grpcio_streams import PROXY_METHOD
from tests.interop.processes import wait_until


class AdmissionTests(GrpcioAgentTestCase):
    """Who may be an agent, and what the others are told."""

    def test_headers_come_at_once(self) -> None:
        """An admitted agent gets the server's id and count before anything else happens."""
        agent = self.agent()
        agent.assert_silent()
        self.assertTrue(self.server.ready())

    def test_refusals(self) -> None:
        """Bad metadata ends the call with UNKNOWN and upstream's words."""
        agent_id = ("agentid", "x")
        refusals = [
            ([], "expected one agent ID in the context, got []"),
            ([agent_id, ("agentid", "y")], "expected one agent ID in the context, got [x y]"),
            (
                [agent_id, ("agentidentifiers", "host=a"), ("agentidentifiers", "host=b")],
                "expected at most one set of agent identifiers in the context, got [host=a host=b]",
            ),
            (
                [agent_id, ("agentidentifiers", "host=a;host=b")],
                "fail to parse url encoded string: invalid semicolon separator in query",
            ),
            (
                [agent_id, ("agentidentifiers", "host=%zz")],
                'fail to parse url encoded string: invalid URL escape "%zz"',
            ),
        ]
        for metadata, text in refusals:
            status = self.attempt(*metadata).status()
            self.assertEqual(status, (grpc.StatusCode.UNKNOWN, text))
        self.assertFalse(self.server.ready())

    def test_unusual_but_admitted(self) -> None:
        """Identifiers are optional, unknown ones are ignored and values are not judged."""
        for identifiers in ([], [("agentidentifiers", "uid=1&ipv6=:::::&default-route=maybe")]):
            stream = self.attempt(("agentid", "x"), *identifiers)
            self.assertEqual(len(stream.initial_metadata()["serverid"]), 1)

    def test_other_methods(self) -> None:
        """The agent listener serves no clients."""
        stream = self.attempt(method=PROXY_METHOD)
        self.assertEqual(stream.status()[0], grpc.StatusCode.UNIMPLEMENTED)


class ServingTests(GrpcioAgentTestCase):
    """Tunnels that a foreign agent serves."""

    def test_dial_data_close(self) -> None:
        """A tunnel from dial to close: addresses and bytes as they are, one CLOSE_RSP."""
        agent = self.agent()
        client = self.joined(agent, 1)
        big = pattern(300_000)
        self.exchange(agent, 1, client, b"Hello")
        self.exchange(agent, 1, client, big)
        client.send(packets.close_req(client.tunnel))
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 1)
        agent.send(packets.close_rsp(1))
        closed = client.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (client.tunnel, ""))

    def test_failed_dial(self) -> None:
        """The agent's error text reaches the client as it is."""
        agent = self.agent()
        client, random = self.asked(agent, "nowhere:1")
        agent.send(packets.dial_rsp(random, error="dial tcp: lookup nowhere: no such host"))
        answer = client.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual(answer.error, "dial tcp: lookup nowhere: no such host")
        self.assertEqual(answer.connectID, 0)

    def test_agent_ends_the_tunnel(self) -> None:
        """Data before the agent's CLOSE_RSP arrives before it."""
        agent = self.agent()
        client = self.joined(agent, 1)
        agent.send(packets.data(1, b"last words"), packets.close_rsp(1))
        self.assertEqual(client.receive_bytes(client.tunnel, 10), b"last words")
        self.assertEqual(client.receive(PacketType.CLOSE_RSP).closeResponse.error, "")

    def test_client_leaves_during_the_dial(self) -> None:
        """The agent is told with DIAL_CLS, and a late success is closed."""
        agent = self.agent()
        client, random = self.asked(agent)
        client.cancel()
        self.assertEqual(agent.receive(PacketType.DIAL_CLS).closeDial.random, random)
        agent.send(packets.dial_rsp(random, connect_id=8))
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 8)

    def test_client_leaves_a_tunnel(self) -> None:
        """A client that resets its stream makes one CLOSE_REQ."""
        agent = self.agent()
        client = self.joined(agent, 1)
        client.cancel()
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 1)
        agent.send(packets.close_rsp(1))
        agent.assert_silent()

    def test_agent_lost(self) -> None:
        """A lost agent ends its tunnels with CLOSE_RSP and fails its pending dials, all at once."""
        agent = self.agent()
        client = self.joined(agent, 1)
        pending, _ = self.asked(agent)
        agent.cancel()
        closed = client.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual(closed.connectID, client.tunnel)
        self.assertNotEqual(pending.receive(PacketType.DIAL_RSP).dialResponse.error, "")
        wait_until(lambda: not self.server.ready(), "the proxy is not ready")

    def test_drain(self) -> None:
        """A draining agent keeps its tunnels; new dials go to others, if there are any."""
        old = self.agent("old")
        client = self.joined(old, 1)
        old.send(packets.drain())
        self.exchange(old, 1, client, b"Drained")
        self.joined(old, 2)
        new = self.agent("new")
        for number in range(5):
            self.joined(new, 1 + number)
        old.assert_silent()

    def test_same_ids_on_two_links(self) -> None:
        """Two agents, even of one name, may both use connectID 1: their tunnels stay apart."""
        agents = [self.agent("twin")]
        clients = [self.joined(agents[0], 1)]
        agents.append(self.agent("twin"))
        agents[0].send(packets.drain())
        clients.append(self.joined(agents[1], 1))
        for agent, client, word in zip(agents, clients, (b"First", b"Second"), strict=True):
            self.exchange(agent, 1, client, word)
        agents[1].send(packets.close_rsp(1))
        clients[1].receive(PacketType.CLOSE_RSP)
        self.exchange(agents[0], 1, clients[0], b"Alone")

    def test_answer_of_the_wrong_agent(self) -> None:
        """An agent cannot answer a dial that another was asked for."""
        asked = self.agent("asked")
        client, random = self.asked(asked)
        other = self.agent("other")
        other.send(packets.dial_rsp(random, connect_id=5))
        self.assertEqual(other.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 5)
        client.assert_silent()
        asked.send(packets.dial_rsp(random, connect_id=6))
        self.assertEqual(client.receive(PacketType.DIAL_RSP).dialResponse.error, "")
