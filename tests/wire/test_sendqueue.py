"""Tests of konnect.wire.sendqueue."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.framing import prefix
from konnect.wire.sendqueue import SendQueue


def take(queue: SendQueue, most: int) -> bytes:
    """What moves out of the queue, joined."""
    out: list[bytes | memoryview] = []
    size = queue.move(most, out)
    data = b"".join(out)
    assert len(data) == size
    return data


class SendQueueTests(SynchronousTestCase):
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=20),
                st.binary(min_size=4090, max_size=5000),
                st.integers(min_value=1, max_value=6000),
            )
        ),
        st.integers(min_value=0, max_value=5000),
    )
    def test_any_order(self, steps: list[bytes | int], cut: int) -> None:
        """However messages go in and bytes come out, they are the framed messages in order."""
        queue = SendQueue(1000, 100)
        expected, taken = b"", b""
        for step in [*steps, 1 << 30]:
            if isinstance(step, bytes):
                queue.put(step[:cut], memoryview(step)[cut:])
                expected += prefix(len(step)) + step
            elif queue.size:
                before = queue.size
                piece = bytes(take(queue, step))
                self.assertEqual(len(piece), min(step, before))
                taken += piece
            self.assertEqual(queue.size, len(expected) - len(taken))
        self.assertEqual(taken, expected)

    def test_small_messages_leave_together(self) -> None:
        """Messages that fit into one piece leave as one piece."""
        queue = SendQueue(1000, 100)
        for _ in range(10):
            queue.put(b"abc")
        self.assertEqual(bytes(take(queue, 16384)), (prefix(3) + b"abc") * 10)

    def test_marks(self) -> None:
        """Full above the high mark, relieved once at the low one, not in between."""
        queue = SendQueue(100, 50)
        queue.put(b"x" * 95)
        self.assertFalse(queue.full)
        queue.put(b"")
        self.assertTrue(queue.full)
        take(queue, 54)
        self.assertFalse(queue.relieved())
        self.assertTrue(queue.full)
        take(queue, 1)
        self.assertTrue(queue.relieved())
        self.assertFalse(queue.relieved())
        self.assertFalse(queue.full)

    def test_clear(self) -> None:
        """A cleared queue is empty and takes messages as a new one does."""
        queue = SendQueue(10, 5)
        queue.put(b"x" * 5000)
        take(queue, 100)
        queue.clear()
        self.assertEqual(queue.size, 0)
        self.assertFalse(queue.full)
        queue.put(b"y")
        self.assertEqual(bytes(take(queue, 100)), prefix(1) + b"y")
