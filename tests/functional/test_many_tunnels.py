"""Thousands of tunnels at once over one agent, over unix sockets."""

from __future__ import annotations

import hashlib
import resource

from twisted.internet.defer import Deferred, gatherResults

from konnect.client.dialing import Dialer
from tests.functional.peers import Destination, Peer, content, echo
from tests.functional.rig import CONNECT_UNIX, GRPC_UNIX, FunctionalTestCase, ProxyRig
from tests.functional.waiting import until

TUNNELS = 2000

AT_A_TIME = 40
"""Dials on their way at a time: a unix socket's listener has room for 50."""

SPARE = 200
"""File descriptors for everything but the tunnels."""


class ManyTunnelsTests(FunctionalTestCase):
    """All open at once, each with its own bytes."""

    def _tunnels(self, descriptors_each: int) -> int:
        """How many tunnels this process may have, after asking for as many files as it may."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = TUNNELS * descriptors_each + SPARE
        if soft != resource.RLIM_INFINITY and soft < wanted:
            most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            soft = most
        count = TUNNELS if soft >= wanted else (soft - SPARE) // descriptors_each
        self.assertGreater(count, 100, "too few files may be open for this test")
        return count

    async def _open(self, dialer: Dialer, destination: Destination, count: int) -> list[Peer]:
        clients: list[Peer] = []

        async def some() -> None:
            while len(clients) + busy[0] < count:
                busy[0] += 1
                client = await self.dial(dialer, destination.port)
                busy[0] -= 1
                clients.append(client)

        busy = [0]
        await gatherResults([Deferred.fromCoroutine(some()) for _ in range(AT_A_TIME)])
        return clients

    async def _check(self, proxy: ProxyRig, dialer: Dialer, count: int) -> None:
        destination = self.destination(echo)
        clients = await self._open(dialer, destination, count)
        self.assertEqual(proxy.live, count)
        for number, client in enumerate(clients):
            client.transport.write(content(number * 1009, 1 + number % 5000))
        await until(
            lambda: all(c.count == 1 + n % 5000 for n, c in enumerate(clients)), "all echoes"
        )
        for number, client in enumerate(clients):
            sent = content(number * 1009, 1 + number % 5000)
            self.assertEqual(client.digest, hashlib.sha256(sent).hexdigest())
        for client in clients:
            client.transport.loseConnection()
        await self.nothing_left()
        await until(lambda: not destination.live, "the destination's connections are closed")
        self.assertEqual(proxy.service.ledger.closed, count)

    async def test_grpc(self) -> None:
        """2,000 tunnels on one gRPC connection echo their own bytes and leave nothing."""
        proxy, _ = await self.pair()
        count = self._tunnels(2)
        await self._check(proxy, self.dialer(proxy, GRPC_UNIX, shared=True), count)

    async def test_connect(self) -> None:
        """2,000 CONNECT tunnels echo their own bytes and leave nothing."""
        proxy, _ = await self.pair()
        count = self._tunnels(4)
        await self._check(proxy, self.dialer(proxy, CONNECT_UNIX), count)
