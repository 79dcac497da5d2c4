"""Whatever bytes come, a `GrpcConnection` says what is wrong and does not raise."""

from __future__ import annotations

from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import ConnectionEnded, Event, MessageReceived, StreamEnded, StreamOpened
from konnect.wire.frames import PREFACE
from konnect.wire.framing import prefix
from konnect.wire.grpc import GrpcConnection, Limits, Role
from konnect.wire.status import ErrorCode, Status
from tests.wire.pump import PATH, RawPeer, data, of_kind, only, parse


def fresh(role: Role) -> GrpcConnection:
    connection = GrpcConnection(role)
    connection.start()
    connection.output()
    return connection


class ViolationTests(SynchronousTestCase):
    def check(self, connection: GrpcConnection, events: list[Event], code: int) -> ConnectionEnded:
        """The connection has ended, says so last, and says so to the peer."""
        ended = events[-1]
        assert isinstance(ended, ConnectionEnded), events
        self.assertEqual(ended.code, code, ended)
        self.assertNotEqual(ended.text, "")
        self.assertTrue(connection.closed)
        self.assertEqual(connection.live_streams, 0)
        (last,) = of_kind(parse(connection.output()), GoAwayFrame)
        self.assertEqual(last.error_code, code)
        self.assertEqual(last.additional_data, ended.text.encode()[:256])
        self.assertEqual(connection.output(), b"")
        self.assertEqual(connection.receive(b"more"), [])
        self.assertEqual(connection.connection_lost(), [])
        return ended

    def violate(self, code: int, *items: Frame | bytes) -> ConnectionEnded:
        """A client with two live streams sends `items`: both end, then the connection."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1), peer.headers(3))
        events = peer.send(*items)
        self.assertEqual(
            [(e.stream_id, e.status, e.reset) for e in only(events, StreamEnded)],
            [(1, Status.UNAVAILABLE, True), (3, Status.UNAVAILABLE, True)],
        )
        return self.check(peer.wire, events, code)

    def test_other_protocols(self) -> None:
        """HTTP/1, TLS and noise are refused by their first bytes, in both roles."""
        for first in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xa5\x01\x00", b"SSH-2.0-x\r\n"):
            connection = fresh(Role.SERVER)
            self.check(connection, connection.receive(first), ErrorCode.PROTOCOL_ERROR)
        for first in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03\x00\x02\x02\x28XXX"):
            connection = fresh(Role.CLIENT)
            ended = self.check(connection, connection.receive(first), ErrorCode.PROTOCOL_ERROR)
            self.assertIn("no HTTP/2 but", ended.text)

    def test_garbage_after_the_preface(self) -> None:
        """What follows the preface must be SETTINGS."""
        for garbage in (b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", bytes(9)):
            connection = fresh(Role.SERVER)
            self.check(connection, connection.receive(PREFACE + garbage), ErrorCode.PROTOCOL_ERROR)

    def test_too_long_a_frame(self) -> None:
        """A frame above the announced size, known by its head."""
        self.violate(ErrorCode.FRAME_SIZE_ERROR, data(1, b"x" * 16385).serialize()[:9])

    def test_header_block_over_the_limit(self) -> None:
        """A header block that grows above the limit when decoded."""
        peer = RawPeer(Role.SERVER)
        block = peer.REQUEST + tuple((b"x%d" % n, b"y" * 4000) for n in range(17))
        frame = peer.headers(1, block)
        rest = ContinuationFrame(1, data=frame.data[16384:], flags=["END_HEADERS"])
        frame.data = frame.data[:16384]
        frame.flags.discard("END_HEADERS")
        pieces: list[Frame] = [frame]
        for start in range(0, len(rest.data), 16384):
            pieces.append(ContinuationFrame(1, data=rest.data[start : start + 16384]))
        pieces[-1].flags.add("END_HEADERS")
        events = peer.send(*pieces)
        self.check(peer.wire, events, ErrorCode.ENHANCE_YOUR_CALM)

    def test_header_block_within_the_limit(self) -> None:
        """Metadata of many kilobytes, over several frames, is no hostility."""
        peer = RawPeer(Role.SERVER)
        block = (*peer.REQUEST, (b"x", b"y" * 60_000))
        frame = peer.headers(1, block)
        whole = frame.data
        frame.data = whole[:10_000]
        frame.flags.discard("END_HEADERS")
        parts = [
            ContinuationFrame(1, data=whole[i : i + 16384])
            for i in range(10_000, len(whole), 16384)
        ]
        parts[-1].flags.add("END_HEADERS")
        self.assertIsInstance(peer.send(frame, *parts)[0], StreamOpened)

    def test_hpack_bomb(self) -> None:
        """A few bytes that stand for a header block of megabytes."""
        peer = RawPeer(Role.SERVER)
        frame = peer.headers(1, ((b"x", b"y" * 4000),))
        # The first field enters the table; then its index again and again.
        frame.data += b"\xbe" * 10_000
        self.check(peer.wire, peer.send(frame), ErrorCode.ENHANCE_YOUR_CALM)

    def test_continuations_without_end(self) -> None:
        """A header block that never ends."""
        peer = RawPeer(Role.SERVER)
        head = HeadersFrame(1, data=b"")
        events = peer.send(head, *[ContinuationFrame(1, data=b"") for _ in range(100)])
        self.check(peer.wire, events, ErrorCode.PROTOCOL_ERROR)

    def test_too_long_a_header_block(self) -> None:
        """One that is longer than its limit before it is decoded, by the heads of its frames."""
        limits = Limits(max_frame=2**18, max_header_list=10_000)
        whole = HeadersFrame(1, data=bytes(10_001), flags=["END_HEADERS"]).serialize()
        first = HeadersFrame(1, data=bytes(9_999)).serialize()
        more = ContinuationFrame(1, data=bytes(2)).serialize()
        for sent in (whole[:9], first + more[:9]):
            peer = RawPeer(Role.SERVER, limits)
            self.check(peer.wire, peer.send(sent), ErrorCode.ENHANCE_YOUR_CALM)
        peer = RawPeer(Role.SERVER, limits)
        for stream_id in (1, 3):  # each counts from its beginning
            block = peer.headers(stream_id, (*peer.REQUEST, (b"x", b"y" * 8_000)))
            self.assertIsInstance(peer.send(block)[0], StreamOpened)

    def test_broken_header_compression(self) -> None:
        """Bytes that are no HPACK."""
        self.violate(
            ErrorCode.PROTOCOL_ERROR, HeadersFrame(5, data=b"\xff" * 20, flags=["END_HEADERS"])
        )

    def test_wrong_frames(self) -> None:
        """Frames with the wrong length, stream, order or value."""
        head = HeadersFrame(5, data=b"")
        for code, items in (
            (ErrorCode.PROTOCOL_ERROR, [head, PingFrame(0, opaque_data=b"12345678")]),
            (
                ErrorCode.PROTOCOL_ERROR,
                [WindowUpdateFrame(0, window_increment=1), head, data(1, b"")],
            ),
            (ErrorCode.FRAME_SIZE_ERROR, [b"\0\0\x01\x06\0\0\0\0\0x"]),  # a PING of one byte
            (ErrorCode.PROTOCOL_ERROR, [b"\0\0\x08\x06\0\0\0\0\x0112345678"]),  # on a stream
            (ErrorCode.PROTOCOL_ERROR, [b"\0\0\x04\x08\0\0\0\0\0\0\0\0\0"]),  # a window of +0
            (ErrorCode.FLOW_CONTROL_ERROR, [WindowUpdateFrame(0, window_increment=2**31 - 1)]),
            (ErrorCode.PROTOCOL_ERROR, [b"\0\0\x05\x00\x08\0\0\0\x01\x09abcd"]),  # all padding
            (ErrorCode.PROTOCOL_ERROR, [data(99, b"")]),  # a stream that is not open
            (ErrorCode.PROTOCOL_ERROR, [data(2, b"")]),  # one that only we could open
            (ErrorCode.FRAME_SIZE_ERROR, [b"\0\0\x02\x07\0\0\0\0\0ab"]),  # a GOAWAY of two
        ):
            self.violate(code, *items)

    def test_wrong_settings(self) -> None:
        """Settings out of range."""
        for name, value, code in (
            ("INITIAL_WINDOW_SIZE", 2**31, ErrorCode.FLOW_CONTROL_ERROR),
            ("MAX_FRAME_SIZE", 100, ErrorCode.PROTOCOL_ERROR),
            ("ENABLE_PUSH", 7, ErrorCode.PROTOCOL_ERROR),
        ):
            frame = SettingsFrame(0)
            frame.settings = {getattr(SettingsFrame, name): value}
            self.violate(code, frame)

    def test_windows_overrun(self) -> None:
        """More DATA than the window of the stream allows, once the peer knows the window."""
        peer = RawPeer(Role.SERVER, Limits(stream_window=20_000))
        peer.send(peer.headers(1))
        peer.send(SettingsFrame(0, flags=["ACK"]))
        for _ in range(2):
            peer.send(data(1, prefix(8_000) + b"x" * 8_000))
        events = peer.send(data(1, prefix(8_000) + b"x" * 8_000))
        self.check(peer.wire, events, ErrorCode.FLOW_CONTROL_ERROR)

    def test_windows_overrun_before_our_settings(self) -> None:
        """A peer that has not seen our SETTINGS may count on the default window, and no more."""
        peer = RawPeer(Role.SERVER, Limits(stream_window=20_000, max_message=100_000))
        peer.send(peer.headers(1))
        for _ in range(4):
            self.assertFalse(peer.wire.closed)
            events = peer.send(data(1, b"\0" * 16_384))
        self.check(peer.wire, events, ErrorCode.FLOW_CONTROL_ERROR)

    def test_pushes(self) -> None:
        """A server that pushes although it was told not to."""
        peer = RawPeer(Role.CLIENT)
        peer.wire.open_stream(PATH, (), authority="a", scheme="http")
        frame = PushPromiseFrame(1, promised_stream_id=2, data=b"", flags=["END_HEADERS"])
        self.check(peer.wire, peer.send(frame), ErrorCode.PROTOCOL_ERROR)

    def test_what_floods_are_made_of(self) -> None:
        """Frames without payload are counted, whatever takes them."""
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1))
        for frame in (
            PingFrame(0, opaque_data=b"12345678"),
            SettingsFrame(0),
            WindowUpdateFrame(1, window_increment=1),
            data(1, b""),
            GoAwayFrame(0, last_stream_id=0),
            RstStreamFrame(1, error_code=8),
        ):
            before = peer.wire.overhead.count
            peer.send(frame)
            self.assertEqual(peer.wire.overhead.count, before + 1, frame)

    def test_what_came_before_counts(self) -> None:
        """Events of frames before the bad one are told, though both came in one piece."""
        peer = RawPeer(Role.SERVER)
        events = peer.send(peer.headers(1), data(1, prefix(1) + b"x"), data(99, b""))
        self.assertEqual(
            [type(e) for e in events], [StreamOpened, MessageReceived, StreamEnded, ConnectionEnded]
        )


class FuzzTests(SynchronousTestCase):
    """Nothing raises."""

    @given(st.sampled_from(Role), st.lists(st.binary(max_size=60), max_size=8))
    def test_noise(self, role: Role, pieces: list[bytes]) -> None:
        """Any bytes in any pieces."""
        connection = fresh(role)
        for piece in pieces:
            connection.receive(piece)
            connection.output()

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 12),  # kind of frame
                st.integers(0, 255) | st.sampled_from([0, 1, 4, 5, 8, 0x20]),  # flags
                st.integers(0, 6),  # stream
                st.binary(max_size=12)
                | st.sampled_from([b"\0\0\0\0\1x", b"\0\0\0\1", b"\x82\x86"]),
            ),
            max_size=12,
        ),
        st.sampled_from(Role),
    )
    @settings(max_examples=400)
    def test_frames(self, items: list[tuple[int, int, int, bytes]], role: Role) -> None:
        """Any frames, in any order, with our own calls in between."""
        peer = RawPeer(role)
        if role is Role.CLIENT:
            peer.wire.open_stream(PATH, (), authority="a", scheme="http")
        else:
            peer.send(peer.headers(1))
        told = 0
        for kind, flags, stream_id, body in items:
            head = (
                len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream_id.to_bytes(4, "big")
            )
            events = peer.send(head + body)
            told += sum(e.stream_id == 1 for e in only(events, StreamEnded))
            for target in (1, 3):
                peer.wire.send_message(target, b"x")
                peer.wire.acknowledge(target, 400_000)
            peer.read()
        told += sum(e.stream_id == 1 for e in only(peer.wire.connection_lost(), StreamEnded))
        self.assertEqual(told, 1)

    @given(st.data())
    @settings(max_examples=200)
    def test_damaged_streams(self, choice: st.DataObject) -> None:
        """A good conversation with a few bytes changed."""
        peer = RawPeer(Role.SERVER)
        good = b"".join(
            frame.serialize()
            for frame in (
                peer.headers(1),
                data(1, prefix(3) + b"abc"),
                PingFrame(0, opaque_data=b"12345678"),
                peer.headers(3),
                WindowUpdateFrame(1, window_increment=100),
                data(3, prefix(100) + b"x" * 100, "END_STREAM"),
                RstStreamFrame(1, error_code=8),
                GoAwayFrame(0, last_stream_id=0),
            )
        )
        bad = bytearray(good)
        for _ in range(choice.draw(st.integers(1, 4))):
            bad[choice.draw(st.integers(0, len(bad) - 1))] = choice.draw(st.integers(0, 255))
        cut = choice.draw(st.integers(0, len(bad)))
        peer.send(bytes(bad[:cut]))
        peer.wire.send_message(1, b"x" * 300)
        peer.read()
        peer.send(bytes(bad[cut:]))
        peer.wire.end_stream(3)
        peer.read()
        self.assertEqual(len(only(peer.events, ConnectionEnded)), int(peer.wire.closed))
