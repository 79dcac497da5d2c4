"""A tunnel's end that is a Twisted transport: a client's socket or the socket to a destination.

Back-pressure: the end is the push producer of its own transport, so "the kernel takes no more"
becomes `other.pause()`; what the other end still gives waits in the backlog, and is fed on as the
transport empties. Closing: everything written is flushed, the peer is told (FIN, close_notify, or a
reset after an abortive reason), and the socket stays until the peer has closed too, has sent too
much that nobody wants, or has taken next to nothing for the linger time. Closing at once would make
the kernel answer unread bytes with a reset, which can cost the peer the last bytes we sent.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from konnect.net.closing import (
    AbortWhenSent,
    broken,
    can_half_close,
    ended_below,
    ended_whole,
    hung_up,
    unsent,
)
from konnect.net.deadlines import Deadlines
from konnect.net.tcp import tune
from konnect.net.unwritten import unwritten
from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ends import Bytes, End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import DIALING

FEED = 65536
"""Bytes of the backlog given to the transport at a time."""

WATCH = 1.0
"""Seconds between two looks at whether the peer of a socket that is not read is still there."""

DISCARD = 256 * 1024
"""Bytes read and thrown away from a peer that goes on sending after the tunnel's end."""

LINGER = 10.0
"""Default seconds that a closed tunnel's socket may take to see the peer's end; if bytes are left
for it, see `SocketEnd.lingered`."""

LEAST = 16384
"""Bytes that a peer has to take, of what is left for it, to count as slow and not as gone."""

PATIENCE = 6
"""Linger times until it has to take as many again: kernels let a part of a full receive buffer be
read before they ask for more."""


class Common(Protocol):
    """What the ends of one link's destinations, or of one listener's clients, have in common."""

    ledger: Ledger
    clock: IReactorTime
    lingering: Deadlines[Any]
    """Limits how long a closed tunnel's socket may take; `due` is `SocketEnd.lingered`."""


