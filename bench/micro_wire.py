"""The pieces of `micro.py` that read and write bytes without a connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from konnect.wire import data_packet, frames
from konnect.wire.connect import HeadReader
from konnect.wire.framing import prefix
from konnect.wire.grpc import GrpcConnection, Limits, OpeningMemo, Role
from konnect.wire.inlet import PacketInlet
from konnect.wire.splitter import FrameSplitter

Run = Callable[[], None]

PACKET = data_packet.build(7, b"x" * 64)
REQUEST = b"CONNECT host:80 HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Go-http-client/1.1\r\n\r\n"


def writing_heads(operations: int) -> Run:
    """The head of a DATA packet."""
    middle = data_packet.middle(7)

    def run() -> None:
        for _ in range(operations):
            data_packet.head(middle, 300)

    return run


def reading_heads(operations: int) -> Run:
    """The same, read."""
    view = memoryview(PACKET)

    def run() -> None:
        for _ in range(operations):
            data_packet.read_head(view, 0, len(view))

    return run


class Live:
    """A stream, for the splitter."""

    half_closed = False


class Sink:
    """Of packets and of frames; takes all."""

    def data(self, connect_id: int, piece: Any, cost: int, *more: Any) -> int:
        return cost

    def packet(self, payload: bytes, cost: int) -> int:
        return cost

    def nothing(self, *_: Any) -> None:
        pass

    def packets(self, data: bytes, position: int, stream: Any) -> int:
        return position

    joined = for_h2 = window_update = goaway = nothing


def feeding(operations: int) -> Run:
    """A message of 64 bytes of payload goes through the inlet."""
    inlet = PacketInlet(Sink(), 1 << 22)
    message = memoryview(prefix(len(PACKET)) + PACKET)

    def run() -> None:
        for _ in range(operations):
            inlet.feed(message)

    return run


def splitting(operations: int) -> Run:
    """A DATA frame of 64 bytes is cut out."""
    splitter = FrameSplitter(preface=False, max_frame=1 << 18, live=lambda _: Live)
    sink = Sink()
    splitter.split(b"\0\0\0\4\0\0\0\0\0", sink)
    frame = frames.data_head(1, 64) + b"x" * 64

    def run() -> None:
        for _ in range(operations):
            splitter.split(frame, sink)

    return run


def _opening() -> list[bytes]:
    """What a client says to open a connection and a stream with a message on it."""
    client = GrpcConnection(Role.CLIENT, Limits())
    server = GrpcConnection(Role.SERVER, Limits())
    client.start()
    server.start()
    first = client.output()
    server.receive(first)
    client.receive(server.output())
    stream = client.open_stream("/ProxyService/Proxy", (), authority="a", scheme="http")
    client.send_message(stream, PACKET)
    return [first, client.output()]


def opening(*, remembered: bool) -> Callable[[int], Run]:
    """A server's connection from the preface to the end of its one stream."""

    def prepare(operations: int) -> Run:
        limits = Limits()
        memo = OpeningMemo(limits) if remembered else None
        first, second = _opening()

        def once() -> None:
            server = GrpcConnection(Role.SERVER, limits, memo=memo)
            server.start()
            server.output()
            server.receive(first)
            server.output()
            server.receive(second)
            server.send_message(1, PACKET)
            server.output()
            server.end_stream(1)
            server.output()

        def run() -> None:
            for _ in range(operations):
                once()

        once()
        return run

    return prepare


def reading_requests(operations: int) -> Run:
    """The head of a CONNECT that others have sent before."""

    def run() -> None:
        for _ in range(operations):
            HeadReader().receive(REQUEST)

    return run


PIECES = {
    "packet: write a head": (writing_heads, 200),
    "packet: read a head": (reading_heads, 200),
    "packet: inlet, 64 B": (feeding, 200),
    "frames: split DATA of 64 B": (splitting, 200),
    "opening: gRPC connection, remembered": (opening(remembered=True), 30),
    "opening: gRPC connection, anew": (opening(remembered=False), 12),
    "opening: head of CONNECT": (reading_requests, 100),
}
