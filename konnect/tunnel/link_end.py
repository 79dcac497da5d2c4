"""A tunnel's share of a link: its credit, its backlog, its part of the link's window.

Sending with credit (the peer announced it): never more than the peer has allowed; what the source
still gives after it was paused waits in the backlog, and when there is credit again, for its turn
on the link. Without credit only the link's own window and the turns of the parked ends hold a
source back.

Receiving with credit: bytes that have left for the socket are given back to the peer in bulk, on a
long path perhaps with more (`konnect.tunnel.growth`); the link's window is always given back at
once, since credit bounds the memory. Without credit: at once too while the tunnel holds less than
its budget, and behind that only as the bytes leave (`konnect.tunnel.withheld`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ends import Bytes, End
from konnect.tunnel.growth import Growth, most
from konnect.tunnel.later import Delayed
from konnect.tunnel.link_sizes import CREDIT_SLACK, REST
from konnect.tunnel.parking import LITTLE
from konnect.tunnel.reasons import Reason
from konnect.tunnel.withheld import Withheld
from konnect.wire import data_packet

if TYPE_CHECKING:
    from konnect.tunnel.link import Link


class LinkEnd(End):
    """One tunnel's end on a link; what is sent at its end is the link's (the role's) choice."""

    __slots__ = (
        "_allowed",
        "_backlog",
        "_credit",
        "_ending",
        "_growth",
        "_held",
        "_linger_call",
        "_paused",
        "_small",
        "_starved",
        "_unreturned",
        "_withheld",
        "connect_id",
        "got",
        "half_close_received",
        "half_close_sent",
        "head",
        "link",
        "parked",
        "random",
        "sent",
    )

    def __init__(self, link: Link, connect_id: int, random: bytes = b"") -> None:
        # What End does, without a call: one is made for each tunnel.
        self.tunnel = self.other = self.client = None
        self.link = link
        self.connect_id = connect_id
        self.head = data_packet.middle(connect_id)
        """Part of what goes before the payload of each of its DATA packets."""
        self.random = random
        self.parked = False
        self.half_close_sent = False
        self.half_close_received = False
        self.sent = 0
        """Bytes that the other end has written."""
        self.got = 0
        """Bytes that the other end was given."""
        # Sending
        self._credit: int | None = link.send_credit or None
        self._starved = False
        self._small = False
        self._backlog: Backlog | None = None
        """Made when it is needed, and only while there are bytes in it."""
        self._ending: Reason | None = None
        self._linger_call: Delayed | None = None
        # Receiving
        self._paused = False
        self._held = 0
        self._unreturned = 0
        self._allowed = link.receive_credit + CREDIT_SLACK
        self._growth: Growth | None = None
        self._withheld: Withheld | None = None

    @property
    def can_finish(self) -> bool:  # type: ignore[override]
        """As the two halves have agreed."""
        return self.link.half_close

    # -- sending

    def write(self, data: Bytes) -> None:
        size = len(data)
        self.sent += size
        if size > LITTLE:
            self._small = False
        elif self._small:
            ledger = self.link.ledger
            ledger.small += 1
            if ledger.small > ledger.small_until:
                ledger.first_small()
        else:
            self._small = True  # one alone may be the rest of a large one
        credit = self._credit
        if credit is not None:
            # One that is starved has no credit; one that is parked may have it, and a backlog.
            if size >= credit or self._backlog is not None:
                if self._backlog is None:
                    self._backlog = Backlog(self.link.ledger)
                self._backlog.put(data)
                self._send_backlog()
                return
            self._credit = credit - size
        self.link.send_data(self, data)

    def credited(self, increment: int) -> None:
        """The peer allows `increment` more bytes, or takes back what it had allowed (below 0)."""
        self.shifted(increment)

    def shifted(self, change: int) -> None:
        """The peer has changed the window; what is left of the credit may be less than nothing."""
        if self._credit is not None:
            self._credit += change
            self._send_backlog()

    def _send_backlog(self) -> None:
        assert self._credit is not None
        link = self.link
        while self._credit > 0 and (backlog := self._backlog) is not None:
            if not link.has_room_for(self, backlog.size):
                break
            data = backlog.take(self._credit)
            self._credit -= len(data)
            if not backlog.size:
                self._backlog = None
            link.send_data(self, data)
        starved = self._credit <= 0
        if starved != self._starved:
            self._starved = starved
            if self.other is not None:
                if starved:
                    self.other.pause()
                elif not self.parked:
                    self.other.resume()
        if self._backlog is None and self._ending is not None:
            self._end_now(self._ending)

    def unparked(self) -> None:
        """The link has room again: the backlog goes on, and the source, if there is credit."""
        self.parked = False
        if self._backlog is not None:
            self._send_backlog()
        if self.other is not None and not self._starved and not self.parked:
            self.other.resume()

    # -- receiving

    def received(self, data: Bytes, cost: int) -> int:
        """Give `data` to the other end. Of the `cost` bytes of the link's window that it took, so
        many go back now."""
        other = self.other
        link = self.link
        if other is None or self.half_close_received:
            return cost  # nobody wants it, or the peer said that no more would come
        size = len(data)
        self.got += size
        if link.receive_credit:
            self._allowed -= size
            if self._allowed < 0:
                link.overrun(self)
                return cost
            other.write(data)
            if self._paused:
                self._held += size
            elif self.other is not None:
                # `_give_back`, without a call for each packet.
                unreturned = self._unreturned = self._unreturned + size
                if unreturned * 2 >= link.window:
                    self._give_back(0)
            return cost
        other.write(data)
        if self._paused and self.other is not None:
            self._held += cost
            if self._held > link.flow.budget or link.ledger.buffered > link.ledger.limit:
                if self._withheld is None:
                    self._withheld = Withheld(self)
                return self._withheld.keep(cost)
        return cost

    def pause(self) -> None:
        self._paused = True

    def drained(self, count: int) -> None:
        count = min(count, self._held)
        self._held -= count
        if self._withheld is not None:
            self._withheld.leave(count)
        elif self.link.receive_credit:
            self._give_back(count)

    def resume(self) -> None:
        self._paused = False
        held, self._held = self._held, 0
        withheld = self._withheld
        if withheld is not None:
            # Heads of packets are owed as well as their payload.
            withheld.leave(withheld.owed)
            withheld.stop()
        elif self.link.receive_credit:
            self._give_back(held)

    def _give_back(self, count: int) -> None:
        self._unreturned += count
        link = self.link
        if self._unreturned * 2 < link.window:
            return
        back, self._unreturned = self._unreturned, 0
        if (growth := self._growth) is not None:
            back = growth.returned(back)
            self._allowed += growth.allowed(back)
        else:
            self._allowed += back
            if most(link) > link.window:
                self._growth = Growth(link)
        if back:
            link.send_credit_packet(self, back)

    def give_back_due(self) -> None:
        """The window has become smaller."""
        if self.other is not None and self._unreturned:
            self._give_back(0)

    def take_back(self) -> None:
        """Too much waits in the process: the window becomes its link's."""
        if self._growth is not None and (extra := self._growth.take_back()):
            self.link.send_credit_packet(self, -extra)

    # -- beginning and ending

    def carried(self) -> tuple[int, int]:
        # At a proxy; an agent's end knows better.
        return self.sent, self.got

    def finish(self) -> None:
        if self._backlog is not None:
            self._ending = Reason.CLIENT_CLOSED
        else:
            self.link.finish(self)

    def close(self, reason: Reason) -> None:
        if self._growth is not None:
            self._growth.end()
        withheld = self._withheld
        if withheld is not None:
            withheld.stop()
            withheld.leave(withheld.owed)
        if self._backlog is not None:
            if (not reason.abortive or reason is Reason.SHUTDOWN) and not self.link.lost:
                # Nothing of what was read before the end is lost, if the link takes it in time.
                self._ending = reason
                self._linger_call = self.link.later(self.link.flow.linger, self._lingered)
                return
            self.gone()
        self.link.close_end(self, reason)

    def _end_now(self, reason: Reason) -> None:
        self._ending = None
        if self.tunnel is not None:
            self.link.finish(self)
        else:
            self.gone()
            self.link.close_end(self, reason)

    def _lingered(self) -> None:
        self._linger_call = None
        backlog = self._backlog
        if backlog is not None and backlog.size <= REST and self.link.stream.queued <= REST:
            self._credit = backlog.size
            self._send_backlog()
            return
        self.gone()
        # Whatever the tunnel's own reason: the rest is missing, and that must be seen.
        self.link.close_end(self, Reason.LINGER)

    def gone(self) -> None:
        """The peer, or the link, has ended this tunnel: leave nothing."""
        if self._backlog is not None:
            self._backlog.drop()
            self._backlog = None
        self._ending = None
        if self._withheld is not None:
            self._withheld.stop()
        if self._linger_call is not None:
            self._linger_call.cancel()
            self._linger_call = None
