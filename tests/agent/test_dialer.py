"""Dials of addresses and of names, step by step."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet import error
from twisted.internet.address import HostnameAddress, IPv6Address
from twisted.internet.defer import CancelledError

from konnect.agent.dialing import DialError
from konnect.tunnel.reasons import Reason
from tests.agent.dialing import DialTestCase, dialled


class AddressTests(DialTestCase):
    """One address."""

    def test_success(self) -> None:
        """The protocol comes with its transport, and the timer is gone."""
        dial = self.dial("10.0.0.1:80")
        self.assertEqual(self.tried, ["10.0.0.1"])
        self.assertNoResult(dial)
        transport = self.accept(0)
        self.assertIs(self.successResultOf(dial).transport, transport)  # type: ignore[attr-defined]

    def test_no_timer_for_an_attempt(self) -> None:
        """A dial costs one timer."""
        dial = self.dial("10.0.0.1:80")
        self.assertEqual(len(self.reactor.getDelayedCalls()), 1)
        self.assertIs(self.reactor.tcpClients[0][3], None)
        dial.addErrback(lambda _: None).cancel()

    def test_refused(self) -> None:
        """A refusal has the address that was tried."""
        dial = self.dial("[::1]:80")
        self.refuse(0)
        self.assertEqual(
            self.error(dial), ("dial tcp [::1]:80: connect: connection refused", False)
        )

    def test_out_of_files(self) -> None:
        """Without file descriptors the text says so, and it is no timeout."""
        dial = self.dial("10.0.0.1:80")
        self.refuse(0, error.ConnectBindError(errno.EMFILE, "Too many open files"))
        self.assertEqual(
            self.error(dial), ("dial tcp 10.0.0.1:80: socket: too many open files", False)
        )

    def test_timeout(self) -> None:
        """After five seconds of silence the attempt is stopped."""
        dial = self.dial("10.0.0.1:80")
        self.reactor.advance(4.99)
        self.assertNoResult(dial)
        self.reactor.advance(0.01)
        self.assertEqual(self.error(dial), ("dial tcp 10.0.0.1:80: i/o timeout", True))
        self.assertEqual(self.stopped(), [True])

    def test_kernel_timeout(self) -> None:
        """The kernel's own timeout is a timeout with other words."""
        dial = self.dial("10.0.0.1:80")
        self.refuse(0, error.TCPTimedOutError(errno.ETIMEDOUT, "x"))
        self.assertEqual(
            self.error(dial), ("dial tcp 10.0.0.1:80: connect: connection timed out", True)
        )

    def test_cancel(self) -> None:
        """Cancelling stops the attempt at once."""
        dial = self.dial("10.0.0.1:80")
        dial.cancel()
        self.failureResultOf(dial, CancelledError)
        self.assertEqual(self.stopped(), [True])

    def test_this_machine(self) -> None:
        """Without a host this machine is dialled, and the text shows none."""
        for network, ip in (("tcp", "127.0.0.1"), ("tcp4", "127.0.0.1"), ("tcp6", "::1")):
            dial = self.dial(":80", network)
            self.assertEqual(self.tried[-1], ip)
            self.refuse(-1)
            self.assertEqual(
                self.error(dial), (f"dial {network} :80: connect: connection refused", False)
            )

    def test_spellings(self) -> None:
        """Addresses are shown, and dialled, as Go writes them."""
        for address, ip in {
            "[0:0::0:1]:80": "::1",
            "[::ffff:10.0.0.1]:80": "10.0.0.1",
            "[10.0.0.1]:80": "10.0.0.1",
            "[FE80::1%eth0]:80": "fe80::1%eth0",
        }.items():
            dial = self.dial(address)
            self.assertEqual(self.tried[-1], ip)
            dial.addErrback(lambda _: None).cancel()

    def test_families(self) -> None:
        """An address of the other family is not tried."""
        for network, address, shown in (
            ("tcp4", "[::1]:80", "::1"),
            ("tcp6", "1.2.3.4:80", "1.2.3.4"),
        ):
            self.assertEqual(
                self.error(self.dial(address, network)),
                (f"dial {network}: address {shown}: no suitable address found", False),
            )
        self.assertEqual(self.tried, [])

    def test_bad_requests(self) -> None:
        """What cannot be dialled fails at once, without a lookup or a timer."""
        for network, address, text in (
            ("tcp", "foo", "dial tcp: address foo: missing port in address"),
            ("tcp", "", "dial tcp: missing address"),
            ("tcp", "f\x00o:80", "dial tcp: lookup f\x00o: no such host"),
            ("tcp", "127.1:80", "dial tcp: lookup 127.1: no such host"),
            ("bogus", "a:1", "dial bogus: unknown network bogus"),
        ):
            self.assertEqual(self.error(self.dial(address, network)), (text, False))
        self.assertIn("not permitted", self.error(self.dial("/run/x.sock", "unix"))[0])
        self.assertIn("not permitted", self.error(self.dial("10.0.0.1:53", "udp"))[0])
        self.assertEqual((self.tried, self.resolver.asked), ([], []))

    def test_our_own_mistakes(self) -> None:
        """An error that is not the network's is told as it is."""

        def make() -> Any:
            raise ZeroDivisionError

        for address in ("10.0.0.1:80", "a.b:80"):
            dial = dialled(self.dialer, "tcp", address, make)
            if self.resolver.asked:
                self.resolver.answer("10.0.0.2", "10.0.0.3")
            self.reactor.tcpClients[-1][2].buildProtocol(None)
            self.failureResultOf(dial, ZeroDivisionError)
        self.assertEqual(self.tried, ["10.0.0.1", "10.0.0.2"])


