"""Tests of konnect.net.link_window, and of what a connection does with it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.link_window import EVERY, FIRST, TRIPS, WholeWindow, WindowGauge
from konnect.net.path import LEAST, LEAST_BRISK, MOST
from konnect.net.policing import AGENTS, PingPolice
from konnect.tunnel.link_sizes import LIMITS, path_holds
from konnect.wire.grpc import Limits
from konnect.wire.http2 import SHARE
from tests.net.streams import GrpcTestCase

STEPS = 4
"""How often FIRST doubles until it is MOST."""


class WindowGaugeTests(SynchronousTestCase):
    """A peer that fills its window, on a path with a round trip and a rate, by a clock of ours."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told: list[int] = []
        self.pings = 0
        self.gauge = WindowGauge(self.clock.seconds, self.ping, self.told.append)

    def ping(self) -> None:
        self.pings += 1
        self.gauge.pinged()

    def trip(self, seconds: float, size: int = 0) -> None:
        """A ping and its answer, and so many bytes between them, beside the first that come."""
        self.gauge.pinged()
        self.clock.advance(seconds)
        if size:
            self.gauge.given(size)
        self.gauge.ponged()

    def full(self, seconds: float, rate: float) -> None:
        """Receive as fast as the window and the path allow, until a ping has its answer: all that
        is under way goes before it."""
        self.clock.advance(EVERY)
        size = self.gauge.size
        pings = self.pings
        self.gauge.given(SHARE)
        if self.pings > pings:
            self.clock.advance(max(seconds, size / rate))
            self.gauge.given(size - SHARE)
            self.gauge.ponged()

    def test_short_path(self) -> None:
        """However full its window is, and however long that makes a round trip, a short path keeps
        what it has."""
        self.trip(0.0005)
        for _ in range(1000):
            self.full(0.0005, 200_000_000)
        self.assertEqual(self.told, [])
        self.assertEqual(self.gauge.size, FIRST)

    def test_long_path(self) -> None:
        """A long path has all after few round trips, and then no ping goes out any more."""
        self.trip(0.1)
        for _ in range(STEPS):
            self.full(0.1, 500_000_000)
        self.assertEqual(self.told, [FIRST << step for step in range(1, STEPS + 1)])
        self.assertEqual(self.gauge.size, MOST)
        self.assertEqual(self.pings, STEPS)
        for _ in range(100):
            self.full(0.1, 500_000_000)
        self.assertEqual((self.pings, len(self.told)), (STEPS, STEPS))

    def test_middling_path(self) -> None:
        """A window becomes at most four times what its path holds."""
        self.trip(0.01)
        for _ in range(100):
            self.full(0.01, 200_000_000)
        self.assertGreaterEqual(self.gauge.size, 2_000_000)
        self.assertLessEqual(self.gauge.size, 4 * 2_000_000)

    def test_no_faster_than_a_process(self) -> None:
        """Nor more than the fastest process could use."""
        for _ in range(100):
            self.trip(0.003, self.gauge.size)
        self.assertEqual(self.gauge.size, round(path_holds(0.003)))

    def test_slow_sender(self) -> None:
        """On a long path too a window that is not used does not grow."""
        for _ in range(100):
            self.trip(0.1, FIRST // 2 - 1)
        self.assertEqual(self.told, [])
        self.trip(0.1, FIRST // 2)
        self.assertEqual(self.told, [2 * FIRST])

    def test_few_pings(self) -> None:
        """Pings keep their distance, and there is one on its way at a time."""
        self.gauge.given(SHARE)
        self.gauge.given(SHARE)
        self.assertEqual(self.pings, 1)
        self.gauge.ponged()
        self.gauge.given(SHARE)
        self.assertEqual(self.pings, 1)
        self.clock.advance(EVERY)
        self.gauge.given(SHARE)
        self.assertEqual(self.pings, 2)

    def test_answers_to_nothing(self) -> None:
        """A pong without a ping says nothing, and of two pings the first counts."""
        self.gauge.ponged()
        self.gauge.given(SHARE)
        self.clock.advance(0.1)
        self.gauge.given(FIRST)
        self.gauge.pinged()
        self.gauge.ponged()
        self.gauge.ponged()
        self.assertEqual(self.told, [2 * FIRST])

    def test_held(self) -> None:
        """What is held for slow readers takes nothing of the window until it is as much as the
        window may grow by; then the window gets its share back first."""
        gauge = self.gauge
        room = MOST - FIRST
        self.assertEqual(gauge.withhold(room - 10), room - 10)
        self.assertEqual(gauge.withhold(30), 10)
        self.assertEqual(gauge.withhold(5), 0)
        self.assertEqual(gauge.release(20), 20)
        self.assertEqual(gauge.release(room - 5), 5)
        self.assertEqual(gauge.release(10), 0)
        self.assertEqual(gauge.withhold(7), 7)

    def test_held_until_all_has_come(self) -> None:
        """What slow readers take after the last byte has come gives no cause for pings, which
        would be too many for the server."""
        self.trip(0.1, FIRST)
        self.assertEqual(self.gauge.size, 2 * FIRST)
        self.gauge.withhold(MOST - self.gauge.size)
        self.assertEqual(self.gauge.withhold(self.gauge.size), 0)
        pings = self.pings
        for _ in range(2 * FIRST // SHARE):
            self.clock.advance(1)
            self.gauge.given(self.gauge.release(SHARE))
        self.assertEqual(self.pings, pings)
        self.gauge.given(SHARE)
        self.assertEqual(self.pings, pings + 1)

    def test_held_is_no_sample(self) -> None:
        """What was held is not on the path, whenever it goes back."""
        self.gauge.withhold(MOST - FIRST)
        self.gauge.withhold(FIRST)
        self.gauge.pinged()
        self.clock.advance(0.1)
        self.gauge.given(self.gauge.release(FIRST))
        self.gauge.release(MOST - FIRST)
        self.gauge.ponged()
        self.assertEqual(self.told, [])

    def test_held_and_wide(self) -> None:
        """A window does not grow into what is held."""
        self.gauge.withhold(MOST - 2 * FIRST - 1000)
        for _ in range(100):
            self.trip(0.1, self.gauge.size)
        self.assertEqual(self.gauge.size, 2 * FIRST + 1000)
        self.assertEqual(self.gauge.withhold(10), 0)


class WholeWindowTests(SynchronousTestCase):
    def trips(self, *seconds: float) -> tuple[int, int]:
        """Let a gauge have such answers: what it allows then, and how many pings it sent."""
        clock = Clock()
        told: list[int] = []
        pings: list[float] = []

        def ping() -> None:
            pings.append(clock.seconds())
            gauge.pinged()

        gauge = WholeWindow(clock.seconds, ping, told.append)
        ping()
        for trip in seconds:
            clock.advance(trip)
            gauge.ponged()
        self.assertEqual(gauge.allowed, told[-1])
        return told[-1], len(pings)

    def test_the_shortest_of_some(self) -> None:
        """A busy beginning does not make a path look long for good; a short one needs no more."""
        far = round(path_holds(0.01))
        self.assertEqual(self.trips(0.02, 0.01, 0.03), (far, TRIPS))
        self.assertEqual(self.trips(0.02, 0.01, 0.03, 0.001), (far, TRIPS))
        self.assertEqual(self.trips(0.02, 0.001, 0.03), (LEAST, 2))
        self.assertEqual(self.trips(0.001), (LEAST, 1))

    def test_no_server_minds(self) -> None:
        """These pings are not too many, and a keepalive after them is not either."""
        police = PingPolice(AGENTS)
        minds = [police.too_many(0.1 * trip, 0, 1) for trip in range(TRIPS)]
        self.assertEqual([*minds, police.too_many(60, 0, 1)], [False] * (TRIPS + 1))


class LimitsTests(SynchronousTestCase):
    def test_as_announced(self) -> None:
        """A link announces at first what its gauge begins with, and may grow to the most."""
        self.assertEqual((LIMITS.stream_window, LIMITS.connection_window), (FIRST, MOST))


class LinkWindowTests(GrpcTestCase):
    limits = Limits(stream_window=FIRST, connection_window=MOST)

    def send(self, most: int) -> int:
        """How much our side can send until it is told to stop, `most` at most."""
        sent = 0
        while sent < most and self.stream.send_data(b"", b"x" * 16000):
            sent += 16000
            self.wire.run()
        self.wire.run()
        return sum(len(message) + 5 for message in self.theirs.take())

    def setUp(self) -> None:
        super().setUp()
        self.stream, self.mine, self.peer, self.theirs = self.open()
        self.theirs.acknowledge = False

    def test_stock_peer(self) -> None:
        """One that does not follow the path is given little at first."""
        self.peer.follow_path(own=False)
        self.wire.run()
        got = self.send(2 * FIRST)
        self.assertLessEqual(got, FIRST)
        self.assertGreater(got, FIRST - 16384)

    def test_own_peer(self) -> None:
        """A konnect half has all at once, in whichever order the two learn of each other; it uses
        what the path needs, here the least."""
        for first, second in ((self.peer, self.stream), (self.stream, self.peer)):
            first.follow_path(own=True)
            self.wire.run()
            second.follow_path(own=True)
            self.wire.run()
            wire = self.client._wire
            state = wire._live[self.stream.id]
            self.assertEqual(wire._http2.state.peer_stream_window, MOST)
            self.assertEqual(state.out - state.reserve, LEAST)
        got = self.send(2 * LEAST)
        self.assertLessEqual(got, LEAST)
        self.assertGreater(got, LEAST - 16384)

    def test_pace(self) -> None:
        """While the pace is brisk less is on the way; what waited then goes out by itself."""
        self.stream.set_pace(brisk=True)
        for stream in (self.peer, self.stream):
            stream.follow_path(own=True)
            self.wire.run()
        self.stream.set_pace(brisk=True)
        got = self.send(2 * LEAST)
        self.assertLessEqual(got, LEAST_BRISK)
        self.assertGreater(got, LEAST_BRISK - 16384)
        for size in (16000,) * 8:
            self.stream.send(b"x" * size)
        self.wire.run()
        self.assertEqual(self.theirs.take(), [])
        self.stream.set_pace(brisk=False)
        self.wire.run()
        self.assertGreaterEqual(len(self.theirs.take()), 8)

    def test_pace_with_a_stock_peer(self) -> None:
        """What such a peer gives back when is not known: it is sent as much as ever."""
        self.peer.follow_path(own=False)
        self.stream.follow_path(own=False)
        self.wire.run()
        self.stream.set_pace(brisk=True)
        self.assertGreater(self.send(2 * FIRST), FIRST - 16384)

    def test_own_peer_that_does_not_follow(self) -> None:
        """The whole window is there at once, and no more."""
        self.peer.follow_path(own=True)
        self.wire.run()
        got = self.send(2 * MOST)
        self.assertLessEqual(got, MOST)
        self.assertGreater(got, MOST - 16384)

    def test_it_grows(self) -> None:
        """With a long round trip the window doubles, for the sender and for us, until it is whole:
        bytes return, a ping goes out with them, and its answer comes late."""
        self.peer.follow_path(own=False)
        self.clock.advance(0.1)
        self.wire.run()
        window = FIRST
        for _ in range(STEPS):
            self.clock.advance(EVERY)
            got = self.send(2 * MOST)
            self.assertGreater(got, window - 16384)
            self.assertLessEqual(got, window)
            self.peer.acknowledge(SHARE)
            self.clock.advance(0.1)
            self.peer.acknowledge(got - SHARE)
            self.wire.run()
            window *= 2
        self.assertEqual(window, MOST)
        state = self.client._wire._live[self.stream.id]
        more = self.send(2 * MOST)
        self.assertLessEqual(more, MOST)
        self.assertEqual(self.client._wire._http2.state.peer_stream_window, MOST)
        self.assertGreater(more, MOST - 16384)
        self.assertEqual(state.reserve, 0)

    def test_a_stream_more(self) -> None:
        """One that is opened later has the window that was announced last."""
        self.peer.follow_path(own=True)
        self.wire.run()
        self.stream, _, _, self.theirs = self.open()
        self.theirs.acknowledge = False
        got = self.send(2 * FIRST)
        self.assertGreaterEqual(got, 2 * FIRST)
        self.assertEqual(self.lost, [])

    def test_withheld(self) -> None:
        """What a slow reader's tunnel holds is given back while there is room beside the window."""
        self.peer.follow_path(own=False)
        self.wire.run()
        got = self.send(2 * FIRST)
        back = self.peer.withhold(got)
        self.assertEqual(back, got)
        self.peer.acknowledge(back)
        self.wire.run()
        again = self.send(2 * FIRST)
        self.assertGreater(again, FIRST // 2)
        self.peer.release(got)
        self.wire.run()
        self.assertEqual(self.theirs.take(), [])

    def test_after_the_end(self) -> None:
        """A stream that is gone is given nothing."""
        self.server._reset(self.peer)
        self.peer.follow_path(own=True)
        self.peer.follow_path(own=False)
        self.wire.run()
        self.assertEqual(self.client._wire._http2.state.peer_stream_window, FIRST)
