"""A small storm: random tunnels on all frontends, with stalls, aborts, half-sent data, and agents
and a proxy that come and go; then everything must be let go.

Every byte that arrives anywhere is checked to be the beginning of what was sent. The seed is
printed; KONNECT_CHAOS_SEED repeats a run's choices (the timing of sockets stays its own).
"""

from __future__ import annotations

import os
import random
import time

from twisted.internet.defer import Deferred

from tests.functional.peers import Destination, Peer, Source, digest
from tests.functional.rig import WAYS, AgentRig, FunctionalTestCase, ProxyRig
from tests.functional.waiting import pause, turns, until

SECONDS = 12.0
WORKERS = 24
MIB = 1024 * 1024


class ChaosTests(FunctionalTestCase):
    """One storm."""

    async def test_storm(self) -> None:
        """After a storm no tunnel, table entry, timer or descriptor is left, and no byte was
        wrong."""
        seed = int(os.environ.get("KONNECT_CHAOS_SEED") or random.SystemRandom().getrandbits(32))
        print(f"KONNECT_CHAOS_SEED={seed}")
        self.chance = random.Random(seed)
        self.opened = self.failed = self.complete = 0
        self.wrong: list[str] = []
        self.until = time.monotonic() + SECONDS
        proxy = self.proxy(server_count="1")
        balancer = self.balancer(proxy)
        agents = [self.agent(balancer) for _ in range(3)]
        await self.linked(proxy, 3)
        destinations = [self.destination(self._serve) for _ in range(3)]
        hole = self.blackhole()
        self.ports = [destination.port for destination in destinations] + [hole.port]
        work = [
            Deferred.fromCoroutine(self._client(proxy, random.Random(seed + number)))
            for number in range(WORKERS)
        ]
        work.append(Deferred.fromCoroutine(self._restart(proxy, agents, balancer.cut)))
        for each in work:
            await each
        hole.close()
        await until(lambda: len(proxy.service.registry.links()) == 3, "all agents are back")
        await self._drop_all(destinations)
        await self.nothing_left()
        self.assertEqual(self.wrong, [], f"KONNECT_CHAOS_SEED={seed}")
        print(f"{self.opened} tunnels, {self.failed} failed dials, {self.complete} whole transfers")
        self.assertGreater(self.opened, 50)
        self.assertGreater(self.complete, 10)

    async def _drop_all(self, destinations: list[Destination]) -> None:
        for destination in destinations:
            for peer in destination.peers:
                if peer.lost is None:
                    peer.transport.abortConnection()
                self._check(peer, "at the destination")

    def _check(self, peer: Peer, where: str) -> None:
        if peer.digest != digest_of_beginning(peer):
            self.wrong.append(f"wrong bytes {where} among {peer.count}")

    def _serve(self, peer: Peer) -> None:
        """What a destination does, by chance."""
        chance = self.chance
        action = chance.randrange(8)
        if action == 0:
            peer.transport.abortConnection()
        elif action == 1:
            peer.transport.loseConnection()
        elif action == 2:
            peer.hold()
            self.reactor.callLater(chance.random(), lambda: None if peer.lost else peer.go_on())
        elif action == 3:
            Source(peer, None, most=100_000)
            self.reactor.callLater(
                chance.random(), lambda: peer.lost is None and peer.transport.abortConnection()
            )
        else:
            source = Source(peer, chance.randrange(1, 2 * MIB), most=100_000)
            if chance.random() < 0.5:
                source.then(peer.transport.loseConnection)

    async def _client(self, proxy: ProxyRig, chance: random.Random) -> None:
        """One client after another, until time is up."""
        while time.monotonic() < self.until:
            if not proxy.running:
                await pause(0.02)
                continue
            dialer = self.dialer(proxy, chance.choice(WAYS))
            attempt = self.dial(dialer, chance.choice(self.ports))
            if chance.random() < 0.15:
                await turns(chance.randrange(20))
                attempt.cancel()
            try:
                client = await attempt
            except Exception:
                self.failed += 1
            else:
                self.opened += 1
                await self._use(client, chance)
            self._dialers.remove(dialer)
            if chance.random() < 0.5:
                await dialer.close()
            else:
                self._dialers.append(dialer)

    async def _use(self, client: Peer, chance: random.Random) -> None:
        action = chance.randrange(6)
        size = chance.randrange(1, MIB)
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
        elif client.eof or client.count:
            self.complete += 1
        self._check(client, "at a client")

    async def _restart(self, proxy: ProxyRig, agents: list[AgentRig], cut: object) -> None:
        """Agents die and come back, are drained, lose their connections; the proxy restarts."""
        chance = self.chance
        while time.monotonic() < self.until:
            await pause(0.3 + chance.random())
            action = chance.randrange(6)
            agent = chance.choice(agents)
            if action == 0:
                await agent.crash()
                agent.start()
            elif action == 1:
                await agent.stop()
                agent.start()
            elif action == 2:
                assert callable(cut)
                cut()
            elif action == 3:
                await (proxy.crash() if chance.random() < 0.5 else proxy.stop())
                await pause(chance.random() / 4)
                proxy.start()


def digest_of_beginning(peer: Peer) -> str:
    """What the hash of a peer's bytes has to be."""
    return digest(peer.count)
