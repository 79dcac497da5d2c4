"""Tests of konnect.agent.server_count, and of an agent that counts leases."""

from __future__ import annotations

import itertools

from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

from konnect.agent import server_count
from konnect.agent.backoff import EAGER
from konnect.agent.census import FORGET_AFTER
from konnect.agent.server_count import PLAUSIBLE, ServerCount
from konnect.agent.ways import Way
from tests.agent.connecting import INTERVAL, ConnectorTestCase
from tests.lines import Lines


class ServerCountTests(SynchronousTestCase):
    """From what is told to a number."""

    def test_proxies_alone(self) -> None:
        """Without leases the newest word of a proxy counts; before it, one."""
        for source in ("", "default", "max"):
            counts = ServerCount(source)
            self.assertEqual(counts.value, 1)
            for told, value in ((3, 3), (2, 2), (0, 1), (-4, 1)):
                counts.told(told, "p")
                self.assertEqual(counts.value, value)

    def test_leases(self) -> None:
        """Where leases are counted they alone count, or with `max` if they are more."""
        leases = [0]
        for source, values in (("", (2, 2, 5)), ("default", (2, 2, 5)), ("max", (2, 3, 5))):
            leases[0] = 2
            counts = ServerCount(source, lambda: leases[0])
            before = counts.value
            counts.told(3, "p")
            told = counts.value
            leases[0] = 5
            self.assertEqual((before, told, counts.value), values, source)
            leases[0] = 0
            self.assertEqual(counts.value, 3 if source == "max" else 1)

    def test_few_are_named(self) -> None:
        """Of ever new proxies that say so, some are named and not all."""
        lines = Lines(self, server_count.__name__)
        counts = ServerCount()
        for number in range(1000):
            counts.told(PLAUSIBLE + 1, f"s-{number}")
        self.assertTrue(0 < len(lines.texts) < 100, len(lines.texts))
        counts.told(PLAUSIBLE, "another")
        self.assertEqual(counts.value, PLAUSIBLE)


class LeaseTests(ConnectorTestCase):
    """An agent that counts leases."""

    def test_more_leases(self) -> None:
        """When there are more leases the agent looks at once for more proxies."""
        leases = [1]
        self.counts = ServerCount("default", lambda: leases[0])
        proxies = [self.proxy(f"s-{n}") for n in range(2)]
        self.begin_behind(proxies, itertools.cycle(proxies).__next__)
        self.wait(20)
        self.assertEqual((self.connected, self.ledger.known_server_count), (["s-0"], 1))
        leases[0] = 2
        self.connector.hasten()
        self.assertEqual(self.ledger.known_server_count, 2)
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-0", "s-1"])
        leases[0] = 1
        self.connector.hasten()
        self.wait(20)
        self.assertEqual(self.connected, ["s-0", "s-1"], "links that are there stay")


class AbsurdTests(ConnectorTestCase):
    """A proxy that says there are more than there can be."""

    def test_named_once_and_slow(self) -> None:
        """It is named with its number once, and from some minutes on tried at the cap's pace."""
        proxy = self.proxy(count=10**9)
        self.begin(proxy)
        self.wait(EAGER * PLAUSIBLE * 1.2 * INTERVAL)
        before = proxy.attempts
        self.wait(100)
        self.assertLess(proxy.attempts - before, 12, "upstream tries every second")
        self.assertGreater(proxy.attempts - before, 5, "but it goes on")
        self.assertEqual(proxy.live, 1)
        (line,) = [line for line in self.lines if "says that there are" in line]
        self.assertIn("proxy s-1 at", line)
        self.assertIn("1000000000 proxies (--server-count)", line)


class StandingTests(ConnectorTestCase):
    """How many proxies are connected, expected and known."""

    def standing(self) -> tuple[int, int, int]:
        """As the metrics say."""
        proxies = self.ledger.proxies
        return proxies["connected"], proxies["expected"], proxies["known"]

    def test_each_way_is_expected(self) -> None:
        """One proxy is expected for each way, also for one that was never reached."""
        first, second = self.proxy("s-1"), self.proxy("s-2")
        second.mode = "refuses"
        self.begin(first, second)
        self.assertEqual(self.standing(), (1, 2, 1))
        second.mode = "up"
        self.wait(INTERVAL)
        self.assertEqual(self.standing(), (2, 2, 2))
        first.mode = "refuses"
        first.wires[0].client.lose(ConnectionLost())
        self.assertEqual(self.standing(), (1, 2, 2))

    def test_two_ways_to_one_proxy(self) -> None:
        """Ways that lead to the same proxy count once, and are left alone then."""
        proxy = self.proxy()
        self.begin_at([proxy], Way(proxy), Way(proxy))
        self.wait(20)
        self.assertEqual((self.standing(), proxy.attempts, proxy.live), ((1, 1, 1), 2, 1))

    def test_forgotten(self) -> None:
        """A proxy that was not seen for a while is known no more."""
        first, second = self.proxy("s-1"), self.proxy("s-2")
        self.begin(first, second)
        second.mode = "refuses"
        second.wires[0].client.lose(ConnectionLost())
        self.wait(FORGET_AFTER - 10)
        self.assertEqual(self.standing(), (1, 2, 2))
        self.wait(20)
        self.assertEqual(self.standing(), (1, 2, 1))

    def test_before_the_first(self) -> None:
        """An agent that has reached nobody expects one."""
        proxy = self.proxy()
        proxy.mode = "refuses"
        self.begin(proxy)
        self.assertEqual(self.standing(), (0, 1, 0))
        self.assertIsNone(self.ledger.open_server_connections)
