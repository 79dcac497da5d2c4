"""How an agent goes: it asks for no more dials, serves what it has, ends the rest and lets go.

Upstream's agent drains too, but never ends by itself; it is killed, at a pod's end, with what it
carries then. Proxies that know of no other agent go on giving dials to one that drains.
"""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from konnect.agent.connector import Connector
from konnect.agent.link import ProxyLink
from konnect.agent.session import CLOSE_WITHIN
from konnect.log import make_logger
from konnect.net.stopping import Stopping
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.waiting import PLACES, STREAMS, TRANSPORTS

log = make_logger(__name__)

QUIET = 0.5
"""Seconds without a tunnel, a dial or a byte of theirs after which the agent is idle: a dial that
crossed our DRAIN on the wire has come by then."""

LAST_BYTES = 1.0
"""Seconds in which what was read before the end is written out, and proxies are told."""

MOMENT = 0.2
"""Seconds for that, and for closing the links, when a second signal has come."""


class Departure(Stopping):
    """One agent's stopping; `hurry` cuts all waits short, the last ones to a moment."""

    def __init__(self, connector: Connector, ledger: Ledger, clock: IReactorTime) -> None:
        self._connector = connector
        self._ledger = ledger
        super().__init__(clock)
        self._busy_at = 0.0

    async def run(self, timeout: float) -> None:
        """
        Done when every link is closed.

        :param timeout: seconds that tunnels may go on.
        """
        connector = self._connector
        connector.drain()
        self._busy_at = self.clock.seconds()
        await self._wait(self._quiet, timeout)
        left = sum(len(link.ends) for link in connector.links)
        if left:
            why = (
                "a second signal came"
                if self._hurried
                else f"the time to drain is over ({timeout:g} s)"
            )
            log.warn("{n} tunnels are cut: {why}", n=left, why=why)
        links = connector.links
        for link in links:
            link.shut_down()
        await self._wait(self._let_go, LAST_BYTES, hurried=MOMENT)
        for link in links:
            link.abort_closing()
        await connector.stop(within=MOMENT if self._hurried else CLOSE_WITHIN)

    @property
    def _busy(self) -> bool:
        links = self._connector.links
        return any(link.busy for link in links) or _unsent(links)

    def _quiet(self) -> bool:
        now = self.clock.seconds()
        if self._busy:
            self._busy_at = now
        return not self._connector.links or now - self._busy_at >= QUIET

    def _let_go(self) -> bool:
        return not (self._busy or self._ledger.open_endpoint_connections)


def _unsent(links: list[ProxyLink]) -> bool:
    """Whether the last bytes of tunnels that have ended wait for a slow destination or link."""
    waiting = dict.fromkeys(PLACES, 0)
    for link in links:
        for holder in link.holders:
            holder.count_waiting(waiting)
    return bool(waiting[STREAMS] or waiting[TRANSPORTS])
