"""One storm; for hours of them there is `python -m tests.soak`."""

from __future__ import annotations

import os
import random

from tests.functional.storming import StormTestCase

SECONDS = 12.0

LEAST = {"tunnels": 50, "whole downloads": 6, "answers behind a half-close": 6}
"""What has to happen in it for its silence to mean anything."""


class ChaosTests(StormTestCase):
    """KONNECT_CHAOS_SEED repeats a run's choices."""

    def replay(self, seed: int) -> str:
        return f"KONNECT_CHAOS_SEED={seed} python -m twisted.trial {self.id()}"

    async def test_storm(self) -> None:
        """After a storm no tunnel, table entry, timer or descriptor is left, and no byte was
        wrong."""
        seed = int(os.environ.get("KONNECT_CHAOS_SEED") or random.SystemRandom().getrandbits(32))
        print(f"KONNECT_CHAOS_SEED={seed}")
        storm = await self.pass_over(seed, SECONDS, LEAST)
        print(", ".join(f"{count} {what}" for what, count in storm.counts.items()))
        for what, least in LEAST.items():
            self.assertGreaterEqual(storm.counts[what], least, what)
