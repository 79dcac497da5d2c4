"""Tests of konnect.app.flood_flags."""

from __future__ import annotations

import resource

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.proxy_options import ProxyOptions
from konnect.net.floods import FloodLimits

FRONTEND = ("--frontend=connect=unix:x.sock", "--agent-endpoint=tcp:1:interface=127.0.0.1")


def limits(*arguments: str) -> FloodLimits:
    """What a proxy with these flags puts up with."""
    options = ProxyOptions()
    options.parseOptions([*FRONTEND, *arguments])
    return options.config.floods


class FloodFlagsTests(SynchronousTestCase):
    """Values in, limits out."""

    def setUp(self) -> None:
        self.patch(resource, "getrlimit", lambda _: (100_000, 100_000))

    def test_defaults(self) -> None:
        """Without flags the defaults of the limits hold."""
        self.assertEqual(limits(), FloodLimits())

    def test_values(self) -> None:
        """Each flag sets its limit."""
        self.assertEqual(
            limits(
                "--control-rate=1", "--reset-rate=2", "--max-streams=3",
                "--max-idle-connections=4", "--max-head-bytes=5000", "--head-timeout=6s",
                "--preface-timeout=7s",
            ),
            FloodLimits(1, 2, 3, 4, 5000, 6.0, 7.0),
        )  # fmt: skip

    def test_what_cannot_be_meant(self) -> None:
        """Values that would refuse everybody, or mean nothing, are refused by name."""
        for wrong in (
            "--control-rate=-1",
            "--max-idle-connections=-1",
            "--max-head-bytes=100",
            "--head-timeout=0s",
            "--preface-timeout=-1s",
        ):
            error = self.assertRaises(usage.UsageError, limits, wrong)
            self.assertIn(wrong[2:].partition("=")[0], str(error))

    def test_few_descriptors(self) -> None:
        """Idle connections never take more than a quarter of the descriptors."""
        self.patch(resource, "getrlimit", lambda _: (256, 1024))
        self.assertEqual(limits().idle, 256)
        self.assertEqual(limits("--max-idle-connections=100").idle, 100)
        self.assertEqual(limits("--max-idle-connections=0").idle, 0)
        everything = resource.RLIM_INFINITY
        self.patch(resource, "getrlimit", lambda _: (everything, everything))
        self.assertEqual(limits().idle, 1024)
