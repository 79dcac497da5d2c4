"""Frames that are taken as one do what they do one by one."""

from __future__ import annotations

import itertools
from random import Random
from unittest.mock import patch

from hyperframe.frame import (
    GoAwayFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from konnect.wire import arrivals, runs
from konnect.wire.frames import PREFACE
from tests.wire.pump import data
from tests.wire.raw_peers import message
from tests.wire.test_memo import ACK, HELLO, MemoTestCase, Server, bytes_of, opening

ASK = bytes_of(opening())
DIAL = bytes_of(data(1, message(b"dial")))


class RunTests(MemoTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.taken = 0
        take = arrivals.Arrivals.run

        def counted(these: arrivals.Arrivals, run: runs.Run) -> None:
            self.taken += 1
            take(these, run)

        self.patch(arrivals.Arrivals, "run", counted)

    def third(self, *pieces: bytes) -> tuple[Server, int]:
        """A connection that says what two have said before, and how many runs it took."""
        self.both(*pieces)
        self.both(*pieces)
        before = self.taken
        server = self.both(*pieces)
        return server, self.taken - before

    def test_an_opening(self) -> None:
        """The opening of a stock client is two runs, and the frames are counted as one by one."""
        server, taken = self.third(HELLO + ASK + DIAL, ACK)
        self.assertEqual(taken, 2)
        self.assertEqual(server.streams, [1])
        plain = Server(None)
        plain.hear(HELLO + ASK + DIAL, ACK)
        self.assertEqual(server.wire.overhead.count, plain.wire.overhead.count)
        self.assertEqual(server.wire.overhead.kinds, plain.wire.overhead.kinds)

    def test_windows(self) -> None:
        """The peer may send and be sent as much as without."""
        tiny = bytes_of(WindowUpdateFrame(0, 5))
        pieces = (HELLO, tiny, ACK + bytes_of(WindowUpdateFrame(0, 70_000)), ASK + DIAL)
        server, taken = self.third(*pieces)
        self.assertEqual(taken, 3)
        plain = Server(None)
        plain.hear(*pieces)
        plain.serve()
        mine, right = server.wire.streams, plain.wire.streams
        self.assertEqual((mine.granted, mine.out), (right.granted, right.out))
        self.assertEqual(server.wire.overhead.count, plain.wire.overhead.count)

    def test_the_preface_alone(self) -> None:
        """SETTINGS have to come behind the preface, whoever has said the preface alone before."""
        self.both(PREFACE, bytes_of(SettingsFrame(0)))
        self.both(PREFACE, bytes_of(SettingsFrame(0)))
        server = self.both(PREFACE, bytes_of(PingFrame(0, b"12345678")))
        self.assertTrue(server.wire.closed)

    def test_too_wide(self) -> None:
        """A window that would become too wide is an error, also by a run that was none before."""
        wide = ACK + bytes_of(WindowUpdateFrame(0, 2**31 - 2_000_000))
        _, taken = self.third(HELLO, wide)
        self.assertEqual(taken, 2)
        more = bytes_of(WindowUpdateFrame(0, 1_900_000))
        server = self.both(HELLO, more, wide)
        self.assertTrue(server.wire.closed)

    def test_going_away(self) -> None:
        """A request by a run is refused where a request is refused."""
        self.third(HELLO, ASK)
        plain, server = Server(None), Server(self.memo)
        for one in (plain, server):
            one.hear(HELLO)
            one.wire.goaway()
            one.flush()
            one.hear(ASK)
        self.assertEqual(server.log, plain.log)
        self.assertEqual(server.streams, [])

    def test_what_is_no_run(self) -> None:
        """What stands in the middle of a frame, or of a header block, begins no run."""
        cut = DIAL[:-3]
        for _ in range(3):
            self.both(HELLO + ASK + cut, ACK, b"xyz"[: len(DIAL) - len(cut)])
            block = opening()
            block.flags.discard("END_HEADERS")
            self.both(HELLO + bytes_of(block), ACK)
            self.both(HELLO + bytes_of(GoAwayFrame(0, 0, 0)) + ACK)

    def test_bounds(self) -> None:
        """A client that says ever new things fills no more than a few places, and no other's for
        good."""
        for n in range(3 * runs.KEPT):
            self.both(PREFACE + bytes_of(SettingsFrame(0, settings={4: n})))
        begun = self.memo.root.runs
        assert begun is not None
        self.assertEqual(len(begun.sizes), 1)
        self.assertEqual(len(begun.known), runs.KEPT)
        _, taken = self.third(HELLO + ASK)
        self.assertEqual(taken, 1)

    def test_bounds_of_all(self) -> None:
        """Nor do clients that go ever new ways from the same beginnings."""
        with patch.object(runs, "IN_ALL", 20):
            for way in itertools.product(range(4), repeat=3):
                told = (SettingsFrame(0, settings={0x100 + n: n}) for n in way)
                self.both(HELLO, *map(bytes_of, told))
        found, steps = 0, [self.memo.root]
        while steps:
            begun = steps.pop().runs
            if begun is not None:
                found += len(begun.known)
                steps += [run.after for run in begun.known.values()]
        self.assertLessEqual(found, 20)
        _, taken = self.third(HELLO + ASK)
        self.assertEqual(taken, 1)

    def test_long(self) -> None:
        """What is too long is read frame by frame."""
        with patch.object(runs, "LONGEST", len(HELLO) - 1):
            _, taken = self.third(HELLO + ASK)
        # The rest of the same frames.
        self.assertEqual(taken, 1)
        self.assertEqual(self.memo.root.runs.sizes, (len(HELLO) - 13,))  # type: ignore[union-attr]

    def test_any_reads(self) -> None:
        """However the frames of some clients fall into reads."""
        random = Random(20261128)
        frames = [ASK, DIAL, ACK, bytes_of(WindowUpdateFrame(0, 5000)), bytes_of(data(1, b""))]
        frames += [bytes_of(SettingsFrame(0, settings={4: 9})), bytes_of(RstStreamFrame(1, 8))]
        for _ in range(300):
            said = [HELLO, *random.sample(frames, 4)]
            whole = b"".join(said)
            ends = [len(b"".join(said[:n])) for n in range(1, 5) if random.random() < 0.5]
            if random.random() < 0.2:
                ends = sorted({*ends, random.randrange(1, len(whole))})
            cuts = zip([0, *ends], [*ends, len(whole)], strict=True)
            self.both(*(whole[a:b] for a, b in cuts if a < b))
        self.assertGreater(self.taken, 300)
