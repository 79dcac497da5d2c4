"""Tests of konnect.agent.departure: how an agent goes."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from konnect.agent.departure import LAST_BYTES, MOMENT, QUIET, Departure
from konnect.net.stopping import POLL
from konnect.wire import packets
from tests.agent.connecting import ConnectorTestCase
from tests.agent.rig import FakeProxy
from tests.fakes import FakeSocket, Readable, readable


class DepartureTests(ConnectorTestCase):
    """An agent that is told to go."""

    def setUp(self) -> None:
        super().setUp()
        self.here = self.proxy()
        self.begin(self.here)
        self.departure = Departure(self.connector, self.ledger, self.clock)

    def go(self, timeout: float = 5.0) -> Deferred[None]:
        """Begin to go."""
        going = Deferred.fromCoroutine(self.departure.run(timeout))
        self.run_wires()
        return going

    def dial(self, random: int = 7) -> None:
        """The proxy asks for a dial."""
        self.here.links[0].stream.send(packets.dial_req("tcp", "host:80", random))
        self.run_wires()

    def pass_looks(self, count: float) -> None:
        """Let time pass in the departure's own steps."""
        for _ in range(round(count)):
            self.clock.advance(POLL)
            self.run_wires()

    def got(self, proxy: FakeProxy) -> list[Readable]:
        """What a proxy was told."""
        return [readable(packet) for packet in proxy.links[0].got]

    def test_idle(self) -> None:
        """An idle agent tells its proxies, waits for what crosses that, and is gone."""
        going = self.go()
        self.assertEqual(self.got(self.here), [("DRAIN",)])
        self.wait(QUIET / 2)
        self.assertNoResult(going)
        self.finish(going)
        self.assertTrue(self.here.links[0].over)

    def test_without_links(self) -> None:
        """An agent without a proxy has nothing to wait for."""
        self.here.wires[0].client.lose()
        self.connector.drain()
        self.clock.advance(0)
        self.assertEqual(self.connector.links, [])
        self.successResultOf(self.go())

    def test_a_dial_that_crosses(self) -> None:
        """A dial that comes behind DRAIN is served, and waited for."""
        going = self.go()
        self.wait(QUIET / 2)
        self.dial()
        socket = self.dialer.dials[0].connects()
        self.wait(2 * QUIET)
        self.assertNoResult(going)
        self.assertIn(("DIAL_RSP", 7, 1, ""), self.got(self.here))
        socket.deliver(b"all of it")
        socket.lose()
        self.finish(going)
        self.assertEqual(
            self.got(self.here)[-2:], [("DATA", 1, b"all of it"), ("CLOSE_RSP", 1, "")]
        )

    def ended(self) -> FakeSocket:
        """A tunnel has ended, and its destination has not taken everything yet."""
        self.dial()
        socket = self.dialer.dials[0].connects()
        self.here.links[0].stream.send(packets.close_req(1))
        self.run_wires()
        socket.unwritten = 1
        return socket

    def test_a_slow_destination(self) -> None:
        """The rest of a tunnel that has ended is waited for while there is time."""
        socket = self.ended()
        going = self.go(timeout=30.0)
        self.wait(4 * (QUIET + LAST_BYTES))
        self.assertNoResult(going)
        self.assertEqual(socket.log, ["FIN"])
        socket.lose()
        self.finish(going)

    def test_a_slow_destination_and_no_time(self) -> None:
        """What has not gone out when the time is up does not look whole."""
        socket = self.ended()
        going = self.go(timeout=2.0)
        self.wait(2.5 + LAST_BYTES)
        self.finish(going)
        self.assertIn("abort", socket.log)

    def test_the_time_is_up(self) -> None:
        """Tunnels are ended on both sides, with what was read; dials are given up."""
        self.dial()
        socket = self.dialer.dials[0].connects()
        self.dial(random=8)
        going = self.go(timeout=2.0)
        self.wait(1.75)
        self.assertNoResult(going)
        socket.deliver(b"last words")
        self.wait(0.5)
        told = self.got(self.here)
        self.assertIn(("DATA", 1, b"last words"), told)
        self.assertIn(("DIAL_CLS", 8), told)
        self.assertEqual(told[-1], ("CLOSE_RSP", 1, ""))
        self.assertTrue(self.dialer.dials[1].cancelled)
        socket.drain()
        self.assertIn("abort", socket.log)
        self.dial(random=9)
        self.assertEqual(self.got(self.here)[-1], ("DIAL_CLS", 9), "nothing new is taken")
        self.assertEqual(len(self.dialer.dials), 2)
        self.finish(going)

    def test_last_bytes_are_bounded(self) -> None:
        """A destination that does not read keeps nobody for long."""
        self.dial()
        socket = self.dialer.dials[0].connects()
        going = self.go(timeout=0.0)
        self.wait(LAST_BYTES / 2)
        self.assertNoResult(going)
        self.wait(LAST_BYTES)
        self.finish(going)
        self.assertIn("abort", socket.log)

    def test_hurry(self) -> None:
        """A second signal ends the wait for tunnels; the proxy is told why, and a destination that
        does not let go has a moment."""
        self.dial()
        socket = self.dialer.dials[0].connects()
        going = self.go(timeout=60.0)
        self.wait(1)
        self.departure.hurry()
        self.pass_looks(1)
        self.assertEqual(self.got(self.here)[-1], ("CLOSE_RSP", 1, ""))
        self.assertNotIn("abort", socket.log)
        self.pass_looks(MOMENT / POLL)
        self.assertIn("abort", socket.log)
        self.finish(going)

    def test_hurry_at_the_end(self) -> None:
        """So do the last bytes, when it comes while they are waited for."""
        self.dial()
        socket = self.dialer.dials[0].connects()
        going = self.go(timeout=0.0)
        self.pass_looks(MOMENT / POLL + 1)
        self.assertNotIn("abort", socket.log)
        self.departure.hurry()
        self.pass_looks(1)
        self.assertIn("abort", socket.log)
        self.finish(going)
