"""How an agent learns how many proxies there are: from themselves, and from leases if asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from konnect.agent.server_count import ServerCount
from konnect.app.agent_options import AgentConfig
from konnect.app.extensions import CannotStart, kubernetes_plugin
from konnect.extension.leases import ILeases, IProxyCount
from konnect.log import make_logger
from konnect.tunnel.ledger import Ledger

log = make_logger(__name__)


class AgentLeases:
    """
    The count of an agent's proxies.

    :raises CannotStart: where leases are to be counted and konnect-kubernetes is not installed, or
        cannot use its settings.
    """

    def __init__(self, config: AgentConfig, ledger: Ledger, reactor: Any) -> None:
        self._leases: IProxyCount | None = None
        self.counts = ServerCount(config.server_count_source)
        settings = config.leases
        if settings is None:
            return
        plugin = kubernetes_plugin(ILeases, "--count-server-leases")
        try:
            leases = self._leases = plugin.count(reactor, settings, ledger)
        except ValueError as error:
            raise CannotStart(f"no leases can be counted: {error}") from None
        self.counts = ServerCount(config.server_count_source, lambda: int(leases.count))

    def start(self, changed: Callable[[], object]) -> None:
        """Begin to count leases, if that is asked for; `changed` is called when there are more or
        fewer."""
        leases = self._leases
        if leases is not None:

            def counted() -> None:
                log.info("there are leases of {count} proxies", count=leases.count)
                changed()

            leases.start(counted)

    async def stop(self) -> None:
        """Count no more; done when nothing is under way, or after a few seconds."""
        if self._leases is not None:
            await self._leases.stop()
