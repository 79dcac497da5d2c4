"""Tests of konnect.wire.splitter: what is cut where, and who gets it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.frames import PREFACE, ProtocolViolation, data_head
from konnect.wire.splitter import FrameSplitter
from konnect.wire.status import ErrorCode
from tests.wire.pump import data

SETTINGS = SettingsFrame(0).serialize()
PING = PingFrame(0, opaque_data=b"12345678").serialize()
GOAWAY = GoAwayFrame(0, last_stream_id=7, error_code=2, additional_data=b"why").serialize()


@dataclass
class ForH2:
    piece: bytes


@dataclass
class Data:
    stream_id: int
    piece: bytes
    charge: int
    ended: bool
    padding: int


@dataclass
class WindowUpdate:
    stream_id: int
    increment: int


@dataclass
class Goaway:
    body: bytes


Part = ForH2 | Data | WindowUpdate | Goaway


class Parts(list[Part]):
    """What a splitter told."""

    def for_h2(self, piece: memoryview) -> None:
        self.append(ForH2(bytes(piece)))

    def data(
        self, stream_id: int, piece: memoryview, charge: int, ended: bool, padding: int = 0
    ) -> None:
        self.append(Data(stream_id, bytes(piece), charge, ended, padding))

    def packets(self, data: bytes, position: int, stream: object) -> int:
        return position

    def window_update(self, stream_id: int, increment: int) -> None:
        self.append(WindowUpdate(stream_id, increment))

    def goaway(self, body: memoryview) -> None:
        self.append(Goaway(bytes(body)))


def told(splitter: FrameSplitter, piece: bytes) -> Iterator[Part]:
    """What the splitter tells of a piece."""
    seen = Parts()
    splitter.split(piece, seen)
    yield from seen


def split(splitter: FrameSplitter, *pieces: bytes) -> tuple[bytes, list[bytes]]:
    """What goes to h2, joined, and the bodies of GOAWAYs."""
    through, bodies = b"", []
    for piece in pieces:
        for part in told(splitter, piece):
            if isinstance(part, Goaway):
                bodies.append(part.body)
            else:
                assert isinstance(part, ForH2), part
                through += part.piece
    return through, bodies


def list_of(splitter: FrameSplitter, piece: bytes) -> list[bytes]:
    """The pieces for h2."""
    return [part.piece for part in told(splitter, piece) if isinstance(part, ForH2)]


class Live:
    half_closed = False


def one_live(stream_id: int) -> Live | None:
    """Stream 1 is live."""
    return Live() if stream_id == 1 else None


def parts(pieces: list[bytes]) -> tuple[bytes, bytes, int, int, int, list[int]]:
    """For stream 1 live: h2's bytes, payload, charge, padding, ends, increments."""
    splitter = FrameSplitter(preface=False, max_frame=16384, live=one_live)
    through = payload = b""
    charge = padding = ends = 0
    increments = []
    for piece in pieces:
        for part in told(splitter, piece):
            if isinstance(part, ForH2):
                through += part.piece
            elif isinstance(part, Data):
                assert part.stream_id == 1
                payload += part.piece
                charge += part.charge
                padding += part.padding
                ends += part.ended
            elif isinstance(part, WindowUpdate):
                increments.append(part.increment)
    return through, payload, charge, padding, ends, increments


class SplitterTests(SynchronousTestCase):
    @given(st.lists(st.integers(min_value=0)), st.booleans())
    def test_any_split(self, cuts: list[int], preface: bool) -> None:
        """However the bytes are cut, h2 gets all but the GOAWAYs, and those come out whole."""
        start = PREFACE if preface else b""
        stream = start + SETTINGS + GOAWAY + PING + data(1, b"x" * 50).serialize() + GOAWAY + PING
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        pieces = [stream[a:b] for a, b in pairwise(edges)]
        through, bodies = split(FrameSplitter(preface=preface, max_frame=16384), *pieces)
        self.assertEqual(through, stream.replace(GOAWAY, b""))
        self.assertEqual(bodies, [GOAWAY[9:]] * 2)

    def test_one_frame_at_a_time(self) -> None:
        """No piece for h2 holds bytes of two frames."""
        splitter = FrameSplitter(preface=False, max_frame=16384)
        pieces = list_of(splitter, SETTINGS + PING + PING[:10])
        self.assertEqual(pieces, [SETTINGS, PING, PING[:10]])
        pieces = list_of(splitter, PING[10:] + SETTINGS)
        self.assertEqual(pieces, [PING[10:], SETTINGS])

    def test_long_frame(self) -> None:
        """A frame above the limit is refused by its head, before its body has come."""
        splitter = FrameSplitter(preface=False, max_frame=100)
        split(splitter, SETTINGS, data(1, b"x" * 100).serialize())
        with self.assertRaises(ProtocolViolation) as caught:
            split(splitter, data(1, b"x" * 101).serialize()[:9])
        self.assertEqual(caught.exception.code, ErrorCode.FRAME_SIZE_ERROR)

    def test_settings_come_first(self) -> None:
        """Whatever does not begin with SETTINGS is no HTTP/2, an acknowledgement included."""
        ack = SettingsFrame(0, flags=["ACK"]).serialize()
        for first in (PING, GOAWAY, ack, b"HTTP/1.1 400 Bad Request\r\n"):
            with self.assertRaises(ProtocolViolation):
                split(FrameSplitter(preface=False, max_frame=16384), first)

    def test_foreign_protocols_are_named(self) -> None:
        """A peer that speaks something else is told so, with a guess at what it is."""
        for first, guess in (
            (b"GET / HTTP/1.1\r\n", "no HTTP/2 but HTTP/1: it began with b'GET / HTTP"),
            (b"CONNECT a:1 HTTP/1.1\r\n", "no HTTP/2 but HTTP/1: "),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "no HTTP/2 but TLS: "),
            (b"PRI * HTTP/1.1\r\n", "no HTTP/2: "),
            (b"\0" * 30, "no HTTP/2: "),
        ):
            with self.assertRaises(ProtocolViolation) as caught:
                split(FrameSplitter(preface=True, max_frame=16384), first)
            self.assertEqual(caught.exception.code, ErrorCode.PROTOCOL_ERROR)
            self.assertIn(guess, str(caught.exception))

    def test_goaway_on_a_stream(self) -> None:
        """A GOAWAY belongs to the connection, not to a stream."""
        bad = GOAWAY[:8] + b"\x01" + GOAWAY[9:]
        with self.assertRaises(ProtocolViolation) as caught:
            split(FrameSplitter(preface=False, max_frame=16384), SETTINGS + bad)
        self.assertEqual(caught.exception.code, ErrorCode.PROTOCOL_ERROR)


