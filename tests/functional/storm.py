"""A storm: random tunnels on all frontends, with stalls, aborts and half-closes, while agents,
links, a proxy and destinations come and go.

Every choice comes from the seed, so that a run can be repeated (the timing of sockets stays its
own). What arrives anywhere must be the beginning of what was sent. Where a clean end is a promise
that it was all (gRPC, TLS), it must have been all.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone

from tests.functional.peers import Destination, Peer, Source, digest, sending
from tests.functional.rig import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    WAYS,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.story import Story
from tests.functional.waiting import pause, turns, until

PATIENCE = 4
WORKERS = 24
AGENTS = 3
MIB = 1024 * 1024
SIZES = (1, 300_000, 2 * MIB)
"""What the destinations send that always send the same."""

SERVICES = (
    "abort",
    "close",
    "not read for a while",
    "send until it aborts",
    "answer, end one direction, and abort in the end",
    *["send"] * 3,
)
ROUGH = (
    "says nothing",
    "sends without end",
    *["sends, and closes"] * 2,
    "sends, and does not read for a while",
    "sends",
)
DISASTERS = (
    "{agent} is stopped and started",
    "{agent} dies and is started",
    "all links are cut",
    "the proxy dies or is stopped, and is started",
    "a destination dies and comes back",
    "a rest",
)
"""What the numbers mean that are drawn."""

PROMISING = (GRPC_UNIX, GRPC_TLS, CONNECT_TLS)
"""Where a clean end is told from a cut. (A unix socket knows no reset.)"""


class Storm:
    """
    One storm of so many seconds; of up to `PATIENCE` times as many, on a machine so busy that less
    has happened than `least` names.

    `counts` says what happened; `wrong` what may not have; `story` what was done before.
    """

    def __init__(
        self, case: FunctionalTestCase, seed: int, seconds: float, least: Mapping[str, int]
    ) -> None:
        self.case = case
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.story = Story()
        self.seed = seed
        self._chance = random.Random(seed)
        self._least = least
        self._until = time.monotonic() + seconds
        self._latest = time.monotonic() + PATIENCE * seconds
        self._goodbyes = 0
        """Programs stopped in order: their tunnels end cleanly, and are no promise."""
        self._chaotic: list[Destination] = []
        self._whole: dict[int, Destination] = {}
        self._ports: list[int] = []

    async def run(self) -> None:
        """Let it pass over; then everything must be let go of."""
        case, chance, seed = self.case, self._chance, self.seed
        transport = chance.choice(("hub", "stock"))
        proxy = case.proxy(server_count="1", transport=transport)
        balancer = case.balancer(proxy)
        agents = [case.agent(balancer, transport=transport) for _ in range(AGENTS)]
        self.story.disaster(f"a storm on {transport} transports begins")
        await case.linked(proxy, AGENTS)
        self._chaotic = [case.destination(self._serve) for _ in range(3)]
        self._whole = {size: case.destination(sending(size)) for size in SIZES}
        self._summing = case.destination(_sum)
        hole = case.blackhole()
        self._ports = [each.port for each in self._chaotic] + [hole.port]
        self._proxy, self._half_closes_tls = proxy, transport == "hub"
        work = [self._clients(n, random.Random(seed + n)) for n in range(WORKERS)]
        work.append(self._disasters(proxy, agents, balancer.cut))
        for each in [Deferred.fromCoroutine(one) for one in work]:
            await each
        hole.close()
        await until(lambda: len(proxy.service.registry.links()) == AGENTS, "all agents are back")
        for destination in self._chaotic:
            for peer in destination.peers:
                if peer.lost is None:
                    peer.transport.abortConnection()
                self._check(peer, "at a destination")
        await case.nothing_left()

    @property
    def _raging(self) -> bool:
        now, counts = time.monotonic(), self.counts
        lacking = any(counts[what] < least for what, least in self._least.items())
        return now < self._until or (lacking and now < self._latest)

    def _check(self, peer: Peer, where: str) -> None:
        if peer.digest != digest(peer.count):
            self._found(f"wrong bytes {where} among {peer.count}")

    def _found(self, wrong: str) -> None:
        self.wrong.append(wrong)
        self.story.note(wrong.upper())
        self.story.freeze()

    # -- destinations

    def _serve(self, peer: Peer) -> None:
        chance, reactor = self._chance, self.case.reactor
        action = chance.randrange(8)
        self.story.note(f"a destination is asked, and does {SERVICES[action]}")
        if action == 0:
            peer.transport.abortConnection()
        elif action == 1:
            peer.transport.loseConnection()
        elif action == 2:
            peer.hold()
            reactor.callLater(chance.random(), lambda: None if peer.lost else peer.go_on())
        elif action == 3:
            Source(peer, None, most=100_000)
            reactor.callLater(
                chance.random(), lambda: peer.lost is None and peer.transport.abortConnection()
            )
        elif action == 4:
            peer.close_at_eof = False
            source = Source(peer, chance.randrange(1, MIB), most=100_000)
            source.then(peer.transport.loseWriteConnection)
            reactor.callLater(1.5, lambda: peer.lost is None and peer.transport.abortConnection())
        else:
            source = Source(peer, chance.randrange(1, 2 * MIB), most=100_000)
            if chance.random() < 0.5:
                source.then(peer.transport.loseConnection)

    # -- clients

    async def _clients(self, number: int, chance: random.Random) -> None:
        """One client after another, until time is up."""
        while self._raging:
            if not self._proxy.running:
                await pause(0.02)
                continue
            kind = chance.choice((self._rough, self._rough, self._fetch, self._ask))
            await kind(f"client {number}", chance)

    async def _open(self, who: str, way: str, port: int, chance: random.Random) -> Peer | None:
        dialer = self.case.dialer(self._proxy, way, on_hub=True)
        attempt = self.case.dial(dialer, port)
        if chance.random() < 0.15:
            await turns(chance.randrange(20))
            attempt.cancel()
        self.story.note(f"{who} dials {port} over {way}")
        client = None
        try:
            client = await attempt
        except Exception as error:
            self.counts["failed dials"] += 1
            self.story.note(f"{who} gets no tunnel: {error!r:.60}")
        else:
            self.counts["tunnels"] += 1
            self.story.note(f"{who} has a tunnel")
        # Of thousands of dialers, those without a connection need not be kept.
        if client is None:
            self.case.forget(dialer)
            await dialer.close()
        return client

    def _clean(self, client: Peer, way: str, goodbyes: int) -> bool:
        """Whether it ended so that it promises to have been all."""
        lost = client.lost
        told = lost is not None and lost.check(ConnectionDone) is not None
        return told and way in PROMISING and goodbyes == self._goodbyes

    async def _fetch(self, who: str, chance: random.Random) -> None:
        """Read what a destination sends, perhaps with a rest in between."""
        way, (size, destination) = chance.choice(WAYS), chance.choice([*self._whole.items()])
        goodbyes = self._goodbyes
        client = await self._open(who, way, destination.port, chance)
        if client is None:
            return
        if chance.random() < 0.3 and client.lost is None:
            client.hold()
            await pause(chance.random())
            if client.lost is None:
                client.go_on()
        await until(lambda: client.lost, f"the end of {who}'s download over {way}")
        self.story.note(f"{who} has {client.count} bytes of {size}")
        self._check(client, f"of a download over {way}")
        if self._clean(client, way, goodbyes):
            self.counts["whole downloads"] += 1
            if client.count != size:
                self._found(f"{client.count} bytes of {size}, and a clean end, over {way}")

    async def _ask(self, who: str, chance: random.Random) -> None:
        """Send, end one direction, and read the answer behind it."""
        way, size = chance.choice((CONNECT_UNIX, CONNECT_TLS)), chance.randrange(MIB)
        goodbyes = self._goodbyes
        client = await self._open(who, way, self._summing.port, chance)
        if client is None:
            return
        if client.lost is None:
            Source(client, size, most=70_000).then(client.transport.loseWriteConnection)
        await until(lambda: client.lost, f"the end of {who}'s question over {way}")
        answer = b"%d %s" % (size, digest(size).encode())
        whole = self._half_closes_tls and self._clean(client, way, goodbyes)
        if not answer.startswith(bytes(client.head)) or (whole and client.head != answer):
            self._found(f"the answer to {size} bytes over {way} is {bytes(client.head)!r}")
        self.counts["answers behind a half-close"] += client.head == answer

    async def _rough(self, who: str, chance: random.Random) -> None:
        """Something that no well-behaved client does, with any destination."""
        way, port = chance.choice(WAYS), chance.choice(self._ports)
        client = await self._open(who, way, port, chance)
        if client is None:
            return
        action = chance.randrange(6)
        size = chance.randrange(1, MIB)
        self.story.note(f"{who} is rough: {ROUGH[action]}")
        if client.lost is None and action != 0:
            source = Source(client, None if action == 1 else size, most=70_000)
            if action in (2, 3):
                source.then(client.transport.loseConnection)
        if action == 4 and client.lost is None:
            client.hold()
            await pause(chance.random() / 2)
            if client.lost is None:
                client.go_on()
        deadline = time.monotonic() + chance.random()
        while client.lost is None and time.monotonic() < deadline:
            await pause(0.01)
        if client.lost is None:
            if chance.random() < 0.5:
                client.transport.abortConnection()
            else:
                client.transport.loseConnection()
                if not client.reading:
                    client.go_on()
        self._check(client, "at a client")

    # -- disasters

    async def _disasters(self, proxy: ProxyRig, agents: list[AgentRig], cut: object) -> None:
        """Agents die and come back, are drained, lose their links; so do the proxy and
        destinations."""
        chance = self._chance
        assert callable(cut)
        while self._raging:
            await pause(0.3 + chance.random())
            action = chance.randrange(6)
            agent = chance.choice(agents)
            self.story.disaster(DISASTERS[action].format(agent=agent.name))
            if action in (0, 1):
                self._goodbyes += not action
                await (agent.crash() if action else agent.stop())
                agent.start()
            elif action == 2:
                cut()
            elif action == 3:
                self._goodbyes += 1
                await (proxy.crash() if chance.random() < 0.5 else proxy.stop())
                await pause(chance.random() / 4)
                proxy.start()
            elif action == 4:
                destination = chance.choice([*self._chaotic, *self._whole.values()])
                await destination.crash()
                await pause(chance.random() / 4)
                destination.revive()
            self.counts["disasters"] += action < 5


def _sum(peer: Peer) -> None:
    """A destination that answers, behind the end of what it has read, with what that was."""
    peer.close_at_eof = False

    def at_eof() -> None:
        peer.transport.write(b"%d %s" % (peer.count, peer.digest.encode()))
        peer.transport.loseConnection()

    peer.readConnectionLost = at_eof  # type: ignore[method-assign]
