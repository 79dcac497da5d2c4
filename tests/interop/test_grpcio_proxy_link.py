"""grpcio as the proxy of our agent: how the agent comes, and how it goes."""

from __future__ import annotations

import signal

from konnect.wire.packets import PacketType
from tests.interop.grpcio_proxies import GrpcioProxyTestCase
from tests.interop.grpcio_streams import GrpcioProxy
from tests.interop.processes import shortened, wait_until

READY = (("serverid", "grpcio"), ("servercount", "1"))


class HelloTests(GrpcioProxyTestCase):
    """How an agent introduces itself."""

    def test_metadata(self) -> None:
        """One agentid, and agentidentifiers verbatim."""
        link, _, _ = self.linked(agent_id="agent-7", agent_identifiers="host=a%20b&ipv4=10.0.0.1")
        self.assertEqual(link.metadata["agentid"], ["agent-7"])
        self.assertEqual(link.metadata["agentidentifiers"], ["host=a%20b&ipv4=10.0.0.1"])
        self.assertNotIn("authorization", link.metadata)

    def test_defaults(self) -> None:
        """Without flags the id is made up, and the identifiers are sent although empty."""
        link, _, _ = self.linked()
        self.assertNotEqual(link.metadata["agentid"], [""])
        self.assertEqual(link.metadata["agentidentifiers"], [""])

    def test_silent_proxy(self) -> None:
        """A proxy that takes the call and says nothing is given up, and tried again."""
        server = self.serve(lambda number: None if number == 0 else READY)
        with shortened("konnect.agent.session", "HELLO_TIMEOUT", 1.0):
            agent = self.agent(server.port, healthy=False)
        self.assertTrue(server.accept().over.wait(15), "the agent still waits")
        agent.program.wait_for_line("no link", f"127.0.0.1:{server.port}")
        link = server.accept()
        self.assert_echoes(link, self.dial(link, "echo"))

    def test_ready_while_linked(self) -> None:
        """The agent is ready when it is linked, and not when its proxy is gone."""
        _, agent, server = self.linked()
        wait_until(agent.ready, "the agent is ready")
        server.stop()
        wait_until(lambda: not agent.ready(), "the agent is not ready")

    def test_incomplete_hello_of_the_proxy(self) -> None:
        """A proxy without its id or count is left, logged and tried again until it is right."""
        greetings = [
            (("servercount", "1"),),
            (("serverid", "grpcio"),),
            (("serverid", "grpcio"), ("servercount", "many")),
            READY,
        ]
        server = self.serve(lambda number: greetings[number])
        agent = self.agent(server.port, healthy=False)
        for _ in greetings[:-1]:
            self.assertTrue(server.accept().over.wait(10), "the agent did not leave")
        server.accept().assert_silent()
        wait_until(agent.ready, "the agent is ready")
        agent.program.wait_for_line("expected one server ID in the context, got []")

    def test_several_proxies_behind_one_address(self) -> None:
        """It connects until it has as many different proxies as they say there are."""
        ids = ["a", "a", "b", "a", "a"]
        server = self.serve(lambda number: (("serverid", ids[number]), ("servercount", "2")))
        agent = self.agent(server.port, healthy=False)
        first, duplicate, second = server.accept(), server.accept(), server.accept()
        self.assertTrue(duplicate.over.wait(10), "the second link to one proxy was not closed")
        server.assert_no_link(1.0)
        for link in (first, second):
            self.assert_echoes(link, self.dial(link, "echo"))
        self.assertEqual(agent.metric("open_server_connections"), 2)
        self.assertEqual(agent.metric("known_server_count"), 2)


class LeavingTests(GrpcioProxyTestCase):
    """How an agent goes, and how it takes a proxy's going."""

    def test_first_and_second_signal(self) -> None:
        """SIGTERM makes DRAIN and tunnels go on; a second one ends the process with 0."""
        link, agent, server = self.linked()
        tunnel = self.dial(link, "echo")
        agent.program.signal(signal.SIGTERM)
        link.receive(PacketType.DRAIN)
        self.assert_echoes(link, tunnel)
        self.assertTrue(agent.program.alive())
        agent.program.signal(signal.SIGTERM)
        self.assertEqual(agent.program.wait_exit(), 0)
        self.assertTrue(link.over.wait(5), "the link did not end")
        server.assert_no_link()

    def test_drained_agent_ends(self) -> None:
        """After SIGTERM and its last tunnel the agent ends by itself, with 0."""
        link, agent, _ = self.linked()
        tunnel = self.dial(link, "echo")
        agent.program.signal(signal.SIGTERM)
        link.receive(PacketType.DRAIN)
        self.assert_closes(link, tunnel)
        self.assertEqual(agent.program.wait_exit(), 0)

    def test_goaway(self) -> None:
        """A proxy that goes away gracefully keeps its tunnels until they end."""
        link, _, server = self.linked()
        tunnel = self.dial(link, "echo")
        server.stop(grace=20)
        link.assert_silent(1.0)
        self.assert_echoes(link, tunnel)
        self.assert_closes(link, tunnel)

    def test_refused_and_back(self) -> None:
        """While nobody listens the agent tries on; it links as soon as somebody does."""
        server = self.serve()
        port = server.port
        server.stop()
        agent = self.agent(port, healthy=False)
        agent.program.wait_for_line("no link", f"127.0.0.1:{port}")
        self.assertFalse(agent.ready())
        late = GrpcioProxy(port=port)
        self.addCleanup(late.stop)
        link = late.accept()
        self.assert_echoes(link, self.dial(link, "echo"))
