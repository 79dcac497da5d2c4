"""Tests of konnect.app.transport_flags."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.flags import FlagOptions
from konnect.app.transport_flags import (
    TRANSPORT_FLAGS,
    TransportConfig,
    data_reactor,
    read_transport,
)
from konnect.net.hub.loop import hub_of
from konnect.net.hub.reactor import HubReactor
from konnect.net.stock import StockReactor


class TransportOptions(FlagOptions):
    """A program that has these flags only."""

    flags = TRANSPORT_FLAGS


def transport(*words: str, **environ: str) -> TransportConfig:
    """What a command line says about transports."""
    options = TransportOptions(environ)
    options.parseOptions(words)
    return read_transport(options)


class TransportFlagsTests(SynchronousTestCase):
    """What carries the data."""

    def test_values(self) -> None:
        """Each flag is found in its place; without one everything is as the code has it."""
        self.assertEqual(transport(), TransportConfig())
        self.assertEqual(transport(KONNECT_TRANSPORT="stock").kind, "stock")
        self.assertEqual(
            transport("--transport=stock", "--busy-poll=20us"), TransportConfig("stock", 20e-6)
        )
        self.assertEqual(transport("--busy-poll=0").busy_poll, 0.0)

    def test_refusals(self) -> None:
        """What cannot be meant is refused, with the bounds."""
        for given, shown in (("-1us", "-1µs"), ("2ms", "2ms")):
            error = self.assertRaises(usage.UsageError, transport, f"--busy-poll={given}")
            self.assertEqual(str(error), f"busy-poll must be from 0 to 1ms, got {shown}")

    def test_the_hub_is_told(self) -> None:
        """The reactor's one hub polls on for so long; with stock transports there is none."""
        stock = Clock()
        made = data_reactor(TransportConfig("hub", 30e-6), stock)
        self.assertIsInstance(made, HubReactor)
        self.assertEqual(hub_of(stock).busy_poll.limit, 30e-6)
        made = data_reactor(TransportConfig("stock"), stock)
        self.assertIsInstance(made, StockReactor)
        self.assertEqual(made.callLater, stock.callLater)
