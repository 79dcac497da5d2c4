"""Tests of konnect.tunnel.destination."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel import destination
from konnect.tunnel.destination import Destination, host_of, host_value, ip_value, network_value


class HostTests(SynchronousTestCase):
    """The host in an address."""

    def test_cut(self) -> None:
        """The port is cut off as upstream does it."""
        for address, host in (
            ("node-1:10250", "node-1"),
            ("node-1", "node-1"),
            ("node-1:", "node-1"),
            ("", ""),
            (":80", ""),
            ("10.0.0.1:443", "10.0.0.1"),
            ("[::1]:443", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("fe80::1%eth0", "fe80::1%eth0"),
            ("a:b:c", "a:b:c"),
        ):
            with self.subTest(address):
                self.assertEqual(host_of(address), host)

    def test_one_value(self) -> None:
        """Spellings of one host have one value, those of different hosts have not."""
        for value, *spellings in (
            ("node-1.example", "NODE-1.Example", "node-1.example."),
            ("::1", "0:0:0:0:0:0:0:1", "0000::0001", "[::1]", "[0::1]"),
            (
                "xn--bcher-kva.example",
                "b\u00fccher.example",
                "B\u00dcCHER.example.",
                "XN--BCHER-kva.example",
            ),
            ("xn--bcher-kva.example", "bu\u0308cher.example", "b\u00fccher\u3002example"),
            ("2001:db8::a", "2001:DB8:0::A"),
            ("10.0.0.1", "::ffff:10.0.0.1", "::FFFF:a00:1"),
            ("fe80::1%eth0", "FE80:0::1%eth0"),
            ("010.0.0.1",),  # which some read as octal: it is nobody's address here
            ("1.2.3", "1.2.3."),
            ("b\u00fccher..example",),  # no name
            ("\udcff.example",),
            ("\u00fc" * 1000,),
            ("",),
        ):
            for spelling in (value, *spellings):
                with self.subTest(spelling):
                    self.assertEqual(host_value(spelling), value)

    def test_addresses(self) -> None:
        """Only addresses are addresses."""
        self.assertEqual(ip_value("::ffff:10.0.0.1"), ip_address("10.0.0.1"))
        self.assertEqual(ip_value("::2"), ip_address("::2"))
        for name in ("", "node", "node1", "1.2.3.4.5", "a:b", "10.0.0.1/8"):
            with self.subTest(name):
                self.assertIsNone(ip_value(name))

    def test_ranges(self) -> None:
        """Ranges are IPv4's where they are, however they are written."""
        for text, value in (
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::FFFF:a00:0/104", "10.0.0.0/8"),
            ("::ffff:0:0/96", "0.0.0.0/0"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("::ffff:0:0/95", "::fffe:0:0/95"),
            ("[2001:db8::]/32", "2001:db8::/32"),
            ("[::1]", "::1/128"),
            ("::/0", "::/0"),
        ):
            with self.subTest(text):
                self.assertEqual(network_value(text), ip_network(value))
        for text in ("", "x", "/8", "10.0.0.0/33", "10.0.0.0/", "[::1/64]", "fe80::1%eth0/z"):
            with self.subTest(text):
                self.assertIsNone(network_value(text))


class DestinationTests(SynchronousTestCase):
    """What a dial is for."""

    def test_parts(self) -> None:
        """Host and address can be asked for in any order, and again."""
        for ask in (("host", "ip"), ("ip", "host"), ("ip", "ip", "host", "host")):
            destination = Destination("[2001:DB8::1]:80")
            parts = {part: getattr(destination, part) for part in ask}
            self.assertEqual(parts, {"host": "2001:db8::1", "ip": ip_address("2001:db8::1")})
        self.assertEqual(Destination("[10.0.0.1]:80").ip, ip_address("10.0.0.1"))
        self.assertEqual(Destination("B\u00fccher.example:80").host, "xn--bcher-kva.example")
        name = Destination("Node:80")
        self.assertEqual((name.ip, name.host, name.ip), (None, "node", None))

    def test_without_assertions(self) -> None:
        """Under `python -O` the address is the same."""
        source = Path(destination.__file__).read_text("utf-8")
        module: dict[str, Any] = {"__name__": "optimized"}
        exec(compile(source, "optimized", "exec", optimize=1), module)
        self.assertEqual(module["Destination"]("[::1]:80").ip, ip_address("::1"))