class LookupTests(DialTestCase):
    """Names."""

    def test_no_such_host(self) -> None:
        """A name without addresses is told."""
        dial = self.dial("a.b:80")
        self.assertEqual(self.resolver.asked[0][0], "a.b")
        self.resolver.answer()
        self.assertEqual(self.error(dial), ("dial tcp: lookup a.b: no such host", False))

    def test_what_the_resolver_lacks(self) -> None:
        """A resolver that says why it has found nothing is believed."""
        dial = self.dial("a.b:80")
        self.resolver.asked[0][2].problem = OSError(errno.EMFILE, "Too many open files")
        self.resolver.answer()
        failed: Any = self.failureResultOf(dial, DialError).value
        self.assertEqual(failed.text, "dial tcp: lookup a.b: socket: too many open files")
        self.assertIs(failed.reason, Reason.TOO_MANY_FILES)

    def test_lookup_timeout(self) -> None:
        """The deadline holds for the lookup; a late answer is not heard."""
        dial = self.dial("a.b:80")
        self.reactor.advance(5)
        self.assertEqual(self.error(dial), ("dial tcp: lookup a.b: i/o timeout", True))
        self.assertTrue(self.resolver.asked[0][2].stopped)
        self.resolver.answer("10.0.0.1")
        self.assertEqual(self.tried, [])

    def test_cancelled_lookup(self) -> None:
        """A cancelled lookup is stopped if it can be, and never heard of again."""
        for stoppable in (True, False):
            self.resolver.stoppable = stoppable
            dial = self.dial("a.b:80")
            dial.cancel()
            self.failureResultOf(dial, CancelledError)
            self.assertEqual(self.resolver.asked[-1][2].stopped, stoppable)
            self.resolver.answer("10.0.0.1")
            self.assertEqual(self.tried, [])

    def test_broken_resolver(self) -> None:
        """A resolver that raises fails the dial and leaves no timer."""
        self.resolver.broken = ZeroDivisionError()
        self.failureResultOf(self.dial("a.b:80"), ZeroDivisionError)

    def test_one_deadline(self) -> None:
        """Lookup and connecting share the five seconds."""
        dial = self.dial("a.b:80")
        self.reactor.advance(4)
        self.resolver.answer("10.0.0.1")
        self.reactor.advance(1)
        self.assertEqual(self.error(dial), ("dial tcp 10.0.0.1:80: i/o timeout", True))

    def test_resolved_families(self) -> None:
        """Of a name's addresses those of the network's family are tried, if there are any."""
        dial = self.dial("a.b:80", "tcp6")
        self.resolver.answer("10.0.0.1", "::2")
        self.assertEqual(self.tried, ["::2"])
        dial.addErrback(lambda _: None).cancel()
        dial = self.dial("a.b:80", "tcp6")
        self.resolver.answer("10.0.0.1")
        self.assertEqual(
            self.error(dial), ("dial tcp6: address a.b: no suitable address found", False)
        )

    def test_odd_addresses(self) -> None:
        """Zones are kept, doubles and what is no IP address are left out."""
        dial = self.dial("a.b:80")
        scoped = IPv6Address("TCP", "fe80::1", 80, scopeID=3)
        self.resolver.answer(HostnameAddress(b"x", 80), scoped, scoped)
        self.refuse(0)
        self.assertEqual(
            self.error(dial), ("dial tcp [fe80::1%3]:80: connect: connection refused", False)
        )
        self.assertEqual(self.tried, ["fe80::1%3"])
        dial = self.dial("a.b:80")
        self.resolver.answer(IPv6Address("TCP", "fe80::1%eth0", 80, scopeID=3))
        self.assertEqual(self.tried[1:], ["fe80::1%eth0"])
        dial.addErrback(lambda _: None).cancel()
