"""Collecting a head costs no more than its bytes."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import http_head


class Counting:
    """A pattern that counts the bytes it may have to look at."""

    def __init__(self, pattern: re.Pattern[bytes]) -> None:
        self.pattern = pattern
        self.looked_at = 0

    def search(self, buffer: bytearray, start: int) -> re.Match[bytes] | None:
        """As the pattern's own."""
        self.looked_at += len(buffer) - start
        return self.pattern.search(buffer, start)


class LinearTests(SynchronousTestCase):
    """The search for the empty line."""

    def test_every_byte_is_searched_once(self) -> None:
        """A megabyte in small pieces is looked at once, but for two bytes a piece."""
        counting = Counting(http_head._EMPTY_LINE)
        self.patch(http_head, "_EMPTY_LINE", counting)
        buffer = http_head.HeadBuffer()
        pieces = [b"GET / HTTP/1.1\r\n", *[b"a" * 62 + b"\r\n"] * 16384]
        for piece in pieces:
            buffer.append(piece)
            self.assertIs(buffer.take(), None)
        self.assertLessEqual(counting.looked_at, len(buffer) + 2 * len(pieces))

    def test_folds(self) -> None:
        """A thousand folds of one value are joined."""
        headers = http_head.parse_headers([b"a: x", *[b" y"] * 999])
        self.assertEqual(headers, (("a", " ".join(["x", *["y"] * 999])),))
        self.assertEqual(http_head.parse_headers([b"a:", b"\tx"]), (("a", "x"),))
