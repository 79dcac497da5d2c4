"""Tests of konnect.tunnel.reasons."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.reasons import Reason, classify, from_label


class ClassifyTests(SynchronousTestCase):
    """An agent's text to a reason, and so to an HTTP status."""

    def test_go_texts(self) -> None:
        """The texts of Go's net package have upstream's statuses."""
        for text, reason, status in (
            ("dial tcp 10.0.0.1:80: i/o timeout", Reason.DESTINATION_TIMEOUT, 504),
            ("dial tcp: lookup x: i/o timeout", Reason.DESTINATION_TIMEOUT, 504),
            ("context deadline exceeded", Reason.DESTINATION_TIMEOUT, 504),
            ("net/http: TLS handshake timeout", Reason.DESTINATION_TIMEOUT, 504),
            ("socket: too many open files", Reason.TOO_MANY_FILES, 503),
            ("dial tcp 127.0.0.1:1: connect: connection refused", Reason.REFUSED, 502),
            ("connect: network is unreachable", Reason.UNREACHABLE, 502),
            ("connect: no route to host", Reason.UNREACHABLE, 502),
            ("connect: host is unreachable", Reason.UNREACHABLE, 502),
            ("connect: network is down", Reason.UNREACHABLE, 502),
            ("dial tcp: lookup nope on 10.0.0.2:53: no such host", Reason.NO_SUCH_HOST, 502),
            ("Temporary failure in name resolution", Reason.NO_SUCH_HOST, 502),
            (Reason.OVERLOADED.text, Reason.OVERLOADED, 503),
            ("read: connection reset by peer", Reason.DIAL_ERROR, 502),
            ("write: broken pipe", Reason.DIAL_ERROR, 502),
            ("tls: bad certificate", Reason.DIAL_ERROR, 502),
            ("dial tcp: address foo: missing port in address", Reason.DIAL_ERROR, 502),
            ("", Reason.DIAL_ERROR, 502),
        ):
            self.assertIs(classify(text), reason, text)
            self.assertEqual(reason.status, status, text)

    def test_case_does_not_matter(self) -> None:
        """Other agents write their texts in another case."""
        self.assertIs(classify("Connection Refused"), Reason.REFUSED)

    def test_the_first_match_wins(self) -> None:
        """A timeout goes before everything else that a text may also hold."""
        self.assertIs(classify("no such host (i/o timeout)"), Reason.DESTINATION_TIMEOUT)
        self.assertIs(classify("connection refused: too many open files"), Reason.TOO_MANY_FILES)


class FromLabelTests(SynchronousTestCase):
    """What a konnect peer writes into a CLOSE_RSP."""

    def test_labels(self) -> None:
        """Every label leads back to its reason."""
        for reason in Reason:
            self.assertIs(from_label(reason.label), reason)

    def test_others(self) -> None:
        """Any other text is no reason of ours."""
        for text in ("", "Unknown connectID", "CLIENT_LOST"):
            self.assertIsNone(from_label(text))


class ReasonTests(SynchronousTestCase):
    """The enumeration itself."""

    def test_every_reason_is_one(self) -> None:
        """No two reasons are aliases of each other, which equal meanings would make them."""
        self.assertEqual(len(list(Reason)), len(Reason.__members__))

    def test_outside(self) -> None:
        """Each reason has a text, a label that metrics take and an HTTP error status."""
        for reason in Reason:
            self.assertTrue(reason.text, reason)
            self.assertRegex(reason.label, r"\A[a-z_]+\Z")
            self.assertIn(reason.status, (500, 502, 503, 504))

    def test_upstream_labels(self) -> None:
        """`dial_failure_count` only gets labels that upstream has."""
        self.assertEqual(
            {reason.dial_failure for reason in Reason} - {None},
            {
                "error_response",
                "no_agent",
                "backend_dial_timeout",
                "backend_close",
                "frontend_close",
                "send_rsp",
            },
        )

    def test_upstream_texts(self) -> None:
        """The texts that upstream's clients know stay word for word."""
        self.assertEqual(Reason.NO_AGENT.text, "No agent available")
        self.assertEqual(Reason.BACKEND_TIMEOUT.text, "timed out waiting for backend dial")
        self.assertEqual(Reason.NO_AGENT.status, 500)
        self.assertEqual(Reason.BACKEND_TIMEOUT.status, 504)
