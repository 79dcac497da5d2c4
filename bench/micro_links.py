"""The pieces of `micro.py` that carry bytes through a link, and through the hub."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from micro_fakes import Stream, Transport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from konnect.net.grpc import GrpcProtocol
from konnect.tunnel.ends import End
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import Link
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from konnect.wire import packets
from konnect.wire.features import Features
from konnect.wire.grpc import Limits, Role

try:
    from konnect.net.grpc_terms import own_terms
except ImportError:  # in other versions
    own_terms = None  # type: ignore[assignment]

Run = Callable[[], None]

LARGE = 256 * 1024 - 64
"""Bytes of the hub's largest read."""
FRAME = 256 * 1024 + 64
"""Bytes of the largest frame that a link takes."""
CREDIT = 1 << 30
WINDOW = 64 * 1024 * 1024
"""Bytes: wide enough for all operations, whatever windows a version begins with."""
FEATURES = Features(credit=CREDIT, half_close=True)
LIMITS = Limits(
    stream_window=WINDOW,
    connection_window=WINDOW,
    max_frame=FRAME,
)


class Reader(End):
    """A tunnel's other end, which takes everything."""

    def nothing(self, *_: Any) -> None:
        pass

    write = pause = resume = opened = nothing


class PlainLink(Link):
    """A link of no role; its listener's part is never called here."""

    far_side_closed = Reason.DESTINATION_CLOSED


class LinkPair:
    """Two halves of a link over one connection in memory, with one open tunnel."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._links: list[PlainLink] = []
        self.server = self._protocol(Role.SERVER, accept=self._accept)
        self.client = self._protocol(Role.CLIENT)
        self.server_out, self.client_out = Transport(), Transport()
        self.server.makeConnection(self.server_out)  # type: ignore[arg-type]
        self.client.makeConnection(self.client_out)  # type: ignore[arg-type]
        self.pump()
        silent: Any = None
        stream = self.client.open("/AgentService/Connect", [], silent, authority="a")
        self.sender = self._tunnel(self._link(stream))
        self.pump()
        stream.send(packets.drain())
        self.pump()
        self._tunnel(self._links[1])

    def _protocol(self, role: Role, **more: Any) -> GrpcProtocol:
        clock: Any = self.clock
        make: Any = GrpcProtocol
        if own_terms is None:  # in other versions
            return make(role, clock, limits=LIMITS, keepalive_time=0, **more)
        return make(own_terms(role, clock, limits=LIMITS, keepalive_time=0, **more))

    def _accept(self, stream: Any, path: str, metadata: Any) -> Any:
        return self._link(stream)

    def _link(self, stream: Any) -> PlainLink:
        flow = Flow(features=FEATURES)
        link = PlainLink(
            stream,
            Ledger(self.clock.seconds),
            outward="out",
            inward="in",
            carries="to_client",
            later=self.clock.callLater,
            flow=flow,
        )
        stream.listener = link
        stream.cut_through(link)
        # Past the stream, which would then send no more than its path needs: nobody answers here.
        link.stream = Stream()  # type: ignore[assignment]
        link.agree(FEATURES)
        link.stream = stream
        self._links.append(link)
        return link

    def _tunnel(self, link: PlainLink) -> LinkEnd:
        end = link.ends[7] = LinkEnd(link, 7)
        Tunnel(link.ledger, Reader(), "host:80").opened(end)
        return end

    def pump(self) -> None:
        """Carry bytes both ways until both sides are silent."""
        while self.server_out.out or self.client_out.out:
            for transport, target in (
                (self.server_out, self.client),
                (self.client_out, self.server),
            ):
                data = transport.take()
                if data:
                    target.dataReceived(data)


def sending(size: int) -> Callable[[int], Run]:
    """A tunnel's end is given so many bytes at a time, until they are with the transport."""

    def prepare(operations: int) -> Run:
        pair = LinkPair()
        end, data, out = pair.sender, b"x" * size, pair.client_out

        def run() -> None:
            for _ in range(operations):
                end.write(data)
                out.out.clear()

        return run

    return prepare


def receiving(size: int) -> Callable[[int], Run]:
    """A connection reads a DATA packet of so many bytes, until they are with the tunnel's other
    end; credit and windows go back."""

    def prepare(operations: int) -> Run:
        pair = LinkPair()
        reads = []
        for _ in range(operations):
            pair.sender.write(b"x" * size)
            reads.append(pair.client_out.take())
        receive = pair.server.dataReceived

        def run() -> None:
            for data in reads:
                receive(data)

        return run

    return prepare


class Reactor:
    """The hub's, of which it uses this much."""

    def nothing(self, *_: Any) -> None:
        pass

    addReader = removeReader = callLater = nothing


class Passing(Protocol):
    """Gives what it reads to another transport."""

    to: Any = None

    def dataReceived(self, data: bytes) -> None:
        self.to.write(data)


def relaying(operations: int) -> Run:
    """64 bytes are read from one socket and written to another, each in a turn of the hub."""
    from konnect.net.hub.loop import Hub
    from konnect.net.hub.transport import StreamTransport

    reactor = Reactor()
    hub: Any = Hub(reactor)  # which knows it weakly: `run` keeps it
    ours_in, left = socket.socketpair()
    ours_out, right = socket.socketpair()
    transports = []
    protocols = [Passing(), Passing()]
    for sock, protocol in zip((ours_in, ours_out), protocols, strict=True):
        sock.setblocking(False)
        transport: Any = StreamTransport(hub, sock, protocol, (socket.AF_UNIX, ""))
        transport.begin()
        transports.append(transport)
    protocols[0].to = transports[1]

    def run() -> None:
        data = b"x" * 64
        for _ in range(operations):
            left.send(data)
            hub.doRead()
            right.recv(64)
        for transport in transports:
            transport.abortConnection()
        reactor.nothing()
        left.close()
        right.close()

    return run


PIECES = {
    "link: send 64 B": (sending(64), 200),
    "link: send 256 KiB": (sending(LARGE), 20),
    "link: receive 64 B": (receiving(64), 200),
    "link: receive 256 KiB": (receiving(LARGE), 20),
    "relay: a turn of the hub, 64 B": (relaying, 100),
}
