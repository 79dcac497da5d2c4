"""gRPC over a Twisted transport: the sans-IO connection of `konnect.wire.grpc`, pumped.

`GrpcProtocol` owns one transport and one `GrpcConnection`. It moves bytes between the two, turns
transport back-pressure into "this stream takes no more" and gives every stream an object,
`GrpcStream`, so that nothing above this file sees a stream number. What a stream *means* is said by
its `StreamListener` (the proxy's links and frontends, the agent's links, the Python client).

It does not know packets, tunnels or services; `konnect.net.grpc_server` routes paths to listeners.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    IPushProducer,
    ISSLTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.log import make_logger
from konnect.net.closing import ended_below
from konnect.net.diagnosis import CLOSED, explain, peer_address
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.grpc_streams import UNKNOWN
from konnect.net.grpc_watches import WatchedStreams
from konnect.net.keepalive import ANSWER_TIMEOUT, Keepalive
from konnect.net.tcp import tune
from konnect.net.users import user_of
from konnect.wire.events import ConnectionEnded
from konnect.wire.status import ErrorCode

log = make_logger(__name__)

CLOSE_TIMEOUT = 15.0
"""Seconds that a closing connection may take to flush before it is aborted."""


@implementer(IPushProducer, IHandshakeListener)
class GrpcProtocol(WatchedStreams):
    """One HTTP/2 connection that carries gRPC streams, in either role."""

    _user: str | None = None
    unusual_end: bool
    """After the end: whether it deserves a log line (we closed it for a reason, or TLS failed)."""

    @property
    def ready(self) -> Deferred[None]:
        """Fires when streams may be opened (after the TLS handshake); fails with the reason."""
        ready = self._ready
        if ready is None:  # of a server nobody asks for it
            ready = self._ready = Deferred()
            if self.lost:
                ready.errback(Failure(ConnectionError(self._closing)))
            elif self._started:
                ready.callback(None)
        return ready

    @property
    def keepalive(self) -> Keepalive:
        """See `konnect.net.keepalive.Watched`."""
        return self._terms.keepalive

    # -- the transport's side

    def connectionMade(self) -> None:
        transport = self.transport
        self.peer = peer_address(transport) or UNKNOWN
        tune(transport, patience=ANSWER_TIMEOUT)
        self._takes_views = getattr(transport, "takes_views", False)
        transport.registerProducer(self, True)
        if not ISSLTransport.providedBy(transport):
            self._start()

    def handshakeCompleted(self) -> None:
        """TLS is up: gRPC demands that both sides agreed on `h2` (RFC 7540 section 3.4).

        A client goes on with whatever of its offer was chosen, as upstream's agent: a balancer
        that ends TLS may know `--alpn-proto`'s name only.
        """
        agreed = getattr(self.transport, "negotiatedProtocol", None)
        if agreed != b"h2" and not (agreed and self._wire.role.client):
            self.close("the peer did not agree on HTTP/2 by ALPN (h2)", abort=True)
        else:
            self._start()

    def _start(self) -> None:
        """Begin HTTP/2: what we have to say goes out with the answer to what is read now, or at
        once."""
        self._started = True
        self._wire.start()
        if not self._receiving:
            self._flush()
        self._watch()
        if self._ready is not None:
            self._ready.callback(None)

    def _watch(self) -> None:
        """Begin to ask whether the peer is there."""
        self._terms.keepalive.start(self)

    def _watch_no_more(self) -> None:
        self._terms.keepalive.stop(self)

    def _early(self, data: bytes) -> bytes:
        """Bytes before the start: those that are for HTTP/2, which has been started then."""
        return b""

    def dataReceived(self, data: bytes) -> None:
        if self._closing is not None:
            return
        self._receiving = True
        try:
            if not self._started:
                data = self._early(data)
                if not data:
                    return
            self.heard = True
            wire = self._wire
            events = wire.receive(data)
            if events:
                self._act(events)
        finally:
            self._receiving = False
        if self._blocked or wire.overhead.count >= self._terms.floods.watch_from:
            self._look_for_floods()
        streams = wire.streams
        if streams.outgoing or streams.rota:  # most reads leave nothing to be said
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True
        terms = self._terms
        self._watch_no_more()
        if self._abort_call is not None:
            self._abort_call.cancel()
            self._abort_call = None
        if self._unread is not None:
            self._unread.stop()
            self._unread = None
        done = isinstance(reason.value, ConnectionDone)
        text = self._closing
        if text is None and done and self._started:
            text = CLOSED
            self.unusual_end = False
        else:
            self.unusual_end = text is not None or not (self._started or done)
            text = text or explain(reason, self.transport)
        self._closing = text
        # The wire's own events would say the same with less: it does not know why.
        self._wire.forget()
        if self._streams:
            self._end_all(text)
        if self._ready is not None and not self._ready.called:
            self._ready.errback(Failure(ConnectionError(text)))
            # Whoever waited knows now; there may be nobody.
            self._ready.addErrback(lambda _: None)
        if terms.on_lost is not None:
            terms.on_lost(self, text)

    def pauseProducing(self) -> None:
        """The transport's buffer is full: what is queued waits in the wire's stream queues."""
        self._blocked = True

    def resumeProducing(self) -> None:
        if ended_below(self.transport):
            self.transport.unregisterProducer()
            return
        self._blocked = False
        self._flush()
        self._tell_waiting()

    def stopProducing(self) -> None:
        self._blocked = True

    # -- the streams' side

    def open(
        self, path: str, metadata: Metadata, listener: StreamListener, *, authority: str
    ) -> GrpcStream:
        """
        Client role: open a stream.

        Raises `konnect.wire.grpc.StreamRefused` when the connection takes no new streams.
        """
        scheme = "https" if ISSLTransport.providedBy(self.transport) else "http"
        stream_id = self._wire.open_stream(path, metadata, authority=authority, scheme=scheme)
        stream = self._new_stream(stream_id)
        stream.listener = listener
        self._flush()
        return stream

    def _new_stream(self, stream_id: int) -> GrpcStream:
        stream = self._streams[stream_id] = GrpcStream(self, stream_id)
        return stream

    @property
    def user(self) -> str:
        """Whom the peer has proved to be; looked up once, since streams may be many."""
        if self._user is None:
            self._user = user_of(self.transport)
        return self._user

    def goaway(self, *, notice: bool = False) -> None:
        """Tell the peer to open no new streams here; live ones go on. `notice`: those that are on
        their way are still taken."""
        self._wire.goaway(notice=notice)
        self._flush()

    def close(self, why: str, *, abort: bool = False, within: float = CLOSE_TIMEOUT) -> None:
        """
        Flush and close the connection; `why` is what `on_lost` and the listeners are told.

        :param within: seconds that the peer has to close its side (some wait for the TCP FIN, which
            TLS sends only after both close_notify); then the connection is dropped.
        """
        if self._closing is not None or self.transport is None:
            return
        self._closing = why
        transport = self.transport
        transport.unregisterProducer()
        if abort:
            transport.abortConnection()
            return
        data = self._wire.output()
        if data:
            transport.write(data)
        self._abort_call = self._terms.clock.callLater(within, self._close_late)
        transport.loseConnection()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self.transport is not None:
            self.transport.abortConnection()

    def _close_late(self) -> None:
        self._abort_call = None
        self.abort()

    def _flush(self) -> None:
        """Hand over what may be sent: one write a turn; then tell the streams of their room."""
        if self._receiving or self._blocked or self._closing is not None:
            return
        wire = self._wire
        data = wire.output()
        if data:
            self.transport.write(data)
        if wire.streams.pending:
            self._act(wire.pending())

    def _connection_ended(self, event: ConnectionEnded) -> None:
        self._receiving = False
        if self._closing is None:
            calm = event.code == ErrorCode.ENHANCE_YOUR_CALM
            self._count_cut("headers_too_large" if calm else "protocol")
        self.close(event.text)
