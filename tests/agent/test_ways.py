"""Tests of konnect.agent.ways, and of an agent that follows a name with several addresses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IProtocol,
    IProtocolFactory,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.agent.search import LOOK_AGAIN, PATIENCE
from konnect.agent.ways import (
    ANYWHERE,
    HURRIED_CONNECT,
    HURRIED_LOOKUP,
    LOOKUP_TIMEOUT,
    MAX_ADDRESSES,
    Way,
)
from konnect.net.named import NamedEndpoint
from tests.agent.connecting import INTERVAL, ConnectorTestCase
from tests.agent.rig import FakeProxy


@implementer(IHostnameResolver)
class FakeResolver:
    """Knows the addresses of one name; silent while `addresses` is None."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] | None = addresses
        self.asked: list[str] = []
        self.receivers: list[IResolutionReceiver] = []

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append(hostName)
        self.receivers.append(resolutionReceiver)
        resolution: Any = None
        resolutionReceiver.resolutionBegan(resolution)
        if self.addresses is not None:
            for ip in self.addresses:
                kind = IPv6Address if ":" in ip else IPv4Address
                resolutionReceiver.addressResolved(kind("TCP", ip, portNumber))
            resolutionReceiver.resolutionComplete()
        return resolution  # type: ignore[no-any-return]

    def answer(self, number: int, address: str) -> None:
        """Answer a lookup that waits."""
        self.receivers[number].addressResolved(IPv4Address("TCP", address, 8091))
        self.receivers[number].resolutionComplete()


@implementer(IStreamClientEndpoint)
class _Places:
    """Leads to whoever is at the first address where anybody is."""

    def __init__(self, places: dict[str, FakeProxy], addresses: Sequence[str]) -> None:
        self._places = places
        self._addresses = addresses

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        for address in self._addresses:
            proxy = self._places.get(address)
            if proxy is not None and proxy.mode != "refuses":
                connecting = proxy.connect(factory)
                proxy.protocols()[-1].peer = f"[{address}]:8091" if ":" in address else address
                return connecting
        return fail(ConnectionRefusedError())


class FakeNamed(NamedEndpoint):
    """A name, and who is at its addresses."""

    def __init__(self, places: dict[str, FakeProxy], host: str = "proxies") -> None:
        super().__init__(Clock(), host, 8091, lambda plain: plain, timeout=1)
        self._places = places
        self.tried: list[list[str]] = []
        self.within: float | None = None

    def at(
        self, addresses: Sequence[str] | None, *, within: float | None = None
    ) -> IStreamClientEndpoint:
        self.within = within
        if addresses is None:
            return self
        self.tried.append(list(addresses))
        return _Places(self._places, addresses)

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        return _Places(self._places, list(self._places)).connect(factory)


