"""A small TCP balancer: passes each connection to one of several ports, and can cut them.

It stands for the address that several proxies share, and for the network between agent and proxy.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from tests.functional.waiting import the_reactor, until


class _Side(Protocol):
    """One of the two sockets of a passed connection; each is the other's producer."""

    transport: Any

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self.other: _Side | None = None
        self.kept: list[bytes] = []
        self._under_way: deque[bytes] = deque()

    def connectionMade(self) -> None:
        self._balancer.sides.add(self)
        if self._balancer.closed:
            self.transport.abortConnection()

    def join(self, other: _Side) -> None:
        self.other = other
        self.transport.registerProducer(other.transport, True)

    def dataReceived(self, data: bytes) -> None:
        if self._balancer.stuck:
            self.kept.append(data)
        elif self._balancer.delay:
            self._under_way.append(data)
            the_reactor().callLater(self._balancer.delay, self._arrive)
        elif self.other is not None:
            self.other.transport.write(data)

    def _arrive(self) -> None:
        data = self._under_way.popleft()
        if self.other is not None:
            self.other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._balancer.sides.discard(self)
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            other.transport.unregisterProducer()
            other.transport.loseConnection()


class _Front(_Side):
    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.pauseProducing()
        self._balancer._pass_on(self)


class Balancer(Factory):
    """Listens on loopback; each connection goes to a random one of `ports`, and what comes on it
    takes `delay` seconds (but not its end)."""

    noisy = False

    def __init__(self, ports: Sequence[int], delay: float = 0.0) -> None:
        self.ports = list(ports)
        self.delay = delay
        self.sides: set[_Side] = set()
        self.accepted = 0
        self.closed = False
        self.stuck = False
        self._dialing = 0
        self._listening = the_reactor().listenTCP(0, self, interface="127.0.0.1")
        self.port: int = self._listening.getHost().port

    def buildProtocol(self, addr: Any) -> _Front:
        self.accepted += 1
        return _Front(self)

    def _pass_on(self, front: _Front) -> None:
        if not self.ports:
            front.transport.abortConnection()
            return
        reactor = the_reactor()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", random.choice(self.ports))
        factory = Factory.forProtocol(lambda: _Side(self))
        factory.noisy = False
        self._dialing += 1

        def reached(back: Any) -> None:
            if front not in self.sides:
                back.transport.abortConnection()
                return
            front.join(back)
            back.join(front)
            front.transport.resumeProducing()

        def done(result: Any) -> None:
            self._dialing -= 1

        attempt = endpoint.connect(factory)
        attempt.addCallbacks(reached, lambda _: front.transport.abortConnection())
        attempt.addBoth(done)

    def cut(self) -> None:
        """Reset every connection, on both sides."""
        for side in list(self.sides):
            if side.other is not None:
                side.other.other = None
                side.other = None
            side.transport.unregisterProducer()
            side.transport.abortConnection()

    def stick(self) -> None:
        """Pass nothing on, as a network that loses every packet; nobody is told."""
        self.stuck = True

    def go_on(self) -> None:
        """Undo `stick`: what was kept goes on, in order."""
        self.stuck = False
        for side in self.sides:
            kept, side.kept = side.kept, []
            if side.other is not None:
                side.other.transport.writeSequence(kept)

    async def close(self) -> None:
        """Stop listening and drop everything."""
        self.closed = True
        await self._listening.stopListening()
        self.cut()
        await until(lambda: not self.sides and not self._dialing, "the balancer's sockets are gone")
