"""Tests of konnect.wire.frames: frames as bytes, compared with hyperframe's."""

from __future__ import annotations

from hyperframe.frame import GoAwayFrame, WindowUpdateFrame
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import frames
from konnect.wire.frames import ProtocolViolation
from konnect.wire.status import ErrorCode
from tests.wire.pump import data

GOAWAY = GoAwayFrame(0, last_stream_id=7, error_code=2, additional_data=b"why").serialize()


class MadeTests(SynchronousTestCase):
    def test_data(self) -> None:
        """Heads of DATA, and the empty one that ends a stream."""
        for size in (0, 255, 256, 16384, 70_000):
            self.assertEqual(frames.data_head(5, size), data(5, bytes(size)).serialize()[:9])
        self.assertEqual(frames.end_of_data(5), data(5, b"", "END_STREAM").serialize())

    def test_window_update(self) -> None:
        """A WINDOW_UPDATE with the largest increment there is."""
        frame = WindowUpdateFrame(5, window_increment=2**31 - 1)
        self.assertEqual(frames.window_update(5, 2**31 - 1), frame.serialize())


class GoawayTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        """What is written is what others read, and the other way round."""
        self.assertEqual(frames.goaway(7, 2, b"why"), GOAWAY)
        self.assertEqual(frames.parse_goaway(memoryview(GOAWAY[9:])), (7, 2, b"why"))

    def test_long_debug_data(self) -> None:
        """The length of the frame is right above 255 bytes too."""
        frame = GoAwayFrame(0, last_stream_id=1, error_code=0, additional_data=b"x" * 1000)
        self.assertEqual(frames.goaway(1, 0, b"x" * 1000), frame.serialize())

    def test_short(self) -> None:
        """A body without room for its two numbers is refused."""
        with self.assertRaises(ProtocolViolation) as caught:
            frames.parse_goaway(memoryview(b"1234567"))
        self.assertEqual(caught.exception.code, ErrorCode.FRAME_SIZE_ERROR)
