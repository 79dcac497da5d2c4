"""What the hub serves."""

from __future__ import annotations

from typing import Protocol


class Channel(Protocol):
    """What the hub serves: an object with one file descriptor."""

    fd: int
    mask: int
    """What it waits for. 0 takes the descriptor out of the epoll, which would otherwise report
    a hang-up again and again."""

    def handle(self, events: int) -> None:
        """The descriptor is ready."""

    def flush(self) -> None:
        """The turn ends, and the channel had asked to be called then."""

    def failed(self, error: BaseException) -> None:
        """One of the two above raised (and that was logged), or the kernel does not serve the
        descriptor (OSError): let go of everything."""


class Unserved:
    """Stands on the list of what to flush for a channel that the kernel does not serve."""

    __slots__ = ("_channel", "_error", "fd", "mask")

    def __init__(self, channel: Channel, error: OSError) -> None:
        self._channel = channel
        self._error = error
        self.fd, self.mask = -1, 0

    def handle(self, events: int) -> None:
        """It has no descriptor."""

    def flush(self) -> None:
        """Tell it."""
        self._channel.failed(self._error.with_traceback(None))

    def failed(self, error: BaseException) -> None:
        """What was to be done is done."""
