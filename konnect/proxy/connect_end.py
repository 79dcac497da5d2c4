"""The near end of a tunnel that a CONNECT client asked for: its socket.

It keeps what the client says early, writes the 200 line, and holds a destination's first bytes back
so that none shares a segment with that line. Requests and answers are not its business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from konnect.net.sockets import Common, SocketEnd
from konnect.proxy.hold import Hold
from konnect.tunnel.ends import Bytes
from konnect.tunnel.reasons import Reason
from konnect.wire.connect import ESTABLISHED

if TYPE_CHECKING:
    from konnect.proxy.frontend_connect import ConnectProtocol

EARLY_LIMIT = 65536
"""Bytes kept of a client that speaks before its tunnel is open; then it is read no further."""


class ConnectEnd(SocketEnd):
    """The client's socket as the near end of its tunnel."""

    # What every tunnel calls of the base class is called by its name: Python 3.11 takes 40 ns for
    # each `super()` (measured).

    __slots__ = (
        "_early",
        "_early_size",
        "_full_since",
        "_hold",
        "_spoken",
        "ended_early",
        "protocol",
    )

    ended_reason = Reason.CLIENT_CLOSED
    lost_reason = Reason.CLIENT_LOST

    def __init__(self, protocol: ConnectProtocol, transport: Any, common: Common) -> None:
        SocketEnd.__init__(self, transport, common)
        self.protocol: ConnectProtocol | None = protocol
        self.ended_early = False
        self._spoken = False  # the client has, or its end has come, since the 200 line
        self._hold: Hold | None = None  # made for a destination that speaks before
        self._early: list[bytes] | None = None  # made for a client that speaks before the 200 line
        self._early_size = 0
        self._full_since: float | None = None

    # -- as the producer of its own transport: what upstream calls a write's duration

    def pauseProducing(self) -> None:
        if self.protocol is not None:
            self._full_since = self.protocol.ledger.now()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        if self._full_since is not None:
            self._waited()
        super().resumeProducing()

    def _waited(self) -> None:
        """There is room again, or nobody will be told any more."""
        since, self._full_since = self._full_since, None
        if since is not None and self.protocol is not None:
            ledger = self.protocol.ledger
            ledger.frontend_waits.observe(ledger.now() - since)

    @property
    def early_size(self) -> int:
        """Bytes kept of a client that spoke before its tunnel was open."""
        return self._early_size if self._early else 0

    @property
    def has_early(self) -> bool:
        """Whether the client has said anything behind its request head."""
        return self._early_size > 0

    def keep_early(self, data: bytes) -> None:
        """Keep what the client says before the tunnel is open."""
        if self._early is None:
            self._early = []
        self._early.append(data)
        self._early_size += len(data)
        if self._early_size >= EARLY_LIMIT:
            self.pause()

    def end_early(self) -> None:
        """The client has sent its last byte before the tunnel is open, and waits for the answer.
        Nothing that is read will tell when it is gone, so it is looked at now and then."""
        self.ended_early = self._read_ended = True
        self._watch_later()

    def opened(self) -> None:
        if self.protocol is not None:
            # What the client says is the tunnel's from now on.
            self.protocol.dataReceived = self.received  # type: ignore[method-assign]
        # Not this class's own methods: the 200 line does not wait behind itself, and what was said
        # before it does not show that the client has read it.
        SocketEnd.write(self, ESTABLISHED)
        self.attach()
        early, self._early = self._early, None
        if self._paused:
            self.resume()
        if early is not None:
            for data in early:
                super().received(data)
        if self.ended_early:
            super().read_ended()
            self.limit_answer()

    def failed(self, reason: Reason, text: str) -> None:
        if self.protocol is not None:
            self.protocol.dial_failed(reason, text)

    def _speaks(self) -> None:
        """The client is ready for whatever comes."""
        self._spoken = True
        if self._hold is not None:
            self._hold.release()

    def received(self, data: bytes) -> None:
        if not self._spoken:
            self._speaks()
        other = self.other
        if other is not None:
            other.write(data)
        else:
            super().received(data)

    def read_ended(self) -> None:
        if not self._spoken:
            self._speaks()
        SocketEnd.read_ended(self)

    def limit_answer(self) -> None:
        """The client has sent its last byte: an agent that cannot be told so gets some time for
        the rest of the answer."""
        if self.tunnel is not None and not self.tunnel.can_finish_far:
            self.limit_close()

    def write(self, data: Bytes) -> None:
        hold = self._hold
        if self._spoken or (hold is not None and hold.over):
            if self._takes_views and not self._full:
                self.transport.write_now(data)
            else:
                super().write(data)
        elif self.other is not None:
            # The source stands still, so what is held is bounded by what was on its way.
            self.other.pause()
            if hold is None:
                hold = self._hold = Hold(self._common.clock)
            kept = bytes(data)
            hold.after(lambda: self._write_held(kept))

    def _write_held(self, data: bytes) -> None:
        super().write(data)
        if not self._holds and not self._full and self.other is not None:
            self.other.resume()

    @property
    def _holds(self) -> bool:
        """Whether bytes of the destination are held."""
        return self._hold is not None and not self._hold.empty

    def finish(self) -> None:
        if self._full_since is not None:
            self._waited()
        hold = self._hold
        if hold is None or hold.empty:
            super().finish()
        else:
            hold.after(super().finish)

    def close(self, reason: Reason) -> None:
        if self._full_since is not None:
            self._waited()
        hold = self._hold
        if hold is not None and not hold.over:
            if not hold.empty:
                close = super().close
                hold.after(lambda: close(reason))
                return
            hold.drop()
        SocketEnd.close(self, reason)

    def lost(self, clean: bool) -> None:
        if self._hold is not None:
            self._hold.drop()
        if self._full_since is not None:
            self._waited()
        self.protocol = None
        SocketEnd.lost(self, clean)
