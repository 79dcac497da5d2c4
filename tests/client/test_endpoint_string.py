"""Tests of konnect.client.endpoint_string."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from konnect.client.destination import Destination
from konnect.client.endpoint import KonnectEndpoint
from konnect.client.endpoint_string import KonnectClientParser
from tests.client.scripted import CountingFactory


class ParserTests(SynchronousTestCase):
    """`konnect:HOST:PORT:via=...`, as Twisted splits it."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def parse(self, *args: str, **kwargs: str) -> Any:
        """Call the parser as clientFromString does."""
        endpoint = KonnectClientParser().parseStreamClient(self.reactor, *args, **kwargs)
        self.assertIsInstance(endpoint, KonnectEndpoint)
        return endpoint

    def test_is_a_plugin(self) -> None:
        """The parser provides what Twisted looks for."""
        parser = KonnectClientParser()
        verifyObject(IPlugin, parser)
        verifyObject(IStreamClientEndpointStringParserWithReactor, parser)
        self.assertEqual(parser.prefix, "konnect")

    def test_reaches_the_proxy_by_the_inner_endpoint(self) -> None:
        """A dial connects to what `via` says, for both kinds."""
        for kind in ("grpc", "connect"):
            endpoint = self.parse("10.0.0.7", "80", via=f"{kind}=unix:/run/k.sock:timeout=7")
            self.assertEqual(endpoint.destination, Destination("10.0.0.7", 80))
            endpoint.connect(CountingFactory()).addErrback(lambda _: None)
            path, _, seconds, *_ = self.reactor.unixClients.pop()
            self.assertEqual((path, seconds), ("/run/k.sock", 7))

    def test_ipv6(self) -> None:
        """An IPv6 destination, with brackets or without."""
        for host in ("::1", "[::1]"):
            endpoint = self.parse(host, "80", via="grpc=tcp:localhost:1")
            self.assertEqual(endpoint.destination.text, "[::1]:80")

    def test_timeout(self) -> None:
        """`timeout` bounds the dial."""
        endpoint = self.parse("h", "80", via="grpc=unix:/run/k.sock", timeout="2.5")
        dialed = endpoint.connect(CountingFactory())
        self.reactor.advance(2.4)
        self.assertNoResult(dialed)
        self.reactor.advance(0.2)
        self.assertIn("within 2.5 seconds", str(self.failureResultOf(dialed).value))

    def test_shared(self) -> None:
        """With shared=yes two dials wait for one connection, otherwise each has its own."""
        for shared, connections in (("yes", 1), ("true", 1), ("no", 2)):
            endpoint = self.parse("h", "80", via="grpc=unix:/run/k.sock", shared=shared)
            for _ in range(2):
                endpoint.connect(CountingFactory()).addErrback(lambda _: None)
            self.assertEqual(len(self.reactor.unixClients), connections)
            self.reactor.unixClients.clear()

    def test_mistakes(self) -> None:
        """Each mistake is a ValueError that names what is wrong."""
        good = {"via": "grpc=unix:/run/k.sock"}
        for args, kwargs, word in (
            (("h",), good, "port"),
            ((), good, "host"),
            (("h", "80"), {}, "via"),
            (("h", "80", "more"), good, "too many positional arguments: 'more'; a colon within"),
            (("h", "eighty"), good, "eighty"),
            (("h", "0"), good, "port '0'"),
            (("h", "65536"), good, "65536"),
            (("", "80"), good, "not a host"),
            (("h", "80"), {"via": "socks5=tcp:localhost:1"}, "socks5"),
            (("h", "80"), {"via": "grpc"}, "neither grpc=ENDPOINT nor connect=ENDPOINT"),
            (("h", "80"), {"via": "grpc="}, "neither grpc=ENDPOINT nor connect=ENDPOINT"),
            (("h", "80"), {"via": "grpc=nothing:1"}, "nothing"),
            (("h", "80"), {**good, "shared": "maybe"}, "maybe"),
            (("h", "80"), {**good, "timeout": "0"}, "timeout"),
            (("h", "80"), {**good, "timeout": "soon"}, "soon"),
            (("h", "80"), {**good, "timeuot": "1"}, "timeuot"),
            (("h", "80"), {"via": "connect=unix:/x", "shared": "yes"}, "needs via=grpc"),
        ):
            problem = self.assertRaises(ValueError, self.parse, *args, **kwargs)
            self.assertIn(word, str(problem), (args, kwargs))
