"""Tests of konnect.net.diagnosis; what real handshakes say is in test_tls."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.diagnosis import TlsRefused, explain, peer_address, with_peer


def transport_from(peer: IAddress) -> StringTransport:
    """A transport with this peer."""
    return StringTransport(peerAddress=peer)


def openssl(*reasons: str) -> SSL.Error:
    """An error as pyOpenSSL raises it."""
    return SSL.Error([("SSL routines", "", reason) for reason in reasons])


class ExplainTests(SynchronousTestCase):
    """explain."""

    def test_twisted_errors(self) -> None:
        """Twisted's errors are told in a few words each."""
        for value, text in (
            (error.ConnectionRefusedError(), "connection refused"),
            (error.NoRouteError(), "no route to host"),
            (error.TCPTimedOutError(), "connecting timed out"),
            (error.TimeoutError(), "connecting timed out"),
            (error.ConnectionDone(), "connection closed by the peer"),
            (error.ConnectionLost(), "connection lost"),
            (error.ConnectionAborted(), "connection aborted by this side"),
        ):
            self.assertEqual(explain(value), text)
            self.assertEqual(explain(Failure(value)), text)

    def test_refusal_of_ours(self) -> None:
        """What we refused is told in the words of the refusal."""
        refused = TlsRefused("client certificate is ugly")
        self.assertEqual(explain(refused), "client certificate is ugly")
        self.assertEqual(str(refused), "client certificate is ugly")

    def test_openssl_reasons(self) -> None:
        """OpenSSL's reasons are told for people; the peer's alerts as the peer's."""
        for reasons, text in (
            (("data length too long", "record layer failure"), "the peer spoke no TLS"),
            (
                ("decryption failed or bad record mac", "record layer failure"),
                "a TLS record of the peer's was damaged on its way",
            ),
            (
                ("tls alert bad record mac",),
                "a TLS record of ours was damaged on its way to the peer",
            ),
            (("tlsv1 alert protocol version",), "the peer allows none of our TLS versions"),
            (
                ("ssl/tls alert bad certificate",),
                "the peer refused our certificate: it cannot be verified there, or there is none",
            ),
            (
                ("tlsv1 alert user cancelled",),
                "the peer broke the TLS handshake off: tlsv1 alert user cancelled",
            ),
            (("something new",), "TLS failed: something new"),
        ):
            self.assertEqual(explain(openssl(*reasons)), text)

    def test_end_of_file(self) -> None:
        """An end without a word, in each form that OpenSSL has for it, is the peer's hanging up."""
        for value in (SSL.SysCallError(-1, "Unexpected EOF"), openssl(), SSL.Error()):
            self.assertEqual(
                explain(value), "the peer closed the connection during the TLS handshake"
            )

    def test_other_errors(self) -> None:
        """What is not known is told in its own words, or by its name if it has none."""
        self.assertEqual(explain(ValueError("this is wrong.")), "this is wrong")
        self.assertEqual(explain(KeyError()), "KeyError")

    def test_one_line(self) -> None:
        """An error text of several lines becomes one."""
        self.assertEqual(explain(ValueError("one\r\ntwo\n\n three")), "one two three")

    def test_peer(self) -> None:
        """The peer's address is not told, unless it is asked for and known."""
        transport = transport_from(IPv4Address("TCP", "192.0.2.7", 4242))
        cause = explain(error.ConnectionLost(), transport)
        self.assertEqual(cause, "connection lost")
        self.assertEqual(with_peer(cause, transport), "connection lost (peer 192.0.2.7:4242)")
        self.assertEqual(with_peer(cause, None), cause)


class PeerAddressTests(SynchronousTestCase):
    """peer_address."""

    def test_addresses(self) -> None:
        """Each kind of address is written as people write it; IPv4 on an IPv6 socket as IPv4."""
        cases: tuple[tuple[Any, str], ...] = (
            (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7:1"),
            (IPv6Address("TCP", "2001:db8::1", 2), "[2001:db8::1]:2"),
            (IPv6Address("TCP", "::ffff:192.0.2.7", 3), "192.0.2.7:3"),
            (UNIXAddress(None), "unix socket"),
        )
        for address, text in cases:
            self.assertEqual(peer_address(transport_from(address)), text)

    def test_no_transport(self) -> None:
        """Without a transport there is no address."""
        self.assertEqual(peer_address(None), "")
