"""
The plugin itself: makes what konnect asks for.

The `kubernetes` client takes a second and some 35 MB to import, so its users are imported when
something is asked for, not when konnect looks for plugins.
"""

from __future__ import annotations

from typing import Any

from twisted.plugin import IPlugin
from zope.interface import implementer

from konnect.extension.api import ApiAccess
from konnect.extension.leases import ILeases, IPresence, IProxyCount, LeaseSettings
from konnect.extension.tokens import ITokenReviewer, ITokenReviews
from konnect.tunnel.ledger import Ledger


@implementer(IPlugin, ITokenReviews, ILeases)
class Kubernetes:
    """Kubernetes, as far as konnect asks for it."""

    name = "kubernetes"

    def reviewer(self, reactor: Any, access: ApiAccess, at_once: int) -> ITokenReviewer:
        """See `ITokenReviews`."""
        from konnect_kubernetes.reviewer import make_reviewer

        return make_reviewer(reactor, access, at_once)

    def publish(
        self, reactor: Any, server_id: str, settings: LeaseSettings, ledger: Ledger
    ) -> IPresence:
        """See `ILeases`."""
        from konnect_kubernetes.presence import make_presence

        return make_presence(reactor, server_id, settings, ledger)

    def count(self, reactor: Any, settings: LeaseSettings, ledger: Ledger) -> IProxyCount:
        """See `ILeases`."""
        from konnect_kubernetes.counting import make_count

        return make_count(reactor, settings, ledger)
