"""The words are Go's: each text here was seen from Go's own net package."""

from __future__ import annotations

import errno
import socket

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import error
from twisted.trial.unittest import SynchronousTestCase

from konnect.agent.gotext import (
    TCP,
    AddressError,
    check_network,
    dial_error_text,
    is_domain_name,
    is_timeout,
    join_address,
    lookup_error_text,
    no_suitable_address_text,
    split_address,
    timeout_text,
)


class SplitAddressTests(SynchronousTestCase):
    """Addresses."""

    def test_addresses(self) -> None:
        """Host and port, without brackets; a port may be a number with a sign or a service."""
        for address, parts in {
            "127.0.0.1:1": ("127.0.0.1", 1),
            "foo:80": ("foo", 80),
            "[::1]:443": ("::1", 443),
            "[fe80::1%eth0]:443": ("fe80::1%eth0", 443),
            "[localhost]:1": ("localhost", 1),
            ":1": ("", 1),
            "[]:1": ("", 1),
            ":": ("", 0),
            "foo:": ("foo", 0),
            "foo:+80": ("foo", 80),
            "foo:-0": ("foo", 0),
            "foo:00001": ("foo", 1),
            "foo:65535": ("foo", 65535),
            "foo:http": ("foo", 80),
            "foo:HTTPS": ("foo", 443),
        }.items():
            self.assertEqual(split_address("tcp", address), parts, address)

    def test_errors(self) -> None:
        """Go's text for everything that is no address."""
        for address, text in {
            "": "missing address",
            "foo": "address foo: missing port in address",
            "99999": "address 99999: missing port in address",
            "[::1]": "address [::1]: missing port in address",
            "[::1]80": "address [::1]80: missing port in address",
            "[a]]:80": "address [a]]:80: missing port in address",
            "::1": "address ::1: too many colons in address",
            "::1:80": "address ::1:80: too many colons in address",
            "a:b:c": "address a:b:c: too many colons in address",
            "a.b:1:": "address a.b:1:: too many colons in address",
            "[::1]:80:90": "address [::1]:80:90: too many colons in address",
            "[::1": "address [::1: missing ']' in address",
            "foo]:80": "address foo]:80: unexpected ']' in address",
            "fo[o:80": "address fo[o:80: unexpected '[' in address",
            "[fo[o]:80": "address [fo[o]:80: unexpected '[' in address",
            "127.0.0.1:99999": "address 99999: invalid port",
            ":65536": "address 65536: invalid port",
            "foo:-1": "address -1: invalid port",
            "foo:99999999999999999999": "address 99999999999999999999: invalid port",
            "foo:httpx": "lookup tcp/httpx: unknown port",
            "foo:1\n": "lookup tcp/1\n: unknown port",
            "foo:٣": "lookup tcp/٣: unknown port",
        }.items():
            raised = self.assertRaises(AddressError, split_address, "tcp", address)
            self.assertEqual(str(raised), f"dial tcp: {text}")

    def test_long_addresses(self) -> None:
        """A megabyte of address is an error like any other, of a bearable length."""
        for address in ("a" * 2**20, "a:" + "9" * 2**20, "a:" + "x" * 2**20, ":" * 2**20):
            raised = self.assertRaises(AddressError, split_address, "tcp", address)
            self.assertLess(len(str(raised)), 400)

    @settings(max_examples=300, deadline=None)
    @given(st.text("a:[]0.9%+-\x00é", max_size=12))
    def test_any_text(self, address: str) -> None:
        """Any text is an address within bounds or an AddressError."""
        try:
            host, port = split_address("tcp", address)
        except AddressError as raised:
            self.assertTrue(str(raised).startswith("dial tcp: "))
        else:
            self.assertTrue(0 <= port <= 65535)
            self.assertFalse(set("[]") & set(host))

    def test_join(self) -> None:
        """IPv6 addresses get their brackets back."""
        self.assertEqual(join_address("::1", 80), "[::1]:80")
        self.assertEqual(join_address("127.0.0.1", 80), "127.0.0.1:80")


class NetworkTests(SynchronousTestCase):
    """Networks."""

    def test_allowed(self) -> None:
        """What is allowed raises nothing."""
        for network in TCP:
            check_network(network)

    def test_unknown(self) -> None:
        """Go's text for what is no network."""
        for network, text in {
            "bogus": "dial bogus: unknown network bogus",
            "": "dial: unknown network ",
            "TCP": "dial TCP: unknown network TCP",
            "ip": "dial ip: unknown network ip",
            "tcp5": "dial tcp5: unknown network tcp5",
        }.items():
            raised = self.assertRaises(AddressError, check_network, network)
            self.assertEqual(str(raised), text)

    def test_not_permitted(self) -> None:
        """Networks that Go knows and this agent does not dial are refused with a text of ours."""
        for network in ("udp", "udp4", "unix", "unixgram", "unixpacket", "ip:icmp", "ip4:1"):
            raised = self.assertRaises(AddressError, check_network, network)
            self.assertEqual(
                str(raised),
                f"dial {network}: network {network} is not permitted by this agent"
                " (permitted: tcp, tcp4, tcp6)",
            )


