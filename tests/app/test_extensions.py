"""Tests of konnect.app.extensions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from konnect.app import extensions
from konnect.app.extensions import CannotStart, kubernetes_plugin


class IThing(Interface):
    """An extension point."""


class ExtensionsTests(SynchronousTestCase):
    def test_not_installed(self) -> None:
        """What is missing is named with the flag that asks for it and the way to get it."""
        self.patch(extensions, "installed", lambda interface: {"other": object()})
        with self.assertRaises(CannotStart) as caught:
            kubernetes_plugin(IThing, "--flag")
        text = str(caught.exception)
        self.assertIn("--flag needs konnect-kubernetes, which is not installed", text)
        self.assertIn("pip install konnect-kubernetes", text)

    def test_installed(self) -> None:
        """What is installed is found by the interface."""
        plugin = object()
        self.patch(
            extensions,
            "installed",
            lambda interface: {"kubernetes": plugin} if interface is IThing else {},
        )
        self.assertIs(kubernetes_plugin(IThing, "--flag"), plugin)
