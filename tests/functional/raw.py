"""Clients without konnect.client: bytes over a CONNECT frontend, packets over a gRPC one.

For what a well-behaved client never does: addresses that make no sense, leaving at odd moments,
packets out of turn.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Factory
from zope.interface import implementer

from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_stream import GrpcStream, Metadata
from konnect.net.grpc_terms import own_terms
from konnect.wire import packets
from konnect.wire.grpc import Role
from konnect.wire.packets import PROXY_PATH, PacketType
from konnect.wire.status import Status
from tests.functional.peers import Peer
from tests.functional.waiting import the_reactor, until


@implementer(IHandshakeListener)
class RawConnect(Peer):
    """A CONNECT client that shows every byte it got."""

    def __init__(self) -> None:
        super().__init__()
        self.secure = False

    def handshakeCompleted(self) -> None:
        self.secure = True

    def ask(self, address: str, early: bytes = b"") -> None:
        """Send the request head, and `early` right behind it."""
        self.transport.write(f"CONNECT {address} HTTP/1.1\r\nHost: x\r\n\r\n".encode() + early)

    @property
    def status(self) -> int:
        """The status of the answer; 0 before it is there."""
        head = bytes(self.head)
        return int(head.split(b" ", 2)[1]) if b"\r\n\r\n" in head else 0

    async def answer(self) -> int:
        """Wait for the answer's head."""
        return await until(lambda: self.status, "the answer to a CONNECT")

    @property
    def body(self) -> bytes:
        """What came behind the answer's head."""
        return bytes(self.head).partition(b"\r\n\r\n")[2]

    def header(self, name: str) -> str:
        """A header of the answer, "" if it is not there."""
        for line in bytes(self.head).partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return ""


async def raw_connect(endpoint: Any) -> RawConnect:
    """A connection to a CONNECT frontend that has said nothing yet."""
    factory = Factory.forProtocol(RawConnect)
    factory.noisy = False
    client: RawConnect = await endpoint.connect(factory)
    if ISSLTransport.providedBy(client.transport):
        await until(lambda: client.secure or client.lost, "the TLS handshake")
    return client


class RawStream:
    """One `Proxy` stream that keeps every packet it got."""

    def __init__(self, protocol: GrpcProtocol) -> None:
        self.protocol = protocol
        self.packets: list[Any] = []
        self.status: Status | None = None
        self.text = ""
        self.stream: GrpcStream = protocol.open(PROXY_PATH, (), self, authority="localhost")

    def headers(self, metadata: Metadata) -> None:
        """Nothing in them matters here."""

    def message(self, payload: bytes, cost: int) -> None:
        self.packets.append(packets.parse(payload))
        self.stream.acknowledge(cost)

    def half_closed(self) -> None:
        """Only servers are told."""

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self.status, self.text = status, text

    def writable(self) -> None:
        """Tests send little."""

    def of(self, kind: PacketType) -> list[Any]:
        """The packets of one kind, so far."""
        return [packet for packet in self.packets if packet.type == kind]

    @property
    def bytes(self) -> bytes:
        """The payloads of all DATA, joined."""
        return b"".join(packet.data.data for packet in self.of(PacketType.DATA))

    def ask(self, address: str, random: int = 1) -> None:
        """Send a DIAL_REQ."""
        self.stream.send(packets.dial_req("tcp", address, random))

    async def one(self, kind: PacketType) -> Any:
        """Wait for the first packet of a kind."""
        await until(lambda: self.of(kind) or self.status is not None, f"a {kind.name}")
        assert self.of(kind), f"the stream ended without a {kind.name}: {self.status} {self.text}"
        return self.of(kind)[0]


async def raw_grpc(endpoint: Any) -> GrpcProtocol:
    """A connection to a gRPC frontend that is ready for streams."""
    clock = the_reactor()
    factory = Factory.forProtocol(lambda: GrpcProtocol(own_terms(Role.CLIENT, clock)))
    factory.noisy = False
    protocol: GrpcProtocol = await endpoint.connect(factory)
    await protocol.ready
    return protocol
