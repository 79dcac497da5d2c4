"""Collecting a head costs no more than its bytes."""

from __future__ import annotations

import re

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import connect, connect_client, http_head


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

    def test_the_first_line_is_judged_once(self) -> None:
        """And read once more when the head is whole, however many pieces it comes in."""
        for module, pattern, reader, line in (
            (connect, "TOKEN", connect.HeadReader(), b"CONNECT a:1 HTTP/1.1"),
            (connect_client, "_STATUS_LINE", connect_client.ResponseReader(), b"HTTP/1.1 200 OK"),
        ):
            real = getattr(module, pattern)
            seen: list[bytes] = []

            class Pattern:
                match = real.match

                def fullmatch(self, text: bytes) -> object:
                    seen.append(text)  # noqa: B023
                    return real.fullmatch(text)  # noqa: B023

            self.patch(module, pattern, Pattern())
            outcome = None
            for byte in line + b"\r\n" + b"a: b\r\n" * 9 + b"\r\n":
                assert outcome is None
                outcome = reader.receive(bytes((byte,)))
            self.assertIsNotNone(outcome)
            self.assertEqual(len(seen), 2)

    def test_folds(self) -> None:
        """A thousand folds of one value are joined."""
        headers = http_head.parse_headers([b"a: x", *[b" y"] * 999])
        self.assertEqual(headers, (("a", " ".join(["x", *["y"] * 999])),))
        self.assertEqual(http_head.parse_headers([b"a:", b"\tx"]), (("a", "x"),))