class WayTests(SynchronousTestCase):
    """One way."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.resolver = FakeResolver("10.0.0.1", "10.0.0.2", "::3")
        self.way = Way(FakeNamed({}), resolver=self.resolver)

    def look_up(self) -> Deferred[None]:
        """Look the name up."""
        return Deferred.fromCoroutine(self.way.look_up(self.clock))

    def test_addresses(self) -> None:
        """All addresses of a name are open until a linked proxy was met there, and last then."""
        self.successResultOf(self.look_up())
        self.assertEqual(self.way.open_addresses(()), ["10.0.0.1", "10.0.0.2", "::3"])
        self.way.met("10.0.0.2", self.way.addresses, "b")
        self.assertEqual(self.way.open_addresses({"b"}), ["10.0.0.1", "::3"])
        self.assertEqual(self.way.all_addresses({"b"}), ["10.0.0.1", "::3", "10.0.0.2"])
        self.assertEqual(len(self.way.open_addresses({"a"})), 3, "b is not linked any more")

    def test_turns(self) -> None:
        """Each attempt begins at another address."""
        self.successResultOf(self.look_up())
        firsts = []
        for _ in range(4):
            addresses = self.way.open_addresses(())
            firsts.append(addresses[0])
            self.way.endpoint(addresses)
        self.assertEqual(firsts, ["10.0.0.1", "10.0.0.2", "::3", "10.0.0.1"])

    def test_changes(self) -> None:
        """A new lookup replaces the addresses; one that finds nothing leaves them."""
        self.successResultOf(self.look_up())
        self.way.met("10.0.0.2", self.way.addresses, "b")
        self.resolver.addresses = ("10.0.0.2", "10.0.0.4", "10.0.0.4")
        self.successResultOf(self.look_up())
        self.assertEqual(self.way.open_addresses({"b"}), ["10.0.0.4"])
        self.resolver.addresses = ()
        self.successResultOf(self.look_up())
        self.assertEqual(self.way.addresses, ["10.0.0.2", "10.0.0.4"])

    def test_no_answer(self) -> None:
        """A lookup without an answer is given up, and the next one is another."""
        self.resolver.addresses = None
        looking = self.look_up()
        self.clock.advance(LOOKUP_TIMEOUT)
        self.successResultOf(looking)
        self.assertEqual(self.way.addresses, [ANYWHERE])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        again = self.look_up()
        self.assertNoResult(again)
        self.assertEqual(len(self.resolver.asked), 2)
        self.resolver.answer(0, "10.0.0.9")
        self.assertNoResult(again)
        self.resolver.answer(1, "10.0.0.1")
        self.successResultOf(again)
        self.assertEqual(self.way.addresses, ["10.0.0.1"])

    def test_hurry(self) -> None:
        """In a hurry the addresses of before are tried soon, and a lookup goes on beside that."""
        self.successResultOf(self.look_up())
        self.resolver.addresses = None
        self.way.hurried = True
        for _ in range(3):
            looking = self.look_up()
            self.clock.advance(HURRIED_LOOKUP)
            self.successResultOf(looking)
        self.assertEqual(len(self.resolver.asked), 2, "the same one")
        self.assertEqual(len(self.way.addresses), 3)
        looking = self.look_up()
        self.resolver.answer(1, "10.0.0.4")
        self.successResultOf(looking)
        self.assertEqual(self.way.addresses, ["10.0.0.4"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_hurry_without_addresses(self) -> None:
        """Where none is known the lookup has its time."""
        self.resolver.addresses = None
        self.way.hurried = True
        looking = self.look_up()
        self.clock.advance(LOOKUP_TIMEOUT - 0.1)
        self.assertNoResult(looking)
        self.way.abandon()
        self.clock.advance(0.1)
        self.successResultOf(looking)

    def test_hurried_connections(self) -> None:
        """In a hurry a connection is given up before the kernel asks ever more rarely."""
        endpoint = FakeNamed({})
        way = Way(endpoint, resolver=self.resolver)
        for way.hurried, within in ((True, HURRIED_CONNECT), (False, None)):
            for addresses in (["10.0.0.1"], [ANYWHERE]):
                way.endpoint(addresses)
                self.assertEqual(endpoint.within, within)

    def test_leads_to(self) -> None:
        """A way knows the proxies that it met, as long as their addresses are the name's."""
        self.successResultOf(self.look_up())
        self.way.met("10.0.0.1", self.way.addresses, "a")
        self.way.met("10.0.0.2", self.way.addresses, "b")
        self.assertEqual([self.way.leads_to(name) for name in "abc"], [True, True, False])

    def test_bounded(self) -> None:
        """A name with a great many addresses fills no memory."""
        self.resolver.addresses = [f"10.0.{n >> 8}.{n & 255}" for n in range(1000)]
        self.successResultOf(self.look_up())
        self.assertEqual(len(self.way.addresses), MAX_ADDRESSES)

    def test_no_name(self) -> None:
        """Addresses, and endpoints without a name, are not looked up."""
        for endpoint in (FakeNamed({}, "10.0.0.1"), FakeNamed({}, "::1"), FakeProxy("s-1")):
            way = Way(endpoint, resolver=self.resolver)
            self.successResultOf(Deferred.fromCoroutine(way.look_up(self.clock)))
            self.assertEqual(way.open_addresses(()), [ANYWHERE])
            self.assertIs(way.endpoint([ANYWHERE]), endpoint)
            way.met("10.9.9.9", [ANYWHERE], "a")
            self.assertEqual(way.open_addresses({"a"}), [])
        self.assertEqual(self.resolver.asked, [])


