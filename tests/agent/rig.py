"""An agent's surroundings in memory: destinations that the test dials, proxies that it scripts."""

from __future__ import annotations

import errno
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    getConnectError,
)
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.task import Clock
from zope.interface import implementer

from konnect.agent.dialer import Dialer
from konnect.agent.dialing import Asker, DialError, Make
from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_server import GrpcServerFactory
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.tunnel.reasons import Reason
from konnect.wire.metadata import proxy_hello
from konnect.wire.status import Status
from tests.fakes import FakeSocket
from tests.net.wires import Wire


class FakeDial:
    """A dial of a destination, which the test ends."""

    def __init__(self, protocol: str, address: str, make: Make, asker: Asker) -> None:
        self.protocol = protocol
        self.address = address
        self.asker = asker
        self.cancelled = False
        self._make = make

    def cancel(self) -> None:
        """See `Cancellable`."""
        self.cancelled = True

    def connects(self, *, limit: int = 1 << 16) -> FakeSocket:
        """The destination answers; returns its socket."""
        socket = FakeSocket(limit=limit)
        protocol = self._make()
        socket.connect(protocol)
        self.asker.reached(protocol)
        return socket

    def fails(self, text: str, *, timed_out: bool = False, fault: Reason | None = None) -> None:
        """The destination cannot be reached."""
        self.asker.unreached(DialError(text, timed_out, fault=fault))


class FakeDialer(Dialer):
    """Keeps the dials that it was asked for."""

    def __init__(self) -> None:
        self.dials: list[FakeDial] = []

    def dial(self, network: str, address: str, make: Make, asker: Asker) -> FakeDial:
        dial = FakeDial(network, address, make, asker)
        self.dials.append(dial)
        return dial


class ProxyStream:
    """A proxy's side of one link."""

    def __init__(self, stream: GrpcStream) -> None:
        self.stream = stream
        self.got: list[bytes] = []
        self.over = False

    def headers(self, metadata: Metadata) -> None:
        raise AssertionError("a server gets no headers")

    def message(self, payload: bytes, cost: int) -> None:
        self.got.append(payload)
        self.stream.acknowledge(cost)

    def half_closed(self) -> None:
        self.over = True

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self.over = True

    def writable(self) -> None:
        pass


@implementer(IStreamClientEndpoint)
class FakeProxy:
    """
    A proxy, and the endpoint that leads to it.

    `mode` says what the next connection meets: `up`, `refuses` (nobody listens), `unreachable`
    (there is no way to its host), `unknown` (its name has no address), `hangs` (the connection does
    not come about), `silent` (it does, and nothing is said), `rejects` (the agent is not admitted),
    `vanishes` (it is gone before anybody has seen it), `resets` (it is reset as it is made),
    `cancels` (the endpoint gives up by itself), `mute` (it is admitted without a word),
    `strange` (the headers are not a proxy's).
    """

    def __init__(self, server_id: str, count: int = 1) -> None:
        self.server_id = server_id
        self.count = count
        self.mode = "up"
        self.attempts = 0
        self.metadata: Metadata = ()
        self.links: list[ProxyStream] = []
        self.wires: list[Wire] = []
        self.cancelled = 0
        self.factory = GrpcServerFactory(
            "proxy", {"/AgentService/Connect": self.accept}, Clock(), keepalive_time=0
        )

    def accept(self, stream: GrpcStream, metadata: Metadata) -> StreamListener | None:
        """Answer a new stream."""
        self.metadata = metadata
        if self.mode == "rejects":
            stream.end(Status.UNKNOWN, "too many (2) tokens are received")
            return None
        link = ProxyStream(stream)
        self.links.append(link)
        if self.mode == "strange":
            stream.send_headers([("serverid", self.server_id)])
        elif self.mode != "mute":
            stream.send_headers(proxy_hello(self.server_id, self.count))
        return link

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        self.attempts += 1
        if self.mode == "refuses":
            return fail(ConnectionRefusedError())
        if self.mode in ("unreachable", "unknown"):
            return fail(NoRouteError() if self.mode == "unreachable" else DNSLookupError())
        if self.mode == "resets":
            return fail(getConnectError((errno.ECONNRESET, "Connection reset by peer")))
        if self.mode == "cancels":
            return fail(CancelledError())
        if self.mode == "hangs":

            def cancelled(_: Any) -> None:
                self.cancelled += 1

            return Deferred(cancelled)
        client = factory.buildProtocol(None)  # type: ignore[arg-type]
        assert client is not None
        wire = Wire(client, self.factory.buildProtocol(None))
        self.wires.append(wire)
        if self.mode == "vanishes":
            wire.client.lose(ConnectionLost())
        if self.mode == "silent":
            wire.held.add(wire.server)
        return succeed(client)

    def run(self) -> None:
        """Carry everything."""
        for wire in self.wires:
            wire.run()

    def go_away(self) -> None:
        """Send GOAWAY on every connection."""
        for protocol in self.factory.connections:
            protocol.goaway()

    @property
    def live(self) -> int:
        """Connections of agents that are not gone."""
        return sum(not wire.client.gone for wire in self.wires)

    def protocols(self) -> list[GrpcProtocol]:
        """The agents' sides of all connections."""
        return [cast(GrpcProtocol, wire.client.protocol) for wire in self.wires]
