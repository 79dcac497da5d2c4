"""The test case of the functional tests: it builds proxies, agents and what stands around them, and
checks what they leave.

After each test everything is closed in order, and then the process must be as it was before: books
balanced, tables empty, no delayed call, no file descriptor more, no logged error.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from konnect.client.connect_dial import ConnectDialer
from konnect.client.connections import OwnConnections
from konnect.client.dialing import Dialer
from konnect.client.endpoint import KonnectEndpoint
from konnect.client.grpc_dial import GrpcDialer
from konnect.client.shared import SharedConnection
from konnect.net.hub.reactor import HubReactor
from tests.certificates import pki
from tests.functional.balancer import Balancer
from tests.functional.blackhole import Blackhole
from tests.functional.peers import Destination, Peer
from tests.functional.programs import (
    CONNECT_TLS,
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    WAYS,
    AgentRig,
    ProxyRig,
)
from tests.functional.waiting import delayed_calls, descriptors, the_reactor, turns, until

__all__ = [
    "CONNECT_TLS",
    "CONNECT_UNIX",
    "GRPC_TLS",
    "GRPC_UNIX",
    "WAYS",
    "AgentRig",
    "FunctionalTestCase",
    "ProxyRig",
]

STEP = 15.0
"""Bound of each step at the end of a test, in seconds."""


class FunctionalTestCase(TestCase):
    """A test with services on real sockets; it leaves the process as it found it."""

    timeout = 100

    def setUp(self) -> Deferred[None]:  # type: ignore[override]
        return Deferred.fromCoroutine(self._begin())

    async def _begin(self) -> None:
        self.reactor = the_reactor()
        self._proxies: list[ProxyRig] = []
        self._agents: list[AgentRig] = []
        self._dialers: list[Dialer] = []
        self._destinations: list[Destination] = []
        self._closing: list[Callable[[], Any]] = []
        pki()
        self.directory = tempfile.mkdtemp(prefix="konnect-")
        # The reactor's own descriptors come with its first turn and its first port.
        await Destination().close()
        await turns()
        self._descriptors = descriptors()
        self._calls = len(delayed_calls())
        self.addCleanup(lambda: Deferred.fromCoroutine(self._finish()))

    # -- building

    def proxy(self, **flags: str) -> ProxyRig:
        """A running proxy; flags with _ for -."""
        proxy = ProxyRig(self.directory, f"proxy{len(self._proxies) + 1}", **flags)
        self._proxies.append(proxy)
        proxy.start()
        return proxy

    def agent(self, proxy: ProxyRig | Balancer, **flags: str) -> AgentRig:
        """A running agent, which may not be linked yet."""
        port = proxy.port if isinstance(proxy, Balancer) else proxy.agent_port
        agent = AgentRig(f"agent{len(self._agents) + 1}", port, **flags)
        self._agents.append(agent)
        agent.start()
        return agent

    async def linked(self, proxy: ProxyRig, count: int = 1) -> None:
        """Wait until `count` links are registered at a proxy."""
        await until(
            lambda: len(proxy.service.registry.links()) == count, f"{count} links at {proxy.name}"
        )

    async def pair(self, **proxy_flags: str) -> tuple[ProxyRig, AgentRig]:
        """A proxy and an agent, linked."""
        proxy = self.proxy(**proxy_flags)
        agent = self.agent(proxy)
        await self.linked(proxy)
        return proxy, agent

    def balancer(self, *proxies: ProxyRig, delay: float = 0.0) -> Balancer:
        """A balancer in front of the proxies' agent ports; `delay` in seconds, each way."""
        balancer = Balancer([proxy.agent_port for proxy in proxies], delay)
        self._closing.append(balancer.close)
        return balancer

    def destination(
        self, behave: Callable[[Peer], object] | None = None, interface: str = "127.0.0.1"
    ) -> Destination:
        destination = Destination(behave, interface=interface)
        self._destinations.append(destination)
        return destination

    def blackhole(self) -> Blackhole:
        hole = Blackhole()
        self._closing.append(hole.close)
        return hole

    def dialer(
        self, proxy: ProxyRig, way: str, *, shared: bool = False, on_hub: bool = False
    ) -> Dialer:
        """
        A client's way through a frontend.

        :param shared: all tunnels on one gRPC connection.
        :param on_hub: on the hub's transports, whose TLS can end one direction.
        """
        endpoint = proxy.endpoint(way, HubReactor(self.reactor) if on_hub else None)
        dialer: Dialer
        if way in (CONNECT_UNIX, CONNECT_TLS):
            dialer = ConnectDialer(endpoint, self.reactor)
        else:
            connections = (SharedConnection if shared else OwnConnections)(endpoint, self.reactor)
            dialer = GrpcDialer(connections, self.reactor)
        self._dialers.append(dialer)
        return dialer

    def forget(self, dialer: Dialer) -> None:
        """Whoever calls this closes the dialer."""
        self._dialers.remove(dialer)

    def dial(
        self,
        dialer: Dialer,
        port: int,
        behave: Callable[[Peer], object] | None = None,
        host: str = "127.0.0.1",
    ) -> Deferred[Peer]:
        """Begin a tunnel; fires with its client."""
        factory = Factory.forProtocol(lambda: Peer(behave))
        factory.noisy = False
        return KonnectEndpoint(dialer, host, port).connect(factory)  # type: ignore[return-value]

    async def tunnel(
        self,
        proxy: ProxyRig,
        way: str,
        destination: Destination,
        behave: Callable[[Peer], object] | None = None,
        *,
        on_hub: bool = False,
    ) -> tuple[Peer, Peer]:
        """An open tunnel: its client (see `dialer`), and the destination's side of it."""
        number = len(destination.peers)
        dialer = self.dialer(proxy, way, on_hub=on_hub)
        client = await self.dial(dialer, destination.port, behave)
        return client, await destination.peer(number)

    # -- checking

    def _programs(self) -> list[AgentRig | ProxyRig]:
        return [*self._agents, *self._proxies]

    def leftovers(self) -> list[str]:
        """What the running services still hold."""
        return [line for rig in self._programs() if rig.running for line in rig.leftovers()]

    async def nothing_left(self) -> None:
        """Wait until every running service has let go of everything."""
        try:
            await until(lambda: not self.leftovers(), "nothing is left", seconds=12)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.leftovers()}") from None

    async def _finish(self) -> None:
        problems: list[str] = []
        closing: list[Callable[[], Any]] = [dialer.close for dialer in self._dialers]
        closing += [destination.close for destination in self._destinations]
        for close in closing + self._closing:
            await self._bounded(close, problems)
        await self._bounded(self.nothing_left, problems)
        for program in self._programs():
            await self._bounded(program.stop, problems)
        for rig in self._programs():
            problems += rig.leftovers()
        shutil.rmtree(self.directory, ignore_errors=True)
        await turns()
        problems += await self._compare()
        if problems:
            raise AssertionError("\n".join(problems))

    async def _bounded(self, step: Callable[[], Any], problems: list[str]) -> None:
        """One step of the end, whose failure must not keep the others from being done."""
        try:
            result = step()
            if isinstance(result, Coroutine):
                result = Deferred.fromCoroutine(result)
            if result is not None:
                await result.addTimeout(STEP, self.reactor)
        except Exception as error:
            problems.append(f"{step!r}: {error!r}")

    async def _compare(self) -> list[str]:
        """What is different from before the test, after some time to settle."""
        try:
            await until(
                lambda: (
                    len(descriptors()) <= len(self._descriptors)
                    and len(delayed_calls()) <= self._calls
                ),
                "the process is as it was",
                seconds=10,
            )
        except AssertionError:
            before = set(self._descriptors.items())
            return [
                f"left: {delayed_calls()}",
                f"left: {[item for item in descriptors().items() if item not in before]}",
            ]
        return []