class NameTests(ConnectorTestCase):
    """An agent whose proxies are all addresses of one name."""

    def begin_named(self, places: dict[str, FakeProxy]) -> None:
        """Start an agent that follows a name with these addresses."""
        self.resolver = FakeResolver(*places)
        self.endpoint = FakeNamed(places)
        proxies = list(dict.fromkeys(places.values()))
        self.begin_at(proxies, Way(self.endpoint, "proxies:8091", resolver=self.resolver))

    def test_all_addresses(self) -> None:
        """The proxy at each address is linked, although each says that it is the only one."""
        places = {f"10.0.0.{n}": self.proxy(f"s-{n}") for n in (1, 2, 3)}
        self.begin_named(places)
        self.wait(2.5 * INTERVAL)
        self.assertEqual(self.connected, ["s-1", "s-2", "s-3"])
        self.wait(30)
        self.assertEqual([proxy.attempts for proxy in self.proxies], [1, 1, 1])

    def test_two_addresses_of_one_proxy(self) -> None:
        """A proxy with an IPv4 and an IPv6 address is tried at both, and linked once."""
        proxy = self.proxy()
        self.begin_named({"10.0.0.1": proxy, "fd00::1": proxy})
        self.wait(30)
        self.assertEqual((self.connected, proxy.attempts, proxy.live), (["s-1"], 2, 1))

    def test_a_proxy_comes(self) -> None:
        """An address that the name gets later is found at the next look."""
        places = {"10.0.0.1": self.proxy("s-1")}
        self.begin_named(places)
        self.wait(10)
        looks = len(self.resolver.asked)
        places["10.0.0.2"] = new = self.proxy("s-2")
        self.proxies.append(new)
        self.resolver.addresses = list(places)
        self.wait(LOOK_AGAIN)
        self.assertEqual(self.connected, ["s-1", "s-2"])
        self.assertLess(len(self.resolver.asked), looks + 4, "a satisfied agent looks rarely")

    def test_an_address_where_nobody_is(self) -> None:
        """It is tried, without noise, and the links to the others are left alone."""
        places = {"10.0.0.1": self.proxy("s-1"), "fd00::1": self.proxy("s-2")}
        places["fd00::1"].mode = "refuses"
        self.begin_named(places)
        self.wait(20)
        self.assertEqual(self.connected, ["s-1"])
        self.assertEqual(places["10.0.0.1"].attempts, 1)
        self.assertEqual([line for line in self.lines if "no link" in line], [])
        places["fd00::1"].mode = "up"
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1", "s-2"])

    def test_an_address_that_says_nothing(self) -> None:
        """It keeps no agent from the proxies at the others for long."""
        hangs, up = self.proxy("s-1"), self.proxy("s-2")
        for first in (hangs, up):
            first.mode = "silent"
            self.begin_named({"10.0.0.1": hangs, "10.0.0.2": up})
            self.wait(PATIENCE + 2 * INTERVAL)
            self.assertEqual(len(self.connected), 1)
            self.finish(Deferred.fromCoroutine(self.connector.stop()))
            first.mode = "up"

    def test_a_name_that_is_gone(self) -> None:
        """While the addresses of before are tried, it is said that they are."""
        proxy = self.proxy()
        self.begin_named({"10.0.0.1": proxy})
        self.resolver.addresses = []
        proxy.mode = "refuses"
        proxy.wires[0].client.lose(ConnectionLost())
        self.wait(3 * INTERVAL)
        (line,) = [line for line in self.lines if "no link" in line]
        self.assertIn("connection refused (the name has no address now", line)
        self.resolver.addresses = ["10.0.0.1"]
        self.wait(3 * INTERVAL)
        self.assertTrue(self.lines[-1].endswith("connection refused"), self.lines[-1])

    def test_one_is_lost(self) -> None:
        """The address of a lost proxy is tried first."""
        places = {f"10.0.0.{n}": self.proxy(f"s-{n}", count=3) for n in (1, 2, 3)}
        self.begin_named(places)
        self.wait(3 * INTERVAL)
        places["10.0.0.2"].wires[0].client.lose(ConnectionLost())
        del self.endpoint.tried[:]
        self.wait(INTERVAL)
        self.assertEqual(self.connected, ["s-1", "s-2", "s-3"])
        self.assertEqual([addresses[0] for addresses in self.endpoint.tried], ["10.0.0.2"])
