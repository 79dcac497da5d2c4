"""A proxy that is told to stop while its tunnels are at work."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ConnectionDone

from konnect.app import agent_leases, proxy_stop
from konnect.client.errors import DialFailed
from tests.functional.peers import Peer, Source, arrived, closed, digest, echo, sending
from tests.functional.rig import (
    CONNECT_UNIX,
    GRPC_TLS,
    GRPC_UNIX,
    WAYS,
    AgentRig,
    FunctionalTestCase,
    ProxyRig,
)
from tests.functional.waiting import pause, until

MIB = 1024 * 1024


class ShutdownTests(FunctionalTestCase):
    """Graceful and immediate stops."""

    async def test_live_traffic_goes_on(self) -> None:
        """With time to stop, tunnels at work finish, on all frontends; the proxy ends with the
        last."""
        proxy, _ = await self.pair(graceful_shutdown_timeout="60s")
        size = 8 * MIB

        def both(peer: Peer) -> None:
            Source(peer, size)

        destination = self.destination(both)
        tunnels = [await self.tunnel(proxy, way, destination, both) for way in WAYS]
        lasting, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        stopping = Deferred.fromCoroutine(proxy.stop())
        for client, server in tunnels:
            await arrived(size, client, server)
            self.assertEqual(client.digest, digest(size))
            self.assertEqual(server.digest, digest(size))
            client.transport.loseConnection()
        self.assertFalse(stopping.called)
        lasting.transport.write(b"one more")
        await arrived(8, lasting)
        lasting.transport.loseConnection()
        await stopping

    async def test_slow_readers(self) -> None:
        """With time to stop, a slow client gets the rest of a tunnel that has ended before."""
        self.patch(proxy_stop, "FAREWELL", 0.1)
        proxy, _ = await self.pair(graceful_shutdown_timeout="60s")
        size = MIB + 200 * 1024  # more than the client has room for
        clients: list[Peer] = []
        for way in (GRPC_UNIX, GRPC_TLS):
            client, _ = await self.tunnel(proxy, way, self.destination(sending(size)), Peer.hold)
            await until(lambda: not proxy.live, "the tunnel is over at the proxy")
            clients.append(client)
        stopping = Deferred.fromCoroutine(proxy.stop())
        await pause(1)
        self.assertFalse(stopping.called)
        for client in clients:
            client.go_on()
        await closed(*clients)
        self.assertEqual([client.count for client in clients], [size, size])
        await stopping

    async def test_no_new_tunnels(self) -> None:
        """A stopping proxy takes no client, and no dial on a connection that is there."""
        proxy, _ = await self.pair(graceful_shutdown_timeout="60s")
        destination = self.destination(echo)
        shared = self.dialer(proxy, GRPC_UNIX, shared=True)
        client = await self.dial(shared, destination.port)
        stopping = Deferred.fromCoroutine(proxy.stop())
        with self.assertRaises(DialFailed) as caught:
            await self.dial(shared, destination.port)
        self.assertIn("shutting down", str(caught.exception))
        for way in WAYS:
            with self.assertRaises(ConnectError):
                await self.dial(self.dialer(proxy, way), destination.port)
        client.transport.loseConnection()
        await stopping

    async def test_unready_first(self) -> None:
        """A proxy with a shutdown delay is unready at once, and serves new clients until then."""
        proxy, _ = await self.pair(graceful_shutdown_timeout="60s", shutdown_delay="400ms")
        destination = self.destination(echo)
        shared = self.dialer(proxy, GRPC_UNIX, shared=True)
        clients = [await self.dial(shared, destination.port)]
        stopping = Deferred.fromCoroutine(proxy.stop())
        self.assertFalse(proxy.service._ready()[0])
        clients.append(await self.dial(shared, destination.port))
        clients += [(await self.tunnel(proxy, way, destination))[0] for way in WAYS]
        await until(lambda: proxy.service.switchboard.closing, "the delay is over")
        with self.assertRaises(ConnectError):
            await self.dial(self.dialer(proxy, CONNECT_UNIX), destination.port)
        for client in clients:
            client.transport.write(b"all work")
        await arrived(8, *clients)
        for client in clients:
            client.transport.loseConnection()
        await stopping

    async def test_agents_look_elsewhere(self) -> None:
        """A konnect agent leaves a stopping proxy's listener alone and keeps its tunnels there."""
        proxy, agent = await self.pair(graceful_shutdown_timeout="60s")
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        stopping = Deferred.fromCoroutine(proxy.stop())
        await until(lambda: not agent.sessions, "the agent knows that the proxy is going")
        client.transport.write(b"still there")
        await arrived(11, client)
        client.transport.loseConnection()
        await stopping

    async def test_hurry(self) -> None:
        """A second signal ends the delay, and the tunnels."""
        proxy, _ = await self.pair(graceful_shutdown_timeout="60s", shutdown_delay="30s")
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        stopping = Deferred.fromCoroutine(proxy.stop())
        proxy.service.hurry()
        await stopping
        await closed(client)

    async def test_announcements_are_taken_back_first(self) -> None:
        """What announces the proxy is taken back before a port closes; failing or hanging there
        does not keep it from stopping."""
        proxy, _ = await self.pair()
        seen: list[bool] = []

        async def fine() -> None:
            seen.append(proxy.service.switchboard.closing)

        async def broken() -> None:
            raise ValueError("no such server")

        stopping = proxy.service.stopping
        stopping.withdraw += [fine, broken, Deferred]
        self.patch(proxy_stop, "WITHDRAW", 0.2)
        await proxy.stop()
        self.assertEqual(seen, [False])

    async def test_time_is_up(self) -> None:
        """Tunnels that outlive the time to stop are ended on both sides, and the proxy is gone."""
        proxy, agent = await self.pair(graceful_shutdown_timeout="300ms")
        destination = self.destination(sending(None))
        tunnels = [await self.tunnel(proxy, way, destination) for way in WAYS]
        await proxy.stop()
        for client, server in tunnels:
            await closed(client, server)
            self.assertEqual(client.digest, digest(client.count))
        await until(lambda: not agent.live, "the agent's tunnels are gone")

    async def _cut(self, rig: ProxyRig | AgentRig, proxy: ProxyRig) -> None:
        """Downloads and uploads that are cut by a program's stop are seen to be cut, at whichever
        end the rest is missing; what was read before is the beginning of what was sent."""
        downloads = [
            (way, *await self.tunnel(proxy, way, self.destination(sending(None)))) for way in WAYS
        ]
        uploads = [
            (way, *await self.tunnel(proxy, way, self.destination(), _endless)) for way in WAYS
        ]
        readers = [(way, client) for way, client, _ in downloads]
        readers += [(way, server) for way, _, server in uploads]
        for _, reader in readers:
            await arrived(MIB, reader)
        await rig.stop()
        for _, client, server in downloads + uploads:
            await closed(client, server)
        for way, reader in readers:
            self.assertEqual(reader.digest, digest(reader.count))
            # A unix socket knows no reset.
            if way != CONNECT_UNIX or reader not in [client for _, client, _ in downloads]:
                assert reader.lost is not None
                self.assertIsNone(reader.lost.check(ConnectionDone), way)
                self.assertFalse(reader.eof, way)

    async def test_a_proxy_cuts(self) -> None:
        """See `_cut`; the agent's log and metrics have the proxy's reason."""
        proxy, agent = await self.pair()
        await self._cut(proxy, proxy)
        await until(lambda: not agent.live, "the agent's tunnels are gone")
        self.assertEqual(dict(agent.ledger.closed_by_reason), {"shutdown": 2 * len(WAYS)})

    async def test_an_agent_cuts(self) -> None:
        """See `_cut`; the proxy has the agent's reason."""
        proxy, agent = await self.pair()
        await self._cut(agent, proxy)
        await self.nothing_left()
        self.assertEqual(dict(proxy.ledger.closed_by_reason), {"shutdown": 2 * len(WAYS)})

    async def test_at_once(self) -> None:
        """Without time to stop, idle and busy tunnels of all frontends are ended at once."""
        proxy, agent = await self.pair()
        busy = self.destination(sending(None))
        idle = self.destination(echo)
        tunnels = [await self.tunnel(proxy, way, where) for way in WAYS for where in (busy, idle)]
        await proxy.stop()
        for client, server in tunnels:
            await closed(client, server)
        await until(lambda: not agent.live, "the agent's tunnels are gone")
        self.assertEqual(proxy.service.ledger.closed_by_reason["shutdown"], len(tunnels))

    async def test_clients_that_read_nothing(self) -> None:
        """A client that reads nothing does not keep a proxy from stopping."""
        proxy, _ = await self.pair()
        destination = self.destination(sending(None))
        tunnels = [
            await self.tunnel(proxy, way, destination, lambda peer: peer.hold())
            for way in (GRPC_UNIX, CONNECT_UNIX)
        ]
        await proxy.stop()
        for client, server in tunnels:
            await closed(server)
            client.go_on()
            await closed(client)
            self.assertEqual(client.digest, digest(client.count))

    async def test_agent_stops_under_load(self) -> None:
        """An agent that is stopped without time ends its tunnels; what was read is whole."""
        proxy, agent = await self.pair()
        destination = self.destination(sending(None))
        tunnels = [await self.tunnel(proxy, way, destination) for way in WAYS]
        for client, _ in tunnels:
            await arrived(MIB, client)
        await agent.stop()
        for client, server in tunnels:
            await closed(client, server)
            self.assertEqual(client.digest, digest(client.count))
        await self.nothing_left()

    async def test_an_agent_counts_no_more(self) -> None:
        """An agent that drains has done with the API server by the end of that, as a rule, however
        long that takes to let go; where it takes longer it is waited for."""
        count = HangingCount()
        plugin = SimpleNamespace(count=lambda *_: count)
        self.patch(agent_leases, "kubernetes_plugin", lambda *_: plugin)
        proxy = self.proxy()
        agent = self.agent(proxy, count_server_leases="true", drain_timeout="60s")
        await self.linked(proxy)
        client, _ = await self.tunnel(proxy, GRPC_UNIX, self.destination(echo))
        stopping = Deferred.fromCoroutine(agent.stop())
        self.assertTrue(count.stopping)
        client.transport.write(b"still there")
        await arrived(11, client)
        client.transport.loseConnection()
        await until(lambda: not agent.sessions, "the agent has drained")
        self.assertFalse(stopping.called)
        count.stopped.callback(None)
        await stopping


class HangingCount:
    """In the place of what konnect-kubernetes counts with."""

    count = 1
    stopping = False

    def __init__(self) -> None:
        self.stopped: Deferred[None] = Deferred()

    def start(self, changed: object) -> None:
        """See IProxyCount."""

    def stop(self) -> Deferred[None]:
        """See IProxyCount; fires when the test says so."""
        self.stopping = True
        return self.stopped


def _endless(peer: Peer) -> None:
    Source(peer, None)
