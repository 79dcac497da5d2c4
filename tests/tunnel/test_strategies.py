"""Tests of konnect.tunnel.strategies."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.destination import Destination
from konnect.tunnel.strategies import (
    Default,
    DefaultRoute,
    DestCidr,
    DestHost,
    Strategy,
    ranges,
    useless,
)
from konnect.wire.metadata import parse_identifiers
from tests.tunnel.routables import Link, link


class StrategyTestCase(SynchronousTestCase):
    """A strategy that is asked."""

    def ask(self, strategy: Strategy[Link], address: str) -> list[set[Link]]:
        """The links of each pool for an address, best first."""
        return [set(pool) for pool in strategy.pools(Destination(address))]


class AnyAgentTests(StrategyTestCase):
    """`default` and `defaultRoute`."""

    def test_default(self) -> None:
        """Every agent will do for every destination."""
        strategy: Default[Link] = Default()
        self.assertEqual((self.ask(strategy, "x:1"), len(strategy)), ([set()], 0))
        a, b = link(agent_id="a"), link("host=h", agent_id="b")
        strategy.add(a)
        strategy.add(b)
        self.assertEqual((self.ask(strategy, "x:1"), len(strategy)), ([{a, b}], 2))
        strategy.remove(a)
        self.assertEqual((self.ask(strategy, "x:1"), len(strategy)), ([{b}], 1))

    def test_default_route(self) -> None:
        """Agents that do not say that they are a default route are not asked."""
        strategy: DefaultRoute[Link] = DefaultRoute()
        plain, no = link(agent_id="a"), link("default-route=false", agent_id="b")
        yes = link("default-route=true", agent_id="c")
        for one in (plain, no, yes):
            strategy.add(one)
        self.assertEqual((self.ask(strategy, "x:1"), len(strategy)), ([{yes}], 1))
        for one in (plain, no, yes):
            strategy.remove(one)
        self.assertEqual((self.ask(strategy, "x:1"), len(strategy)), ([set()], 0))


class DestHostTests(StrategyTestCase):
    """`destHost`."""

    def setUp(self) -> None:
        self.strategy: DestHost[Link] = DestHost()

    def test_by_value(self) -> None:
        """An agent is asked for the hosts that it names, however they are spelled."""
        one = link("host=Node-1&ipv4=10.0.0.1&ipv6=2001:db8:0::1&host=10.0.0.2")
        self.strategy.add(one)
        self.assertEqual(len(self.strategy), 4)
        for address in (
            "node-1:10250",
            "NODE-1.:10250",
            "10.0.0.1:10250",
            "[::ffff:10.0.0.1]:10250",
            "[2001:DB8::1]:10250",
            "10.0.0.2:1",
        ):
            with self.subTest(address):
                self.assertEqual(self.ask(self.strategy, address), [{one}])
        for address in ("node-2:10250", "10.0.0.3:10250", "[::1]:1", "", ":80"):
            with self.subTest(address):
                self.assertEqual(self.ask(self.strategy, address), [])

    def test_several_agents(self) -> None:
        """Agents that name the same host share its dials; the host is there until the last goes."""
        one, other = link("host=h", agent_id="a"), link("host=H&ipv4=1.1.1.1", agent_id="b")
        self.strategy.add(one)
        self.strategy.add(other)
        self.assertEqual(self.ask(self.strategy, "h:1"), [{one, other}])
        self.strategy.remove(other)
        self.assertEqual(self.ask(self.strategy, "h:1"), [{one}])
        self.assertEqual(self.ask(self.strategy, "1.1.1.1:1"), [])
        self.strategy.remove(one)
        self.assertEqual((self.ask(self.strategy, "h:1"), len(self.strategy)), ([], 0))

    def test_twice_the_same(self) -> None:
        """An agent that names one host in two spellings is there once."""
        one = link("host=h&host=H&host=h.&host=")
        self.strategy.add(one)
        self.assertEqual((self.ask(self.strategy, "h:1"), len(self.strategy)), ([{one}], 1))
        self.strategy.remove(one)
        self.strategy.remove(one)
        self.assertEqual(len(self.strategy), 0)

    def test_nobody(self) -> None:
        """Agents that name no host, or a range only, are not asked."""
        self.strategy.add(link("cidr=10.0.0.0/8&default-route=true"))
        self.assertEqual((self.ask(self.strategy, "10.0.0.1:1"), len(self.strategy)), ([], 0))


class DestCidrTests(StrategyTestCase):
    """`destCIDR`."""

    def setUp(self) -> None:
        self.strategy: DestCidr[Link] = DestCidr()

    def add(self, identifiers: str, agent_id: str) -> Link:
        """A link that the strategy knows."""
        made = link(identifiers, agent_id)
        self.strategy.add(made)
        return made

    def test_longest_prefix(self) -> None:
        """The narrowest range comes first, wider ones behind it."""
        wide = self.add("cidr=10.0.0.0/8", "wide")
        every = self.add("cidr=0.0.0.0/0", "every")
        narrow = self.add("cidr=10.1.0.0/16", "narrow")
        one = self.add("cidr=10.1.2.3/32", "one")
        for address, found in (
            ("10.1.2.3:80", [{one}, {narrow}, {wide}, {every}]),
            ("10.1.9.9:80", [{narrow}, {wide}, {every}]),
            ("10.9.9.9:80", [{wide}, {every}]),
            ("[::ffff:10.9.9.9]:80", [{wide}, {every}]),
            ("11.0.0.1:80", [{every}]),
            ("[::1]:80", []),
            ("host:80", []),
        ):
            with self.subTest(address):
                self.assertEqual(self.ask(self.strategy, address), found)

    def test_ipv6(self) -> None:
        """IPv6 ranges hold IPv6 addresses and no others."""
        site = self.add("cidr=2001:db8::/32", "site")
        net = self.add("cidr=2001:DB8:1::/48", "net")
        every = self.add("cidr=::/0", "every")
        self.assertEqual(self.ask(self.strategy, "[2001:db8:1::5]:80"), [{net}, {site}, {every}])
        self.assertEqual(self.ask(self.strategy, "10.0.0.1:80"), [])

    def test_going(self) -> None:
        """A range is there until its last agent goes, and others of its length stay."""
        a = self.add("cidr=10.0.0.0/8&cidr=10.1.0.0/16", "a")
        b = self.add("cidr=10.0.0.0/8&cidr=11.1.0.0/16", "b")
        self.assertEqual(len(self.strategy), 3)
        self.strategy.remove(a)
        self.strategy.remove(a)
        self.assertEqual(len(self.strategy), 2)
        self.assertEqual(self.ask(self.strategy, "10.1.0.1:80"), [{b}])
        self.assertEqual(self.ask(self.strategy, "11.1.0.1:80"), [{b}])
        self.strategy.remove(b)
        self.assertEqual((self.ask(self.strategy, "11.1.0.1:80"), len(self.strategy)), ([], 0))
        again = self.add("cidr=11.1.0.0/16", "a")
        self.assertEqual(self.ask(self.strategy, "11.1.0.1:80"), [{again}])

    def test_ranges(self) -> None:
        """Bits behind the prefix do not matter, and what is no range is left out."""
        text = "cidr=10.1.2.3/8&cidr=10.0.0.0/8&cidr=10.0.0.0/33&cidr=x&cidr=&cidr=1.1.1.1"
        found = ranges(parse_identifiers(text))
        self.assertEqual(found, {(4, 8, 10), (4, 32, 0x01010101)})

    def test_mapped(self) -> None:
        """IPv4 ranges may be written as IPv6."""
        mapped = self.add("cidr=::ffff:10.0.0.0/104", "mapped")
        for address in ("10.1.2.3:80", "[::ffff:10.1.2.3]:80"):
            self.assertEqual(self.ask(self.strategy, address), [{mapped}])
        self.assertEqual(self.ask(self.strategy, "11.0.0.1:80"), [])
        self.strategy.remove(mapped)
        self.assertEqual(len(self.strategy), 0)


class UselessTests(SynchronousTestCase):
    """Identifiers that match nothing."""

    def test_useless(self) -> None:
        """They are told as they were written; what matches something is not."""
        text = (
            "host=node&host=node:10250&host=&host=10.0.0.1&host=::1&host=[::1]&host=[::1]:80"
            "&ipv4=10.0.0.1&ipv4=node&ipv4=10.0.0.1:80&ipv4=010.0.0.1&ipv6=::1&ipv6=[::1]"
            "&ipv6=fe80::1%25eth0&ipv6=&cidr=10.0.0.0/8&cidr=10.0.0.0/33&cidr=x&cidr="
            "&cidr=::ffff:10.0.0.0/104&default-route=true"
        )
        self.assertEqual(
            useless(parse_identifiers(text)),
            [
                "host=node:10250",
                "host=",
                "host=[::1]:80",
                "ipv4=10.0.0.1:80",
                "ipv6=",
                "cidr=10.0.0.0/33",
                "cidr=x",
                "cidr=",
            ],
        )
