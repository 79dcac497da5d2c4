"""One live stream of a connection: what is known of it, and what stands in its queue."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct

from konnect.wire import headers
from konnect.wire.framing import Deframer
from konnect.wire.http2 import Limits
from konnect.wire.inlet import PacketInlet
from konnect.wire.sendqueue import SendQueue
from konnect.wire.windows import LARGEST, Windows

_MARK = Struct("!xIx")


NOTHING = SendQueue(0, 0)
"""The queue of a stream that never had to wait, as most: `Stream.send_later` makes one."""


class Stream(Windows):
    """One live stream, with its flow-control windows."""

    # What most streams never change; what every one uses is set for each.
    next_inlet: PacketInlet | None = None
    """The inlet, while the deframer still has an incomplete message."""
    finished = False
    """Client: our END_STREAM is out."""
    told = False
    """Its StreamEnded has been told."""
    most = LARGEST
    """Bytes that are to be on the way at most, whatever the window for sending."""
    given: Callable[[int], None] | None = None
    """Told of bytes that go back to the peer."""
    early = 0
    """Bytes of the incomplete message that have been given back already."""

    def __init__(self, stream_id: int, into: int, out: int, encoding: str = "") -> None:
        """`into`, `out`: its windows."""
        self.into = into
        self.out = out
        self.id = stream_id
        self.mark = _MARK.pack(stream_id)
        """What stands in a usual DATA frame between its type and the length of its message: no
        flags, the stream, no flag."""
        self.queue = NOTHING
        self.ending: headers.HeaderBlock | None = None
        """What ends our side, behind the queue: a server's trailers, nothing for a client."""
        self.in_turn = False
        """It stands in the rota."""
        self.deframer: Deframer | None = None
        """Made when something comes that no inlet takes."""
        self.inlet: PacketInlet | None = None
        """What takes the received bytes instead of the deframer."""
        self.encoding = encoding
        """The peer's grpc-encoding."""
        self.headers_sent = False
        """Server: the response headers are out."""
        self.straight = False
        """The headers and all messages have gone out, and our side goes on: DATA may be sent past
        the queue (`konnect.wire.streams.Streams.direct`)."""
        self.half_closed = False
        """The peer has sent END_STREAM."""
        self.deaf = False
        """Nothing more that is received on it is told to anybody."""
        self.reserve = 0
        """Bytes of the window for sending that are left alone for `most`."""
        self.owed = 0
        """Acknowledged bytes that have not been given back to the peer yet."""

    def send_later(self, limits: Limits, head: bytes, payload: bytes | memoryview) -> None:
        """Put a message, in two parts, into the queue."""
        if self.queue is NOTHING:
            self.queue = SendQueue(limits.send_high, limits.send_low)
        self.queue.put(head, payload)

    def take_inlet(self, inlet: PacketInlet) -> None:
        """
        From the next message on give what comes to `inlet`, while it is received and not as events.

        A message that has begun already still comes as an event. What came before what the inlet
        gives is told by `deliver` (`konnect.wire.grpc.GrpcConnection`).
        """
        if self.deframer is not None and self.deframer.incomplete:
            self.next_inlet = inlet
        else:
            self.inlet, self.next_inlet = inlet, None

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended."""
        reading = self.deframer, self.inlet
        return any(each is not None and each.incomplete for each in reading)

    @property
    def held(self) -> int:
        """Bytes kept of it."""
        received = self.deframer.received if self.deframer is not None else 0
        return received + (self.inlet.held if self.inlet is not None else 0)


def ended(stream_id: int) -> Stream:
    """One that is over."""
    stream = Stream(stream_id, 0, 0)
    stream.deaf = True
    return stream
