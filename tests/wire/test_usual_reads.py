"""Tests of reads that go on with the stream whose packets came last (`Streams.usual`): whatever
comes is told as when its frames are cut apart first."""

from __future__ import annotations

import gc
import itertools
import weakref

from hyperframe.frame import PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import data_packet
from konnect.wire.events import ConnectionEnded
from konnect.wire.framing import prefix
from konnect.wire.status import ErrorCode
from tests.wire.pump import data, of_kind, only
from tests.wire.test_gathering import Connection, frames
from tests.wire.test_inlet import framed
from tests.wire.test_packet_frames import FRAMES, Listening, frame

PACKET = frame(framed(data_packet.build(7, b"usual")))
OTHERS = st.sampled_from(
    [
        PingFrame(0, b"a ping..").serialize(),
        WindowUpdateFrame(0, 5000).serialize(),
        WindowUpdateFrame(1, 5000).serialize(),
        SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 70000}).serialize(),
        RstStreamFrame(1, 8).serialize(),
        b"\0\0\x02\0",  # a frame's beginning, of which no more comes
    ]
)


def usual(there: Listening) -> object:
    return there.peer.wire.streams.usual


class UsualReadTests(SynchronousTestCase):
    @given(st.lists(st.one_of(FRAMES, FRAMES, OTHERS), max_size=10), st.data())
    @example([PACKET, frame(prefix(5001) + b"x"), PACKET], None)
    @example([PACKET, frame(framed(data_packet.build(7, b"x")), 1, "END_STREAM"), PACKET], None)
    def test_however_it_is_cut(self, sent: list[bytes], draw: st.DataObject | None) -> None:
        """Frame by frame, or in any reads, what comes is told as when it comes byte by byte."""
        sent = [PACKET, *sent]
        whole = b"".join(sent)
        reads, pieces = Listening(), Listening()
        if draw is None:
            cuts = [sum(map(len, sent[:i])) for i in range(len(sent) + 1)]
        else:
            inner = draw.draw(st.sets(st.integers(1, len(whole)), max_size=12))
            cuts = sorted({0, len(PACKET), len(whole)} | inner)
        for start, end in itertools.pairwise(cuts):
            reads.peer.send(whole[start:end])
        for byte in whole:
            pieces.peer.send(bytes([byte]))
        self.assertEqual(reads.outcome(), pieces.outcome())

    def test_nothing_is_cut_apart(self) -> None:
        """Such reads do not pass the splitter, and the first other one does."""
        there = Listening()
        there.peer.send(PACKET)
        splitter = there.peer.wire._splitter
        cut: list[bytes] = []

        class Cutting:
            between = True

            def split(self, data: bytes, sink: object, position: int) -> None:
                cut.append(data[position:])

        there.peer.wire._splitter = Cutting()  # type: ignore[assignment]
        there.peer.send(PACKET)
        there.peer.send(PACKET * 2)
        self.assertEqual(cut, [])
        ping = PingFrame(0, b"a ping..").serialize()
        there.peer.send(PACKET + ping)
        self.assertEqual(cut, [ping])
        there.peer.wire._splitter = splitter
        there.peer.send(ping)
        self.assertEqual(there.sink.payload, {7: b"usual" * 5})

    def test_behind_its_end(self) -> None:
        """DATA on a stream that its peer has ended resets it (RFC 9113 section 5.1), though it was
        usual."""
        there = Listening()
        there.peer.send(PACKET)
        there.peer.send(frame(b"", 1, "END_STREAM"))
        there.peer.read()
        there.peer.send(PACKET)
        resets = of_kind(there.peer.read(), RstStreamFrame)
        self.assertEqual([reset.error_code for reset in resets], [ErrorCode.STREAM_CLOSED])
        self.assertEqual(there.sink.payload, {7: b"usual"})

    def test_in_a_header_block(self) -> None:
        """Nothing may come between the parts of a header block."""
        there = Listening()
        there.peer.send(PACKET)
        headers = there.peer.headers(3)
        headers.flags.discard("END_HEADERS")
        there.peer.send(headers)
        there.peer.send(PACKET)
        broken = only(there.peer.events, ConnectionEnded)
        self.assertEqual([event.code for event in broken], [ErrorCode.PROTOCOL_ERROR])

    def test_within_a_frame(self) -> None:
        """What looks like packets of the usual stream within another frame is none, however many
        reads that frame takes."""
        inner = frames(framed(data_packet.build(7, b"forged")))
        whole = bytes(data(3, framed(data_packet.build(9, b"x" * 50 + inner))).serialize())
        unknown = b"\0\0\x64\xfa\0\0\0\0\0" + b"x" * (100 - len(inner)) + inner
        for other in (whole, unknown):
            there = Connection(1, 3)
            usual = frames(framed(data_packet.build(7, b"usual")))
            start = len(other) - len(inner)
            for read in (usual, other[: start - 20], other[start - 20 : start], inner, usual):
                there.peer.send(read)
            self.assertEqual(there.sinks[1].payload, {7: b"usualusual"})
            self.assertEqual(there.peer.events, [])

    def test_let_go(self) -> None:
        """A stream that is over is usual no more, and nothing keeps it."""
        there = Listening()
        there.peer.send(PACKET)
        self.assertIs(usual(there), there.peer.wire.streams.table[1])
        sink = weakref.ref(there.sink)
        there.sink = None  # type: ignore[assignment]
        gc.disable()
        self.addCleanup(gc.enable)
        there.peer.wire.reset_stream(1)
        self.assertIsNone(usual(there))
        self.assertIsNone(sink())

    def test_let_go_with_its_connection(self) -> None:
        there = Listening()
        there.peer.send(PACKET)
        there.peer.wire.connection_lost()
        self.assertIsNone(usual(there))
