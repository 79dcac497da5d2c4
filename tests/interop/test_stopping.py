"""A proxy that is told to stop, as a process: what its agents see, and the second signal."""

from __future__ import annotations

import signal
import socket

import grpc

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
from tests.interop.processes import Program, wait_until
from tests.interop.wire_agents import FEATURES, GOAWAY, WireAgent

LONG = "300s"
"""Far above every wait of a test."""

ENOUGH = 30.0
"""Bound of a stop at once, on a busy machine."""

Agent = WireAgent | ClientStream


class StoppingCase(InteropTestCase):
    """A proxy of the test's own, whose agents the test is, and its clients."""

    def wire_agent(self, proxy: Proxy, name: str, *metadata: tuple[str, str]) -> WireAgent:
        """An admitted agent that sees frames."""
        agent = WireAgent(proxy, name, *metadata)
        self.addCleanup(agent.close)
        return agent

    def opened(self, proxy: Proxy, agent: Agent, connect_id: int) -> tuple[ClientStream, int]:
        """A client with a tunnel through the proxy's only agent, and the tunnel's number."""
        channel = frontend_channel(proxy)
        self.addCleanup(channel.close)
        client = ClientStream(channel, PROXY_METHOD)
        self.addCleanup(client.cancel)
        client.send(packets.dial_req("tcp", "pod.example:80", 1))
        random = agent.receive(PacketType.DIAL_REQ).dialRequest.random
        agent.send(packets.dial_rsp(random, connect_id=connect_id))
        answer = client.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual(answer.error, "")
        return client, int(answer.connectID)

    def exchange(self, client: ClientStream, tunnel: int, agent: Agent, connect_id: int) -> None:
        """Bytes pass both ways."""
        client.send(packets.data(tunnel, b"question"))
        self.assertEqual(agent.receive_bytes(connect_id, 8), b"question")
        agent.send(packets.data(connect_id, b"answer"))
        self.assertEqual(client.receive_bytes(tunnel, 6), b"answer")

    def closed_by_the_client(self, client: ClientStream, tunnel: int, agent: Agent) -> None:
        """The tunnel ends in order."""
        client.send(packets.close_req(tunnel))
        connect_id = agent.receive(PacketType.CLOSE_REQ).closeRequest.connectID
        agent.send(packets.close_rsp(connect_id))
        client.receive(PacketType.CLOSE_RSP)

    def takes_no_agents(self, proxy: Proxy) -> None:
        """Wait until the agents' port is closed, which is when agents are told."""

        def refused() -> bool:
            try:
                socket.create_connection(("127.0.0.1", proxy.agent_port), timeout=5).close()
            except ConnectionRefusedError:
                return True
            return False

        wait_until(refused, "the agents' port is closed")


class AgentsOfAStoppingProxyTests(StoppingCase):
    """A stock agent that hears of a GOAWAY drops its connection within a second, and with it what
    it carries."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.proxy(graceful_shutdown_timeout=LONG, shutdown_delay="0s")

    def test_stock_agent(self) -> None:
        """It is told nothing while a tunnel lives, while a konnect agent is told at once."""
        stock = self.wire_agent(self.server, "stock")
        client, tunnel = self.opened(self.server, stock, 5)
        konnect = self.wire_agent(self.server, "konnect", FEATURES)
        self.server.program.signal(signal.SIGTERM)
        wait_until(lambda: konnect.seen, "the konnect agent is told")
        self.takes_no_agents(self.server)
        self.exchange(client, tunnel, stock, 5)
        self.assertEqual(konnect.seen, [GOAWAY])
        self.assertNotIn(GOAWAY, stock.seen)
        self.closed_by_the_client(client, tunnel, stock)
        self.assertEqual(self.server.program.wait_exit(ENOUGH), 0)
        self.assertTrue(stock.over.wait(10))
        self.assertEqual(stock.seen, ["DIAL_REQ", "DATA", "CLOSE_REQ", GOAWAY])

    def test_konnect_agent(self) -> None:
        """It is told while it has a tunnel, which goes on to its own end."""
        agent = self.wire_agent(self.server, "konnect", FEATURES)
        client, tunnel = self.opened(self.server, agent, 5)
        self.server.program.signal(signal.SIGTERM)
        wait_until(lambda: GOAWAY in agent.seen, "the agent is told")
        self.exchange(client, tunnel, agent, 5)
        self.closed_by_the_client(client, tunnel, agent)
        self.assertEqual(self.server.program.wait_exit(ENOUGH), 0)

    def test_grpcio_agent(self) -> None:
        """grpcio, whose connection is not ready any more as soon as GOAWAY comes, stays ready until
        its tunnel has ended. So does Go's, by which stock agents go."""
        channel = agent_channel(self.server)
        self.addCleanup(channel.close)
        states: list[grpc.ChannelConnectivity] = []
        channel.subscribe(states.append)
        agent = ClientStream(channel, CONNECT_METHOD, (("agentid", "grpcio"),))
        self.addCleanup(agent.cancel)
        agent.initial_metadata()
        client, tunnel = self.opened(self.server, agent, 5)
        self.server.program.signal(signal.SIGTERM)
        self.takes_no_agents(self.server)
        self.exchange(client, tunnel, agent, 5)
        agent.assert_silent()
        self.assertIs(states[-1], grpc.ChannelConnectivity.READY)
        self.closed_by_the_client(client, tunnel, agent)
        self.assertEqual(self.server.program.wait_exit(ENOUGH), 0)
        wait_until(lambda: states[-1] is not grpc.ChannelConnectivity.READY, "it sees the end")

    def test_time_is_up(self) -> None:
        """What is cut is closed first: a stock agent gets CLOSE_REQ, then GOAWAY."""
        server = self.proxy(graceful_shutdown_timeout="1s", shutdown_delay="0s")
        stock = self.wire_agent(server, "stock")
        client, tunnel = self.opened(server, stock, 5)
        server.program.signal(signal.SIGTERM)
        self.assertEqual(client.receive(PacketType.CLOSE_RSP).closeResponse.connectID, tunnel)
        self.assertEqual(server.program.wait_exit(ENOUGH), 0)
        self.assertTrue(stock.over.wait(10))
        self.assertEqual(stock.seen, ["DIAL_REQ", "CLOSE_REQ", GOAWAY])


