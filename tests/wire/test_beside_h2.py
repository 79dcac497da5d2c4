"""Tests of konnect.wire.grpc and its frame splitter beside h2 alone: the same bytes, the same
events, the same errors. Each client is made from a seed, which a failure names; what differs on
purpose is listed in `tests.wire.plain_http2`.
"""

from __future__ import annotations

from hpack import Encoder
from hyperframe.frame import HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.grpc import Limits, OpeningMemo
from konnect.wire.status import ErrorCode
from tests.wire.plain_http2 import Outcome, alone, ours
from tests.wire.pump import PATH, RawPeer
from tests.wire.scripts import Script, as_bytes

VALID = 150
HOSTILE = 450


class BesideH2Tests(SynchronousTestCase):
    def same(self, seed: int, found: Outcome, judge: Outcome) -> None:
        """Told and answered is the same; messages are what came whole of the streams' bytes."""
        self.assertEqual(found.told, judge.told, f"seed {seed}")
        self.assertEqual(found.answers, judge.answers, f"seed {seed}")
        for stream_id, got in found.bodies.items():
            came = judge.bodies.get(stream_id, b"")
            # h2 gives a frame's bytes when it is whole, so a last message may be ours alone.
            self.assertTrue(came.startswith(got) or got.startswith(came), f"seed {seed}")

    def test_valid_streams(self) -> None:
        """What clients may say is understood as h2 does, cut anywhere, remembered or not."""
        memo = OpeningMemo(Limits())
        for seed in range(VALID):
            script = Script(seed)
            whole = as_bytes(script.frames)
            judge = alone(whole)
            self.assertNotIn("error", [told[0] for told in judge.told])
            for found in (
                ours([whole]),
                ours(script.cut(whole)),
                ours(script.cut(whole), memo),
            ):
                self.same(seed, found, judge)
                self.assertFalse(found.judged)
                self.assertEqual(found.bodies, script.sent, f"seed {seed}")

    def test_byte_by_byte(self) -> None:
        """A byte at a time makes no difference."""
        for seed in range(10):
            whole = as_bytes(Script(seed).frames)
            found = ours([whole[n : n + 1] for n in range(len(whole))])
            self.same(seed, found, alone(whole))

    def test_one_wrong_thing(self) -> None:
        """Of frames that nobody may send, windows beyond their limits and heads with a changed bit
        h2 and ours make the same: the same error, or none."""
        memo = OpeningMemo(Limits())
        compared, errors = 0, set()
        for seed in range(HOSTILE):
            script = Script(seed)
            whole = script.hostile()
            judge = alone(whole)
            for found in (
                ours([whole]),
                ours(script.cut(whole)),
                ours(script.cut(whole), memo),
            ):
                if not (found.judged or judge.judged):
                    self.same(seed, found, judge)
                    compared += 1
            errors |= {told[1] for told in judge.told if told[0] == "error"}
        self.assertGreater(compared, 3 * HOSTILE * 0.9)
        self.assertGreaterEqual(
            errors,
            {
                ErrorCode.PROTOCOL_ERROR,
                ErrorCode.FLOW_CONTROL_ERROR,
                ErrorCode.FRAME_SIZE_ERROR,
            },
        )


class ReservedBitTests(SynchronousTestCase):
    """The bit before a window's increment is to be ignored (RFC 9113 section 6.9)."""

    def test_reserved_bit(self) -> None:
        """It is, on the connection and on streams in every state: h2 judges what is without it."""
        opens = HeadersFrame(1, data=Encoder().encode(RawPeer.REQUEST), flags=["END_HEADERS"])
        for stream, before, told in (
            (0, [], []),
            (1, [opens], [("opened", 1, PATH)]),
            (1, [opens, RstStreamFrame(1)], [("opened", 1, PATH), ("reset", 1)]),
            (3, [], [("error", ErrorCode.PROTOCOL_ERROR)]),  # a stream that was never opened
        ):
            update = bytearray(WindowUpdateFrame(stream, window_increment=5).serialize())
            plain = as_bytes([SettingsFrame(0), *before, bytes(update)])
            update[9] |= 0x80
            whole = as_bytes([SettingsFrame(0), *before, bytes(update)])
            with self.subTest(stream=stream, before=before):
                judge = alone(plain)
                self.assertEqual(judge.told, told)
                for found in (ours([whole]), ours([whole[n : n + 1] for n in range(len(whole))])):
                    self.assertEqual(found.told, told)
                    self.assertEqual(found.answers, judge.answers)
