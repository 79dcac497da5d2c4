"""Tests of konnect.client.errors."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectError
from twisted.trial.unittest import SynchronousTestCase

from konnect.client import errors


class ErrorTests(SynchronousTestCase):
    """What callers can rely on."""

    def test_reasons_are_upstreams_labels(self) -> None:
        """Each failure has the label of upstream's client library for the same event."""
        labels = {
            errors.DialFailed("x"): "unknown",
            errors.EndpointFailed("x"): "endpoint",
            errors.ConnectRefused(502, "Bad Gateway"): "endpoint",
            errors.DialClosed(): "dialclosed",
            errors.DialTimeout(): "timeout",
            errors.DialCancelled(): "context",
            errors.TunnelClosed(): "tunnelclosed",
            errors.StreamSetupFailed("x"): "streamsetup",
        }
        for problem, label in labels.items():
            self.assertEqual(problem.reason, label)
            self.assertIsInstance(problem, ConnectError)

    def test_texts(self) -> None:
        """The text is upstream's where it has one, without Twisted's preamble."""
        self.assertEqual(str(errors.EndpointFailed("no route to host")), "no route to host")
        self.assertEqual(str(errors.DialClosed()), "dial closed")
        self.assertEqual(str(errors.DialTimeout()), "dial timeout, backstop")
        self.assertEqual(str(errors.DialCancelled()), "dial timeout, context")
        self.assertEqual(str(errors.TunnelClosed()), "tunnel closed")
        self.assertEqual(str(errors.TunnelClosed("gone")), "tunnel closed: gone")

    def test_cancelled(self) -> None:
        """A cancelled dial is a CancelledError too."""
        self.assertIsInstance(errors.DialCancelled(), CancelledError)
