"""A tunnel that is not read costs only itself; its memory is bounded, counted, and given back.

A half with `--credit=0` announces no credit: to the other side it is a stock one.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable, Sequence

from konnect.net.hub.loop import hub_of
from tests.functional.peers import (
    Destination,
    Peer,
    Source,
    deaf,
    digest,
    echo,
    mute,
    sending,
)
from tests.functional.raw import raw_connect
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import steady, turns, until

MIB = 1024 * 1024

CREDIT = 64 * 1024
RESUMED = 2 * CREDIT
"""Bytes that a stalled tunnel is read on for: more than its halves may hold."""

SLACK = 64 * 1024
"""A piece that was on its way may be behind the credit's end."""

TURNS = 50
"""Turns of the reactor over which stalled tunnels are watched for wakeups."""

AT_ONCE = 40
"""Twisted's backlog is 50, and a unix socket refuses at once what is more."""


class IsolationTestCase(FunctionalTestCase):
    """What "the others go on" means, whatever stalls."""

    way = CONNECT_UNIX
    stopped = 200
    """Tunnels that have stopped, beside the first."""

    async def others_go_on(self, proxy: ProxyRig) -> None:
        """A new tunnel is opened and echoes; others carry a MiB whole, down and up."""
        client, _ = await self.tunnel(proxy, self.way, self.destination(echo))
        client.transport.write(b"ping")
        await until(lambda: client.count == 4, "an echo beside the stalled tunnels")
        bulk, _ = await self.tunnel(proxy, self.way, self.destination(sending(MIB)))
        await until(lambda: bulk.over, "a download beside the stalled tunnels")
        self.assertEqual(bulk.digest, digest(MIB))
        up, sink = await self.tunnel(
            proxy, self.way, self.destination(mute), lambda peer: Source(peer, MIB)
        )
        await until(lambda: sink.count == MIB, "an upload beside the stalled tunnels")
        self.assertEqual(sink.digest, digest(MIB))
        up.transport.loseConnection()
        client.transport.loseConnection()

    async def many(
        self, proxy: ProxyRig, destination: Destination, behave: Callable[[Peer], object]
    ) -> list[Peer]:
        """`stopped` tunnels, for clients that behave so; as many at once as a listener of Twisted's
        lets wait."""
        peers: list[Peer] = []
        while len(peers) < self.stopped:
            dials = [
                self.dial(self.dialer(proxy, self.way), destination.port, behave)
                for _ in range(min(AT_ONCE, self.stopped - len(peers)))
            ]
            peers += [await dial for dial in dials]
        return peers

    async def filled(self, proxy: ProxyRig, agent: AgentRig) -> None:
        """Wait until stalled tunnels have all that they get. (What one program has buffered may
        rest for long before.)"""
        books = proxy.ledger.bytes, agent.ledger.bytes
        await steady(lambda: sum(sum(book.values()) for book in books), "full stalled tunnels")

    async def idle(self) -> None:
        """Stalled tunnels wake nobody: no socket of the programs is reported as ready while nothing
        can be done about it. (Their sockets are on the hub, those of the test are not.)"""
        hub = hub_of(self.reactor).fileno()
        if hub < 0:
            return  # On stock transports nothing can be seen from here.
        ready = 0
        for _ in range(TURNS):
            await turns(1)
            ready += bool(select.select([hub], [], [], 0)[0])
        self.assertLess(ready, TURNS // 2)

    async def resume(self, stalled: Sequence[Peer]) -> None:
        """All are read again, and what they get is what was sent, byte for byte."""
        for peer in stalled:
            peer.go_on()
        await until(
            lambda: all(peer.count > RESUMED for peer in stalled), "more than stalled tunnels held"
        )
        for peer in stalled:
            self.assertEqual(peer.digest, digest(peer.count))


class GrpcUnixIsolation(IsolationTestCase):
    """Isolation on each frontend: here gRPC over a unix socket; the others are below."""

    way = GRPC_UNIX

    async def test_clients_that_do_not_read(self) -> None:
        """Endless sources for clients that read nothing hold their credit and stop nobody."""
        proxy = self.proxy(credit=str(CREDIT))
        agent = self.agent(proxy)
        await self.linked(proxy)
        source = self.destination(_narrow)
        first = await self.dial(self.dialer(proxy, self.way), source.port, deaf)
        await self.others_go_on(proxy)
        stalled = [first, *await self.many(proxy, source, deaf)]
        ledger = proxy.ledger
        await self.filled(proxy, agent)
        buffered = ledger.buffered
        # A busy machine may take this for a long path.
        self.assertLessEqual(buffered, (self.stopped + 1) * (CREDIT + SLACK) + ledger.grown)
        self.assertEqual(list(proxy.service.waiting.look()), [])
        waiting = proxy.service.waiting.places
        self.assertEqual(waiting["backlogs"], buffered)
        self.assertGreater(
            waiting["streams" if self.way in (GRPC_UNIX, GRPC_TLS) else "transports"], 0
        )
        most = (self.stopped + 1) * (CREDIT + 2 * SLACK) + ledger.grown
        self.assertLessEqual(sum(waiting.values()), most)
        await self.idle()
        await self.others_go_on(proxy)
        # A stock transport that is paused within a read still gives the rest of that read.
        self.assertLessEqual(max(client.count for client in stalled), SLACK)
        await self.resume(stalled)
        for client in stalled:
            client.transport.abortConnection()
        await self.nothing_left()
        self.assertEqual(ledger.buffered, 0)

    async def test_destinations_that_do_not_read(self) -> None:
        """Endless clients of destinations that read nothing stop nobody either."""
        proxy = self.proxy()
        agent = self.agent(proxy, credit=str(CREDIT))
        await self.linked(proxy)
        sink = self.destination(deaf).narrow()
        first = await self.dial(self.dialer(proxy, self.way), sink.port, _endless)
        await self.others_go_on(proxy)
        stalled = [first, *await self.many(proxy, sink, _endless)]
        ledger = agent.ledger
        await self.filled(proxy, agent)
        buffered = ledger.buffered
        # A busy machine may take this for a long path.
        self.assertLessEqual(buffered, (self.stopped + 1) * (CREDIT + SLACK) + ledger.grown)
        await self.idle()
        await self.others_go_on(proxy)
        await self.resume(sink.peers)
        for client in stalled:
            client.transport.abortConnection()
        # What a client said before it left is kept for its destination, for the linger time.
        for peer in sink.peers:
            peer.transport.abortConnection()
        await self.nothing_left()
        self.assertEqual(ledger.buffered, 0)


class GrpcTlsIsolation(GrpcUnixIsolation):
    """gRPC over mTLS."""

    way = GRPC_TLS
    stopped = 50  # of which each takes both sides of a handshake in this process


class ConnectUnixIsolation(GrpcUnixIsolation):
    """CONNECT over a unix socket."""

    way = CONNECT_UNIX


class ConnectTlsIsolation(GrpcUnixIsolation):
    """CONNECT over mTLS."""

    way = CONNECT_TLS
    stopped = 50


class WithoutCreditTests(IsolationTestCase):
    """One half is as a stock one: bytes are budgeted where they are received."""

    async def test_within_the_budget(self) -> None:
        """A tunnel that holds less than its budget holds up nobody, for as long as it likes."""
        proxy = self.proxy(credit="0", stall_timeout="1h")
        self.agent(proxy)
        await self.linked(proxy)
        source = self.destination(sending(700_000))
        client = await self.dial(self.dialer(proxy, self.way), source.port, deaf)
        await self.others_go_on(proxy)
        client.go_on()
        await until(lambda: client.over, "everything")
        self.assertEqual(client.digest, digest(700_000))
        await self.nothing_left()

    async def test_a_stalled_tunnel_is_cut(self) -> None:
        """Beyond the budget and the stall timeout it is cut with a reason, and the others go on."""
        for proxy_flags, agent_flags, who in (
            ({"credit": "0", "tunnel_budget": "65536", "stall_timeout": "300ms"}, {}, "proxy"),
            ({"credit": "0"}, {"tunnel_budget": "65536", "stall_timeout": "300ms"}, "agent"),
        ):
            proxy = self.proxy(**proxy_flags)
            agent = self.agent(proxy, **agent_flags)
            await self.linked(proxy)
            if who == "proxy":
                destination, behave = self.destination(sending(None)), deaf
            else:
                destination, behave = self.destination(deaf), _endless
            await self.dial(self.dialer(proxy, self.way), destination.port, behave)
            ledger = (proxy if who == "proxy" else agent).service.ledger
            await until(lambda ledger=ledger: ledger.closed, "the cut")  # type: ignore[misc]
            self.assertEqual(dict(ledger.closed_by_reason), {"stalled": 1})
            await self.others_go_on(proxy)
            await agent.stop()

    async def test_a_slow_reader_is_not_cut(self) -> None:
        """Progress within each stall timeout, however small, keeps a tunnel."""
        proxy = self.proxy(credit="0", tunnel_budget="65536", stall_timeout="400ms")
        self.agent(proxy)
        await self.linked(proxy)
        size = 3 * MIB
        source = self.destination(sending(size))
        client = await self.dial(self.dialer(proxy, self.way), source.port)
        while not client.over:
            client.hold()
            await steady(lambda: client.count, "a reader that holds")
            before = client.count
            client.go_on()
            await until(lambda: client.over or client.count > before + 300_000, "some more")  # noqa: B023
        self.assertEqual(client.digest, digest(size))
        await self.nothing_left()


class OverloadTests(FunctionalTestCase):
    """The bound of the whole process."""

    async def test_new_dials_are_refused(self) -> None:
        """Above the limit a new dial is refused with the reason; below it, dials succeed again."""
        proxy = self.proxy(buffer_limit="100000")
        self.agent(proxy)
        await self.linked(proxy)
        source: Destination = self.destination(sending(None))
        client = await self.dial(self.dialer(proxy, CONNECT_UNIX), source.port, deaf)
        await until(lambda: proxy.service.ledger.buffered > 100_000, "a full process")
        refused = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        refused.ask(source.address)
        self.assertEqual(await refused.answer(), 503)
        await until(lambda: b"slow readers" in refused.body, "the reason")
        client.transport.abortConnection()
        await until(lambda: not proxy.service.ledger.buffered, "an empty process")
        accepted = await raw_connect(proxy.endpoint(CONNECT_UNIX))
        accepted.ask(source.address)
        self.assertEqual(await accepted.answer(), 200)
        accepted.transport.abortConnection()
        await self.nothing_left()


def _narrow(peer: Peer) -> None:
    """A source without end whose kernel keeps little of it."""
    peer.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    Source(peer, None)


def _endless(peer: Peer) -> None:
    Source(peer, None)
