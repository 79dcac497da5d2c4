"""The near end of a tunnel that a gRPC client asked for: its share of the client's stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IReactorTime

from konnect.proxy.hold import Hold
from konnect.tunnel.backlog import Backlog
from konnect.tunnel.ends import Bytes, End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_sizes import CHUNK
from konnect.tunnel.reasons import Reason

if TYPE_CHECKING:
    from konnect.proxy.frontend_grpc import ProxyStream


class StreamEnd(End):
    """One tunnel of a client's stream: its near end."""

    __slots__ = (
        "_backlog",
        "_clock",
        "_ending",
        "_full",
        "_full_since",
        "_hold",
        "_ledger",
        "_ready",
        "_stream",
        "connect_id",
        "head",
        "random",
    )

    def __init__(
        self, stream: ProxyStream, random: bytes, ledger: Ledger, clock: IReactorTime
    ) -> None:
        # What End does, without a call: one is made for each tunnel.
        self.tunnel = self.other = self.client = None
        self._stream = stream
        self._ledger = ledger
        self._clock = clock
        # The client takes what we send, or is gone: nothing is held any more.
        self._ready = False
        self._hold: Hold | None = None  # made for a destination that speaks before
        self._backlog: Backlog | None = None  # made for a stream that is full
        self._full = False
        self._full_since: float | None = None
        self._ending: Reason | None = None
        self.random = random
        self.connect_id = 0
        self.head = b""
        """Part of what goes before the payload of each of its DATA packets."""

    @property
    def can_be_told(self) -> bool:  # type: ignore[override]
        return not self._stream.stream.closing

    def opened(self) -> None:
        self._stream.dial_opened(self)

    def failed(self, reason: Reason, text: str) -> None:
        self._stream.dial_failed(self, text)

    def spoken(self) -> None:
        """The client has used the connection: it is ready for what we send."""
        if not self._ready:
            self._ready = True
            if self._hold is not None:
                self._hold.release()

    def client_said(self, data: Bytes) -> None:
        """The client has sent bytes."""
        if not self._ready:
            # `spoken`, without a call.
            self._ready = True
            if self._hold is not None:
                self._hold.release()
        if data and self.other is not None:
            self.other.write(data)

    def drop(self) -> None:
        """The stream is gone: nothing held is worth sending."""
        if self._full_since is not None:
            self._waited()
        self._ready = True
        if self._hold is not None:
            self._hold.drop()
        if self._backlog is not None:
            self._backlog.drop()

    def write(self, data: Bytes) -> None:
        if self._full:
            if self._backlog is None:
                self._backlog = Backlog(self._ledger)
            self._backlog.put(data)
        elif self._ready or self._held_long:
            if not self._stream.send_data(self, data):
                self._fill()
        elif self.other is not None:
            # The source stands still, so what is held is bounded by what was on its way.
            self.other.pause()
            kept = bytes(data)
            self._later(lambda: self._write_held(kept))

    @property
    def _held_long(self) -> bool:
        """Whether the client has had its moment to get ready."""
        return self._hold is not None and self._hold.over

    def _later(self, action: Callable[[], None]) -> None:
        """Run it when the client is ready."""
        if self._hold is None:
            self._hold = Hold(self._clock)
        self._hold.after(action)

    def _write_held(self, data: bytes) -> None:
        self.write(data)
        held = self._hold is not None and not self._hold.empty
        if not held and not self._full and self.other is not None:
            self.other.resume()

    def _fill(self) -> None:
        """The stream takes no more."""
        self._full = True
        self._full_since = self._ledger.now()
        if self.other is not None:
            self.other.pause()

    def writable(self) -> None:
        """The stream takes more: feed the backlog, then let the source go on."""
        if self._full_since is not None:
            self._waited()
        self._full = False
        backlog = self._backlog
        while backlog is not None and backlog.size and not self._full:
            data = backlog.take(CHUNK)
            if not self._stream.send_data(self, data):
                self._fill()
            if self.other is not None:
                self.other.drained(len(data))
        if self._ending is not None and (backlog is None or not backlog.size):
            self._stream.tunnel_closed(self, self._ending)
            return
        if not self._full and self.other is not None:
            self.other.resume()

    def _waited(self) -> None:
        """What upstream calls a write's duration is over."""
        since, self._full_since = self._full_since, None
        if since is not None:
            self._ledger.frontend_waits.observe(self._ledger.now() - since)

    def pause(self) -> None:
        self._stream.pause(self)

    def resume(self) -> None:
        self._stream.resume(self)

    def finish(self) -> None:
        # The client has no half-close: the destination's end is the tunnel's.
        if self.tunnel is not None:
            self.tunnel.close(self.tunnel.reason or Reason.DESTINATION_CLOSED)

    def close(self, reason: Reason) -> None:
        stream = self._stream
        if stream.paused:
            stream.resume(self)
        if self.connect_id:
            # Behind what is held or waits; a Go client also ignores a close that comes before it is
            # ready.
            if self._ready and self._backlog is None:  # as nearly all
                stream.tunnel_closed(self, reason)
            elif self._ready or self._held_long:
                self._close(reason)
            else:
                self._later(lambda: self._close(reason))
        else:
            stream.dial_dropped(self)

    def _close(self, reason: Reason) -> None:
        if self._backlog is not None and self._backlog.size:
            # Behind what waits, which stays counted until the client takes it.
            self._ending = reason
        else:
            self._stream.tunnel_closed(self, reason)

    def give_up(self) -> None:
        """The tunnel is over, and the client does not want what waits for it."""
        self.drop()
        self._stream.tunnel_closed(self, self._ending or Reason.CLIENT_CLOSED)
