"""Tests of konnect.app.proxy_kubernetes, with a plugin that the test makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from konnect.app import extensions
from konnect.app.extensions import CannotStart
from konnect.app.kubernetes_flags import Tokens
from konnect.app.proxy_kubernetes import ProxyKubernetes
from konnect.app.proxy_options import ProxyConfig
from konnect.extension.api import ApiAccess
from konnect.extension.tokens import ITokenReviewer, ITokenReviews
from konnect.tunnel.ledger import Ledger
from konnect.wire.token_review import TokenReview
from tests.wire.test_token_review import ACCOUNT, GOOD

CONFIG = ProxyConfig(
    tokens=Tokens(ACCOUNT, at_once=3, remember=10.0), access=ApiAccess(kubeconfig="k")
)


@implementer(IPlugin, ITokenReviews, ITokenReviewer)
class Plugin:
    """Knows every token."""

    name = "kubernetes"

    def __init__(self) -> None:
        self.made: list[tuple[ApiAccess, int]] = []
        self.stopped = False

    def reviewer(self, reactor: Any, access: ApiAccess, at_once: int) -> Plugin:
        """See ITokenReviews."""
        if access.kubeconfig == "broken":
            raise ValueError("broken: no such cluster")
        self.made.append((access, at_once))
        return self

    def review(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """See ITokenReviewer."""
        return succeed(GOOD)

    def stop(self) -> Deferred[None]:
        """See ITokenReviewer."""
        self.stopped = True
        return succeed(None)


class ProxyKubernetesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.plugins: dict[str, Any] = {"kubernetes": Plugin()}
        self.patch(extensions, "installed", lambda interface: self.plugins)

    def make(self, config: ProxyConfig) -> ProxyKubernetes:
        """A proxy's part of the plugin."""
        return ProxyKubernetes(config, Ledger(self.clock.seconds), self.clock, self.clock)

    def test_nothing_asked_for(self) -> None:
        """Without flags for it the plugin is not even looked for."""
        self.plugins.clear()
        kubernetes = self.make(ProxyConfig())
        self.assertIsNone(kubernetes.reviews)
        self.successResultOf(Deferred.fromCoroutine(kubernetes.stop()))

    def test_tokens(self) -> None:
        """The plugin's answers admit agents, and it is stopped with the proxy."""
        plugin = self.plugins["kubernetes"]
        kubernetes = self.make(CONFIG)
        self.assertEqual(plugin.made, [(ApiAccess(kubeconfig="k"), 3)])
        assert kubernetes.reviews is not None
        self.successResultOf(kubernetes.reviews.admit("t"))
        self.successResultOf(Deferred.fromCoroutine(kubernetes.stop()))
        self.assertTrue(plugin.stopped)

    def test_not_installed(self) -> None:
        """Asking for it without the distribution ends the program with what to do."""
        self.plugins.clear()
        with self.assertRaises(CannotStart) as caught:
            self.make(CONFIG)
        self.assertIn("--agent-namespace needs konnect-kubernetes", str(caught.exception))

    def test_unusable_settings(self) -> None:
        """So do settings that the plugin cannot use."""
        broken = ProxyConfig(tokens=CONFIG.tokens, access=ApiAccess(kubeconfig="broken"))
        with self.assertRaises(CannotStart) as caught:
            self.make(broken)
        self.assertEqual(
            str(caught.exception), "no tokens can be reviewed: broken: no such cluster"
        )
