"""Whether a link's agent answers dials: a link that does not is taken out of rotation, and probed.

An agent can be connected and dead: its process hangs, its one reading loop is stuck behind a slow
socket, the packets of its node go nowhere. HTTP/2's keepalive sees some of this, after its time,
and not the rest. Dials see all of it.

    in rotation       MISSES dials in a row go unanswered          out of rotation, probed
    in rotation       a dial is late                               in rotation, probed once
    in rotation       that probe goes unanswered                   out of rotation, probed
    out of rotation   a dial or a probe is answered in time        in rotation

A dial is late when the agent may still be working on it: agents give a destination some seconds,
and a dial's limit may be shorter. That may be the destination's fault, so an agent that answers the
probe has nothing held against it.

A probe is a dial that fails at the agent before it touches any network: its address has no port.
Every agent answers that with an error, at once. Other packets of a link prove less: an agent whose
reading loop is stuck goes on sending. After an answered probe one more missed dial takes the agent
out again, and each time its probes come later, until a dial is answered: so an agent that answers
probes and nothing else is asked seldom.
"""

from __future__ import annotations

import secrets
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from konnect.log import make_logger
from konnect.wire.data_packet import varint

log = make_logger(__name__)

MISSES = 3
"""Dials in a row without an answer that take a link out of rotation."""

PROBE_ADDRESS = "konnect-probe"
"""What probes ask for. Without a port it is no address: no agent looks the name up."""

PROBE_ANSWER = 5.0
"""Seconds that an agent has to answer a probe."""

SHORTEST_REST, LONGEST_REST = 1.0, 60.0
"""Seconds between an unanswered probe and the next; each time twice as many."""


class Probed(Protocol):
    """What the watch needs of its link."""

    suspect: bool
    """Out of rotation: routing takes it only when there is nothing better."""

    def probe(self, random: bytes) -> None:
        """Send a DIAL_REQ for PROBE_ADDRESS."""


class LinkHealth:
    """The watch over one link."""

    __slots__ = ("_clock", "_link", "_random", "_rest", "_timer", "misses", "waiting")

    def __init__(self, link: Probed, clock: IReactorTime) -> None:
        self._link = link
        self._clock = clock
        self.misses = 0
        """Dials in a row that went unanswered."""
        self._random = b""
        """The last probe's."""
        self.waiting = False
        """For the answer to a probe, in time."""
        self._rest = 0.0
        self._timer: IDelayedCall | None = None

    def late(self) -> None:
        """A dial is unanswered, which may be its destination's doing."""
        if not (self.waiting or self._link.suspect):
            self._probe()

    def missed(self) -> None:
        """A dial has gone unanswered for longer than any destination can be the reason."""
        self.misses += 1
        if self.misses < MISSES or self._link.suspect:
            return
        self._take_out(f"dials ({self.misses} in a row)")
        if self.waiting:
            self._rest = max(self._rest, SHORTEST_REST)  # what is on its way is the first probe
        else:
            self._later()

    def answered(self) -> None:
        """A dial was answered in time."""
        self.misses = 0
        self._rest = 0.0
        self._restore()

    def probe_answered(self, random: bytes) -> bool:
        """Whether an answer with this `random` was that of a probe."""
        if not self._random or random != self._random:
            return False
        if self.waiting:
            self.misses = min(self.misses, MISSES - 1)
            self._restore()
        elif self._link.suspect:
            # Late, but it reads again: no need to wait for the next probe's time.
            self._stop_timer()
            self._probe()
        return True

    def stop(self) -> None:
        """No more probes; no delayed call is left."""
        self.waiting = False
        self._random = b""
        self._stop_timer()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _take_out(self, what: str) -> None:
        self._link.suspect = True
        log.warn(
            "{link} does not answer {what}: it gets no dials until it answers a probe",
            link=self._link,
            what=what,
        )

    def _restore(self) -> None:
        # The last probe's answer may still come, and is no stranger.
        self.waiting = False
        self._stop_timer()
        if self._link.suspect:
            self._link.suspect = False
            log.info("{link} answers again: it gets dials", link=self._link)

    def _later(self) -> None:
        """Probe after a rest: at once when it is the first time."""
        rest = self._rest
        self._rest = min(max(2 * rest, SHORTEST_REST), LONGEST_REST)
        self._timer = self._clock.callLater(rest, self._probe)

    def _probe(self) -> None:
        self.waiting = True
        self._random = varint(secrets.randbits(62) + 1)
        self._timer = self._clock.callLater(PROBE_ANSWER, self._unanswered)
        self._link.probe(self._random)

    def _unanswered(self) -> None:
        self.waiting = False
        if not self._link.suspect:
            self._take_out("a probe")
        self._later()
