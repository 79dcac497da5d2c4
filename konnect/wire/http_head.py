"""The head of an HTTP/1.x message: collecting it from any split, and its header lines.

Shared by both roles of HTTP CONNECT. Lines end in CR LF or a bare LF (RFC 9112 §2.2); folded lines
are joined with one space, as upstream's HTTP library does. What the first line means is the
caller's, and so are message bodies.
"""

from __future__ import annotations

import re

MAX_HEAD = 1024 * 1024 + 4096
"""Longest head, in bytes, from the first byte to the end of its empty line, unless told otherwise
(upstream's limit)."""

MAX_LINES = 1000
"""Most header lines in one head: a megabyte of `a:` lines would cost 60 MiB as objects."""

Headers = tuple[tuple[str, str], ...]
"""Names in lower case, values as latin-1 text without the white space around them; in order."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""A byte that may stand in no line of a head (a tab may)."""


class HeadTooLarge(ValueError):
    """The head is over its limit, or MAX_LINES."""


class MalformedHead(ValueError):
    """The head breaks RFC 9112's grammar; the text says where, without the peer's bytes."""


class HeadBuffer:
    """
    Collects one head. Linear in the bytes received, however they are split, and never decides
    differently for a different split.
    """

    def __init__(self, limit: int = MAX_HEAD) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._fresh = 0
        self._first_line: bytes | None = None
        self.judged = False
        """Whether the first line has been found good, for its reader: it may be as long as a head,
        and pieces short."""

    def __len__(self) -> int:
        return len(self._buffer)

    def append(self, data: bytes) -> None:
        """Take bytes as they were read."""
        self._fresh = len(self._buffer)
        self._buffer += data

    @property
    def start(self) -> bytes:
        """The first bytes received (at most 16), for saying what was spoken instead of HTTP."""
        return bytes(self._buffer[:16])

    def first_line(self) -> bytes | None:
        """The first line without its end, once it is complete."""
        if self._first_line is None:
            end = self._buffer.find(b"\n", self._fresh, self._limit)
            if end >= 0:
                self._first_line = _without_cr(bytes(self._buffer[:end]))
        return self._first_line

    def take(self) -> tuple[Headers, bytes] | None:
        """
        The headers, and the bytes behind the head; None while the head is incomplete.

        :raises HeadTooLarge: when it cannot become a head within the limits.
        :raises MalformedHead: see `parse_headers`.
        """
        # An empty line may have begun up to two bytes before the fresh ones.
        found = _EMPTY_LINE.search(self._buffer, max(self._fresh - 2, 0))
        if (found.end() if found else len(self._buffer)) > self._limit:
            raise HeadTooLarge(f"the head is longer than {self._limit} bytes")
        if found is None:
            return None
        head = bytes(self._buffer[: found.start()])
        rest = bytes(self._buffer[found.end() :])
        del found  # it pins the buffer
        self._buffer = bytearray()
        if head.count(b"\n") > MAX_LINES:
            raise HeadTooLarge(f"the head has more than {MAX_LINES} header lines")
        return parse_headers(head.split(b"\n")[1:]), rest


def _without_cr(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line


def parse_headers(lines: list[bytes]) -> Headers:
    """
    The header lines of a head (RFC 9112 §5), each without its LF.

    :raises MalformedHead: for a line without a colon, a bad name, or a control character.
    """
    fields: list[tuple[bytes, list[bytes]]] = []
    for raw in lines:
        line = _without_cr(raw)
        if CONTROL.search(line):
            raise MalformedHead("control character in a header")
        if line[:1] in (b" ", b"\t"):
            if not fields:
                raise MalformedHead("the first header line is a continuation")
            fields[-1][1].append(line.strip(b" \t"))
            continue
        name, colon, value = line.partition(b":")
        if not colon:
            raise MalformedHead("header line without a colon")
        if not TOKEN.fullmatch(name):
            raise MalformedHead("invalid header name")
        fields.append((name, [value.strip(b" \t")]))
    return tuple(
        (name.decode("ascii").lower(), b" ".join(pieces).strip().decode("latin-1"))
        for name, pieces in fields
    )


def values(headers: Headers, name: str) -> list[str]:
    """The values of all fields called `name` (lower case), in order."""
    return [value for key, value in headers if key == name]
