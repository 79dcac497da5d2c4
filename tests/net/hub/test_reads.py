"""Tests of konnect.net.hub.reads."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.hub.reads import HEADS, LINK_RECORDS, RECORD, RECORDS, SCRATCH, Reads


class ReadsTests(SynchronousTestCase):
    """How much one read may take."""

    def setUp(self) -> None:
        self.reads = Reads()

    def test_limit(self) -> None:
        """Reads fill no more than they may, and later as much as ever."""
        self.reads.limit_reads(4096, "one")
        self.assertEqual(len(self.reads.scratch), 4096)
        self.reads.limit_reads(1 << 31, "one")
        self.assertEqual(len(self.reads.scratch), SCRATCH)

    def test_two_reasons(self) -> None:
        """The smaller limit holds, for TLS in whole records, and one at least."""
        self.reads.limit_reads(5 * RECORD, "one")
        self.assertEqual((len(self.reads.scratch), self.reads.records), (5 * RECORD, 5))
        self.assertEqual(self.reads.link_records, 5)
        self.reads.limit_reads(100, "other")
        self.assertEqual((len(self.reads.scratch), self.reads.records), (100, 1))
        self.reads.limit_reads(4 * RECORD - HEADS, "one")
        self.reads.limit_reads(1 << 31, "other")
        self.assertEqual(self.reads.records, 4)
        self.reads.limit_reads(1 << 31, "one")
        self.assertEqual((len(self.reads.scratch), self.reads.records), (SCRATCH, RECORDS))
        self.assertEqual(self.reads.link_records, LINK_RECORDS)
