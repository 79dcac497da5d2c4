"""How much the messages that have not come whole may take, all streams of a process together.

A stream's window does not bound them: it is given back while a message is collected, since the
message might be larger. So each stream could hold its largest message for as long as its peer lets
it wait for the rest. What real peers send in pieces is DATA, which is passed on as it comes.
"""

from __future__ import annotations

from konnect.wire.framing import FramingError

FREE = 65536
"""Bytes of a message that is collected without being asked for: no more than a stream's window."""

PART = 16
"""The messages' part of all that may wait in the process."""

LARGEST = 4 * 1024 * 1024
"""Bytes for which there always is room, if nobody else has it: one message of the largest size."""


class NoRoomToCollect(FramingError):
    """A message of `size` bytes has begun while others have taken what they may, all together."""

    def __init__(self, size: int) -> None:
        super().__init__(
            f"a message of {size} bytes has no room beside others that have not come whole; try"
            " again later, or send messages whose first field is their type"
        )
        self.size = size


class Collecting:
    """What is left for messages above `FREE`. `limit`: bytes that may wait in the process; 0: no
    bound."""

    __slots__ = ("room",)

    def __init__(self, limit: int) -> None:
        self.room: float = max(LARGEST, limit // PART) if limit > 0 else float("inf")
        """Bytes."""

    def begin(self, size: int) -> int:
        """
        A message of so many bytes is to be collected. What it takes, for `end`.

        Raises `NoRoomToCollect`.
        """
        if size <= FREE:
            return 0
        if size > self.room:
            raise NoRoomToCollect(size)
        self.room -= size
        return size

    def end(self, taken: int) -> None:
        """It has come whole, or will not."""
        self.room += taken
