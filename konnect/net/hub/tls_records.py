"""TLS records on the hub: OpenSSL reads from and writes to the socket itself.

Why not memory BIOs, as Twisted's transport has them: throughput with eight tunnels was 0.84 to 0.90
of this way's, and small messages 0.84 (measured). Encrypting and sending 16 KiB at a time keeps
them in the processor's caches.

OpenSSL writes each record to the socket by a call of its own, and without delays each would leave
as a packet of its own, which on loopback costs both ends a pass through the kernel's network. So a
TCP socket is corked while there are several: throughput came to 1.04 to 1.23 of what it was
(measured; medians of three).

It neither begins a connection nor ends one: `konnect.net.hub.tls` does.
"""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL import SSL
from twisted.python.failure import Failure

from konnect.net.hub.facts import Socket
from konnect.net.hub.loop import Hub
from konnect.net.hub.output import Chunk, Output
from konnect.net.hub.reads import RECORD
from konnect.net.hub.tls_connection import PlainConnection
from konnect.net.hub.transport import LOST, StreamTransport

SHORT = RECORD - 512
"""A record below this is most likely the last for now: asking OpenSSL for another would cost an
exception, and epoll says it just as well."""

RUN = 4 * RECORD
"""Bytes given to OpenSSL in one call: the fewer calls, the less time in Python. A record at a time
took 1.02 to 1.14 times the CPU, and more at a time gained nothing (measured). What the kernel
refuses of them counts as unsent as a whole, and is given again."""


class TlsRecords(StreamTransport):
    """Reading and writing on `ssl`, a connection of OpenSSL's over `sock`."""

    __slots__ = ("_is_link", "_sending", "_short", "_ssl", "_unfinished")

    errors = (OSError, SSL.Error)

    def __init__(
        self,
        hub: Hub,
        sock: Socket,
        protocol: Any,
        peer: tuple[int, Any],
        ssl: PlainConnection,
        **more: Any,
    ) -> None:
        super().__init__(hub, sock, protocol, peer, **more)
        self._ssl: PlainConnection | None = ssl
        self._short = SHORT
        self._is_link = False
        self._sending: Chunk | None = None  # what OpenSSL was given and must be given again
        self._unfinished: Exception | None = None  # an end that came while reading was paused

    # -- reading

    def expect_short_records(self) -> None:
        """
        The peer sends each message in a record of its own, as Go's programs do: behind a short one
        there may well be another.

        Beside such a peer 16 and 64 echoes came to 1.0 to 1.3 times the rate without (measured;
        with a peer that gathers its messages, as we do, to 0.96 to 1.0).
        """
        self._short = 0

    def expect_many_tunnels(self) -> None:
        """This is an agent's link with the other half of konnect: a read may take more of it
        (`konnect.net.hub.reads.LINK_RECORDS`)."""
        self._is_link = True

    def _read(self, events: int) -> None:
        hub = self._hub
        most = hub.link_records if self._is_link else hub.records
        data, stopped = self._ssl.read_records(most, self._short)  # type: ignore[union-attr]
        if data:
            self.protocol.dataReceived(data)
        if stopped is None or isinstance(stopped, SSL.WantReadError):
            return
        if isinstance(stopped, SSL.WantWriteError):
            self.startWriting()
        elif self.connected and self._end is None:
            if data and not self._reading:
                self._unfinished = stopped
            else:
                self._peer_ended(stopped)

    def _read_rest(self) -> None:
        """Nothing: once a write has failed, OpenSSL reads no more."""

    def _read_ended(self, events: int) -> None:
        # A hang-up without anything left to read: OpenSSL knows whether close_notify came before.
        self._read(events)

    def resumeProducing(self) -> None:
        """Read on."""
        super().resumeProducing()
        if self._unfinished is not None and self.connected and self._end is None:
            self._flush_later()

    def flush(self) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        end = self._unfinished
        if end is not None and self._reading and self._end is None and self.connected:
            self._unfinished = None
            self._peer_ended(end)
        Output.flush(self)

    # -- writing

    def write_now(self, data: Chunk) -> None:
        """
        See `konnect.net.hub.kind.Kind`; what makes one record goes past the queue.

        By the queue, and with some steps more for each read, 64 echoes came to 0.89 to 0.93 of the
        rate (measured; medians of 14 and 27).
        """
        if self._due or self._blocked or self._attentive or not self._open or not data:
            self.write(data)
            return
        size = len(data)
        if size > RECORD:
            self._queue.append(data)
            self._queued = size
            self._transmit()
            self._mind_producer()
            return
        try:
            # OpenSSL takes a record as a whole or not at all.
            self._ssl.write_records(data)  # type: ignore[union-attr]
        except (SSL.WantWriteError, SSL.WantReadError):
            self._sending = bytes(data)
            self._queued = size
            self.startWriting()
        except self.errors as error:
            self._over(self._why(error))

    def _send(self) -> bool:
        ssl = self._ssl
        assert ssl is not None
        write = ssl.write_records
        sending = self._sending
        corked = self._queued > RECORD and self.is_tcp()
        if corked:
            self._set_option(socket.IPPROTO_TCP, socket.TCP_CORK, True)
        try:
            while True:
                if sending is None:
                    if not self._queue:
                        return True
                    sending = self._next()
                while sending:
                    sent = write(sending)
                    self._queued -= sent
                    sending = memoryview(sending)[sent:] if sent < len(sending) else b""
                sending = None
        except (SSL.WantWriteError, SSL.WantReadError):
            return False
        finally:
            self._sending = sending
            if corked:
                self._set_option(socket.IPPROTO_TCP, socket.TCP_CORK, False)

    def _next(self) -> Chunk:
        """The next bytes of the queue for OpenSSL: small pieces joined, since every record costs
        its encryption's start, and every call its way through Python; a large one as it is, but for
        what fills the record of those before it."""
        queue = self._queue
        if self._queued <= RUN:
            # All that there is, as a rule: nothing of it waits in `_sending`, or this is not asked.
            record = queue[0] if len(queue) == 1 else b"".join(queue)
            queue.clear()
            return record
        piece = queue.pop(0)
        size = len(piece)
        if size > RUN:
            queue.insert(0, memoryview(piece)[RUN:])
            return memoryview(piece)[:RUN]
        if size == RUN or not queue:
            return piece
        pieces = [piece]
        while queue and size < RUN:
            piece = queue.pop(0)
            room = RUN - size
            if len(piece) > room:
                room = RECORD - size % RECORD
                queue.insert(0, memoryview(piece)[room:])
                pieces.append(memoryview(piece)[:room])
                break
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _own(self) -> None:
        if type(self._sending) is memoryview:
            self._sending = bytes(self._sending)
        super()._own()

    def _why(self, error: Exception) -> Failure:
        """As Twisted: an end of the stream that TLS did not announce is ConnectionLost."""
        if isinstance(error, SSL.SysCallError) or not isinstance(error, SSL.Error):
            return LOST
        reasons = error.args[0] if error.args else ()
        if not reasons or str(reasons[-1][-1]).casefold().startswith("unexpected eof"):
            return LOST
        return Failure(error.with_traceback(None))

    def _forget(self) -> None:
        self._ssl = None

    # -- what subclasses say

    def _peer_ended(self, end: Exception) -> None:
        """Reading met the end of the stream, announced (ZeroReturnError) or not."""
        raise NotImplementedError
