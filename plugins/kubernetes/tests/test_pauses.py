"""Tests of konnect_kubernetes.lease_calls: an API server that asks for a pause."""

from __future__ import annotations

from twisted.internet.task import deferLater

from konnect_kubernetes import allowance, counting, presence
from tests.fault import Fault
from tests.test_counting import CountCase
from tests.test_presence import MINE, PresenceCase

BUSY = Fault(429, reason="TooManyRequests", retry_after="1000000")
LONG = 1000.0
"""Seconds, of which the tests wait for none."""


class PresencePauseTests(PresenceCase):
    """A proxy's lease."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(allowance, "LONGEST_HOLD", LONG)

    async def test_left_alone(self) -> None:
        """While a pause lasts nothing is asked, neither about its own lease nor about others'; what
        was wrong is told once."""
        made = self.make()
        made.start()
        await self.api.until(lambda: self.count("PUT") >= 1)
        self.api.faults.append(("PUT", BUSY))
        await self.until(lambda: self.log.about("is not renewed: the API server answered 429"))
        await deferLater(self.reactor, 0.05)  # what was under way
        asked = len(self.api.requests)
        await deferLater(self.reactor, 0.2)  # ten renewals
        self.assertEqual(len(self.api.requests), asked)
        made._leases._allowance._held_until = 0.0
        made._leases._allowance.hold(0.0)
        await self.api.until(lambda: len(self.api.requests) > asked + 4)
        self.assertEqual(self.log.about("is not renewed"), 1)

    async def test_stopped(self) -> None:
        """A stop does not wait for the end of a pause: the lease is deleted."""
        made = self.make()
        made.start()
        await self.api.until(lambda: MINE in self.api.leases)
        self.api.faults.append(("PUT", BUSY))
        await self.until(lambda: self.log.about("answered 429"))
        self.patch(presence, "STOP_WITHIN", LONG)
        await made.stop()
        self.assertEqual(self.api.leases, {})


class CountPauseTests(CountCase):
    """An agent that counts."""

    async def test_left_alone(self) -> None:
        """Neither a LIST nor a WATCH is asked for while a pause lasts; a stop ends it."""
        self.patch(allowance, "LONGEST_HOLD", LONG)
        for method in "GET", "WATCH":
            asked = self.asked(method)
            self.api.faults.append((method, BUSY))
            count = self.begin()
            await self.until(lambda: self.log.about("answered 429"))
            await deferLater(self.reactor, 0.2)  # ten rounds
            self.assertEqual(self.asked(method), asked + 1)
            await count.stop()
            self.assertEqual(self.asked(method), asked + 1)
            self.log.lines.clear()

    async def test_bounded(self) -> None:
        """It lasts no longer than is good for a lease."""
        self.patch(allowance, "LONGEST_HOLD", 0.05)
        self.patch(counting, "LONGEST_PAUSE", 0.02)
        self.api.faults += [("GET", BUSY), ("WATCH", BUSY)]
        self.begin()
        await self.watching()
