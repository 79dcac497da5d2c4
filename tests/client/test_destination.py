"""Tests of konnect.client.destination."""

from __future__ import annotations

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.trial.unittest import SynchronousTestCase

from konnect.client.destination import Destination


class DestinationTests(SynchronousTestCase):
    """Hosts and ports as both sides write them."""

    def test_text(self) -> None:
        """`host:port`, an IPv6 address in brackets."""
        self.assertEqual(Destination("web.example", 80).text, "web.example:80")
        self.assertEqual(Destination("10.0.0.7", 443).text, "10.0.0.7:443")
        self.assertEqual(Destination("2001:db8::7", 443).text, "[2001:db8::7]:443")

    def test_address(self) -> None:
        """Twisted's address of the same kind."""
        self.assertEqual(Destination("10.0.0.7", 1).address, IPv4Address("TCP", "10.0.0.7", 1))
        self.assertEqual(Destination("::1", 1).address, IPv6Address("TCP", "::1", 1))
        self.assertEqual(Destination("web", 1).address, HostnameAddress(b"web", 1))

    def test_nonsense(self) -> None:
        """What cannot be written as host:port is refused."""
        for host in ("", "a b", "a\r\nb", "[::1]", "a/b", "\x7f"):
            self.assertRaises(ValueError, Destination, host, 1)
        for port in (-1, 65536):
            self.assertRaises(ValueError, Destination, "host", port)
