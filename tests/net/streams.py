"""A gRPC client and server in memory, for the tests of konnect.net.grpc."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.grpc_terms import own_terms
from konnect.wire.grpc import Limits, Role
from konnect.wire.status import Status
from tests.net.wires import Wire

KEEPALIVE = 100.0


class Listener:
    """Notes what a stream is told; acknowledges what it gets unless told otherwise."""

    def __init__(self, *, acknowledge: bool = True) -> None:
        self.told: list[Any] = []
        self.stream: GrpcStream | None = None
        self.acknowledge = acknowledge

    def take(self) -> list[Any]:
        """What it was told since the last look."""
        told, self.told = self.told, []
        return told

    def headers(self, metadata: Metadata) -> None:
        self.told.append(("headers", dict(metadata)))

    def message(self, payload: bytes, cost: int) -> None:
        self.told.append(payload)
        if self.acknowledge and self.stream is not None:
            self.stream.acknowledge(cost)

    def half_closed(self) -> None:
        self.told.append("half-closed")

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self.told.append(("ended", status.name, text))

    def writable(self) -> None:
        self.told.append("writable")


class GrpcTestCase(SynchronousTestCase):
    """A client and a server; the server's listeners are kept in the order of their streams."""

    limits = Limits()

    def setUp(self) -> None:
        self.clock = Clock()
        self.lost: list[str] = []
        self.accepted: list[Listener] = []
        self.opened: list[tuple[str, dict[str, str]]] = []
        self.server = GrpcProtocol(
            own_terms(
                Role.SERVER,
                self.clock,
                limits=self.limits,
                accept=self.accept,
                keepalive_time=0,
                on_lost=lambda protocol, why: self.lost.append(f"server: {why}"),
            )
        )
        self.client = GrpcProtocol(
            own_terms(
                Role.CLIENT,
                self.clock,
                limits=self.limits,
                keepalive_time=KEEPALIVE,
                on_lost=lambda protocol, why: self.lost.append(f"client: {why}"),
            )
        )
        self.wire = Wire(self.client, self.server)
        self.wire.run()

    def accept(self, stream: GrpcStream, path: str, metadata: Metadata) -> StreamListener | None:
        """The server takes every stream."""
        self.opened.append((path, dict(metadata)))
        listener = Listener()
        listener.stream = stream
        self.accepted.append(listener)
        return listener

    def open(self) -> tuple[GrpcStream, Listener, GrpcStream, Listener]:
        """A stream: the client's side and its listener, the server's side and its listener."""
        listener = Listener()
        stream = self.client.open("/S/M", [("k", "v")], listener, authority="a")
        listener.stream = stream
        self.wire.run()
        theirs = self.accepted[-1]
        assert theirs.stream is not None
        return stream, listener, theirs.stream, theirs

    def tearDown(self) -> None:
        for socket in (self.wire.client, self.wire.server):
            if not socket.gone:
                socket.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual((self.client.live_streams, self.server.live_streams), (0, 0))
