"""What stands at the two outer ends of a tunnel: the client's protocol and the destination's.

Both are `Peer`s: they count and hash what they read, and write what a `Source` gives. What a
destination does with a new connection is a function that gets its `Peer`.
"""

from __future__ import annotations

import functools
import hashlib
import random
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.net.closing import ended_below
from tests.functional.waiting import the_reactor, until

KEPT = 65536
"""Bytes at the beginning that a Peer keeps for looking at."""

_BLOCK = random.Random(2).randbytes(1_000_003)


def content(offset: int, size: int) -> bytes:
    """`size` bytes of one endless text, from `offset` on; its period is a prime number of bytes, so
    that lost, doubled and swapped pieces show."""
    start = offset % len(_BLOCK)
    piece = _BLOCK[start : start + size]
    while len(piece) < size:
        piece += _BLOCK[: size - len(piece)]
    return piece


@functools.cache
def digest(size: int) -> str:
    """SHA-256 of the first `size` bytes of `content`."""
    whole = hashlib.sha256()
    for offset in range(0, size, len(_BLOCK)):
        whole.update(content(offset, min(len(_BLOCK), size - offset)))
    return whole.hexdigest()


@implementer(IPullProducer)
class Source:
    """
    Writes `content` to a peer's transport in random pieces, as fast as it is taken.

    :param total: bytes to give; None: without end.
    """

    def __init__(
        self, peer: Peer, total: int | None, *, most: int = 65536, seed: int = 0, start: int = 0
    ) -> None:
        self.taken = start
        self.done = total is not None and start >= total
        self.stopped = False
        self._end = total
        self._most = most
        self._random = random.Random(seed)
        self._peer = peer
        self._then: Callable[[], object] | None = None
        peer.source = self
        if not self.done:
            peer.transport.registerProducer(self, False)

    def then(self, action: Callable[[], object]) -> None:
        """Do something behind the last byte."""
        if self.done:
            action()
        else:
            self._then = action

    def resumeProducing(self) -> None:
        if ended_below(self._peer.transport):
            self.stopped = True
            self._peer.transport.unregisterProducer()
            return
        size = self._random.randint(1, self._most)
        if self._end is not None:
            size = min(size, self._end - self.taken)
        self._peer.transport.write(content(self.taken, size))
        self.taken += size
        if self.taken == self._end:
            self.done = True
            self._peer.transport.unregisterProducer()
            if self._then is not None:
                self._then()

    def stopProducing(self) -> None:
        self.stopped = True


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """One outer end of a tunnel."""

    transport: Any

    def __init__(self, behave: Callable[[Peer], object] | None = None) -> None:
        self._behave = behave
        self._digest = hashlib.sha256()
        self.count = 0
        """Bytes read."""
        self.head = bytearray()
        self.eof = False
        """Whether the other side has said that it writes no more."""
        self.lost: Failure | None = None
        """Why the connection is over."""
        self.close_at_eof = True
        self.reading = True
        self.on_data: Callable[[bytes], object] | None = None
        self.source: Source | None = None
        """The last source that writes here."""

    @property
    def taken(self) -> int:
        """Bytes that were taken of the source."""
        return self.source.taken if self.source is not None else 0

    @property
    def digest(self) -> str:
        """SHA-256 of what was read."""
        return self._digest.hexdigest()

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.eof or self.lost is not None

    def hold(self) -> None:
        """Read no more."""
        self.reading = False
        self.transport.pauseProducing()

    def go_on(self) -> None:
        """Undo `hold`."""
        self.reading = True
        self.transport.resumeProducing()

    def connectionMade(self) -> None:
        if self._behave is not None:
            self._behave(self)

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        self._digest.update(data)
        if len(self.head) < KEPT:
            self.head += data
        if self.on_data is not None:
            self.on_data(data)

    def readConnectionLost(self) -> None:
        self.eof = True
        if self.close_at_eof:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own doing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = reason


async def closed(*peers: Peer) -> None:
    """Wait until the connections of all these are gone."""
    await until(lambda: all(peer.lost for peer in peers), "all connections are closed")


async def arrived(size: int, *peers: Peer) -> None:
    """Wait until each of these has read `size` bytes."""
    await until(lambda: all(peer.count >= size for peer in peers), f"{size} bytes have come")


class Destination(Factory):
    """A TCP listener on loopback for agents to dial."""

    noisy = False

    def __init__(
        self,
        behave: Callable[[Peer], object] | None = None,
        backlog: int = 4096,
        interface: str = "127.0.0.1",
    ) -> None:
        self._behave = behave
        self._interface = interface
        self.peers: list[Peer] = []
        self._listening = the_reactor().listenTCP(0, self, backlog=backlog, interface=interface)
        self.port: int = self._listening.getHost().port
        self.address = f"{f'[{interface}]' if ':' in interface else interface}:{self.port}"

    def narrow(self) -> Destination:
        """
        Let the kernel keep little of each connection to come: 64 KiB here, and in the sender some
        segments as small as on Ethernet.

        Those of loopback let it keep megabytes of what is not read, which hundreds of tunnels take
        many seconds to fill.
        """
        listener = self._listening.socket
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
        return self

    def buildProtocol(self, addr: Any) -> Peer:
        peer = Peer(self._behave)
        self.peers.append(peer)
        return peer

    @property
    def live(self) -> int:
        """Connections that are open."""
        return sum(peer.lost is None for peer in self.peers)

    async def peer(self, number: int = 0) -> Peer:
        """The connection accepted as the `number`th; waits for it."""
        await until(lambda: len(self.peers) > number, f"connection {number} at the destination")
        return self.peers[number]

    async def crash(self) -> None:
        """As when its process is killed: every connection is reset, nobody listens."""
        await self.close()

    def revive(self) -> None:
        """Listen again where it did before `crash`."""
        self._listening = the_reactor().listenTCP(
            self.port, self, backlog=4096, interface=self._interface
        )

    async def close(self) -> None:
        """Stop listening, drop what is open."""
        await self._listening.stopListening()
        for peer in self.peers:
            if peer.lost is None:
                peer.transport.abortConnection()
        await until(lambda: not self.live, "the destination's connections are gone")


def echo(peer: Peer) -> None:
    """A destination that sends everything back."""
    peer.on_data = lambda data: peer.transport.write(data)


def greet(peer: Peer) -> None:
    """A destination that speaks first, then echoes."""
    echo(peer)
    peer.transport.write(b"hello\n")


def mute(peer: Peer) -> None:
    """A destination that reads, and says nothing."""


def deaf(peer: Peer) -> None:
    """A destination that never reads."""
    peer.hold()


def sending(total: int | None, *, close: bool = True, most: int = 65536) -> Callable[[Peer], None]:
    """A destination that sends `total` bytes (None: without end) and closes."""

    def behave(peer: Peer) -> None:
        source = Source(peer, total, most=most)
        if close:
            source.then(peer.transport.loseConnection)

    return behave