@implementer(IPushProducer)
class SocketEnd(End):
    """
    The end at `transport`; its protocol calls `received`, `read_ended` and `lost`.

    Subclasses say who the peer is.
    """

    __slots__ = (
        "_abort_when_sent",
        "_backlog",
        "_common",
        "_discarded",
        "_full",
        "_patience",
        "_paused",
        "_read_ended",
        "_takes_views",
        "_unsent",
        "_watch_call",
        "transport",
    )

    ended_reason: Reason
    """The tunnel's reason when this socket's peer closes."""
    lost_reason: Reason
    """The tunnel's reason when the socket breaks."""

    def __init__(self, transport: Any, common: Common) -> None:
        # What End does, without a call: one is made for each tunnel.
        self.tunnel = self.other = self.client = None
        self.transport = transport
        self._takes_views = getattr(transport, "takes_views", False)
        if not self._takes_views:
            tune(transport)  # those of the hub are prompt and watchful already
        self._common = common
        self._backlog: Backlog | None = None  # made when it is needed: most never have one
        self._abort_when_sent: AbortWhenSent | None = None
        self._watch_call: IDelayedCall | None = None
        self._full = self._paused = self._read_ended = False
        self._discarded = self._unsent = self._patience = 0

    def attach(self) -> None:
        """Begin to take part in back-pressure: once, before the first `write`."""
        self.transport.registerProducer(self, True)

    # -- as the producer of its own transport: what the kernel takes

    def pauseProducing(self) -> None:
        """The transport's buffer is full."""
        self._full = True
        if self.other is not None:
            self.other.pause()

    def resumeProducing(self) -> None:
        """The transport's buffer is empty again."""
        if ended_below(self.transport):
            self.transport.unregisterProducer()
            return
        self._full = False
        backlog = self._backlog
        while backlog is not None and backlog.size and not self._full:
            count = self._feed(backlog)
            if self.other is not None:
                self.other.drained(count)
        if not self._full and self.other is not None:
            self.other.resume()

    def _feed(self, backlog: Backlog) -> int:
        """Write the next bytes of the backlog; how many they are."""
        data = backlog.take(FEED)
        self.transport.write(data if self._takes_views else bytes(data))
        return len(data)

    def stopProducing(self) -> None:
        """The transport is gone; `lost` says so."""

    # -- as a tunnel's end

    def write(self, data: Bytes) -> None:
        if self._full:
            if self._backlog is None:
                self._backlog = Backlog(self._common.ledger)
            self._backlog.put(data)
        elif self._takes_views:
            self.transport.write_now(data)
        else:
            self.transport.write(bytes(data))

    def pause(self) -> None:
        if self.transport is not None:
            self._paused = True
            self.transport.pauseProducing()
            self._watch_later()

    def resume(self) -> None:
        self._paused = False
        if self.transport is not None and not self._read_ended:
            self.transport.resumeProducing()

    def _watch_later(self) -> None:
        if self._watch_call is None:
            self._watch_call = self._common.clock.callLater(WATCH, self._watch)

    def _watch(self) -> None:
        """Whether the peer of a socket that is paused, or read to its end, is still there."""
        self._watch_call = None
        tunnel = self.tunnel
        if tunnel is None or not (self._paused or self._read_ended):
            return
        if tunnel.state is DIALING:
            if broken(self.transport) or hung_up(self.transport):
                tunnel.close(Reason.CLIENT_LEFT)
            else:
                self._watch_later()
        elif broken(self.transport):
            tunnel.close(self.lost_reason)
        elif self._read_ended and hung_up(self.transport):
            tunnel.close(tunnel.reason or self.ended_reason)
        elif hung_up(self.transport) or (self._read_ended and ended_whole(self.transport)):
            # The linger: what it has sent may still be wanted, or it may still be reading.
            self.limit_close()
        else:
            self._watch_later()

    def finish(self) -> None:
        if self.transport is not None and can_half_close(self.transport):
            self._flush()
            self.transport.loseWriteConnection()
            if self.other is not None:
                self.other.resume()
        elif self.tunnel is not None:
            self.tunnel.close(self.tunnel.reason or self.ended_reason)

    def close(self, reason: Reason) -> None:
        transport = self.transport
        if transport is None or self._abort_when_sent is not None:
            return
        self._flush()
        if reason.abortive or not (self._read_ended and getattr(transport, "hung_up", False)):
            # Else nobody is there, and the hub closes it, when the turn ends or very soon.
            self._common.lingering.set(self)
        if reason.abortive:
            self._abort_when_sent = AbortWhenSent(transport, self._common.clock, self.abort)
            self._abort_when_sent.start()
        elif self._read_ended or not can_half_close(transport):
            transport.loseConnection()
        else:
            transport.loseWriteConnection()
        if self._paused and not self._read_ended:
            # Whatever the end: the peer may want to send its rest before it reads ours.
            transport.resumeProducing()

    def _flush(self) -> None:
        """Hand everything over, whatever the transport says: no more will follow."""
        # A registered producer that is paused would keep Twisted from ever sending the FIN.
        self.transport.unregisterProducer()
        backlog = self._backlog
        while backlog is not None and backlog.size:
            self._feed(backlog)

    def lingered(self) -> None:
        """The linger time is over: that of the answer, or of a tunnel that has ended. While a slow
        peer goes on to take what is left for it, another begins."""
        if self.tunnel is not None:
            self.tunnel.close(Reason.LINGER)
            return
        left = unwritten(self.transport) + unsent(self.transport)
        if not self._unsent or self._unsent - left >= LEAST:
            self._patience = PATIENCE if self._unsent else 1
            self._unsent = left
        self._patience -= 1
        if left and self._patience >= 0 and self._abort_when_sent is None:
            self._common.lingering.set(self)
        else:
            self.abort()

    def abort(self) -> None:
        """Drop the socket at once, with whatever it still holds."""
        if self.transport is not None:
            self.transport.abortConnection()

    def limit_close(self) -> None:
        """Our peer has sent its last byte and the other side cannot be told so (no half-close):
        give the answer the linger time to come."""
        if self not in self._common.lingering.times:
            self._common.lingering.set(self)

    # -- what the protocol tells

    def received(self, data: bytes) -> None:
        """Bytes were read: give them on, or throw them away (bounded) when the tunnel is over."""
        other = self.other
        if other is not None:
            other.write(data)
            return
        self._discarded += len(data)
        if self._discarded > DISCARD:
            self.abort()

    def read_ended(self) -> None:
        """The peer has sent its last byte (FIN); the transport can perhaps still be written to."""
        self._read_ended = True
        tunnel = self.tunnel
        if tunnel is None:
            if self.transport is not None and self._abort_when_sent is None:
                self.transport.loseConnection()
        elif hung_up(self.transport) or not can_half_close(self.transport):
            tunnel.close(tunnel.reason or self.ended_reason)
        else:
            tunnel.ended(self, self.ended_reason)
            if self.tunnel is not None:
                self._watch_later()

    def lost(self, clean: bool) -> None:
        """The transport is gone."""
        lingering = self._common.lingering
        if self in lingering.times:
            lingering.drop(self)
        if self._abort_when_sent is not None:
            self._abort_when_sent.stop()
            self._abort_when_sent = None  # it has a method of this object
        if self._watch_call is not None:
            self._watch_call.cancel()
            self._watch_call = None
        self.transport = None
        self._read_ended = True
        if self._backlog is not None:
            self._backlog.drop()
        if self.tunnel is not None:
            self.tunnel.close(self.ended_reason if clean else self.lost_reason)
