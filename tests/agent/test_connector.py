"""Tests of konnect.agent.connector: finding all proxies."""

from __future__ import annotations

import functools
import itertools
import random

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost

from konnect.agent.session import HELLO_TIMEOUT
from tests.agent.connecting import INTERVAL, TICK, ConnectorTestCase
from tests.agent.rig import FakeProxy


class FindingTests(ConnectorTestCase):
    """Until there are as many as the proxies say."""

    def test_one(self) -> None:
        """One proxy that says it is alone is connected once."""
        proxy = self.proxy()
        self.begin(proxy)
        self.assertEqual(self.connected, ["s-1"])
        self.wait(30)
        self.assertEqual(proxy.attempts, 1)
        self.assertEqual(self.ledger.open_server_connections, 1)
        self.assertEqual(self.ledger.known_server_count, 1)
        metadata = dict(proxy.metadata)
        self.assertEqual((metadata["agentid"], metadata["agentidentifiers"]), ("a", "host=h"))

    def test_several(self) -> None:
        """All proxies behind an address that leads to them in turn are found, one an interval."""
        proxies = [self.proxy(f"s-{i}", count=3) for i in range(3)]
        self.begin_behind(proxies, itertools.cycle(proxies).__next__)
        self.wait(0.5 * INTERVAL)
        self.assertEqual(self.connected, ["s-0"])
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["s-0", "s-1", "s-2"])
        self.wait(30)
        self.assertEqual([proxy.attempts for proxy in proxies], [1, 1, 1])

    def test_duplicates(self) -> None:
        """A proxy that answers again is let go, the first link stays, and the search backs off."""
        proxy = self.proxy(count=2)
        self.begin(proxy)
        first = self.connector.sessions["s-1"]
        self.wait(61)
        self.assertIs(self.connector.sessions["s-1"], first)
        self.assertEqual(proxy.live, 1)
        self.assertLess(proxy.attempts, 20, "upstream tries every second")
        self.assertGreater(proxy.attempts, 8)

    def test_a_random_balancer(self) -> None:
        """Behind a balancer that takes a random proxy all of three are found, in bounded tries."""
        tries = []
        for seed in range(30):
            proxies = [self.proxy(f"s-{i}", count=3) for i in range(3)]
            self.begin_behind(proxies, functools.partial(random.Random(seed).choice, proxies))
            while len(self.connected) < 3:
                self.assertLess(self.clock.seconds(), 60 * (seed + 1), f"seed {seed}")
                self.wait(INTERVAL)
            tries.append(sum(proxy.attempts for proxy in proxies))
            self.wait(60 * (seed + 1) - self.clock.seconds())
            self.assertEqual(sum(proxy.attempts for proxy in proxies), tries[-1], "enough")
            self.finish(Deferred.fromCoroutine(self.connector.stop()))
            self.wait(60 * (seed + 1) - self.clock.seconds())
        self.assertLess(max(tries), 20)
        self.assertLess(sum(tries) / len(tries), 7)

    def test_counts_that_make_no_sense(self) -> None:
        """A count of 0 or below means one (upstream reconnects for ever)."""
        for count in (0, -5):
            proxy = self.proxy(count=count)
            self.begin(proxy)
            self.wait(10)
            self.assertEqual(proxy.attempts, 1)
            self.assertEqual(self.ledger.known_server_count, 1)
            if count == 0:
                self.finish(Deferred.fromCoroutine(self.connector.stop()))

    def test_the_newest_count_counts(self) -> None:
        """The newest word of any proxy counts, upwards and downwards, also a duplicate's."""
        first, second = self.proxy("s-1", count=3), self.proxy("s-2", count=2)
        self.begin(first, second)
        self.wait(20)
        self.assertEqual(self.ledger.known_server_count, 2)
        self.assertEqual((first.attempts, second.attempts), (1, 1))
        self.finish(Deferred.fromCoroutine(self.connector.stop()))
        only = self.proxy("s-3", count=2)
        self.begin(only)
        only.count = 1
        self.wait(20)
        self.assertEqual(self.ledger.known_server_count, 1)
        self.assertEqual(only.attempts, 2)

    def test_lost(self) -> None:
        """A lost link is replaced at the next look."""
        proxy = self.proxy()
        self.begin(proxy)
        proxy.wires[0].client.lose(ConnectionLost())
        self.assertEqual(self.connected, [])
        self.assertEqual(self.ledger.open_server_connections, 0)
        self.assertIn("the link to proxy s-1 is lost", self.lines[-1])
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1"])
        self.assertEqual(proxy.live, 1)

    def test_lost_after_a_long_backoff(self) -> None:
        """A lost link is replaced within an interval, however long the wait had grown."""
        proxy, gone = self.proxy("s-1", count=2), self.proxy("s-2")
        gone.mode = "refuses"
        self.begin(proxy, gone)
        self.wait(60)
        attempts = proxy.attempts
        proxy.wires[0].client.lose(ConnectionLost())
        self.wait(2 * INTERVAL)
        self.assertGreater(proxy.attempts + gone.attempts, attempts)
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["s-1"])


class ForeverTests(ConnectorTestCase):
    """`--sync-forever`."""

    sync_forever = True

    def test_never_satisfied(self) -> None:
        """The agent goes on looking when it has as many as there are."""
        first, second = self.proxy("s-1"), self.proxy("s-2")
        self.begin(first, second)
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1", "s-2"])

    def test_a_problem_of_before(self) -> None:
        """A problem that nobody was told of while nothing was missing is told when it matters."""
        proxy = self.proxy()
        self.begin(proxy)
        proxy.mode = "refuses"
        self.wait(3)
        self.assertEqual(len(self.lines), 1, "the link")
        proxy.wires[0].client.lose(ConnectionLost())
        self.wait(3)
        self.assertEqual(len(self.lines), 3, "that it is lost, and why there is no other, once")
        self.assertIn("no link to a proxy: ", self.lines[-1])


