"""What the tests of gRPC tunnels begin with: a dialer before a scripted proxy."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.client.connections import OwnConnections
from konnect.client.destination import Destination
from konnect.client.grpc_dial import GrpcDialer
from tests.client.scripted import CountingFactory, MemoryEndpoint, Recorder, ScriptedProxy

WEB = Destination("10.0.0.7", 80)


class GrpcCase(SynchronousTestCase):
    """Every test must leave no delayed call behind."""

    connections = OwnConnections

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(self.clock)
        self.dialer = GrpcDialer(self.connections(self.endpoint, self.clock), self.clock)
        self.factory = CountingFactory()
        self.dials: list[Deferred[Any]] = []

    def tearDown(self) -> None:
        self.endpoint.flush()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    @property
    def proxy(self) -> ScriptedProxy:
        """The scripted proxy of the newest connection."""
        proxy: ScriptedProxy = self.endpoint.peers[-1]
        return proxy

    def dial(self, factory: CountingFactory | None = None) -> Deferred[Any]:
        """Dial, up to the proxy's having the DIAL_REQ."""
        dialed = self.dialer.dial(WEB, factory or self.factory)
        self.endpoint.flush()
        self.dials.append(dialed)
        return dialed

    def open(self, *behind: bytes, stream: int = 1) -> Recorder:
        """An open tunnel's protocol; `behind` are packets right behind the DIAL_RSP."""
        dialed = self.dial()
        self.proxy.accept(*behind, stream=stream)
        self.endpoint.flush()
        recorder: Recorder = self.successResultOf(dialed)
        return recorder

    def finish(self) -> None:
        """End all that is open, dials included."""
        closing = self.dialer.close()
        self.endpoint.flush()
        self.successResultOf(closing)
        for dialed in self.dials:
            dialed.addErrback(lambda _: None)
