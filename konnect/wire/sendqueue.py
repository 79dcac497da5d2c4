"""What one stream has to send and could not send yet.

Messages go in whole and come out as pieces of the size that windows and frames allow: small ones
are joined, large ones are cut. The queue itself is not bounded; its two marks tell the owner when
to stop feeding it and when to go on. It does not know whose turn it is among the streams.
"""

from __future__ import annotations

from konnect.wire.framing import PREFIX_SIZE, prefix

# Below this it is cheaper to copy a message behind its prefix than to queue two pieces.
_JOIN_BELOW = 4096


class SendQueue:
    """Length-prefixed messages of one stream, waiting."""

    __slots__ = ("_chunks", "_high", "_low", "_offset", "full", "size")

    def __init__(self, high: int, low: int) -> None:
        """`high`, `low`: the marks, in bytes."""
        self._chunks: list[bytes] = []
        self._offset = 0  # how much of the first chunk is gone already
        self._high = high
        self._low = low
        self.size = 0
        """Bytes waiting, prefixes counted."""
        self.full = False
        """True from when the size passes the high mark until it is at the low one or below."""

    def put(self, head: bytes, payload: bytes | memoryview = b"") -> None:
        """Queue one message, in two parts, behind the others; a view is copied."""
        size = len(head) + len(payload)
        if size < _JOIN_BELOW:
            self._chunks.append(prefix(size) + head + payload)
        else:
            self._chunks.append(prefix(size) + head)
            if payload:
                self._chunks.append(bytes(payload))  # of bytes it is no copy
        self.size += PREFIX_SIZE + size
        if self.size > self._high:
            self.full = True

    def move(self, most: int, out: list[bytes | memoryview]) -> int:
        """Move the next bytes to `out`, uncopied: `most` (at least 1), or all if there are fewer.

        Returns how many.
        """
        chunks = self._chunks
        offset = self._offset
        most = left = min(most, self.size)
        gone = 0
        while left:
            first = chunks[gone]
            size = len(first) - offset
            if size > left:
                out.append(memoryview(first)[offset : offset + left])
                offset += left
                break
            out.append(memoryview(first)[offset:] if offset else first)
            gone += 1
            offset = 0
            left -= size
        del chunks[:gone]
        self._offset = offset
        self.size -= most
        return most

    def relieved(self) -> bool:
        """True once, when a queue that was full has fallen to the low mark."""
        if self.full and self.size <= self._low:
            self.full = False
            return True
        return False

    def clear(self) -> None:
        """Drop everything."""
        self._chunks.clear()
        self._offset = self.size = 0
        self.full = False
