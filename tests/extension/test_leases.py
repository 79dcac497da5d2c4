"""Tests of konnect.extension.leases."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.extension.leases import parse_labels


class LabelTests(SynchronousTestCase):
    def test_labels(self) -> None:
        """Labels are key=value pairs, and a value may be empty."""
        self.assertEqual(
            parse_labels("k8s-app=konnectivity-server,zone="),
            {"k8s-app": "konnectivity-server", "zone": ""},
        )

    def test_refused(self) -> None:
        """Anything else is refused in upstream's words."""
        for text, problem in (
            ("", "empty string provided"),
            ("x", "invalid label format: x"),
            ("a=b,x", "invalid label format: x"),
            ("a=b,", "invalid label format: "),
            ("=b", "invalid label format: =b"),
            ("a=b=c", "invalid label format: a=b=c"),
        ):
            with self.assertRaises(ValueError) as caught:
                parse_labels(text)
            self.assertEqual(str(caught.exception), problem)
