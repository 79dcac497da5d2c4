"""What a link needs of the stream that carries it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class MessageStream(Protocol):
    """What a link needs of `konnect.net.grpc.GrpcStream`."""

    def send(self, payload: bytes) -> bool:
        """Queue one message; False: no more bulk until `Link.writable()` is called."""

    def send_data(self, head: bytes, payload: bytes | memoryview) -> bool:
        """`send(head + payload)`, uncopied where that can be."""

    def send_run(self, run: Sequence[tuple[bytes, bytes | memoryview]]) -> bool:
        """`send_data` for each, with one write for all that can be sent so."""

    @property
    def closing(self) -> bool:
        """Whether what is sent now goes nowhere: the connection is being closed here."""

    @property
    def queued(self) -> int:
        """Bytes that wait here for the peer's window."""

    @property
    def outstanding(self) -> int:
        """Bytes that were sent, or are queued, and whose window has not come back."""

    @property
    def largest_message(self) -> int:
        """Bytes of the largest message that goes out in one frame."""

    def follow_path(self, *, own: bool) -> None:
        """Have no more on the way than the path needs; `own`: the peer gives credit."""

    @property
    def round_trip(self) -> float:
        """Seconds of the shortest to a peer that gives credit; 0 while it is not known."""

    def measure_trip(self) -> None:
        """Measure one more round trip, if none is being measured."""

    def set_pace(self, *, brisk: bool) -> None:
        """Have less on the way than otherwise, or not, for the sake of small messages."""

    def withhold(self, cost: int) -> int:
        """Bytes that are given back of `cost` which have to wait."""

    def release(self, cost: int) -> None:
        """Bytes that were withheld wait no longer."""

    def acknowledge(self, cost: int) -> None:
        """Give `cost` bytes of receive window back."""
