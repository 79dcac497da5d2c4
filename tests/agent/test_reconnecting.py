"""Tests of the agent's search for proxies that it has lost: soon, and not for ever."""

from __future__ import annotations

import random

from twisted.internet.error import ConnectionLost

from konnect.agent.search import ASIDE, BRIEF, HANGS, MAX_TOLD, PATIENCE
from konnect.wire.metadata import HelloError
from tests.agent.connecting import CAP, INTERVAL, TICK, ConnectorTestCase
from tests.agent.rig import FakeProxy

CHEAP = ("refuses", "vanishes", "unreachable", "unknown")
"""What costs no proxy anything: nobody listens, somebody hangs up, no way, no name."""

BOUND = 2.0
"""Seconds from a lost proxy's return to its link, at most."""


class LostTests(ConnectorTestCase):
    """A proxy that was linked goes down, for some time."""

    def lose(self, proxy: FakeProxy, mode: str) -> None:
        """The proxy's connection is lost, and this is what the next attempts meet."""
        proxy.mode = mode
        for wire in proxy.wires:
            if not wire.client.gone:
                wire.client.lose(ConnectionLost())

    def until_linked(self, proxy: FakeProxy) -> float:
        """Seconds from now, when it is up again, until it is linked."""
        proxy.mode = "up"
        begun = self.clock.seconds()
        while not self.connected:
            self.assertLess(self.clock.seconds() - begun, 60)
            self.wait(TICK)
        return self.clock.seconds() - begun

    def test_back_soon(self) -> None:
        """However long it was down and whatever that looked like, it is linked soon."""
        for mode in CHEAP:
            for seconds in (0.5, 3, 31.25, 200):
                with self.subTest(mode, seconds=seconds):
                    self.fresh()
                    self.lose(self.only, mode)
                    self.wait(seconds)
                    self.assertEqual(self.connected, [])
                    self.assertLessEqual(self.until_linked(self.only), BOUND)

    def test_bounded(self) -> None:
        """No attempt follows another at once, and after some minutes only refusals come often."""
        for mode in CHEAP:
            with self.subTest(mode):
                self.fresh()
                self.lose(self.only, mode)
                self.wait(100)
                self.assertLessEqual(self.only.attempts, 102)
                self.wait(900)
                before = self.only.attempts
                self.wait(60)
                often = mode in ("refuses", "vanishes")
                self.assertLessEqual(self.only.attempts - before, 60 if often else 60 / CAP + 1)

    def test_costly_failures(self) -> None:
        """A proxy that is there and does not admit the agent is troubled no more than ever."""
        self.fresh()
        self.lose(self.only, "rejects")
        self.wait(60)
        self.assertLess(self.only.attempts, 13)

    def test_links_that_do_not_last(self) -> None:
        """What ends every link as soon as it is made is met less and less often, and no more so
        once a link has lasted."""
        self.fresh()
        self.wait(BRIEF)
        for _ in range(400):
            if self.connected:
                self.lose(self.only, "up")
            self.wait(TICK)
        self.assertLess(self.only.attempts, 16)
        self.wait(2 * CAP)
        self.assertEqual(self.connected, ["s-1"])
        for _ in range(2):
            self.wait(BRIEF)
            self.lose(self.only, "up")
            self.assertLessEqual(self.until_linked(self.only), BOUND)

    def test_never_linked(self) -> None:
        """A proxy that was never there is not worth a hurry."""
        proxy = self.proxy()
        proxy.mode = "unreachable"
        self.begin(proxy)
        self.wait(60)
        self.assertLess(proxy.attempts, 13)

    def test_the_others_ways(self) -> None:
        """Only the way that led to the lost proxy hurries."""
        lost, never = self.proxy("s-1"), self.proxy("s-2")
        never.mode = "unreachable"
        self.begin(lost, never)
        self.wait(60)
        before = never.attempts
        self.lose(lost, "unreachable")
        self.wait(60)
        self.assertLess(never.attempts - before, 13)
        self.assertGreater(lost.attempts, 50)

    def test_a_success_ends_the_back_off(self) -> None:
        """After a link the waits begin anew, also when other proxies are still missing."""
        proxy = self.proxy(count=2)
        proxy.mode = "rejects"
        self.begin(proxy)
        self.wait(60)
        self.until_linked(proxy)
        proxy.mode = "rejects"
        before = proxy.attempts
        self.wait(3 * self.sync_interval)
        self.assertEqual(proxy.attempts - before, 2)

    def test_more_proxies(self) -> None:
        """When more are counted the next attempt comes within an interval, and one that is due
        before that comes no later for it."""
        proxy = self.proxy()
        proxy.mode = "rejects"
        self.begin(proxy)
        self.wait(60)
        before = proxy.attempts
        self.connector.hasten()
        self.wait(self.sync_interval)
        self.assertEqual(proxy.attempts - before, 1)
        before = proxy.attempts
        for _ in range(int(2 * CAP / TICK)):
            self.connector.hasten()
            self.wait(TICK)
        self.assertGreater(proxy.attempts, before)

    def test_known_before_it_mattered(self) -> None:
        """A problem that was met while nothing was missing is told when something is."""
        proxy = self.proxy()
        search = self.begin(proxy)._searches[0]
        problem = HelloError("of late")
        search._report(problem)
        self.assertEqual([line for line in self.lines if "no link" in line], [])
        self.lose(proxy, "refuses")
        search._report(problem)
        (line,) = [line for line in self.lines if "of late" in line]
        self.assertIn("no link to a proxy", line)

    def test_many_problems(self) -> None:
        """Of problems that are ever new, only the last are remembered."""
        proxy = self.proxy()
        proxy.mode = "hangs"
        search = self.begin(proxy)._searches[0]
        for number in range(2 * MAX_TOLD):
            search._report(HelloError(f"problem {number}"))
        self.assertEqual(len(search._told), MAX_TOLD)

    def test_an_attempt_that_hangs(self) -> None:
        """It gives way when a link is lost that the same name led to."""
        self.counts = None
        up, hangs = self.proxy("s-1", count=2), self.proxy("s-2")
        hangs.mode = "hangs"
        turn = [up]
        self.begin_behind([up, hangs], lambda: turn[0])
        turn[0] = hangs
        self.wait(2 * self.sync_interval + HANGS)
        self.assertEqual((hangs.attempts, hangs.cancelled), (1, 0))
        turn[0] = up
        self.lose(up, "up")
        self.assertEqual(hangs.cancelled, 1)
        self.assertLessEqual(self.until_linked(up), BOUND)
        self.assertEqual([line for line in self.lines if "no link" in line], [])

    def test_an_attempt_that_has_just_begun(self) -> None:
        """It does not give way: it may be answered."""
        up, slow = self.proxy("s-1", count=2), self.proxy("s-2")
        slow.mode = "hangs"
        turn = [up]
        self.begin_behind([up, slow], lambda: turn[0])
        turn[0] = slow
        for _ in range(int(3 * self.sync_interval / TICK)):
            if not slow.attempts:
                self.wait(TICK)
        self.lose(up, "up")
        self.assertEqual((slow.attempts, slow.cancelled), (1, 0))

    def test_silence(self) -> None:
        """Who takes connections and says nothing, as balancers do, keeps no agent from the proxy
        that is there again, and never has more than four connections of it."""
        for seconds in (3, 30, 120):
            with self.subTest(seconds=seconds):
                self.fresh()
                self.lose(self.only, "silent")
                live = []
                for _ in range(int(seconds)):
                    self.wait(1)
                    live.append(self.only.live)
                self.assertLessEqual(max(live), ASIDE + 1)
                self.assertLessEqual(self.only.attempts, 4 + seconds / 4)
                self.assertLessEqual(self.until_linked(self.only), PATIENCE + BOUND)
                self.wait(5)
                self.assertEqual(self.only.live, 1, "the others are dropped")
                news = [line for line in self.lines if "no link" in line and "20" in line]
                self.assertLessEqual(len(news), 1)

    def test_silence_that_ends(self) -> None:
        """An attempt that is answered late is as good as any."""
        self.fresh()
        self.lose(self.only, "silent")
        self.wait(14)
        for wire in self.only.wires:
            wire.held.clear()
        self.run_wires()
        self.assertEqual(self.connected, ["s-1"])
        self.assertEqual(self.only.mode, "silent")
        self.wait(5)
        self.assertEqual(self.only.live, 1)

    def fresh(self) -> None:
        """An agent with one proxy, linked."""
        if self.proxies:
            self.tearDown()
            self.setUp()
        self.only = self.proxy()
        self.begin(self.only)
        self.wait(2 * self.sync_interval)
        self.assertEqual(self.connected, ["s-1"])


class LongIntervalTests(LostTests):
    """The same with `--sync-interval=5s`, which says how often proxies are counted, and with waits
    that are as long as their jitter makes them."""

    sync_interval = 5 * INTERVAL

    def setUp(self) -> None:
        super().setUp()
        self.patch(random, "random", lambda: 0.999)
