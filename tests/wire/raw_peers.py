"""A client and a server written out by hand, each against a connection under test."""

from __future__ import annotations

from hyperframe.frame import Frame, HeadersFrame, RstStreamFrame

from konnect.wire.events import StreamEnded
from konnect.wire.framing import prefix
from konnect.wire.grpc import Limits, Role
from tests.wire.pump import PATH, RawPeer, of_kind, only


def message(text: bytes) -> bytes:
    """A message with its prefix."""
    return prefix(len(text)) + text


def reset(stream_id: int, code: int) -> RstStreamFrame:
    """A RST_STREAM frame."""
    return RstStreamFrame(stream_id, error_code=code)


class Client(RawPeer):
    """A client by hand, with a server under test."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(Role.SERVER, limits)

    def answer(self) -> dict[bytes, bytes]:
        """All fields of the HEADERS frames that come now."""
        fields: dict[bytes, bytes] = {}
        for frame in of_kind(self.read(), HeadersFrame):
            fields.update(self.fields(frame))
        return fields


class Server(RawPeer):
    """A server by hand, with a client under test that has opened stream 1."""

    TRAILERS = ((b"grpc-status", b"0"),)

    def __init__(self, streams: int = 1) -> None:
        super().__init__(Role.CLIENT)
        for _ in range(streams):
            self.wire.open_stream(PATH, (), authority="a", scheme="http")
        self.read()

    def ended(self, *items: Frame | bytes) -> StreamEnded:
        """Send, and return the one end of a stream that it leads to."""
        (event,) = only(self.send(*items), StreamEnded)
        return event
