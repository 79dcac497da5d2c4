"""Tests of konnect.wire.http2."""

from __future__ import annotations

from hyperframe.frame import SettingsFrame, WindowUpdateFrame
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import (
    ConnectionEnded,
    HalfClosed,
    MessageReceived,
    StreamEnded,
    StreamOpened,
)
from konnect.wire.frames import PREFACE
from konnect.wire.framing import prefix
from konnect.wire.grpc import GrpcConnection, Limits, Role
from konnect.wire.status import Status
from tests.wire.pump import RawPeer, data, of_kind, only, parse, payloads


class StartTests(SynchronousTestCase):
    def start(self, role: Role, limits: Limits | None = None) -> tuple[bytes, dict[int, int], int]:
        """The preface, the settings and the connection window that are announced."""
        connection = GrpcConnection(role, limits)
        connection.start()
        raw = connection.output()
        frames = parse(raw)
        (settings,) = of_kind(frames, SettingsFrame)
        window = 65535 + sum(f.window_increment for f in of_kind(frames, WindowUpdateFrame))
        self.assertIs(frames[0], settings)
        return raw[: len(PREFACE)], settings.settings, window

    def test_server(self) -> None:
        """A server announces its windows and sizes and no limit of streams."""
        preface, settings, window = self.start(Role.SERVER)
        self.assertNotEqual(preface, PREFACE)
        self.assertEqual(settings[SettingsFrame.INITIAL_WINDOW_SIZE], 1024 * 1024)
        self.assertEqual(settings[SettingsFrame.MAX_FRAME_SIZE], 16384)
        self.assertEqual(settings[SettingsFrame.MAX_HEADER_LIST_SIZE], 65536)
        self.assertNotIn(SettingsFrame.MAX_CONCURRENT_STREAMS, settings)
        self.assertEqual(window, 16 * 1024 * 1024)

    def test_client(self) -> None:
        """A client sends the preface first and forbids pushes."""
        preface, settings, _ = self.start(Role.CLIENT)
        self.assertEqual(preface, PREFACE)
        self.assertEqual(settings[SettingsFrame.ENABLE_PUSH], 0)

    def test_limits(self) -> None:
        """Other limits are announced as given; HTTP/2's own window is the smallest there is."""
        limits = Limits(stream_window=1000, connection_window=2000, max_frame=20000)
        _, settings, window = self.start(Role.SERVER, limits)
        self.assertEqual(settings[SettingsFrame.INITIAL_WINDOW_SIZE], 1000)
        self.assertEqual(settings[SettingsFrame.MAX_FRAME_SIZE], 20000)
        self.assertEqual(window, 65535)

    def test_larger_frames(self) -> None:
        """Frames of the announced size are taken at once, before the peer has acknowledged it."""
        peer = RawPeer(Role.SERVER, Limits(max_frame=50_005))
        events = peer.send(peer.headers(1), data(1, prefix(50_000) + b"x" * 50_000))
        self.assertEqual(payloads(events, 1), [b"x" * 50_000])

    def test_smaller_header_blocks(self) -> None:
        """A lower limit of header blocks holds at once."""
        peer = RawPeer(Role.SERVER, Limits(max_header_list=1000))
        events = peer.send(peer.headers(1, (*peer.REQUEST, (b"x", b"y" * 1000))))
        self.assertIsInstance(events[-1], ConnectionEnded)


class ContentLengthTests(SynchronousTestCase):
    """The length of a body, which gRPC does not need, is nobody's concern, right or wrong."""

    def test_request(self) -> None:
        for length in (b"8", b"0", b"99", b"many"):
            peer = RawPeer(Role.SERVER)
            peer.send(peer.headers(1, (*RawPeer.REQUEST, (b"content-length", length))))
            peer.send(data(1, prefix(3) + b"abc", "END_STREAM"), peer.headers(3))
            kinds = [type(event) for event in peer.events]
            self.assertEqual(kinds, [StreamOpened, MessageReceived, HalfClosed, StreamOpened])

    def test_response(self) -> None:
        """A server that is not gRPC's ends its stream, and no other."""
        peer = RawPeer(Role.CLIENT)
        for _ in range(2):
            peer.wire.open_stream("/p", (), authority="a", scheme="http")
        length = (b"content-length", b"4")
        peer.send(peer.headers(1, (*RawPeer.RESPONSE, length)), data(1, b"page", "END_STREAM"))
        peer.send(peer.headers(3, ((b":status", b"503"), length)), data(3, b"page", "END_STREAM"))
        ended = [(event.stream_id, event.status) for event in only(peer.events, StreamEnded)]
        self.assertEqual(ended, [(1, Status.INTERNAL), (3, Status.UNAVAILABLE)])
        self.assertEqual(only(peer.events, ConnectionEnded), [])