class SecondSignalTests(StoppingCase):
    """Both programs with live tunnels and all the time that they could want, signalled twice."""

    def account(self, program: Program, link: str) -> None:
        """The line of the tunnel that was cut is in the log, before the process has ended."""
        self.assertFalse(program.alive())
        program.wait_for_line("tunnel ended:", self.destination["echo"], link, "reason=shutdown")

    def dialed(self, proxy: Proxy) -> tuple[ClientStream, int]:
        """A tunnel to the echo."""
        channel = frontend_channel(proxy)
        self.addCleanup(channel.close)
        client = ClientStream(channel, PROXY_METHOD)
        self.addCleanup(client.cancel)
        client.send(packets.dial_req("tcp", self.destination["echo"], 1))
        tunnel = int(client.receive(PacketType.DIAL_RSP).dialResponse.connectID)
        self.assert_echoes(client, tunnel)
        return client, tunnel

    def assert_echoes(self, client: ClientStream, tunnel: int) -> None:
        client.send(packets.data(tunnel, b"still there?"))
        self.assertEqual(client.receive_bytes(tunnel, 12), b"still there?")

    def test_proxy(self) -> None:
        """The proxy ends with 1; its tunnels are closed, and their accounts written."""
        flags = {"graceful_shutdown_timeout": LONG, "shutdown_delay": "0s"}
        pair = self.own_pair(server_id="first", **flags)
        before = self.destination.live("echo")
        clients = [self.dialed(pair.proxy) for _ in range(3)]
        program = pair.proxy.program
        program.signal(signal.SIGTERM)
        self.takes_no_agents(pair.proxy)
        for client, tunnel in clients:
            self.assert_echoes(client, tunnel)
        program.signal(signal.SIGTERM)
        for client, tunnel in clients:
            closed = client.receive(PacketType.CLOSE_RSP).closeResponse
            self.assertEqual(closed.connectID, tunnel)
        self.assertEqual(program.wait_exit(ENOUGH), 1)
        program.wait_for_line("SIGTERM: stopping")
        program.wait_for_line("SIGTERM again: stopping at once")
        program.wait_for_line("3 tunnels and 0 dials are cut: a second signal came")
        self.account(program, "agent=")
        self.assertEqual(program.log().count("tunnel ended:"), 3)
        pair.agent.program.wait_for_line("tunnel ended:", "proxy=first", "reason=shutdown")
        self.assert_released("echo", before)

    def test_proxy_that_waits_for_its_balancer(self) -> None:
        """The second signal, be it the other one, ends the delay before the ports close, too."""
        flags = {"graceful_shutdown_timeout": LONG, "shutdown_delay": "100s"}
        pair = self.own_pair(**flags)
        client, tunnel = self.dialed(pair.proxy)
        program = pair.proxy.program
        program.signal(signal.SIGINT)
        wait_until(lambda: not pair.proxy.ready(), "it is not ready")
        self.assert_echoes(client, tunnel)
        program.signal(signal.SIGTERM)
        self.assertEqual(program.wait_exit(ENOUGH), 1)
        self.account(program, "agent=")
        client.receive(PacketType.CLOSE_RSP)

    def test_agent(self) -> None:
        """The agent ends with 0, as upstream's does; its tunnels are closed and accounted for."""
        proxy = self.proxy(server_id="first")
        agent = self.agent(proxy.agent_port, drain_timeout=LONG)
        proxy.wait_ready()
        before = self.destination.live("echo")
        client, tunnel = self.dialed(proxy)
        agent.program.signal(signal.SIGTERM)
        proxy.program.wait_for_line("is draining")
        self.assert_echoes(client, tunnel)
        agent.program.signal(signal.SIGTERM)
        self.assertEqual(client.receive(PacketType.CLOSE_RSP).closeResponse.connectID, tunnel)
        self.assertEqual(agent.program.wait_exit(ENOUGH), 0)
        agent.program.wait_for_line("1 tunnels are cut: a second signal came")
        self.account(agent.program, "proxy=first")
        proxy.program.wait_for_line("tunnel ended:", "agent=", "reason=shutdown")
        self.assert_released("echo", before)
