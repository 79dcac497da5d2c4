"""Tests of connections whose streams are cut through: however reads are cut, and with the memory of
openings or without, each stream is told the same, and the windows come out even. Each peer is made
from a seed, which a failure names.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.grpc import OpeningMemo, Role
from tests.wire.cut_through import LIMITS, outcome, reads
from tests.wire.packet_scripts import PacketScript

SEEDS = 120


class CutThroughTests(SynchronousTestCase):
    def same(self, seed: int, role: Role, whole: bytes, memo: OpeningMemo) -> object:
        """What it is for every cut."""
        (first, *others) = reads(whole, 1 + seed % 300)
        found = outcome(role, first)
        for pieces in others:
            self.assertEqual(outcome(role, pieces), found, f"seed {seed}, {role}")
            if role is Role.SERVER:
                self.assertEqual(outcome(role, pieces, memo), found, f"seed {seed}, remembered")
        return found

    def test_any_cut(self) -> None:
        memo = OpeningMemo(LIMITS)
        for seed in range(SEEDS):
            for role in Role:
                self.same(seed, role, PacketScript(seed, role).whole(), memo)

    def test_damaged(self) -> None:
        memo = OpeningMemo(LIMITS)
        for seed in range(SEEDS):
            for role in Role:
                self.same(seed, role, PacketScript(seed, role).damaged(), memo)
