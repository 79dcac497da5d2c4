"""How both frontends get their tunnels: choose a link and ask it, and another if that fails."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from konnect.log import make_logger
from konnect.net.deadlines import deadlines_of
from konnect.proxy.link import AgentLink
from konnect.proxy.pending import ANSWER_WITHIN, PendingDial
from konnect.tunnel.ends import End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.routing import Registry
from konnect.tunnel.tunnel import Tunnel
from konnect.tunnel.waiting import Waiting
from konnect.wire.packets import Packet

log = make_logger(__name__)

PENDING = 4096
"""Dials that a link may have unanswered, those that were given up with them (as many as our agents
take); more go to others, or fail."""


class Switchboard:
    """
    Opens tunnels for the frontends.

    :param clock: what limits dials.
    :param dial_timeout: seconds that a dial may take in all, whoever is asked; 0: no limit
    (upstream's default).
    :param answer_timeout: seconds without an answer after which another link is asked as well.
    :param buffer_limit: bytes waiting for slow readers above which new dials are refused; 0: none.
    :param waiting: tells what waits beside the backlogs.
    """

    def __init__(
        self,
        registry: Registry[AgentLink],
        ledger: Ledger,
        clock: IReactorTime,
        *,
        dial_timeout: float,
        answer_timeout: float = ANSWER_WITHIN,
        buffer_limit: int = 0,
        waiting: Waiting | None = None,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self.clock = clock
        self.dial_timeout = dial_timeout
        self.patience = min(answer_timeout, dial_timeout / 2) if dial_timeout else answer_timeout
        self.limits = deadlines_of(clock, self.patience, PendingDial.late)
        self._buffer_limit = buffer_limit
        self._held = (waiting or Waiting(ledger, tuple)).total
        self.closing = False

    def dial(self, near: End, protocol: str, address: str, whole: Packet | None = None) -> Tunnel:
        """
        Begin a tunnel for `near`. The outcome is told to `near` (`opened` or `failed`), perhaps
        before this returns.

        :param whole: its DIAL_REQ, if there may be more in it (see `PendingDial`).
        """
        tunnel = Tunnel(self._ledger, near, address)
        if self.closing:
            tunnel.fail(Reason.SHUTDOWN, "the proxy is shutting down")
            return tunnel
        if self._buffer_limit and self._held() > self._buffer_limit:
            tunnel.fail(Reason.OVERLOADED)
            return tunnel
        link = self._registry.choose(address)
        if link is None:
            tunnel.fail(Reason.NO_AGENT)
            return tunnel
        if link.unanswered >= PENDING:
            link = self._with_room(address)
            if link is None:
                tunnel.fail(Reason.OVERLOADED, "too many dials are waiting for the agents")
                return tunnel
        PendingDial(self, tunnel, protocol, whole).begin(link)
        return tunnel

    def another(self, tunnel: Tunnel, tried: AgentLink, cause: str) -> AgentLink | None:
        """See `konnect.proxy.pending.Dials`."""
        link = self._registry.choose(tunnel.address, avoid=(tried,))
        if link is not None and link.unanswered >= PENDING:
            link = self._with_room(tunnel.address, tried)
        if link is None or link.suspect:
            return None
        self._ledger.dials_retried[cause] += 1
        log.debug(
            "dial to {address}: {tried} failed ({cause}), asking {link} as well",
            address=tunnel.address,
            tried=tried,
            cause=cause,
            link=link,
        )
        return link

    def _with_room(self, address: str, *tried: AgentLink) -> AgentLink | None:
        """A link for a dial that is not full; all are looked at, once."""
        full = {link for link in self._registry.links() if link.unanswered >= PENDING}
        return self._registry.choose(address, avoid=full.union(tried))
