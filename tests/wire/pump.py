"""Two connections joined by bytes, and a peer that speaks HTTP/2 frame by frame.

`Pair` is for what two well-behaved sides do; `RawPeer` for everything that ours would never send.
"""

from __future__ import annotations

from typing import TypeVar

from hpack import Decoder, Encoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame, SettingsFrame

from konnect.wire.events import Event, MessageReceived
from konnect.wire.frames import HEAD_SIZE, PREFACE
from konnect.wire.grpc import GrpcConnection, Limits, Role

PATH = "/ProxyService/Proxy"

E = TypeVar("E")


def only(events: list[Event], kind: type[E]) -> list[E]:
    """The events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def payloads(events: list[Event], stream_id: int) -> list[bytes]:
    """The messages of one stream."""
    return [m.payload for m in only(events, MessageReceived) if m.stream_id == stream_id]


class Pair:
    """A client and a server. What they are told is kept in `client_events` and `server_events`."""

    def __init__(
        self,
        client_limits: Limits | None = None,
        server_limits: Limits | None = None,
        *,
        step: int = 1 << 30,
        acknowledge: bool = True,
    ) -> None:
        """`step`: how many bytes are handed over at a time. `acknowledge`: each message at once."""
        self.client = GrpcConnection(Role.CLIENT, client_limits)
        self.server = GrpcConnection(Role.SERVER, server_limits)
        self.client_events: list[Event] = []
        self.server_events: list[Event] = []
        self.step = step
        self.acknowledge = acknowledge
        self.client.start()
        self.server.start()
        self.run()

    def open(self, path: str = PATH) -> int:
        """Open a stream, let the server know, and return its id."""
        stream_id = self.client.open_stream(path, (), authority="a", scheme="http")
        self.run()
        return stream_id

    def run(self) -> None:
        """Carry bytes both ways until both sides are silent."""
        while True:
            up, down = self.client.output(), self.server.output()
            self.client_events += self.client.pending()
            self.server_events += self.server.pending()
            if not up and not down:
                return
            self._deliver(self.server, up, self.server_events)
            self._deliver(self.client, down, self.client_events)

    def _deliver(self, to: GrpcConnection, data: bytes, log: list[Event]) -> None:
        for start in range(0, len(data), self.step):
            events = to.receive(data[start : start + self.step])
            log += events
            if self.acknowledge:
                for message in only(events, MessageReceived):
                    to.acknowledge(message.stream_id, message.cost)


class RawPeer:
    """The other side of one `GrpcConnection`, written out by hand. It reads nothing by itself."""

    REQUEST = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", PATH.encode()),
        (b":authority", b"a"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))

    def __init__(self, role: Role, limits: Limits | None = None, **settings: int) -> None:
        """`role` is that of the connection under test; `settings` go by hyperframe's names."""
        self.wire = GrpcConnection(role, limits)
        self.wire.start()
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.events: list[Event] = []
        hello = SettingsFrame(0)
        hello.settings = {getattr(SettingsFrame, name): value for name, value in settings.items()}
        self.send((PREFACE if role is Role.SERVER else b"") + hello.serialize())
        self.read()

    def send(self, *items: Frame | bytes) -> list[Event]:
        """Give frames, or bytes as they are, to the connection in one piece."""
        data = b"".join(i if isinstance(i, bytes) else i.serialize() for i in items)
        events = self.wire.receive(data)
        self.events += events
        return events

    def read(self) -> list[Frame]:
        """The frames that the connection sends now."""
        return parse(self.wire.output())

    def headers(
        self,
        stream_id: int,
        block: tuple[tuple[bytes, bytes], ...] = REQUEST,
        *flags: str,
    ) -> HeadersFrame:
        """A HEADERS frame; END_HEADERS is set."""
        frame = HeadersFrame(stream_id, data=self.encoder.encode(block))
        frame.flags.add("END_HEADERS")
        for flag in flags:
            frame.flags.add(flag)
        return frame

    def fields(self, frame: Frame) -> dict[bytes, bytes]:
        """The fields of a HEADERS frame of the connection. Each must be read, in order."""
        assert isinstance(frame, HeadersFrame)
        return dict(self.decoder.decode(frame.data, raw=True))


def data(stream_id: int, body: bytes, *flags: str, pad: int = 0) -> DataFrame:
    """A DATA frame."""
    frame = DataFrame(stream_id, data=body, pad_length=pad)
    for flag in flags:
        frame.flags.add(flag)
    if pad:
        frame.flags.add("PADDED")
    return frame


def parse(raw: bytes) -> list[Frame]:
    """All frames in `raw`, which must hold whole ones (a preface in front is skipped)."""
    view = memoryview(raw.removeprefix(PREFACE))
    frames = []
    while view:
        frame, length = Frame.parse_frame_header(view[:HEAD_SIZE])
        frame.parse_body(view[HEAD_SIZE : HEAD_SIZE + length])
        frames.append(frame)
        view = view[HEAD_SIZE + length :]
    return frames


def of_kind(frames: list[Frame], kind: type[E]) -> list[E]:
    """The frames of one kind."""
    return [frame for frame in frames if isinstance(frame, kind)]
