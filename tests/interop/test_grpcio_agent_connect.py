"""A CONNECT client and a grpcio agent around our proxy: every moment is the test's to choose."""

from __future__ import annotations

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.connecting import ConnectClient
from tests.interop.grpcio_agents import GrpcioAgentTestCase
from tests.interop.pairs import Proxy


class ConnectFrontendTests(GrpcioAgentTestCase):
    """The CONNECT frontend in front of a foreign agent, so that every moment is ours to choose."""

    def lone_proxy(self) -> Proxy:
        return self.shared_proxy("http-connect", "uds")

    def test_answer_waits_for_the_agent(self) -> None:
        """Not a byte before DIAL_RSP, then the 200 line, then what the destination says."""
        agent = self.agent()
        client = ConnectClient(self, self.server, "pod.example:443")
        random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
        client.assert_silent()
        agent.send(packets.dial_rsp(random, connect_id=3), packets.data(3, b"220 ready\r\n"))
        wanted = b"HTTP/1.1 200 Connection Established\r\n\r\n220 ready\r\n"
        self.assertEqual(client.receive(len(wanted)), wanted)

    def test_statuses(self) -> None:
        """The agent's error text is the body, and decides the status."""
        statuses = {
            "dial tcp 10.0.0.1:80: i/o timeout": 504,
            "dial tcp 127.0.0.1:1: connect: connection refused": 502,
            "socket: too many open files": 503,
            "dial tcp: lookup x: no such host": 502,
            "something else": 502,
        }
        agent = self.agent()
        for text, status in statuses.items():
            client = ConnectClient(self, self.server, "pod.example:443")
            random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
            agent.send(packets.dial_rsp(random, error=text))
            answer = client.response()
            self.assertEqual((answer.status, answer.read().decode()), (status, text))

    def test_agent_lost_during_the_dial(self) -> None:
        """The client is told at once, with 502."""
        agent = self.agent()
        client = ConnectClient(self, self.server, "pod.example:443")
        agent.receive(PacketType.DIAL_REQ)
        agent.cancel()
        self.assertEqual(client.response().status, 502)

    def test_client_leaves_during_the_dial(self) -> None:
        """The agent is told with DIAL_CLS, and a late success is closed."""
        agent = self.agent()
        client = ConnectClient(self, self.server, "pod.example:443")
        random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
        client.close()
        self.assertEqual(agent.receive(PacketType.DIAL_CLS).closeDial.random, random)
        agent.send(packets.dial_rsp(random, connect_id=8))
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 8)

    def test_early_bytes(self) -> None:
        """Bytes sent right behind the request head reach the destination first."""
        agent = self.agent()
        client = ConnectClient(self, self.server, "pod.example:443", early=b"eager ")
        random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
        agent.send(packets.dial_rsp(random, connect_id=3))
        self.assertEqual(client.response().status, 200)
        client.send(b"bytes")
        self.assertEqual(agent.receive_bytes(3, 11), b"eager bytes")

    def test_client_finishes(self) -> None:
        """A client that shuts down its sending side still gets what the destination says."""
        agent = self.agent()
        client = ConnectClient(self, self.server, "pod.example:443")
        random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
        agent.send(packets.dial_rsp(random, connect_id=3))
        self.assertEqual(client.response().status, 200)
        client.send(b"question")
        client.finish()
        self.assertEqual(agent.receive_bytes(3, 8), b"question")
        self.assertEqual(agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID, 3)
        agent.send(packets.data(3, b"answer"), packets.close_rsp(3))
        self.assertEqual(client.receive(6), b"answer")
        self.assertEqual(client.receive_to_end(), b"")
