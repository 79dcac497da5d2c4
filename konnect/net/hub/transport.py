"""A plain stream transport on the hub: TCP and unix sockets.

Behaves as Twisted's `tcp.Server` and `tcp.Client` do once connected, with the differences that the
package's docstring names; also: `connectionLost` is never called within the protocol's own call of
`loseConnection` or `abortConnection`, a read side that has ended is never reported twice, after a
failed write what the peer had sent before is still delivered (up to one read), and a protocol
is an IHalfCloseableProtocol if it provides that: nothing is adapted to it.

It ends without reference cycles: the protocol keeps its transport, the transport nothing.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet import main
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.net.closing import unread, unsent
from konnect.net.hub.facts import Socket
from konnect.net.hub.loop import BROKEN, HUNG_UP, IN, OUT, Hub
from konnect.net.hub.unhurried import Unhurried

DONE = Failure(main.CONNECTION_DONE)
LOST = Failure(main.CONNECTION_LOST)

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for a close that resets the connection."""


@implementer(
    ITCPTransport,
    IConsumer,
    IPushProducer,
    ISystemHandle,
    ILoggingContext,
)
class StreamTransport(Unhurried):
    """
    The transport of one connected, non-blocking socket.

    :param on_lost: called with the reason when everything is over, after the protocol.
    """

    __slots__ = ("_on_lost", "_read_closed", "_reading", "hung_up")

    closes_one_direction = True
    """See `konnect.net.closing.can_half_close`."""

    def __init__(
        self,
        hub: Hub,
        sock: Socket,
        protocol: Any,
        peer: tuple[int, Any],
        *,
        prompt: bool = False,
        on_lost: Callable[[Failure], None] | None = None,
    ) -> None:
        # Base classes by their names, since `super()` takes longer: see `ConnectEnd`.
        Unhurried.__init__(self, hub, sock, protocol, peer, prompt)
        self._on_lost = on_lost
        self._reading = True
        self._read_closed = False
        self.hung_up = False
        """Whether the event of the read side's end said that the peer is gone as a whole."""

    def begin(self) -> OSError | None:
        """Serve the socket, and tell the protocol of its transport. What that raises is logged and
        ends the connection; then `connected` is false, or is about to be. So it is if the kernel
        does not serve the socket: this tells why."""
        self.connected = self._open = True
        unserved = self._hub.add(self, IN)
        try:
            self.protocol.makeConnection(self)
        except BaseException as error:
            self._hub.contain(self, error)
        return unserved

    def detach(self) -> tuple[Socket, tuple[int, Any]]:
        """
        The socket and its peer, for another transport that takes its place on the hub.

        Raises ConnectionLost when there is nothing to give any more.
        """
        sock = self._sock
        if sock is None or self._end is not None:
            raise main.CONNECTION_LOST
        self._sock = None
        self.connected, self._open, self.disconnected = False, False, True
        self.protocol = self._on_lost = None
        return sock, self._address

    def discard(self) -> None:
        """Close the socket of a transport that has not begun."""
        self._hub.adopt(self)
        self._close_socket(orderly=True)

    # -- events

    def handle(self, events: int) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        if self._end is not None:
            return
        if events & IN:
            if self.mask & IN:
                self._read(events)
        elif events & BROKEN:
            # As Twisted's reactors judge a hang-up with nothing left to read.
            if self.mask & IN:
                self._read_ended(events)
            else:
                self._lose(LOST)
            return
        if events & OUT and self.mask & OUT:
            self._writable()

    def _read(self, events: int) -> None:
        scratch = self._hub.scratch
        try:
            count = self._sock.recv_into(scratch)  # type: ignore[union-attr]
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(self._why(error))
            return
        if count:
            # By `bytes(...)` that takes a half more, of 0.06 us (measured).
            self.protocol.dataReceived(scratch[:count].tobytes())
        elif not (events & HUNG_UP and self._puts_off_end()):
            self._read_ended(events)

    def _read_rest(self) -> None:
        try:
            data = self._sock.recv(len(self._hub.scratch))  # type: ignore[union-attr]
        except OSError:
            return
        if data:
            self.protocol.dataReceived(data)

    def _read_ended(self, events: int) -> None:
        """The peer will send no more."""
        self._read_closed = True
        self.hung_up = bool(events & HUNG_UP)
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self._hub.want(self, self.mask & ~IN)
            self.protocol.readConnectionLost()
        else:
            self._lose(DONE)

    def _why(self, error: Exception) -> Failure:
        return LOST

    # -- closing

    def abortConnection(self) -> None:
        """Drop the connection with what is queued; the peer of a TCP connection sees a reset."""
        end = self._end
        if not self.connected or (end is not None and isinstance(end.value, ConnectionAborted)):
            return
        self._end = None
        self._over(Failure(ConnectionAborted()))

    def loseConnection(self) -> None:
        """See `Output`."""
        if self._write_closed and not self.disconnecting:
            self.disconnecting = True
            self._over(DONE)
        else:
            if self.hung_up:
                self._close_at_leisure()
            super().loseConnection()

    def close_settled(self) -> bool:
        """
        Close at once if nothing can be lost by it: the peer's kernel has all that was written, and
        nothing has come that is not read. Else do nothing, and say so.

        The peer meets the end of the stream, and a reset if it still sends. `connectionLost`
        follows when the turn ends, or later, see `Hub.put_off`. Not with TLS, where the end has to
        be announced.
        """
        if not self.connected or self._end is not None:
            return False
        if self._queued or unsent(self) or unread(self):
            return False
        self._read_closed = self._write_closed = True
        self._close_at_leisure()
        self._over(DONE)
        return True

    def _stop_for_close(self) -> None:
        if self.mask & IN:
            self._hub.want(self, self.mask & ~IN)

    def _finish_connection(self) -> None:
        self._lose(DONE)

    def _finish_writing(self) -> None:
        self._write_closed, self._open = True, False
        try:
            self._sock.shutdown(socket.SHUT_WR)  # type: ignore[union-attr]
        except OSError:
            pass  # the peer has gone: reading will say so
        self._tell_write_closed()

    def _tell_write_closed(self) -> None:
        if IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.writeConnectionLost()

    def _lose(self, reason: Failure) -> None:
        if not self.connected:
            return
        self.connected, self._open, self.disconnected = False, False, True
        self._end = reason
        if self._queued:
            self._queue.clear()
            self._queued = 0
        producer, self._producer = self._producer, None
        protocol, self.protocol = self.protocol, None
        on_lost, self._on_lost = self._on_lost, None
        self._close_socket(orderly=not isinstance(reason.value, ConnectionAborted))
        try:
            if producer is not None:
                producer.stopProducing()
        finally:
            try:
                protocol.connectionLost(reason)
            finally:
                # Kept until here, and no longer: a failure can hold frames that hold us.
                self._end = LOST
                self._forget()
                if on_lost is not None:
                    on_lost(reason)

    def _close_socket(self, orderly: bool) -> None:
        self._hub.drop(self)
        sock, self._sock = self._sock, None
        assert sock is not None
        try:
            if not orderly:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            elif not (self.hung_up or (self._read_closed and self._write_closed)):
                sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # not connected any more
        sock.close()
        self.fd = -1

    def _forget(self) -> None:
        """Nothing will be asked of this transport any more."""

    # -- the producer of what is read

    def pauseProducing(self) -> None:
        """Read no more for now."""
        self._reading = False
        if self.connected and self._end is None:
            self._hub.want(self, self.mask & ~IN)

    def resumeProducing(self) -> None:
        """Read on."""
        self._reading = True
        if not self.mask & IN and self.connected and self._end is None and self._may_read():
            self._hub.want(self, self.mask | IN)

    def _may_read(self) -> bool:
        return not self.disconnecting and not self._read_closed

    def stopProducing(self) -> None:
        """See IProducer."""
        self.loseConnection()
