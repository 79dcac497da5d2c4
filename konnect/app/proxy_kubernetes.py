"""What a proxy does with an API server: it has agents' tokens reviewed there."""

from __future__ import annotations

from typing import Any

from konnect.app.extensions import CannotStart, kubernetes_plugin
from konnect.app.proxy_options import ProxyConfig
from konnect.extension.tokens import ITokenReviewer, ITokenReviews
from konnect.log import make_logger
from konnect.proxy.reviews import Reviews
from konnect.tunnel.ledger import Ledger

log = make_logger(__name__)


class ProxyKubernetes:
    """
    The proxy's part of konnect-kubernetes, as far as its flags ask for it.

    :raises CannotStart: where it is not installed, or cannot use its settings.
    """

    def __init__(self, config: ProxyConfig, ledger: Ledger, reactor: Any, clock: Any) -> None:
        self._reviewer: ITokenReviewer | None = None
        self.reviews: Reviews | None = None
        """Who is admitted by a token; None where no token is asked for."""
        tokens = config.tokens
        if tokens is not None:
            plugin = kubernetes_plugin(ITokenReviews, "--agent-namespace")
            try:
                self._reviewer = plugin.reviewer(reactor, config.access, tokens.at_once)
            except ValueError as error:
                raise CannotStart(f"no tokens can be reviewed: {error}") from None
            self.reviews = Reviews(
                self._reviewer.review,
                tokens.account,
                ledger,
                clock,
                at_once=tokens.at_once,
                remember=tokens.remember,
            )
            log.info(
                "agents are admitted by tokens of service account {namespace}/{name}"
                " for audience {audience}",
                namespace=tokens.account.namespace,
                name=tokens.account.name,
                audience=tokens.account.audience,
            )

    async def stop(self) -> None:
        """Ask the API server no more; done when no thread is left, or after a few seconds."""
        if self._reviewer is not None:
            await self._reviewer.stop()
