"""Counts of packets that the data path counts up without looking for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from konnect.wire import packets

Cell = list[int]
"""One number, to be counted up by those who have the list."""

Key = tuple[str, str]
"""Segment and type."""


class PacketCounts(Mapping[Key, int]):
    """
    Packets by segment (`from_agent`, ...) and type. What was not counted is not in it, and 0.

    Whoever counts asks for the cells of a segment once. In a dict by pairs of words each packet
    took two hashes of a pair, one to read and one to write.
    """

    def __init__(self) -> None:
        self._cells: dict[Key, Cell] = {}

    def cell(self, segment: str, packet_type: str) -> Cell:
        """All who ask get the same."""
        return self._cells.setdefault((segment, packet_type), [0])

    def of(self, segment: str) -> SegmentCounts:
        """The cells of all types."""
        return SegmentCounts(self, segment)

    def __getitem__(self, key: Key) -> int:
        cell = self._cells.get(key)
        return 0 if cell is None else cell[0]

    def __iter__(self) -> Iterator[Key]:
        return (key for key, cell in self._cells.items() if cell[0])

    def __len__(self) -> int:
        return sum(1 for _ in self)


class SegmentCounts(dict[int, Cell]):
    """The cells of one segment by the number of the type, be it known or not."""

    def __init__(self, counts: PacketCounts, segment: str) -> None:
        super().__init__(
            (kind, counts.cell(segment, packets.NAMES[kind])) for kind in packets.NAMES
        )
        self._counts = counts
        self._segment = segment

    def __missing__(self, kind: int) -> Cell:
        # Not kept: a peer may send any number of types, which have few names.
        return self._counts.cell(self._segment, packets.type_name(kind))
