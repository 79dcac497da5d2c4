"""Tests of konnect.net.floods."""

from __future__ import annotations

from hyperframe.frame import RstStreamFrame
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.floods import Crowd, FloodGauge, FloodLimits, FloodWatch
from konnect.wire.grpc import Role
from tests.wire.pump import RawPeer


def ask(gauge: FloodGauge, clock: Clock, rate: float, seconds: float) -> bool:
    """Whether frames at `rate` a second for so many seconds are called a flood at any time."""
    count = 0
    flooded = False
    for _ in range(int(seconds * 100)):
        clock.advance(0.01)
        count += int(rate / 100)
        if count >= gauge.mark:
            flooded = gauge.flooded(count) or flooded
    return flooded


class FloodTests(SynchronousTestCase):
    def test_at_the_rate(self) -> None:
        """A peer that stays at the allowed rate is never cut."""
        clock = Clock()
        self.assertFalse(ask(FloodGauge(clock, 1000), clock, 1000, 20))

    def test_above_the_rate(self) -> None:
        """Three times the allowed rate is a flood."""
        clock = Clock()
        self.assertTrue(ask(FloodGauge(clock, 1000), clock, 3000, 20))

    def test_a_burst(self) -> None:
        """All of a batch at once is a flood; half a batch after a silence is not."""
        clock = Clock()
        gauge = FloodGauge(clock, 1000)
        self.assertTrue(gauge.flooded(gauge.mark))
        clock.advance(10)
        self.assertFalse(gauge.flooded(gauge.mark))

    def test_no_limit(self) -> None:
        """Rate 0 asks never."""
        self.assertGreater(FloodGauge(Clock(), 0).mark, 10**15)

    def test_a_clock_that_goes_back(self) -> None:
        """A wall clock that steps back counts as no time, not as an error."""
        clock = Clock()
        clock.advance(100)
        gauge = FloodGauge(clock, 1000)
        clock.rightNow = 50.0
        self.assertTrue(gauge.flooded(gauge.mark))


class _Waiting:
    def __init__(self) -> None:
        self.out = False

    def crowded_out(self) -> None:
        self.out = True


class CrowdTests(SynchronousTestCase):
    def test_the_longest_idle_goes(self) -> None:
        """Beyond the limit the first that came is told to go, once."""
        crowd = Crowd(2)
        waiting = [_Waiting() for _ in range(4)]
        for each in waiting:
            crowd.enter(each)
        self.assertEqual([each.out for each in waiting], [True, True, False, False])

    def test_who_has_asked_stays(self) -> None:
        """One that has asked for something is not in the crowd, and comes last when it is again."""
        crowd = Crowd(2)
        first, second, third = _Waiting(), _Waiting(), _Waiting()
        crowd.enter(first)
        crowd.leave(first)
        crowd.enter(second)
        crowd.enter(first)
        crowd.enter(third)
        self.assertEqual((first.out, second.out, third.out), (False, True, False))
        crowd.leave(second)

    def test_no_limit(self) -> None:
        """Limit 0 sends nobody away."""
        crowd = Crowd(0)
        waiting = [_Waiting() for _ in range(100)]
        for each in waiting:
            crowd.enter(each)
        self.assertFalse(any(each.out for each in waiting))


class WatchTests(SynchronousTestCase):
    def test_rapid_reset(self) -> None:
        """A client that resets streams which were answered is no rapid reset; one that does not
        wait for an answer is."""
        for answered in (True, False):
            peer = RawPeer(Role.SERVER)
            watch = FloodWatch(Clock(), FloodLimits(control_rate=0, reset_rate=10))
            verdicts = []
            for stream_id in range(1, 41, 2):
                peer.send(peer.headers(stream_id))
                if answered:
                    peer.wire.send_headers(stream_id)
                peer.send(RstStreamFrame(stream_id, error_code=8))
                verdicts.append(watch.verdict(peer.wire, False))
            labels = {verdict[1] for verdict in verdicts if verdict is not None}
            self.assertEqual(labels, set() if answered else {"rapid_reset"})
