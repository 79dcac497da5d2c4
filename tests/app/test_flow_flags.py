"""Tests of konnect.app.flow_flags."""

from __future__ import annotations

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.flags import FlagOptions
from konnect.app.flow_flags import FLOW_FLAGS, read_flow
from konnect.tunnel.flow import Flow
from konnect.wire.features import MAX_CREDIT, MIN_CREDIT, Features


class FlowOptions(FlagOptions):
    """A program that has these flags only."""

    flags = FLOW_FLAGS


def flow(*words: str) -> Flow:
    """What a command line says about the flow of tunnels."""
    options = FlowOptions({})
    options.parseOptions(words)
    return read_flow(options)


class FlowFlagsTests(SynchronousTestCase):
    """How a link is told to hold its tunnels."""

    def test_defaults(self) -> None:
        """Without a flag everything is as the tunnel layer has it."""
        self.assertEqual(flow(), Flow())

    def test_values(self) -> None:
        """Each flag is found in its place."""
        words = ("--credit=65536", "--half-close=false", "--tunnel-budget=1000")
        self.assertEqual(
            flow(*words, "--stall-timeout=5s", "--linger-timeout=1m"),
            Flow(
                features=Features(credit=65536, half_close=False),
                budget=1000,
                stall_timeout=5.0,
                linger=60.0,
            ),
        )

    def test_no_credit(self) -> None:
        """A credit of 0 is none at all."""
        self.assertEqual(flow("--credit=0").features.credit, 0)

    def test_refusals(self) -> None:
        """What cannot be meant is refused, with the bounds."""
        bounds = f"0, or from {MIN_CREDIT} to {MAX_CREDIT} bytes"
        for word, problem in (
            (f"--credit={MIN_CREDIT - 1}", f"credit {MIN_CREDIT - 1} must be {bounds}"),
            (f"--credit={MAX_CREDIT + 1}", f"credit {MAX_CREDIT + 1} must be {bounds}"),
            ("--tunnel-budget=-1", "tunnel-budget must be >= 0, got -1"),
            ("--stall-timeout=-1s", "stall-timeout must be >= 0, got -1s"),
            ("--linger-timeout=-1s", "linger-timeout must be >= 0, got -1s"),
        ):
            error = self.assertRaises(usage.UsageError, flow, word)
            self.assertEqual(str(error), problem)
