"""What a proxy does with an API server: has agents' tokens reviewed there, and keeps a lease."""

from __future__ import annotations

from typing import Any

from konnect.app.extensions import CannotStart, kubernetes_plugin
from konnect.app.kubernetes_flags import Tokens
from konnect.app.proxy_options import ProxyConfig
from konnect.extension.leases import ILeases, IPresence
from konnect.extension.tokens import ITokenReviewer, ITokenReviews
from konnect.log import make_logger
from konnect.proxy.reviews import Reviews
from konnect.tunnel.ledger import Ledger

log = make_logger(__name__)


class ProxyKubernetes:
    """
    The proxy's part of konnect-kubernetes, as far as its flags ask for it.

    :param clock: timers.
    :raises CannotStart: where it is not installed, or cannot use its settings.
    """

    def __init__(self, config: ProxyConfig, ledger: Ledger, reactor: Any, clock: Any) -> None:
        self._reviewer: ITokenReviewer | None = None
        self._presence: IPresence | None = None
        self.reviews: Reviews | None = None
        """Who is admitted by a token; None where no token is asked for."""
        if config.tokens is not None:
            self.reviews = self._make_reviews(config.tokens, ledger, reactor, clock)
        if config.leases is not None:
            plugin = kubernetes_plugin(ILeases, "--enable-lease-controller")
            try:
                self._presence = plugin.publish(reactor, config.server_id, config.leases, ledger)
            except ValueError as error:
                raise CannotStart(f"no lease can be published: {error}") from None

    def _make_reviews(self, tokens: Tokens, ledger: Ledger, reactor: Any, clock: Any) -> Reviews:
        plugin = kubernetes_plugin(ITokenReviews, "--agent-namespace")
        try:
            reviewer = plugin.reviewer(reactor, tokens.access, tokens.at_once)
        except ValueError as error:
            raise CannotStart(f"no tokens can be reviewed: {error}") from None
        self._reviewer = reviewer
        log.info(
            "agents are admitted by tokens of service account {namespace}/{name}"
            " for audience {audience}",
            namespace=tokens.account.namespace,
            name=tokens.account.name,
            audience=tokens.account.audience,
        )
        return Reviews(
            reviewer,
            tokens.account,
            ledger,
            clock,
            at_once=tokens.at_once,
            remember=tokens.remember,
        )

    def start(self) -> None:
        """The proxy listens: publish it."""
        if self._presence is not None:
            self._presence.start()

    async def withdraw(self) -> None:
        """The proxy begins to stop: agents are no longer to look for it."""
        presence, self._presence = self._presence, None
        if presence is not None:
            await presence.stop()

    async def stop(self) -> None:
        """Ask the API server no more; done when no thread is left, or after a few seconds."""
        await self.withdraw()
        if self._reviewer is not None:
            await self._reviewer.stop()
