"""Tests of konnect.net.named."""

from __future__ import annotations

from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.named import NamedEndpoint


class NamedEndpointTests(SynchronousTestCase):
    """A name, by lookup or with addresses that are known."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.reached: list[IStreamClientEndpoint] = []
        self.endpoint = NamedEndpoint(
            self.reactor, "proxies.example", 8091, self.reach, timeout=7.0
        )
        self.factory = Factory.forProtocol(Protocol)

    def reach(self, plain: IStreamClientEndpoint) -> IStreamClientEndpoint:
        """What would add TLS."""
        self.reached.append(plain)
        return plain

    def connects(self) -> list[tuple[str, int, float]]:
        """Where connections were begun, and how long each may take."""
        return [(host, port, timeout) for host, port, _, timeout, _ in self.reactor.tcpClients]

    def test_race(self) -> None:
        """Known addresses are tried from the first on, the next one when it does not answer."""
        connecting = self.endpoint.at(["10.0.0.2", "::1", "10.0.0.1"]).connect(self.factory)
        self.assertEqual(self.connects(), [("10.0.0.2", 8091, 7.0)])
        self.reactor.advance(0.3)
        self.assertEqual(self.connects()[1:], [("::1", 8091, 7.0)])
        self.assertEqual(len(self.reached), 1, "the endpoint around it is ours")
        self.reactor.tcpClients[1][2].buildProtocol(None)
        self.assertNoResult(connecting)
        connecting.cancel()
        self.failureResultOf(connecting)

    def test_within(self) -> None:
        """The TCP connection may be given less time than usual, and never more."""
        for within, given in ((2.0, 2.0), (9.0, 7.0)):
            for addresses in (["127.0.0.1"], None):
                connecting = self.endpoint.at(addresses, within=within).connect(self.factory)
                self.assertEqual(self.connects()[-1], ("127.0.0.1", 8091, given))
                connecting.cancel()
                self.failureResultOf(connecting)

    def test_nobody(self) -> None:
        """When nobody is at any address the attempt fails as that at the last one did."""
        connecting = self.endpoint.at(["10.0.0.1"]).connect(self.factory)
        self.reactor.advance(0.3)
        client = self.reactor.tcpClients[0][2]
        client.clientConnectionFailed(self.reactor.connectors[0], Failure(ConnectionRefusedError()))
        self.failureResultOf(connecting, ConnectionRefusedError)

    def test_no_addresses(self) -> None:
        """Without an address there is no such host."""
        self.failureResultOf(self.endpoint.at([]).connect(self.factory), DNSLookupError)

    def test_lookup(self) -> None:
        """Unless addresses are given the reactor is asked for them; this one says 127.0.0.1."""
        connecting = self.endpoint.connect(self.factory)
        self.assertEqual(self.connects(), [("127.0.0.1", 8091, 7.0)])
        connecting.cancel()
        self.failureResultOf(connecting)
