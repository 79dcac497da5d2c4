"""TLS on the hub: how a connection begins and ends (`konnect.net.hub.tls_records`: all between).

Behaves as Twisted's TLS transport (the handshake follows `connectionMade`, `loseConnection` waits
for a registered producer and for the peer's close_notify, an end without one is ConnectionLost),
and closes one direction as TLS 1.3 means it (RFC 8446 section 6.1): `loseWriteConnection` sends
close_notify and reading goes on; a received close_notify is `readConnectionLost` for a protocol
that knows half-close. Twisted's would send a bare FIN, which is a truncation.
"""

from __future__ import annotations

import socket
from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    ISSLTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.net.hub.facts import Socket
from konnect.net.hub.loop import IN, OUT, Hub
from konnect.net.hub.tls_connection import Connection
from konnect.net.hub.tls_records import TlsRecords
from konnect.net.hub.transport import DONE, LOST
from konnect.net.tls import ClientTls, ServerTls

REFUSAL = 1.0
"""Seconds that a peer whose handshake has failed has to read why."""

TLS1_3 = 0x0304
"""The protocol version, as on the wire."""


@implementer(ISSLTransport, INegotiated)
class TlsTransport(TlsRecords):
    """The transport of one connected socket, with TLS on it as `tls` says."""

    __slots__ = ("_calls_first", "_established", "_notified", "_refusal", "_refusal_call")

    def __init__(
        self,
        hub: Hub,
        sock: Socket,
        protocol: Any,
        peer: tuple[int, Any],
        tls: ServerTls | ClientTls,
        **more: Any,
    ) -> None:
        plain: Any = sock  # pyOpenSSL asks it for its descriptor only
        ssl = Connection(tls.context, plain)
        super().__init__(hub, sock, protocol, peer, ssl, **more)
        self._calls_first = isinstance(tls, ClientTls)
        if isinstance(tls, ClientTls):
            if tls.server_name is not None:
                ssl.set_tlsext_host_name(tls.server_name)
            ssl.set_connect_state()
        else:
            ssl.set_accept_state()
        self._established = False
        self._blocked = True  # until the handshake is over
        self._notified = False  # our close_notify is out
        self._refusal: Failure | None = None  # why the handshake failed
        self._refusal_call: Any = None

    def begin(self) -> OSError | None:
        """See `StreamTransport`; then a client starts the handshake."""
        unserved = super().begin()
        if self._calls_first and self.connected and self._end is None:
            try:
                self._shake()
            except BaseException as error:
                self._hub.contain(self, error)
        return unserved

    # -- the handshake

    def handle(self, events: int) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        if self._established:
            TlsRecords.handle(self, events)  # not by `super()`, which takes longer
        elif self._refusal is not None:
            self._discard(self._refusal)
        elif self._end is None and self._hub.handshakes > 0:
            self._hub.handshakes -= 1
            self._shake()

    def _shake(self) -> None:
        ssl = self._ssl
        assert ssl is not None
        try:
            ssl.do_handshake()
        except SSL.WantReadError:
            self._hub.want(self, IN)
            return
        except SSL.WantWriteError:
            self._hub.want(self, OUT)
            return
        except SSL.Error as error:
            self._refuse(self._why(error))
            return
        self._established = True
        self._hub.want(self, IN if self._reading else 0)
        if IHandshakeListener.providedBy(self.protocol):
            self.protocol.handshakeCompleted()
        self._blocked = False
        if self._paused:
            # So much has been written before that the producer waits to be told of more room.
            self.startWriting()
        elif self.connected and (self._queued or self._attentive):
            self._flush_later()

    def _refuse(self, reason: Failure) -> None:
        """
        The handshake has failed with `reason`, and OpenSSL has sent the alert that says why.

        A client of TLS 1.3 has written more behind its certificate, and to close with that unread
        is a reset, by which the alert would be lost: so end our direction, and read until the peer
        ends its own, for a moment.
        """
        if self._calls_first or reason is LOST:
            # Told when the turn ends: who connects is not to hear of a loss before the connection.
            self._over(reason)
            return
        self._refusal = reason
        self._hub.want(self, IN)
        try:
            self._sock.shutdown(socket.SHUT_WR)  # type: ignore[union-attr]
        except OSError:
            pass  # not connected any more: reading will say so
        self._refusal_call = self._hub.reactor.callLater(REFUSAL, self._lose, reason)

    def _discard(self, reason: Failure) -> None:
        if self._end is not None:
            return
        try:
            if self._sock.recv_into(self._hub.scratch):  # type: ignore[union-attr]
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._lose(reason)

    def _forget(self) -> None:
        super()._forget()
        call, self._refusal_call = self._refusal_call, None
        if call is not None and call.active():
            call.cancel()

    # -- reading before the handshake

    def resumeProducing(self) -> None:
        """Read on."""
        if self._established:
            super().resumeProducing()
        else:
            self._reading = True

    def pauseProducing(self) -> None:
        """Read no more for now; a handshake goes on."""
        if self._established:
            super().pauseProducing()
        else:
            self._reading = False

    # -- closing

    @property
    def closes_one_direction(self) -> bool:  # type: ignore[override]
        """
        Whether close_notify ends one direction only: before TLS 1.3 it demanded the peer's at once
        (RFC 5246 section 7.2.1). See `konnect.net.closing.can_half_close`.
        """
        ssl = self._ssl
        return self._established and ssl is not None and ssl.get_protocol_version() >= TLS1_3

    def loseConnection(self) -> None:
        """Send what is queued, then close_notify, and close when the peer's has come."""
        if not self._established and not self._queued:
            self.disconnecting = True
            self.abortConnection()
        elif self._write_closed and not self._read_closed:
            self.disconnecting = True
        else:
            super().loseConnection()

    # After `loseConnection`, as with Twisted's, only what a registered producer gives is taken.

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        if self.disconnecting and self.connected and self._end is None:
            self._open = not self._write_closed
        super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        super().unregisterProducer()
        if self.disconnecting:
            self._open = False

    def loseWriteConnection(self) -> None:
        """Send what is queued, then close_notify; reading goes on."""
        if self._established:
            super().loseWriteConnection()
        else:
            # Nothing was ever read, and no close_notify can be sent before the handshake.
            self.loseConnection()

    def _peer_ended(self, end: Exception) -> None:
        if not isinstance(end, SSL.ZeroReturnError):
            self._lose(self._why(end))
            return
        self._read_closed = True
        self._hub.want(self, self.mask & ~IN)
        if self._notified and self.disconnecting:
            self._lose(DONE)
        elif self.disconnecting:
            self._flush_later()
        elif IHalfCloseableProtocol.providedBy(self.protocol):
            self.protocol.readConnectionLost()
        elif self._notified:
            self._lose(DONE)
        else:
            super().loseConnection()

    def _may_read(self) -> bool:
        return not self._read_closed

    def _stop_for_close(self) -> None:
        """The peer's close_notify is still to be read, and a producer's rest to be taken."""
        self._open = self._producer is not None

    def _emptied(self) -> None:
        streams = self._producer is not None and self._streaming
        if not (self.disconnecting and streams):
            super()._emptied()
            return
        if self._paused:
            super()._emptied()
        # When the peer has ended it, the producer's protocol may not know, and would never let go.
        if self._read_closed and not self._queued and self.connected and self._end is None:
            self._finish_connection()

    def _finish_connection(self) -> None:
        if self._notify() and (self._read_closed or self._both_ended()):
            self._lose(DONE)

    def _finish_writing(self) -> None:
        if self._notify():
            self._write_closed, self._open = True, False
            self._tell_write_closed()

    def _notify(self) -> bool:
        """Send close_notify; whether it is out."""
        if not self._notified:
            assert self._ssl is not None
            try:
                self._ssl.shutdown()
            except SSL.WantWriteError:
                self.startWriting()
                return False
            except SSL.Error as error:
                self._over(self._why(error))
                return False
            self._notified = True
        return True

    def _both_ended(self) -> bool:
        assert self._ssl is not None
        return bool(self._ssl.get_shutdown() & SSL.RECEIVED_SHUTDOWN)

    # -- what is known of the peer

    def getHandle(self) -> Any:
        """The pyOpenSSL connection, until after `connectionLost`."""
        return self._ssl

    def getPeerCertificate(self) -> Any:
        """See ISSLTransport."""
        return None if self._ssl is None else self._ssl.get_peer_certificate()

    @property
    def negotiatedProtocol(self) -> bytes | None:
        """See INegotiated."""
        return None if self._ssl is None else self._ssl.get_alpn_proto_negotiated() or None
