"""Tests of konnect.wire.framing."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.framing import CompressedMessage, Deframer, MessageTooLarge, prefix


def framed(*messages: bytes) -> bytes:
    return b"".join(prefix(len(m)) + m for m in messages)


def feed_all(deframer: Deframer, data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [message for start, end in pairwise(edges) for message in deframer.feed(data[start:end])]


class DeframerTests(SynchronousTestCase):
    @given(
        st.lists(st.one_of(st.binary(max_size=40), st.binary(min_size=1020, max_size=3000))),
        st.lists(st.integers(min_value=0)),
    )
    def test_any_split(self, messages: list[bytes], cuts: list[int]) -> None:
        """However the bytes are cut, the messages are the same."""
        deframer = Deframer(3000)
        self.assertEqual(feed_all(deframer, framed(*messages), cuts), messages)
        self.assertFalse(deframer.incomplete)
        self.assertIsNone(deframer.error)

    @given(st.lists(st.binary(max_size=10), max_size=5), st.lists(st.integers(min_value=0)))
    def test_any_split_before_an_error(self, messages: list[bytes], cuts: list[int]) -> None:
        """However the bytes are cut, messages before one that is refused are given."""
        deframer = Deframer(10)
        data = framed(*messages, b"x" * 11, b"after")
        self.assertEqual(feed_all(deframer, data, cuts), messages)
        self.assertIsInstance(deframer.error, MessageTooLarge)

    def test_one_byte_at_a_time(self) -> None:
        """Bytes may come one by one."""
        messages = [b"", b"a", b"", b"bcd" * 500]
        data = framed(*messages)
        deframer = Deframer(5000)
        self.assertEqual(feed_all(deframer, data, list(range(len(data)))), messages)

    def test_limit(self) -> None:
        """A message of the limit's size passes; one byte more is refused by its prefix alone."""
        deframer = Deframer(8)
        self.assertEqual(deframer.feed(framed(b"12345678")), [b"12345678"])
        self.assertEqual(deframer.feed(prefix(9)), [])
        self.assertEqual(str(deframer.error), "grpc: received message larger than max (9 vs. 8)")

    def test_compressed(self) -> None:
        """A flag byte other than zero is refused, and nothing after it is read."""
        deframer = Deframer(8)
        self.assertEqual(deframer.feed(framed(b"a") + b"\x01\0\0\0\x01z" + framed(b"b")), [b"a"])
        error = deframer.error
        assert isinstance(error, CompressedMessage)
        self.assertEqual(error.flag, 1)
        self.assertEqual(deframer.feed(framed(b"c")), [])

    def test_progress(self) -> None:
        """It is known how large the incomplete message is and how much of it has come."""
        deframer = Deframer(1000)
        deframer.feed(prefix(100)[:3])
        self.assertEqual((deframer.expected, deframer.received), (0, 3))
        self.assertTrue(deframer.incomplete)
        deframer.feed(prefix(100)[3:] + b"x" * 60)
        self.assertEqual((deframer.expected, deframer.received), (105, 65))
        deframer.feed(b"x" * 40)
        self.assertEqual((deframer.expected, deframer.received), (0, 0))
        self.assertFalse(deframer.incomplete)

    def test_tiny_pieces_take_no_room(self) -> None:
        """A large message in pieces of a byte costs about its own size, not a multiple."""
        size = 100_000
        deframer = Deframer(size)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        deframer.feed(prefix(size))
        for _ in range(size - 1):
            deframer.feed(b"x")
        held, _ = tracemalloc.get_traced_memory()
        self.assertLess(held, 3 * size)
        self.assertEqual(deframer.feed(b"x"), [b"x" * size])
