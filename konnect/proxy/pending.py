"""A dial on its way: which links were asked, and what becomes of it when one does not answer.

When a link is lost, gives the dial up or is silent for longer than any agent should be, or when its
agent has no descriptor left, that is not the destination's fault. As long as the destination has
not answered it is safe to ask another link, which is done once. The dial at a silent link is not
withdrawn: whichever of the two links answers first decides, so a slow destination loses nothing by
the second question. Both together take no longer than the dial's one limit.
"""

from __future__ import annotations

from itertools import count
from secrets import randbits
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.log import make_logger
from konnect.net.deadlines import Deadlines
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from konnect.wire import packets
from konnect.wire.data_packet import varint
from konnect.wire.packets import Packet

if TYPE_CHECKING:
    from konnect.proxy.link import AgentLink

log = make_logger(__name__)

_randoms = count(1 + randbits(27))
"""A `random` has to differ from those of other dials that the same link was asked for, and no more:
what an agent says concerns its own dials. So they are counted, from where nobody counts on. While
they are below 2^28 they are written in one step (`konnect.wire.data_packet`)."""

ANSWER_WITHIN = 6.0
"""The usual seconds without an answer after which another link is asked. Agents, upstream's too,
give a destination up after 5 and say so."""

NO_DESTINATION = 5.5
"""Seconds without an answer of which no destination can be the reason."""


class Dials(Protocol):
    """What a dial needs of the switchboard."""

    clock: IReactorTime
    dial_timeout: float
    """Seconds for a whole dial; 0: no limit."""
    patience: float
    """Seconds without an answer after which another is asked; at most half of the above."""
    limits: Deadlines[PendingDial]
    """Of that length; their clock is that of all that is measured here."""

    def another(self, tunnel: Tunnel, tried: AgentLink, cause: str) -> AgentLink | None:
        """A link that may be asked instead of `tried`, if there is one; `cause` is counted."""


class PendingDial:
    """One dial at one link, or at two; the tunnel's `Dial`."""

    __slots__ = (
        "_dials",
        "_limit",
        "_links",
        "_tried_again",
        "payload",
        "random",
        "tunnel",
    )

    def __init__(
        self, dials: Dials, tunnel: Tunnel, protocol: str, whole: Packet | None = None
    ) -> None:
        """`whole`: the client's DIAL_REQ, if there may be more in it than `protocol` and the
        tunnel's address: that goes on as it is, with a `random` of our own."""
        self.tunnel = tunnel
        number = next(_randoms)
        random = self.random = varint(number)
        """In the tables of the asked links only: no other agent can answer."""
        if whole is None:
            self.payload = packets.dial_req(protocol, tunnel.address, random)
        else:
            self.payload = packets.with_random(whole, number)
        self._dials = dials
        self._links: dict[AgentLink, float | None] = {}
        """The links that have not answered, and when they were asked; None: blamed for it."""
        self._tried_again = False
        self._limit: IDelayedCall | None = None

    def begin(self, link: AgentLink) -> None:
        """Ask the first link."""
        self._links[link] = self._dials.limits.set(self)
        self.tunnel.dial = self
        link.ask(self)

    # -- what a link says; it has taken the dial out of its table

    def answered(self, link: AgentLink) -> None:
        """`link` has answered, well or badly: the other is asked no more."""
        in_time = self._links.pop(link, None) is not None
        health = link.health
        if in_time and (health.misses or health.waiting or link.suspect):
            health.answered()
        self._dials.limits.drop(self)
        if self._links or self._limit is not None:  # most were asked of one link, and in time
            self.cancel()

    def declined(self, link: AgentLink, fault: Reason, text: str) -> None:
        """The agent of `link` answers, but cannot dial: another one decides."""
        health = link.health
        in_time = self._links.get(link) is not None
        if in_time and (health.misses or health.waiting or link.suspect):
            health.answered()
        self.failed_at(link, fault, text)

    def failed_at(self, link: AgentLink, reason: Reason, text: str) -> None:
        """`link` will not answer any more, for a reason of its own: another one decides."""
        if link not in self._links:
            return  # cancelled by what another dial's end has led to
        del self._links[link]
        if not self._links and not self._try_again(link, reason.label):
            self.tunnel.fail(reason, text)

    # -- the tunnel's `Dial`

    def cancel(self) -> None:
        """Forget the dial and tell the agents (DIAL_CLS); a late answer is closed on arrival."""
        self._dials.limits.drop(self)
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        if self._links:
            links, self._links = self._links, {}
            for link in links:
                link.withdraw(self)

    # -- time

    def late(self) -> None:
        """Nobody has answered for as long as an agent may take."""
        dials = self._dials
        silent = self._blame()
        if silent is not None:
            self._try_again(silent, "unanswered")
        if dials.dial_timeout:
            rest = dials.dial_timeout - dials.patience
            self._limit = dials.clock.callLater(rest, self._expired)
        elif any(asked is not None for asked in self._links.values()):
            dials.limits.set(self)

    def _expired(self) -> None:
        """Nobody has answered for as long as the dial may take."""
        self._limit = None
        self._blame()
        log.warn(
            "no answer to a dial to {address} in time from {links}",
            address=self.tunnel.address,
            links=" and ".join(map(str, self._links)),
        )
        self.tunnel.fail(Reason.BACKEND_TIMEOUT)

    def _blame(self) -> AgentLink | None:
        """Let the silent links know, each once when it is surely their fault; returns one of them.
        Those that were asked only just now are not meant."""
        silent = None
        now = self._dials.limits.now()
        for link, asked in self._links.items():
            if asked is None:
                continue
            silence = now - asked
            if silence >= NO_DESTINATION:
                silent = link
                self._links[link] = None
                link.health.missed()
            elif silence > self._dials.patience / 2:
                silent = link
                link.health.late()
        return silent

    def _try_again(self, tried: AgentLink, cause: str) -> bool:
        """Ask another link, if there is one and none was asked besides the first."""
        if self._tried_again:
            return False
        link = self._dials.another(self.tunnel, tried, cause)
        if link is None:
            return False
        self._tried_again = True
        self._links[link] = self._dials.limits.now()
        link.ask(self)
        return True
