"""Polling on before sleeping: when it is done, and when it is left."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.hub.busy_poll import (
    FEW,
    HOLD_OFF,
    KEPT,
    MANY_LIMIT,
    PAYS,
    BusyPoll,
    Events,
)
from konnect.net.hub.loop import Hub
from tests.net.hub.test_loop import FakeReactor, Stub

STEP = 1e-6
"""Seconds that one look takes here."""


class Kernel:
    """Time, a processor that may be given to others, and an epoll with an event in time."""

    def __init__(self) -> None:
        self.now = 100.0
        self.others = 0.0
        self.event_at = float("inf")
        self.yields = 0
        self.ready: Events = [(7, 1)]
        self.busy_poll = BusyPoll(lambda: self.now, self.give_way)

    def give_way(self) -> None:
        self.yields += 1
        self.now += self.others

    def poll(self, timeout: float, most: int) -> Events:
        assert timeout == 0 and most == 32
        self.now += STEP
        return self.ready if self.now >= self.event_at else []

    def wait(self, seconds: float) -> bool:
        """The hub has nothing to do for so long; whether it slept."""
        self.event_at = self.now + seconds
        if self.busy_poll.poll(self, 32):
            return False
        self.now = max(self.now, self.event_at)
        self.busy_poll.woken(self.ready)
        return True


class BusyPollTests(SynchronousTestCase):
    """Waits of all kinds, by a clock that the test moves."""

    def setUp(self) -> None:
        self.kernel = Kernel()
        self.limit = self.kernel.busy_poll.limit

    def waits(self, *seconds: float) -> str:
        """`s` for each wait in which the hub slept, `p` for each that ended by polling."""
        return "".join("s" if self.kernel.wait(each) else "p" for each in seconds)

    def warm(self) -> None:
        self.assertEqual(self.waits(*[self.limit / 2] * PAYS), "s" * PAYS)

    def test_begins_when_waits_are_short(self) -> None:
        """Only after so many short waits; then events are taken as they come."""
        self.warm()
        self.assertEqual(self.kernel.yields, 0)
        self.assertEqual(self.waits(*[self.limit / 2] * 5), "ppppp")

    def test_bounded(self) -> None:
        """One wait takes no longer than the limit, and is the last that is not worth it."""
        self.warm()
        before = self.kernel.now
        self.kernel.event_at = before + 1
        self.assertEqual(self.kernel.busy_poll.poll(self.kernel, 32), [])
        self.assertLess(self.kernel.now - before, self.limit + 2 * STEP)
        self.kernel.now = before + 1
        self.kernel.busy_poll.woken(self.kernel.ready)
        yields = self.kernel.yields
        self.assertEqual(self.waits(*[self.limit / 2] * 3), "sss")
        self.assertEqual(self.kernel.yields, yields)

    def test_seldom_long(self) -> None:
        """A long wait now and then does not end it, if enough short ones lie between."""
        self.warm()
        self.waits(*[self.limit / 2] * PAYS)
        for _ in range(5):
            self.assertEqual(self.waits(1.0, *[self.limit / 2] * PAYS), "s" + "p" * PAYS)

    def test_short_and_long_in_turn(self) -> None:
        """Two or more short waits for each long one are not enough: nothing is polled for."""
        for _ in range(50):
            self.waits(self.limit / 2, self.limit / 2, self.limit / 2, 1.0)
        self.assertEqual(self.kernel.yields, 0)

    def test_a_quiet_hub_costs_nothing(self) -> None:
        """Waits that are longer than the limit are slept through."""
        self.assertEqual(self.waits(*[self.limit * 2] * 100), "s" * 100)
        self.assertEqual(self.kernel.yields, 0)

    def serve(self, channels: int, seconds: float) -> str:
        """Waits of so long, as many as make it certain how many channels there are."""
        found = ""
        for number in range(4 * PAYS):
            self.kernel.ready = [(number % channels, 1)]
            found += self.waits(seconds)
        return found

    def test_many_channels(self) -> None:
        """With more than a few to serve, a sleep that brings several at once is the better, unless
        something comes very soon."""
        self.serve(FEW + 1, self.limit / 2)
        self.assertNotIn("p", self.serve(FEW + 1, self.limit / 2))
        self.serve(FEW + 1, MANY_LIMIT / 2)
        self.assertNotIn("s", self.serve(FEW + 1, MANY_LIMIT / 2))
        before = self.kernel.now
        self.kernel.event_at = before + 1
        self.kernel.busy_poll.poll(self.kernel, 32)
        self.assertLess(self.kernel.now - before, MANY_LIMIT + 2 * STEP)

    def test_many_at_once(self) -> None:
        """They count also where one wait brings them all."""
        self.kernel.ready = [(fd, 1) for fd in range(FEW + 1)]
        self.assertEqual(self.waits(*[self.limit / 2] * 40), "s" * 40)

    def test_a_short_limit(self) -> None:
        """Many channels make no limit longer."""
        self.kernel.busy_poll.limit = MANY_LIMIT / 4
        self.assertNotIn("p", self.serve(FEW + 1, MANY_LIMIT / 2))

    def test_few_channels_again(self) -> None:
        """When only a few have had something to do for a while, the limit is theirs again."""
        self.serve(FEW + 1, MANY_LIMIT / 2)
        self.serve(FEW, self.limit / 2)
        self.assertEqual(self.waits(*[self.limit / 2] * 5), "ppppp")

    def test_a_few_channels(self) -> None:
        """A few in turn are a conversation; it is polled for until there are more."""
        for fd in range(3 * FEW):
            self.kernel.ready = [(fd % FEW, 1)]
            self.waits(self.limit / 2)
        self.assertEqual(self.waits(self.limit / 2), "p")
        self.kernel.ready = [(fd, 1) for fd in range(FEW + 1)]
        self.assertEqual(self.waits(self.limit / 2, self.limit / 2), "ps")

    def test_others_need_the_processor(self) -> None:
        """Who was kept from it for long leaves it to the others for a while."""
        self.warm()
        self.kernel.others = KEPT + STEP
        self.assertEqual(self.waits(self.limit / 2), "p")
        self.kernel.others = 0.0
        self.assertEqual(self.waits(*[self.limit / 2] * 20), "s" * 20)
        self.assertEqual(self.kernel.yields, 1)
        self.kernel.now += HOLD_OFF
        self.assertEqual(self.waits(*[self.limit / 2] * 3), "ppp")

    def test_switched_off(self) -> None:
        """A limit of 0: the hub sleeps at once, whatever comes."""
        self.kernel.busy_poll.limit = 0.0
        self.assertEqual(self.waits(*[STEP] * 50), "s" * 50)
        self.assertEqual(self.kernel.yields, 0)


class HubTests(SynchronousTestCase):
    """A hub that polls on, over a real epoll."""

    def test_serves_what_comes_meanwhile(self) -> None:
        """What comes while the hub polls on is served before the reactor has its turn."""
        log: list[Any] = []
        self.reactor = FakeReactor()
        hub = Hub(self.reactor)
        stub = Stub(hub, log, "a")
        self.addCleanup(stub.close)
        busy_poll = hub.busy_poll = BusyPoll(give_way=lambda: stub.other.send(b"x"))
        busy_poll.limit = 60.0
        for _ in range(PAYS):
            busy_poll.poll(None, 0)
            busy_poll.woken([])

        def read() -> None:
            stub.sock.recv(1)
            if len(log) == 3:
                busy_poll.limit = 0.0

        stub.on_event = read
        hub.doRead()
        self.assertEqual(log, ["event a"] * 3)
