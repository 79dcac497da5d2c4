"""Tests of konnect.net.path, and of what a connection does with it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.grpc_stream import GrpcStream
from konnect.net.hub.reads import SCRATCH
from konnect.net.path import BRISK_RATE, LEAST, LEAST_BRISK, MOST, PathGauge
from konnect.tunnel.link_sizes import path_holds
from konnect.wire.grpc import Limits
from konnect.wire.http2 import SHARE
from tests.net.streams import GrpcTestCase


class PathGaugeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[int] = []
        self.gauge = PathGauge(self.clock.seconds, self.told.append)

    def trip(self, seconds: float) -> None:
        self.gauge.pinged()
        self.clock.advance(seconds)
        self.gauge.ponged()

    def test_the_shortest_counts(self) -> None:
        """What is allowed follows the shortest round trip, within its bounds."""
        self.assertEqual(self.gauge.allowed, MOST)
        self.trip(3600)
        self.assertEqual(self.told, [])
        self.trip(0.012)
        self.trip(0.03)
        self.trip(0.01)
        self.trip(0)
        self.assertEqual(self.told, [round(path_holds(0.012)), round(path_holds(0.01)), LEAST])
        self.trip(0)
        self.assertEqual(self.gauge.allowed, LEAST)
        self.assertEqual(len(self.told), 3)

    def test_brisk(self) -> None:
        """While the pace is brisk, less: for another rate, and another least."""
        self.assertFalse(self.gauge.set_pace(brisk=True))
        self.trip(0.012)
        self.assertTrue(self.gauge.set_pace(brisk=False))
        self.assertTrue(self.gauge.set_pace(brisk=True))
        self.assertFalse(self.gauge.set_pace(brisk=True))
        brisk = int(0.012 * BRISK_RATE)
        self.assertEqual(self.told, [brisk, round(path_holds(0.012)), brisk])
        self.trip(0)
        self.assertEqual(self.gauge.allowed, LEAST_BRISK)
        self.gauge.set_pace(brisk=False)
        self.assertEqual(self.gauge.allowed, LEAST)

    def test_answers_to_nothing(self) -> None:
        """A pong without a ping says nothing, and of two pings the first counts."""
        self.gauge.ponged()
        self.gauge.pinged()
        self.clock.advance(0.005)
        self.gauge.pinged()
        self.clock.advance(0.005)
        self.gauge.ponged()
        self.gauge.ponged()
        self.assertEqual(self.told, [round(path_holds(0.01))])


class RoundTripTests(SynchronousTestCase):
    """What a gauge knows."""

    def test_shortest(self) -> None:
        """Nothing before the first answer; then the shortest."""
        clock = Clock()
        gauge = PathGauge(clock.seconds, lambda most: None)
        for seconds, shortest in ((0.2, 0.2), (0.3, 0.2), (0.1, 0.1)):
            before = gauge.round_trip
            gauge.pinged()
            self.assertTrue(gauge.measuring)
            clock.advance(seconds)
            self.assertEqual(gauge.round_trip, before)
            gauge.ponged()
            self.assertFalse(gauge.measuring)
            self.assertAlmostEqual(gauge.round_trip, shortest)


class ShareTests(SynchronousTestCase):
    def test_a_peer_may_keep_some_back(self) -> None:
        """What is always allowed leaves a sender going while its peer gathers what it gives back:
        one share there, one on its way back, one on its way there, and a read."""
        self.assertGreaterEqual(LEAST, 3 * SHARE + SCRATCH)

    def test_while_the_pace_is_brisk(self) -> None:
        """A sender waits for what its peer gathers, but never for more than it may have sent."""
        self.assertGreater(LEAST_BRISK, SHARE)


class InFlightTests(GrpcTestCase):
    limits = Limits(stream_window=MOST, connection_window=MOST)

    def test_limit(self) -> None:
        """A stream that follows its path has no more on its way, and is told when there is room;
        one that does not uses its whole window."""
        stream, mine, peer, theirs = self.open()
        theirs.acknowledge = False
        stream.follow_path(own=True)
        self.wire.run()
        sent = 0
        while stream.send_data(b"", b"x" * 16000):
            sent += 16000
            self.wire.run()
            self.assertLess(sent, 2 * LEAST)
        self.wire.run()
        got = theirs.take()
        self.assertLessEqual(sum(len(m) + 5 for m in got), LEAST)
        self.assertEqual(mine.take(), [])
        peer.acknowledge(SHARE + 5 * 16005)
        self.wire.run()
        self.assertEqual(mine.take(), ["writable"])
        self.assertTrue(theirs.take())
        other, _, _, behind = self.open()
        behind.acknowledge = False
        sent = 0
        while sent <= 2 * LEAST:
            self.assertTrue(other.send_data(b"", b"y" * 16000))
            sent += 16000
            self.wire.run()

    def test_measure_trip(self) -> None:
        """One round trip more is measured, one at a time, and with none but a peer of ours."""
        stream, _, _, _ = self.open()
        self.assertEqual(stream.round_trip, 0.0)
        stream.measure_trip()
        self.assertEqual(self.wire.client.log, [])
        stream.follow_path(own=True)
        self.assertEqual(len(self.wire.client.log), 1)
        stream.measure_trip()
        self.assertEqual(len(self.wire.client.log), 1, "its answer is still awaited")
        self.wire.run()
        stream.measure_trip()
        self.assertEqual(len(self.wire.client.log), 1)
        self.wire.run()
        stream.follow_path(own=False)
        self.wire.run()
        stream.measure_trip()
        self.assertEqual(self.wire.client.log, [])


class ExpectedTests(GrpcTestCase):
    """What a link's transport is told of the peer."""

    def told(self, end: GrpcStream, *, own: bool) -> list[str]:
        """By following the path of a stream."""
        calls: list[str] = []
        for name in ("expect_many_tunnels", "expect_short_records"):
            setattr(end.transport, name, lambda name=name: calls.append(name))
        end.follow_path(own=own)
        return calls

    def test_of_our_own(self) -> None:
        """An agent reads more of its link at a time; a proxy does not."""
        agents, _, proxys, _ = self.open()
        self.assertEqual(self.told(agents, own=True), ["expect_many_tunnels"])
        self.assertEqual(self.told(proxys, own=True), [])

    def test_of_others(self) -> None:
        """Their records are short, whichever half they are."""
        agents, _, proxys, _ = self.open()
        self.assertEqual(self.told(agents, own=False), ["expect_short_records"])
        self.assertEqual(self.told(proxys, own=False), ["expect_short_records"])
