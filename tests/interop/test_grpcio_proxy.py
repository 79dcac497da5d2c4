"""grpcio as the proxy of our agent: the tunnels that the agent serves."""

from __future__ import annotations

import hashlib
import socket

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.destination import BANNER, BURST, pattern
from tests.interop.grpcio_proxies import GrpcioProxyTestCase, half_open
from tests.interop.processes import wait_until


class ServingTests(GrpcioProxyTestCase):
    """Tunnels through our agent."""

    def test_dial_data_close(self) -> None:
        """A megabyte comes back the same, the close is answered, the destination is let go."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "echo")
        sent = pattern(1 << 20)
        for at in range(0, len(sent), 50_000):
            link.send(packets.data(tunnel, sent[at : at + 50_000]))
        got = link.receive_bytes(tunnel, len(sent))
        self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(sent).digest())
        self.assert_closes(link, tunnel)
        self.assert_released("echo")
        link.assert_silent()

    def test_many_tunnels(self) -> None:
        """Fifty tunnels at once have ids of their own and keep their bytes apart."""
        link, agent, _ = self.linked()
        tunnels = [self.dial(link, "echo") for _ in range(50)]
        self.assertEqual(len(set(tunnels)), 50)
        for tunnel in tunnels:
            self.assert_echoes(link, tunnel, b"tunnel %d" % tunnel)
        wait_until(lambda: agent.metric("open_endpoint_connections") == 50, "fifty connections")
        for tunnel in tunnels:
            self.assert_closes(link, tunnel)
        wait_until(lambda: agent.metric("open_endpoint_connections") == 0, "no connection")

    def test_destination_speaks_first(self) -> None:
        """DIAL_RSP comes before the destination's first bytes."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "banner")
        self.assertEqual(link.receive_bytes(tunnel, len(BANNER)), BANNER)

    def test_destination_closes(self) -> None:
        """Everything the destination sent comes before the one CLOSE_RSP."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "burst")
        self.assertEqual(link.receive_bytes(tunnel, BURST), pattern(BURST))
        closed = link.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, ""))
        link.assert_silent()

    def test_close_right_behind_the_data(self) -> None:
        """Data sent before CLOSE_REQ reaches the destination although the close follows at once."""
        link, _, _ = self.linked()
        before = self.destination.counted("taken")
        tunnel = self.dial(link, "count")
        for _ in range(30):
            link.send(packets.data(tunnel, bytes(100_000)))
        link.send(packets.close_req(tunnel))
        self.assertEqual(link.receive(PacketType.CLOSE_RSP).closeResponse.connectID, tunnel)
        wait_until(
            lambda: self.destination.counted("taken") - before == 3_000_000, "all three megabytes"
        )

    def test_dial_failures(self) -> None:
        """Failures come in Go's words, with the dial's number and without an id."""
        failures = {
            ("tcp", "127.0.0.1:1"): "dial tcp 127.0.0.1:1: connect: connection refused",
            ("tcp", "foo"): "dial tcp: address foo: missing port in address",
            ("tcp", "127.0.0.1:99999"): "dial tcp: address 99999: invalid port",
            ("tcp", ""): "dial tcp: missing address",
            ("bogus", "127.0.0.1:1"): "dial bogus: unknown network bogus",
        }
        link, _, _ = self.linked()
        for (protocol, address), text in failures.items():
            link.send(packets.dial_req(protocol, address, 77))
            answer = link.receive(PacketType.DIAL_RSP).dialResponse
            self.assertEqual((answer.error, answer.random, answer.connectID), (text, 77, 0))

    def test_only_tcp_by_default(self) -> None:
        """The agent host's unix sockets and UDP are not a proxy's to reach."""
        path = str(self.directory() / "private.sock")
        private = socket.socket(socket.AF_UNIX)
        self.addCleanup(private.close)
        private.bind(path)
        private.listen()
        link, _, _ = self.linked()
        for protocol, address in (("unix", path), ("udp", self.destination["echo"])):
            link.send(packets.dial_req(protocol, address, 1))
            answer = link.receive(PacketType.DIAL_RSP).dialResponse
            self.assertEqual(answer.connectID, 0)
            self.assertTrue(answer.error.startswith(f"dial {protocol}"), answer.error)

    def test_cancelled_dial(self) -> None:
        """DIAL_CLS ends a dial under way at once: no answer, no socket left."""
        link, agent, _ = self.linked()
        port = self.destination.ports["full"]
        link.send(packets.dial_req("tcp", self.destination["full"], 5))
        wait_until(lambda: half_open(agent, port) == 1, "the agent is dialing")
        link.send(packets.dial_cls(5))
        wait_until(lambda: half_open(agent, port) == 0, "the dial is over", seconds=2)
        link.assert_silent()

    def test_dial_timeout(self) -> None:
        """A dial that nobody answers fails after the agent's five seconds, in Go's words."""
        link, agent, _ = self.linked()
        address = self.destination["full"]
        link.send(packets.dial_req("tcp", address, 5))
        answer = link.receive(PacketType.DIAL_RSP, seconds=9).dialResponse
        self.assertEqual(answer.error, f"dial tcp {address}: i/o timeout")
        self.assertEqual(agent.metric("endpoint_dial_failure_total"), 1)

    def test_proxy_lost(self) -> None:
        """When the link ends, so do its connections and its dials; the agent comes back."""
        link, agent, server = self.linked()
        self.dial(link, "silent")
        link.send(packets.dial_req("tcp", self.destination["full"], 5))
        port = self.destination.ports["full"]
        wait_until(lambda: half_open(agent, port) == 1, "the agent is dialing")
        link.finish()
        self.assert_released("silent")
        wait_until(lambda: half_open(agent, port) == 0, "the dial is over", seconds=2)
        again = server.accept()
        self.assert_echoes(again, self.dial(again, "echo"))
