"""Tests of konnect.app.environment."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.environment import Outward, read_outward

CORP = "http://corp:3128"


class OutwardTests(SynchronousTestCase):
    """HTTPS_PROXY and NO_PROXY, as golang.org/x/net/http/httpproxy has them."""

    def test_nothing(self) -> None:
        """Without the variable, or with an empty one, there is no HTTP proxy."""
        for environ in ({}, {"HTTPS_PROXY": ""}, {"NO_PROXY": "x"}, {"HTTP_PROXY": CORP}):
            self.assertEqual(read_outward(environ).proxy_for("far", 8091), "")

    def test_capitals_first(self) -> None:
        """Names in capitals come before those in small letters."""
        both = {"HTTPS_PROXY": CORP, "https_proxy": "http://other"}
        self.assertEqual(read_outward(both).proxy_for("far", 8091), CORP)
        small = {"https_proxy": "http://other", "no_proxy": "near"}
        self.assertEqual(read_outward(small).proxy_for("far", 8091), "http://other")
        self.assertEqual(read_outward(small).proxy_for("near", 8091), "")

    def test_here(self) -> None:
        """This machine is always reached directly."""
        for host in ("localhost", "127.0.0.1", "127.1.2.3", "::1"):
            self.assertEqual(Outward(CORP).proxy_for(host, 8091), "", host)

    def test_exceptions(self) -> None:
        """Names with all below them, addresses, networks, ports, or everything."""
        for text, host, direct in (
            ("example.com", "example.com", True),
            ("example.com", "a.Example.com", True),
            ("example.com", "badexample.com", False),
            (".example.com", "example.com", False),
            (".example.com", "a.example.com", True),
            ("*.example.com", "a.example.com", True),
            ("a, b ,EXAMPLE.com", "example.com.", True),
            ("example.com:8091", "example.com", True),
            ("example.com:443", "example.com", False),
            ("10.0.0.1", "10.0.0.1", True),
            ("10.0.0.1", "10.0.0.10", False),
            ("10.0.0.0/8", "10.9.8.7", True),
            ("10.0.0.0/8", "11.9.8.7", False),
            ("10.0.0.0/nine", "10.9.8.7", False),
            ("fd00::/8", "fd00::1", True),
            ("fd00::1", "fd00:0::1", True),
            ("[fd00::1]:8091", "fd00::1", True),
            ("[fd00::1]:443", "fd00::1", False),
            ("*", "anything", True),
            ("", "anything", False),
            (",,", "anything", False),
        ):
            outward = read_outward({"HTTPS_PROXY": CORP, "NO_PROXY": text})
            self.assertEqual(outward.proxy_for(host, 8091) == "", direct, (text, host))

    def test_bad_proxy(self) -> None:
        """A variable that names no HTTP proxy is named, and not repeated."""
        error = self.assertRaises(ValueError, read_outward, {"HTTPS_PROXY": "socks5://u:pw@corp"})
        self.assertEqual(str(error), "bad $HTTPS_PROXY: no HTTP proxy: socks5 is not spoken")

    def test_no_secret(self) -> None:
        """The password is in no text that is made of it."""
        self.assertNotIn("pw", repr(Outward("http://u:pw@corp")))
