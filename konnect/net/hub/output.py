"""The sending half of a transport: bytes that are gathered, sent or queued, and their producer.

Twisted's rules for consumers, with another timing: what makes some TLS records goes to the kernel
at once, less at the end of the hub's turn and together, and only what the kernel refused waits for
EPOLLOUT. (A stock transport queues everything, and sends it in another turn of the reactor after
two calls of epoll_ctl.) Views are taken as well as bytes, and copied only if they have to wait:
what waited would keep alive all that was received with it.

How bytes are sent and what closing means, its subclasses say (`konnect.net.hub.kind`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.python.failure import Failure

from konnect.net.hub.kind import Kind
from konnect.net.hub.loop import IN, OUT, Hub

GATHER = 65536
"""Bytes: with less than this in the queue, a write waits for the end of the turn. So the 16 KiB
packets of a gRPC client's upload share TLS records: with 16384 each made a short one of its own,
and the pair took 1.6 times the CPU (measured)."""

HIGH = 65536
"""Bytes in the queue above which a push producer is paused (Twisted's bufferSize)."""

Chunk = bytes | memoryview


class Output(Kind):
    """See the module. A base class of channels, with their lives."""

    __slots__ = (
        "__weakref__",
        "_attentive",
        "_blocked",
        "_due",
        "_end",
        "_finishing",
        "_hub",
        "_last_read",
        "_open",
        "_paused",
        "_producer",
        "_queue",
        "_queued",
        "_streaming",
        "_write_closed",
        "connected",
        "disconnected",
        "disconnecting",
        "fd",
        "mask",
    )

    def __init__(self, hub: Hub, fd: int) -> None:
        self._hub = hub
        self.fd = fd
        self.mask = 0
        self.connected = self.disconnected = self.disconnecting = False
        self._open = False  # bytes are taken: connected, not over, nor closed for writing
        # A list, since an empty deque takes 760 bytes, which every idle tunnel would have twice.
        self._queue: list[Chunk] = []
        self._queued = 0
        self._due = False  # on the hub's list of what to flush
        self._blocked = False  # an event has to come before the next byte can be sent
        self._attentive = False  # somebody waits for the queue to be empty
        self._finishing = False
        self._write_closed = False
        self._end: Failure | None = None  # why the connection is over, before it is told
        self._last_read = False
        self._producer: Any = None
        self._streaming = self._paused = False

    # -- ITransport and IConsumer

    takes_views = True
    """`write` takes memoryviews of bytes too (Twisted's own transports do not say so)."""

    def write(self, data: Chunk) -> None:
        """Send `data`, now, at the end of the turn or when the kernel takes it."""
        if not isinstance(data, Chunk):
            raise TypeError("data must be bytes")
        if not data or not self._open:
            return
        # A copy of bytes is no copy.
        self._queue.append(bytes(data) if self._blocked else data)
        queued = self._queued = self._queued + len(data)
        if self._due:
            if queued >= GATHER:
                self._written()
        elif queued < GATHER and not self._blocked and not self._attentive:
            # As a rule; and since GATHER is no more than HIGH, nobody is to be paused.
            self._due = True
            hub = self._hub
            if hub.in_turn:
                hub.flushing.append(self)  # `flush_later`, without a call for each packet
            else:
                hub.flush_later(self)
        else:
            self._written()

    @property
    def unwritten(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return self._queued

    def writeSequence(self, data: Iterable[Chunk]) -> None:
        """`write` the pieces as one."""
        if not self._open:
            return
        for piece in data:
            if piece:
                self._queue.append(bytes(piece) if self._blocked else piece)
                self._queued += len(piece)
        self._written()

    def _written(self) -> None:
        if not self._blocked:
            if self._attentive:
                self.startWriting()
                self._own()
            elif self._queued >= GATHER:
                self._transmit()
            elif not self._due:
                self._flush_later()
        self._mind_producer()

    def _mind_producer(self) -> None:
        if self._queued > HIGH and self._streaming and not self._paused:
            self._paused = True
            self._producer.pauseProducing()

    def _own(self) -> None:
        """What is queued will wait: let go of what it is only a view of."""
        queue = self._queue
        for index, piece in enumerate(queue):
            if type(piece) is memoryview:
                queue[index] = bytes(piece)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See IConsumer."""
        if self._producer is not None:
            raise RuntimeError(
                f"cannot register {producer}: {self._producer} was never unregistered"
            )
        if self.disconnected:
            producer.stopProducing()
            return
        self._producer = producer
        self._streaming = streaming
        self._paused = False
        if not streaming:
            self._attentive = True
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """See IConsumer."""
        if self._producer is not None:
            self._producer = None
            self._streaming = self._paused = False
        attentive = self._attentive = self.disconnecting or self._finishing
        if attentive and self.connected:
            self._flush_later()

    def stopConsuming(self) -> None:
        """What a producer calls whose source is gone."""
        self.unregisterProducer()
        self.loseConnection()

    def startWriting(self) -> None:
        """Let the next writable moment send what is queued and, if all is sent, ask a producer that
        waits for it (a pull producer always does) for more."""
        if self.connected and self._end is None:
            self._blocked = True
            self._hub.want(self, self.mask | OUT)

    def loseConnection(self) -> None:
        """Close when everything written is sent."""
        if not self.connected or self.disconnecting or self._end is not None:
            return
        self.disconnecting = self._attentive = True
        self._stop_for_close()
        self._flush_later()

    def loseWriteConnection(self) -> None:
        """Close the sending direction when everything written is sent."""
        if not self._open:
            return
        self._finishing = self._attentive = True
        self._flush_later()

    # -- how it goes on

    def _flush_later(self) -> None:
        if not self._due:
            self._due = True
            self._hub.flush_later(self)

    def flush(self) -> None:
        """The turn is over."""
        self._due = False
        if self._end is not None:
            self._conclude()
            return
        if not self.connected or self._blocked:
            return
        if self._queued:
            self._transmit()
        if self._attentive and not self._blocked and self._end is None:
            self._emptied()

    def _conclude(self) -> None:
        if self._last_read and self.connected:
            # The peer broke while we were writing: what it said before is still to be had.
            self._last_read = False
            self._read_rest()
        if self._end is not None:
            self._lose(self._end)

    def _writable(self) -> None:
        self._blocked = False
        if self._queued:
            self._transmit()
        if self._blocked or self._end is not None:
            return
        self._hub.want(self, self.mask & ~OUT)
        self._emptied()

    def _transmit(self) -> None:
        """Send from the queue until it is empty or the kernel has enough."""
        try:
            done = self._send()
        except self.errors as error:
            self._over(self._why(error), last_read=True)
            return
        if not done:
            self.startWriting()
            self._own()

    def _emptied(self) -> None:
        """Everything written is sent: who waited for that?"""
        producer = self._producer
        if producer is not None and (self._paused or not self._streaming):
            self._paused = False
            producer.resumeProducing()
        elif self.disconnecting:
            self._finish_connection()
        elif self._finishing and not self._write_closed:
            self._finish_writing()

    def _over(self, reason: Failure, *, last_read: bool = False) -> None:
        """The connection is over; its protocol is told when the turn ends."""
        if self._end is not None or not self.connected:
            return
        self._end = reason
        self._open = False
        self._last_read = last_read and bool(self.mask & IN)
        if self._queued:
            self._queue.clear()
            self._queued = 0
        if self.mask:
            self._hub.want(self, 0)
        self._flush_later()

    def failed(self, error: BaseException) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        if self.connected:
            self._lose(Failure(error))