class FailureTests(ConnectorTestCase):
    """Attempts that fail."""

    def attempts_at(self, proxy: FakeProxy, seconds: float) -> list[float]:
        """The times of the attempts in the next seconds, from the first on."""
        times: list[float] = []
        seen = 0
        self.begin(proxy)
        for _ in range(round(seconds / TICK)):
            if proxy.attempts > seen:
                seen = proxy.attempts
                times.append(self.clock.seconds())
            self.wait(TICK)
        return times

    def test_backs_off(self) -> None:
        """Attempts that fail come half as often each time, up to the cap."""
        proxy = self.proxy()
        proxy.mode = "rejects"
        times = self.attempts_at(proxy, 45)
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        for gap, wanted in zip(gaps, (1, 1.5, 2.25, 3.375, 5.0625, 7.59, 10, 10), strict=False):
            self.assertApproximates(gap, wanted, 2 * TICK)

    def test_refused(self) -> None:
        """Where nobody listens the agent tries every interval: it is there when somebody does."""
        proxy = self.proxy()
        proxy.mode = "refuses"
        times = self.attempts_at(proxy, 45)
        self.assertEqual(len(times), 45)
        proxy.mode = "up"
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1"])

    def test_hung_up(self) -> None:
        """Behind a balancer without a proxy the agent tries nearly as often."""
        proxy = self.proxy()
        proxy.mode = "vanishes"
        times = self.attempts_at(proxy, 45)
        self.assertEqual(len(times), 30)
        proxy.mode = "up"
        self.wait(1.5 * INTERVAL)
        self.assertEqual(self.connected, ["s-1"])

    def test_one_way_waits_for_no_other(self) -> None:
        """While one way hangs, another is tried again and again."""
        hangs, late = self.proxy("hangs"), self.proxy("late")
        hangs.mode, late.mode = "hangs", "refuses"
        self.begin(hangs, late)
        self.wait(10 * INTERVAL)
        late.mode = "up"
        self.wait(INTERVAL)
        self.assertEqual((self.connected, hangs.attempts), (["late"], 1))

    def test_one_line_for_one_problem(self) -> None:
        """A problem that stays is one line; another is another."""
        proxy = self.proxy()
        proxy.mode = "refuses"
        self.begin(proxy)
        self.wait(5)
        self.assertEqual(len(self.lines), 1)
        proxy.mode = "rejects"
        self.wait(10)
        self.assertEqual(len(self.lines), 2)
        self.assertIn("UNKNOWN: too many (2) tokens are received", self.lines[1])
        proxy.mode = "up"
        self.wait(10)
        proxy.wires[-1].client.lose(ConnectionLost())
        proxy.mode = "refuses"
        self.wait(2)
        self.assertIn("no link to a proxy: ", self.lines[-1])
        self.assertEqual(self.lines[-1], self.lines[0], "after a success it is news again")

    def test_endpoints_that_give_up(self) -> None:
        """An endpoint that cancels its own attempt ends no search."""
        proxy = self.proxy()
        proxy.mode = "cancels"
        self.begin(proxy)
        self.wait(INTERVAL)
        proxy.mode = "up"
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["s-1"])

    def test_problems_in_turns(self) -> None:
        """Two problems that take turns are a line each, and again once a minute."""
        proxy = self.proxy()
        self.begin_behind([proxy], lambda: proxy)
        proxy.wires[-1].client.lose(ConnectionLost())
        self.lines.clear()
        modes = ["refuses", "unknown"] * 60
        for mode in modes[:50]:
            proxy.mode = mode
            self.wait(INTERVAL)
        self.assertEqual(len(self.lines), 2)
        for mode in modes:
            proxy.mode = mode
            self.wait(INTERVAL)
        self.assertEqual(len(self.lines), 6)

    def test_no_proxy(self) -> None:
        """Headers that are not a proxy's are named, and the connection is dropped."""
        proxy = self.proxy()
        proxy.mode = "strange"
        self.begin(proxy)
        self.assertEqual(self.lines, ["no link to a proxy: expected one server count, got 0"])
        self.assertEqual(proxy.live, 0)

    def test_silent_proxies(self) -> None:
        """Proxies that take the connection, or the stream, and say nothing are given up."""
        for mode in ("silent", "mute"):
            with self.subTest(mode):
                self.lines.clear()
                proxy = self.proxy()
                proxy.mode = mode
                self.begin(proxy)
                self.wait(HELLO_TIMEOUT - 0.5)
                self.assertEqual((proxy.attempts, self.lines), (1, []))
                self.wait(1)
                self.assertEqual(len(self.lines), 1)
                self.assertEqual(proxy.live, 0)
                proxy.mode = "up"
                self.wait(2 * INTERVAL)
                self.assertEqual(self.connected, ["s-1"])
                self.finish(Deferred.fromCoroutine(self.connector.stop()))

    def test_unreachable(self) -> None:
        """A connection that does not come about is given up too."""
        proxy = self.proxy()
        proxy.mode = "hangs"
        self.begin(proxy)
        self.wait(HELLO_TIMEOUT + 0.5)
        self.assertEqual(proxy.cancelled, 1)
        self.assertEqual(len(self.lines), 1)

    def test_one_bad_address_of_two(self) -> None:
        """An address that fails does not keep the agent from another."""
        bad, good = self.proxy("bad"), self.proxy("good")
        bad.mode = "refuses"
        self.begin(bad, good)
        self.wait(2 * INTERVAL)
        self.assertEqual(self.connected, ["good"])
