"""How much one read takes, of a plain socket and of TLS: all the channels of a hub share it."""

from __future__ import annotations

RECORD = 16384
"""Bytes of plain text in the longest TLS record."""

RECORDS = 16
"""Records of one read. 8, 16 and 32 gave 874, 899 and 975 MB/s down (measured, the last with a
wider window)."""

LINK_RECORDS = 32
"""The same at an agent, of its link, which brings what many clients have sent: eight uploads over
TLS came to 1.07 to 1.09 times the rate, one to 1.02 to 1.11, over a unix socket to 1.00 (measured;
16 to 24 runs in turn). Of clients' reads it would be too many: one upload over TLS came to 0.83,
and at a proxy one download to 0.94, since the two halves took turns."""

HEADS = 64
"""Bytes that are left for the heads of a DATA packet."""

SCRATCH = RECORDS * RECORD - HEADS
"""Bytes of one read: with the heads of a DATA packet they make full TLS records. Into one reused
buffer, 256 KiB gave 2103 MB/s through a plain relay and 64 KiB 1426 (measured); with a new buffer
for each read the large one is the slower."""


class Reads:
    """What the reads of one hub may take."""

    def __init__(self) -> None:
        self._whole = memoryview(bytearray(SCRATCH))
        self._limits: dict[object, int] = {}
        self.scratch = self._whole
        """What one read may fill."""
        self.records = RECORDS
        """TLS records that one read may take."""
        self.link_records = LINK_RECORDS
        """The same of an agent's link."""

    def limit_reads(self, most: int, why: object) -> None:
        """From now on read at most so many bytes at a time, or a TLS record if that is more. The
        smallest limit of all reasons holds; a later one takes the place of the same reason's, and
        one that is none ends it."""
        self._limits[why] = most
        if most >= SCRATCH:
            del self._limits[why]
        most = min(self._limits.values(), default=SCRATCH)
        self.scratch = self._whole[:most]
        self.records = max(1, min(RECORDS, (most + HEADS) // RECORD))
        self.link_records = self.records if self._limits else LINK_RECORDS