class TakenOutTests(SynchronousTestCase):
    @given(st.lists(st.integers(min_value=0)))
    def test_data_of_a_live_stream(self, cuts: list[int]) -> None:
        """However it is cut: h2 sees neither DATA nor WINDOW_UPDATE of a live stream."""
        foreign = data(3, b"y" * 5).serialize()
        stream = SETTINGS + data(1, b"x" * 50).serialize() + PING
        stream += WindowUpdateFrame(1, window_increment=7).serialize() + foreign
        stream += WindowUpdateFrame(0, window_increment=9).serialize()
        stream += DataFrame(1, b"z" * 9, pad_length=4, flags=["PADDED"]).serialize()
        stream += DataFrame(1, b"end", flags=["END_STREAM"]).serialize() + PING
        edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
        through, payload, charge, padding, ends, increments = parts(
            [stream[a:b] for a, b in pairwise(edges)]
        )
        self.assertEqual(through, SETTINGS + PING + foreign + PING)
        self.assertEqual(payload, b"x" * 50 + b"z" * 9 + b"end")
        self.assertEqual((charge, padding, ends), (50 + 14 + 3, 5, 1))
        self.assertEqual(increments, [7, 9])

    def test_too_much_padding(self) -> None:
        """Padding as long as the frame is an error of the connection."""
        bad = data_head(1, 3)[:4] + b"\x08" + data_head(1, 3)[5:] + b"\x03ab"
        with self.assertRaises(ProtocolViolation) as caught:
            parts([SETTINGS, bad])
        self.assertEqual(caught.exception.code, ErrorCode.PROTOCOL_ERROR)

    def test_no_room_for_padding(self) -> None:
        """So is a padded frame that does not even say how much."""
        bad = data_head(1, 0)[:4] + b"\x08" + data_head(1, 0)[5:]
        with self.assertRaises(ProtocolViolation) as caught:
            parts([SETTINGS, bad])
        self.assertEqual(caught.exception.code, ErrorCode.PROTOCOL_ERROR)

    def test_reserved_bit(self) -> None:
        """The bit before a stream's id means nothing (RFC 9113 section 4.1)."""
        frame = data(1, b"abc").serialize()
        through, payload, *_ = parts([SETTINGS + frame[:5] + b"\x80" + frame[6:]])
        self.assertEqual((through, payload), (SETTINGS, b"abc"))

    def test_held(self) -> None:
        """What is kept is counted: heads that have not come whole, and frames wanted whole."""
        splitter = FrameSplitter(preface=False, max_frame=16384, live=one_live)
        padded = DataFrame(1, b"z" * 9, pad_length=4, flags=["PADDED"]).serialize()
        for piece, held in ((SETTINGS, 0), (PING[:5], 5), (PING[5:], 0), (padded[:20], 20)):
            list(told(splitter, piece))
            self.assertEqual(splitter.held, held)

    def test_within_a_header_block(self) -> None:
        """Between HEADERS and its last CONTINUATION h2 gets everything: it knows the error."""
        begin = HeadersFrame(1, data=b"abc").serialize()
        inside = data(1, b"x").serialize() + WindowUpdateFrame(1, window_increment=1).serialize()
        finish = ContinuationFrame(1, data=b"", flags=["END_HEADERS"]).serialize()
        through, payload, *_ = parts([SETTINGS + begin + inside + finish + inside[:10]])
        self.assertEqual(through, SETTINGS + begin + inside + finish)
        self.assertEqual(payload, b"x")

    def test_useless_window_updates(self) -> None:
        """No room at all, and room on a stream that is not live, are h2's to judge."""
        for frame in (
            WindowUpdateFrame(1, window_increment=1).serialize()[:9] + bytes(4),
            WindowUpdateFrame(3, window_increment=1).serialize(),
        ):
            through, *_, increments = parts([SETTINGS + frame])
            self.assertEqual((through, increments), (SETTINGS + frame, []))
            reserved = frame[:9] + bytes((frame[9] | 0x80,)) + frame[10:]
            through, *_, increments = parts([SETTINGS + reserved])
            self.assertEqual((through, increments), (SETTINGS + frame, []))
