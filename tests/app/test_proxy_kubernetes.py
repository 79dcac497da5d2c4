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
from konnect.extension.leases import ILeases, IPresence, LeaseSettings
from konnect.extension.tokens import ITokenReviewer, ITokenReviews
from konnect.tunnel.ledger import Ledger
from konnect.wire.token_review import TokenReview
from tests.wire.test_token_review import ACCOUNT, GOOD

K, BROKEN = ApiAccess(kubeconfig="k"), ApiAccess(kubeconfig="broken")


def tokens(access: ApiAccess = K) -> ProxyConfig:
    """A proxy that asks for tokens."""
    return ProxyConfig(tokens=Tokens(ACCOUNT, at_once=3, remember=10.0, access=access))


def leases(access: ApiAccess = K) -> ProxyConfig:
    """A proxy that publishes a lease."""
    settings = LeaseSettings(namespace="n", labels="a=b", access=access)
    return ProxyConfig(server_id="p-1", leases=settings)


@implementer(IPlugin, ITokenReviews, ITokenReviewer, ILeases, IPresence)
class Plugin:
    """Knows every token, and keeps leases."""

    name = "kubernetes"

    def __init__(self) -> None:
        self.made: list[tuple[ApiAccess, int]] = []
        self.published: list[tuple[str, LeaseSettings]] = []
        self.calls: list[str] = []

    def reviewer(self, reactor: Any, access: ApiAccess, at_once: int) -> Plugin:
        """See ITokenReviews."""
        if access.kubeconfig == "broken":
            raise ValueError("broken: no such cluster")
        self.made.append((access, at_once))
        return self

    def publish(
        self, reactor: Any, server_id: str, settings: LeaseSettings, ledger: Ledger
    ) -> Plugin:
        """See ILeases."""
        if settings.access.kubeconfig == "broken":
            raise ValueError("broken: no such cluster")
        self.published.append((server_id, settings))
        return self

    def count(self, reactor: Any, settings: LeaseSettings, ledger: Ledger) -> Any:
        """See ILeases; nothing here counts."""
        raise AssertionError("a proxy counts no leases")

    def start(self) -> None:
        """See IPresence."""
        self.calls.append("start")

    def turn(self) -> Deferred[None]:
        """See ITokenReviewer."""
        return succeed(None)

    def review(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """See ITokenReviewer."""
        return succeed(GOOD)

    def stop(self) -> Deferred[None]:
        """See ITokenReviewer and IPresence."""
        self.calls.append("stop")
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
        kubernetes = self.make(tokens())
        kubernetes.start()
        self.assertEqual(plugin.made, [(K, 3)])
        assert kubernetes.reviews is not None
        self.successResultOf(kubernetes.reviews.admit("t"))
        self.successResultOf(Deferred.fromCoroutine(kubernetes.stop()))
        self.assertEqual(plugin.calls, ["stop"])

    def test_leases(self) -> None:
        """A lease is published when the proxy listens, and taken back once, before all else."""
        plugin = self.plugins["kubernetes"]
        kubernetes = self.make(leases())
        self.assertEqual(plugin.published, [("p-1", leases().leases)])
        self.assertEqual(plugin.calls, [])
        kubernetes.start()
        self.successResultOf(Deferred.fromCoroutine(kubernetes.withdraw()))
        self.assertEqual(plugin.calls, ["start", "stop"])
        self.successResultOf(Deferred.fromCoroutine(kubernetes.stop()))
        self.assertEqual(plugin.calls, ["start", "stop"])

    def test_not_installed(self) -> None:
        """Asking for it without the distribution ends the program with what to do."""
        self.plugins.clear()
        for config, flag in (
            (tokens(), "--agent-namespace"),
            (leases(), "--enable-lease-controller"),
        ):
            with self.assertRaises(CannotStart) as caught:
                self.make(config)
            self.assertIn(f"{flag} needs konnect-kubernetes", str(caught.exception))

    def test_unusable_settings(self) -> None:
        """So do settings that the plugin cannot use."""
        for config, what in (
            (tokens(BROKEN), "no tokens can be reviewed"),
            (leases(BROKEN), "no lease can be published"),
        ):
            with self.assertRaises(CannotStart) as caught:
                self.make(config)
            self.assertEqual(str(caught.exception), f"{what}: broken: no such cluster")
