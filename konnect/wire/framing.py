"""gRPC's length-prefixed messages: a flag byte, four bytes of length, the message.

A message may be split over any number of HTTP/2 DATA frames, and one frame may hold many messages.
This module knows nothing of HTTP/2 or of what a message means. It does not decompress: a message
with the compressed flag is an error here, as is one above the limit.

Source: gRPC over HTTP/2, "Length-Prefixed-Message".
"""

from __future__ import annotations

from struct import Struct

PREFIX_SIZE = 5
PREFIX = Struct("!BI")

# Pieces below this size are gathered in one growing buffer. Kept apart, the pieces of a message
# that arrives one byte at a time would cost some fifty times its size.
_SMALL_PIECE = 1024


class FramingError(Exception):
    """The peer's byte stream holds a message that cannot be accepted."""


class CompressedMessage(FramingError):
    """The flag byte is not zero.

    `flag` is its value: 1 is compressed, anything else is undefined.
    """

    def __init__(self, flag: int) -> None:
        super().__init__(f"message flag is {flag}")
        self.flag = flag


class MessageTooLarge(FramingError):
    """A message of `size` bytes is announced where `limit` are allowed. Its text is grpc's."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(f"grpc: received message larger than max ({size} vs. {limit})")
        self.size = size
        self.limit = limit


def prefix(size: int) -> bytes:
    """The five bytes that go before an uncompressed message of `size` bytes."""
    return PREFIX.pack(0, size)


class Deframer:
    """Takes the bytes of one direction of a stream in any pieces and gives its messages, in order.

    Time is linear in the bytes fed; what is held is one incomplete message.
    """

    __slots__ = ("_limit", "_missing", "_parts", "error", "expected")

    def __init__(self, limit: int) -> None:
        """`limit`: the largest message accepted, in bytes, its prefix not counted."""
        self._limit = limit
        # While `expected` is 0 the parts hold a piece of a prefix, afterwards only the message
        # itself.
        self._parts: list[bytes | bytearray] = []
        self._missing = 0
        self.expected = 0
        """Size of the incomplete message with its prefix; 0 until a whole prefix has come."""
        self.error: FramingError | None = None
        """Why reading stopped.

        Set once; messages before it are still returned, nothing after it is.
        """

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended: an error if the stream ends here."""
        return bool(self._parts) or self.expected > 0

    @property
    def received(self) -> int:
        """How many bytes of the incomplete message are held, its prefix counted."""
        if self.expected:
            return self.expected - self._missing
        return sum(map(len, self._parts))

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """Take `data`, return the messages it completes. Look at `error` after the messages."""
        if self.error is not None:
            return []
        messages: list[bytes] = []
        if self.expected:
            missing = self._missing
            if len(data) < missing:
                self._keep(data)
                self._missing = missing - len(data)
                return messages
            self._parts.append(bytes(data[:missing]))
            messages.append(b"".join(self._parts))
            self._parts = []
            self._missing = self.expected = 0
            if len(data) == missing:
                return messages
            data = data[missing:]
        elif self._parts:
            data = b"".join((*self._parts, data))
            self._parts = []

        position, end = 0, len(data)
        while end - position >= PREFIX_SIZE:
            flag, size = PREFIX.unpack_from(data, position)
            if flag:
                self.error = CompressedMessage(flag)
                return messages
            if size > self._limit:
                self.error = MessageTooLarge(size, self._limit)
                return messages
            start = position + PREFIX_SIZE
            position = start + size
            if position > end:
                self.expected = PREFIX_SIZE + size
                self._missing = position - end
                if start < end:
                    self._keep(data[start:])
                return messages
            messages.append(bytes(data[start:position]))
        if position < end:
            self._keep(data[position:])
        return messages

    def _keep(self, piece: bytes | memoryview) -> None:
        parts = self._parts
        if len(piece) >= _SMALL_PIECE:
            parts.append(bytes(piece))  # a view would keep all that was received with it
        elif parts and isinstance(parts[-1], bytearray):
            parts[-1] += piece
        else:
            parts.append(bytearray(piece))
