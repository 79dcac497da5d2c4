"""Tests of konnect.agent.connector: proxies that go away, and the agent's own end."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from konnect.agent.backoff import Backoff
from konnect.agent.connector import SPARE_FOR, Connector
from konnect.agent.membership import Membership
from konnect.net.policing import TOO_MANY_PINGS
from konnect.wire import packets
from konnect.wire.status import ErrorCode
from tests.agent.connecting import CAP, INTERVAL, ConnectorTestCase
from tests.fakes import readable


class LeavingTests(ConnectorTestCase):
    """A proxy that is going away."""

    def test_looks_without_end(self) -> None:
        """An interval of next to nothing is one that a program can be at rest between."""
        self.connector = Connector(
            [], Membership("a", "", probe_interval=1e-9), self.ledger, self.dialer, self.clock
        )
        self.connector.start()
        (look,) = self.clock.getDelayedCalls()
        self.assertGreaterEqual(look.getTime(), Backoff.FLOOR)

    def test_make_before_break(self) -> None:
        """GOAWAY lets the tunnels go on while another link is made; the old one goes when idle."""
        proxy = self.proxy()
        self.begin(proxy)
        old = self.connector.sessions["s-1"]
        proxy.links[0].stream.send(packets.dial_req("tcp", "host:80", 7))
        self.run_wires()
        socket = self.dialer.dials[0].connects()
        self.run_wires()
        proxy.go_away()
        self.run_wires()
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1"])
        self.assertIsNot(self.connector.sessions["s-1"], old)
        self.assertEqual(self.connector.leaving, [old])
        self.assertEqual((proxy.live, self.ledger.open_server_connections), (2, 1))
        socket.deliver(b"still there")
        self.run_wires()
        self.assertEqual(readable(proxy.links[0].got[-1]), ("DATA", 1, b"still there"))
        socket.lose()
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connector.leaving, [])
        self.assertEqual(proxy.live, 1)

    def test_idle(self) -> None:
        """A link without tunnels is replaced and closed."""
        first, second = self.proxy("s-1"), self.proxy("s-2")
        self.begin(first, second)
        first.go_away()
        first.mode = "refuses"
        self.run_wires()
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["s-2"])
        self.assertEqual((first.live, self.connector.leaving), (0, []))

    def test_the_old_one_breaks(self) -> None:
        """A leaving link that breaks does not touch its successor."""
        proxy = self.proxy()
        self.begin(proxy)
        proxy.links[0].stream.send(packets.dial_req("tcp", "host:80", 7))
        self.run_wires()
        proxy.go_away()
        self.run_wires()
        self.wait(INTERVAL)
        new = self.connector.sessions["s-1"]
        proxy.wires[0].client.lose(ConnectionLost())
        self.assertIs(self.connector.sessions["s-1"], new)
        self.assertEqual(self.connector.leaving, [])


class SpareTests(ConnectorTestCase):
    """A second link to a proxy, which the search came upon."""

    def test_served_until_idle(self) -> None:
        """Dials that the proxy sent over it are served; it asks for no more, and then goes."""
        proxy = self.proxy(count=2)
        self.begin(proxy)
        self.wait(INTERVAL)
        spare = proxy.links[1]
        self.assertEqual([readable(p) for p in spare.got], [("DRAIN",)])
        spare.stream.send(packets.dial_req("tcp", "host:80", 7))
        self.run_wires()
        socket = self.dialer.dials[0].connects()
        self.wait(5)
        self.assertFalse(spare.over)
        socket.deliver(b"served")
        socket.lose()
        self.run_wires()
        self.assertIn(("DATA", 1, b"served"), [readable(p) for p in spare.got])
        self.wait(SPARE_FOR + 0.25)
        self.assertTrue(spare.over)
        self.assertFalse(proxy.links[0].over)


class FailureTests(ConnectorTestCase):
    """What is counted as the failure of a link, and what is learnt from it."""

    def test_too_many_pings(self) -> None:
        """An agent whose proxy is pinged too often pings half as often from then on."""
        self.keepalive_time = 10.0
        proxy = self.proxy()
        self.begin(proxy)
        (protocol,) = proxy.factory.connections
        protocol._wire.goaway(ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_PINGS)
        protocol.close("too many pings")
        self.run_wires()
        self.assertIn("new connections ping after 20 s", " ".join(self.lines))
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["s-1"])
        keepalive = self.connector.sessions["s-1"].protocol.keepalive
        self.assertEqual(keepalive.idle, 20.0)

    def test_lost(self) -> None:
        """A link that breaks is one failure; one that is closed or stopped by us is none."""
        first, second = self.proxy("s-1", 2), self.proxy("s-1", 2)
        self.begin(first, second)
        self.wait(4 * INTERVAL)
        self.assertEqual(self.connected, ["s-1"])
        self.assertEqual(dict(self.ledger.server_connection_failures), {})
        self.assertEqual(self.connector.states(), {"ready": 1, "leaving": 0})
        first.wires[0].client.lose(ConnectionLost())
        self.assertEqual(dict(self.ledger.server_connection_failures), {"from_server": 1})
        self.assertEqual(
            dict(self.ledger.stream_errors), {("to_agent", "Unavailable", "Unknown"): 1}
        )
        self.assertEqual(self.connector.states(), {"ready": 0, "leaving": 0})
        self.finish(Deferred.fromCoroutine(self.connector.stop()))
        self.assertEqual(dict(self.ledger.server_connection_failures), {"from_server": 1})


class ProbeTests(ConnectorTestCase):
    """The look at the links, which does not wait for the next search."""

    sync_interval = CAP

    def test_soon(self) -> None:
        """A proxy that is going away is noticed and replaced within a probe interval."""
        proxy = self.proxy()
        self.begin(proxy)
        old = self.connector.sessions["s-1"]
        self.wait(1.5)
        proxy.go_away()
        self.run_wires()
        self.assertEqual(self.connector.standing()["connected"], 0)
        self.wait(1)
        self.assertIsNot(self.connector.sessions["s-1"], old)
        self.assertEqual(proxy.live, 1)


class DrainTests(ConnectorTestCase):
    """The agent is going."""

    def test_told(self) -> None:
        """The proxies are told, once; draining closes nothing."""
        proxy = self.proxy()
        self.begin(proxy)
        self.connector.drain()
        self.connector.drain()
        self.run_wires()
        self.assertEqual([readable(p) for p in proxy.links[0].got], [("DRAIN",)])
        self.assertEqual(self.connected, ["s-1"])

    def test_no_new_links(self) -> None:
        """A draining agent makes no new link, not even one that was on its way."""
        proxy = self.proxy()
        proxy.mode = "mute"
        self.begin(proxy)
        self.connector.drain()
        proxy.links[0].stream.send_headers([("serverid", "s-1"), ("servercount", "1")])
        self.run_wires()
        self.assertEqual(self.connected, [])
        self.wait(20)
        self.assertEqual((proxy.attempts, proxy.live), (1, 0))


class StopTests(ConnectorTestCase):
    """`tearDown` stops and asserts that nothing is left; the tests choose the moment."""

    def test_before_the_start(self) -> None:
        """An agent that was never started can be stopped."""
        self.connector = Connector([], Membership("a", ""), self.ledger, self.dialer, self.clock)

    def test_connected(self) -> None:
        """Links are closed, and the proxy sees it; nothing is tried again."""
        proxy = self.proxy()
        self.begin(proxy)
        self.finish(Deferred.fromCoroutine(self.connector.stop()))
        self.assertTrue(proxy.links[0].over)
        self.wait(30)
        self.assertEqual(proxy.attempts, 1)

    def test_at_once(self) -> None:
        """A proxy that does not close its side is not waited for when there is little time."""
        proxy = self.proxy()
        self.begin(proxy)
        wire = proxy.wires[0]
        wire.held.add(wire.server)
        stopping = Deferred.fromCoroutine(self.connector.stop(within=0.2))
        self.clock.pump([0.01] * 18)
        self.assertNoResult(stopping)
        self.clock.pump([0.01] * 4)
        self.successResultOf(stopping)

    def test_connecting(self) -> None:
        """An attempt on its way is cancelled, in each of its states."""
        for mode in ("hangs", "silent", "mute"):
            with self.subTest(mode):
                proxy = self.proxy()
                proxy.mode = mode
                self.begin(proxy)
                self.finish(Deferred.fromCoroutine(self.connector.stop()))
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.assertEqual(proxy.live, 0)
        self.assertEqual(self.lines, [])

    def test_waiting(self) -> None:
        """So is the wait between two attempts."""
        proxy = self.proxy()
        proxy.mode = "refuses"
        self.begin(proxy)
        self.wait(0.5)

    def test_a_duplicate_on_its_way_out(self) -> None:
        """A connection that is no session's is not left behind."""
        proxy = self.proxy(count=2)
        self.begin(proxy)
        self.clock.advance(INTERVAL)
        duplicate = proxy.wires[1]
        duplicate.run()
        duplicate.held.add(duplicate.server)
        self.assertEqual(proxy.attempts, 2)

    def test_with_a_dial_on_its_way(self) -> None:
        """Dials are cancelled with their link."""
        proxy = self.proxy()
        self.begin(proxy)
        proxy.links[0].stream.send(packets.dial_req("tcp", "host:80", 7))
        self.run_wires()
        self.finish(Deferred.fromCoroutine(self.connector.stop()))
        self.assertTrue(self.dialer.dials[0].cancelled)

    def test_a_leaving_link(self) -> None:
        """Links that only finish what they carry are closed too."""
        proxy = self.proxy()
        self.begin(proxy)
        proxy.links[0].stream.send(packets.dial_req("tcp", "host:80", 7))
        self.run_wires()
        proxy.go_away()
        self.run_wires()
        self.wait(INTERVAL)
        self.assertEqual(proxy.live, 2)
