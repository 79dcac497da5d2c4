"""An agent of ours and a proxy that serves its clients one after the other, as stock ones do."""

from __future__ import annotations

import socket

from konnect.wire import packets
from tests.interop.grpcio_proxies import GrpcioProxyTestCase
from tests.interop.pairs import _sum_of
from tests.interop.processes import http_get, shortened, wait_until
from tests.interop.stock_proxy import StockProxy

WORD = b"still there?"
STALLED = 'konnect_tunnels_closed_total{reason="stalled"}'


class StoppedClientTests(GrpcioProxyTestCase):
    """A client that reads nothing, while others use the same agent."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy_ = StockProxy()
        self.addCleanup(self.proxy_.stop)
        with shortened("konnect.agent.unblocking", "OTHERS_PATIENCE", 1.0):
            self.agent_ = self.agent(self.proxy_.port, healthy=False, stall_timeout="1s")
        self.link = self.proxy_.accept()

    def opened(self, kind: str) -> tuple[int, socket.socket]:
        """A tunnel: its connectID and its client."""
        connect_id, client = self.proxy_.open(self.link, self.destination[kind])
        self.addCleanup(client.close)
        return connect_id, client

    def cut(self) -> float:
        """How many tunnels were cut."""
        _, page = http_get(self.agent_.health_port, "/metrics")
        return sum(float(line.split()[-1]) for line in page.splitlines() if STALLED in line)

    def test_it_is_cut(self) -> None:
        """The one that all wait for is cut, past the stream that it blocks, and all others go on,
        with what they had asked for meanwhile as well."""
        echo, waiting = self.opened("echo")
        _, stopped = self.opened("flood")
        said = self.agent_.program.wait_for_line
        said("has taken nothing for 1 seconds")
        self.link.send(packets.data(echo, WORD))
        said("cutting the tunnel to " + self.destination["flood"])
        self.assertEqual(waiting.recv(100), WORD)
        while stopped.recv(65536):
            pass
        for _ in range(2):
            side = self.proxy_.accept()
            self.assertEqual(side.metadata["agentid"], self.link.metadata["agentid"])
            self.assertTrue(side.over.wait(10), "a stream past the link did not end")
        said("takes what is sent again")
        later, client = self.opened("echo")
        self.link.send(packets.data(later, WORD))
        self.assertEqual(client.recv(100), WORD)
        self.assertEqual(self.cut(), 1)
        self.assertEqual(_sum_of(self.agent_.health_port, "konnect_links_blocked"), 0)
        self.assert_released("flood")

    def test_each_that_stops(self) -> None:
        """Several are cut in turn, and a client that reads gets its bytes between and after."""
        echo, reader = self.opened("echo")
        stopped = [self.opened("flood")[1] for _ in range(2)]
        wait_until(lambda: self.cut() == 2, "both are cut", 60)
        for client in stopped:
            while client.recv(65536):
                pass
        self.link.send(packets.data(echo, WORD))
        self.assertEqual(reader.recv(100), WORD)
        self.assert_released("flood")
