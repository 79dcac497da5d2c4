"""Clients and destinations that keep the rules: what each has sent and got, and how it ended."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from twisted.internet.error import ConnectionLost

from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from konnect.wire.status import Status
from tests.fakes import FakeSocket, FakeStream

if TYPE_CHECKING:
    from konnect.proxy.frontend_connect import ConnectFactory
    from konnect.proxy.frontend_grpc import GrpcFrontend
    from tests.interleaving.agents import Agent

PATTERN = Random(7).randbytes(1 << 20)
"""What everybody says, from its beginning: so it is seen what is missing, or out of order."""

SIZES = (1, 10, 100, 3000, 10_000, 40_000)


class Peer:
    """One side of a tunnel."""

    def __init__(self) -> None:
        self.said = 0
        """Bytes."""
        self.finished = False
        """Whether it has sent its last byte."""
        self.left = False
        """Whether it is gone, or wants no more."""

    def words(self, chance: Random) -> bytes:
        """The next bytes that it says."""
        begin, self.said = self.said, min(len(PATTERN), self.said + chance.choice(SIZES))
        return PATTERN[begin : self.said]

    @property
    def got(self) -> bytes:
        """All bytes of the other side's."""
        raise NotImplementedError

    def speak(self, chance: Random) -> None:
        """Say something, if that is possible."""
        raise NotImplementedError

    def finish(self) -> None:
        """Send the last byte, if it has not been sent."""
        raise NotImplementedError

    def lose(self) -> None:
        """The connection is lost."""
        raise NotImplementedError

    def read(self) -> None:
        """Take all that has come, and end what both sides have ended."""
        raise NotImplementedError


class SocketPeer(Peer):
    """One at a socket: a destination."""

    def __init__(self, socket: FakeSocket, agent: Agent | None = None) -> None:
        super().__init__()
        self.socket = socket
        self.agent = agent

    @property
    def got(self) -> bytes:
        return self.socket.written

    def _may_speak(self) -> bool:
        return self.socket.reading and not self.socket.gone and not self.finished

    def speak(self, chance: Random) -> None:
        if self._may_speak():
            self.socket.deliver(self.words(chance))

    def finish(self) -> None:
        if self._may_speak():
            self.finished = True
            self.socket.deliver_fin()

    def lose(self) -> None:
        if not self.socket.gone:
            self.left = True
            self.socket.lose(ConnectionLost())

    def read(self) -> None:
        socket = self.socket
        if not socket.gone:
            socket.drain()
        if not socket.gone and ("close" in socket.log or (socket.ended and self.finished)):
            socket.lose()


class ConnectClient(SocketPeer):
    """At the CONNECT frontend, over TCP or TLS, of the stock reactor or the hub."""

    def __init__(self, factory: ConnectFactory, address: str, chance: Random) -> None:
        tls = chance.random() < 0.3
        hub = chance.random() < 0.5
        super().__init__(FakeSocket(limit=chance.choice((1000, 65536)), tls=tls, hub=hub))
        self.address = address
        self.socket.connect(factory.buildProtocol(None))
        self.socket.deliver(f"CONNECT {address} HTTP/1.1\r\n\r\n".encode())

    @property
    def told(self) -> bool:
        """Whether it was told of the dial's success."""
        return self.socket.written.startswith(ESTABLISHED)

    @property
    def got(self) -> bytes:
        return self.socket.written[len(ESTABLISHED) :]


class ClientStream:
    """A stream of the gRPC frontend, and the tunnels on it."""

    def __init__(self, frontend: GrpcFrontend) -> None:
        self.stream = FakeStream()
        self.proxy = frontend.accept(self.stream, ())
        self.stream.listener = self.proxy
        self.tunnels: list[GrpcClient] = []
        self._gone = False

    @property
    def over(self) -> bool:
        """Whether either side has ended it."""
        return self._gone or self.stream.over

    def says(self, payload: bytes) -> None:
        """Send a packet, if that is possible."""
        if not self.over:
            self.stream.deliver(payload)

    def read(self) -> None:
        """Look at what has come, and go on reading."""
        for kind, *fields in self.stream.take():
            if kind == "DIAL_RSP":
                (tunnel,) = [one for one in self.tunnels if one.random == fields[0]]
                assert not tunnel.told and not tunnel.failed, "two answers to a dial"
                assert bool(fields[1]) != bool(fields[2])
                tunnel.connect_id, tunnel.failed = fields[1], fields[2]
                continue
            (tunnel,) = [one for one in self.tunnels if one.connect_id == fields[0]]
            assert not tunnel.ended, f"{kind} behind the end of a tunnel"
            if kind == "DATA":
                tunnel.parts.append(fields[1])
            else:
                assert kind == "CLOSE_RSP", kind
                tunnel.ended = True
        if not self.stream.room:
            self.stream.room = True
            if not self.over:
                self.proxy.writable()

    def leave(self) -> None:
        """It is reset."""
        self.read()
        if not self.over:
            self._gone = True
            for tunnel in self.tunnels:
                tunnel.left = True
            self.proxy.ended(Status.CANCELLED, "reset", True)


class GrpcClient(Peer):
    """One tunnel, or dial, on a stream of the gRPC frontend."""

    def __init__(self, stream: ClientStream, address: str, random: int) -> None:
        super().__init__()
        self.stream = stream
        self.address = address
        self.random = random
        self.connect_id = 0
        self.failed = ""
        self.ended = False
        self.parts: list[bytes] = []
        stream.tunnels.append(self)
        stream.says(packets.dial_req("tcp", address, random))

    @property
    def told(self) -> bool:
        """Whether it was told of the dial's success."""
        return self.connect_id != 0

    @property
    def got(self) -> bytes:
        return b"".join(self.parts)

    def _may_speak(self) -> bool:
        return self.told and not (self.ended or self.left or self.finished or self.stream.over)

    def speak(self, chance: Random) -> None:
        if self._may_speak():
            self.stream.says(packets.data(self.connect_id, self.words(chance)))

    def finish(self) -> None:
        if self._may_speak():
            self.finished = True
            self.stream.says(packets.close_req(self.connect_id))

    def give_up(self) -> None:
        """Send DIAL_CLS."""
        if not self.left:
            self.left = True
            self.stream.says(packets.dial_cls(self.random))

    def lose(self) -> None:
        self.stream.leave()

    def read(self) -> None:
        self.stream.read()


Client = ConnectClient | GrpcClient