class NameTests(SynchronousTestCase):
    """What is looked up at all."""

    def test_names(self) -> None:
        """Names that Go looks up."""
        for name in ("a", "a.b", "a.b.", "a-b.c1", "_x.y", "1a", "a" * 63, "x.1", "LOCALHOST"):
            self.assertTrue(is_domain_name(name), name)
        self.assertTrue(is_domain_name(".".join(["a" * 49] * 5)))

    def test_no_names(self) -> None:
        """What Go says `no such host` to at once, and what only C libraries take for an address."""
        for name in (
            "",
            ".",
            "a..b",
            ".a",
            "-a",
            "a-",
            "a.-b",
            "a" * 64,
            "foo bar",
            "f\x00o",
            "föo",
            "a\n",
            "%zz",
            "127.1",
            "0",
            "010.0.0.1",
            "0x7f.1",
            "0x7f000001",
            "1::2::3",
            ".".join(["a" * 50] * 5),
        ):
            self.assertFalse(is_domain_name(name), name)


class DialErrorTextTests(SynchronousTestCase):
    """Failures."""

    def text(self, failure: BaseException) -> str:
        """For one address."""
        return dial_error_text("tcp", "10.0.0.1:80", failure)

    def test_kernel_errors(self) -> None:
        """The kernel's errors, by number, whatever words Twisted has for them."""
        for number, words in {
            errno.ECONNREFUSED: "connection refused",
            errno.EHOSTUNREACH: "no route to host",
            errno.ENETUNREACH: "network is unreachable",
            errno.ENETDOWN: "network is down",
            errno.ECONNRESET: "connection reset by peer",
            errno.ETIMEDOUT: "connection timed out",
            errno.EACCES: "permission denied",
            errno.EADDRNOTAVAIL: "cannot assign requested address",
            errno.EINVAL: "invalid argument",
        }.items():
            expected = f"dial tcp 10.0.0.1:80: connect: {words}"
            self.assertEqual(self.text(error.getConnectError((number, "other words"))), expected)
            self.assertEqual(self.text(OSError(number, "other words")), expected)

    def test_out_of_files(self) -> None:
        """Without a file descriptor there is no socket to connect."""
        expected = "dial tcp 10.0.0.1:80: socket: too many open files"
        self.assertEqual(self.text(error.ConnectBindError(errno.EMFILE, "x")), expected)
        self.assertEqual(self.text(OSError(errno.EMFILE, "x")), expected)
        self.assertEqual(
            self.text(error.ConnectBindError(errno.ENOBUFS, "x")),
            "dial tcp 10.0.0.1:80: socket: no buffer space available",
        )
        self.assertEqual(self.text(OSError(errno.ENFILE, "x")), expected + " in system")

    def test_errors_without_number(self) -> None:
        """Twisted's errors that have lost their number keep their meaning, others their words."""
        self.assertEqual(self.text(error.TimeoutError()), "dial tcp 10.0.0.1:80: i/o timeout")
        for failure, words in (
            (error.ConnectionRefusedError(), "connection refused"),
            (error.NoRouteError(), "no route to host"),
            (socket.gaierror(-2, "x"), "invalid argument"),
            (ValueError("a\nb"), "a b"),
            (ValueError(), "ValueError"),
        ):
            self.assertEqual(self.text(failure), f"dial tcp 10.0.0.1:80: connect: {words}")

    def test_timeouts(self) -> None:
        """What Go calls a timeout, and what it does not."""
        self.assertTrue(is_timeout(error.TimeoutError()))
        self.assertTrue(is_timeout(OSError(errno.ETIMEDOUT, "x")))
        self.assertFalse(is_timeout(OSError(errno.ECONNREFUSED, "x")))
        self.assertFalse(is_timeout(error.ConnectionRefusedError()))

    def test_other_texts(self) -> None:
        """Lookups, timeouts, families."""
        self.assertEqual(lookup_error_text("tcp", "a.b"), "dial tcp: lookup a.b: no such host")
        self.assertEqual(
            lookup_error_text("tcp", "a.b", "i/o timeout"), "dial tcp: lookup a.b: i/o timeout"
        )
        self.assertEqual(timeout_text("tcp", "[::1]:1"), "dial tcp [::1]:1: i/o timeout")
        self.assertEqual(
            no_suitable_address_text("tcp6", "1.2.3.4"),
            "dial tcp6: address 1.2.3.4: no suitable address found",
        )
