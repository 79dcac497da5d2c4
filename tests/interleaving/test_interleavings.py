"""
Tests of both programs' tunnels, whatever happens to them in whichever order.

Each run is given by its seed. For longer hunts: KONNECT_INTERLEAVINGS=5000, and the first seed in
KONNECT_INTERLEAVINGS_FROM.
"""

from __future__ import annotations

import os
from collections import defaultdict
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel import pool
from konnect.tunnel.account import Account
from konnect.tunnel.ledger import Ledger
from tests.interleaving.peers import PATTERN, Client, ConnectClient, SocketPeer
from tests.interleaving.strays import STRAY, StrayAgent
from tests.interleaving.world import BUFFER_LIMIT, World

RUNS = int(os.environ.get("KONNECT_INTERLEAVINGS") or 150)
FIRST = int(os.environ.get("KONNECT_INTERLEAVINGS_FROM") or 0)
MOVES = 400


class InterleavingTests(SynchronousTestCase):
    """What holds at any time, when all has been carried and read, and when all have left."""

    def test_interleavings(self) -> None:
        """Every tunnel ends once at both programs, loses nothing, and leaves nothing."""
        opened = 0
        self.grown = 0
        for seed in range(FIRST, FIRST + RUNS):
            world = World(Random(seed))
            self.patch(pool, "random", world.chance.random)
            try:
                self.live(world)
            except Exception as error:
                moves = len(world.history)
                raise AssertionError(f"seed {seed}, {moves} moves: {error!r}") from error
            opened += world.ledger.opened
        self.assertGreater(opened, RUNS)
        self.assertGreater(self.grown, 0)

    def live(self, world: World) -> None:
        """A whole run."""
        for _ in range(MOVES // 5):
            world.run(5)
            self.check_books(world)
        self.settle(world)
        self.check_books(world)
        self.check_agreement(world)
        self.check_bytes(world)
        self.end(world)
        self.check_nothing_left(world)

    def check_books(self, world: World) -> None:
        """Each tunnel is counted once, and none holds more than it may."""
        links = world.links
        live = sum(end.tunnel is not None for link in links for end in link.ends.values())
        dials = {dial for link in links for dial in link.dials.values()}
        books = world.ledger
        self.assertEqual((books.live, books.pending_dials), (live, len(dials)))
        self.assertEqual(sum(books.closed_by_reason.values()), books.closed)
        for agent in world.agents:
            far, books = agent.far, agent.ledger
            live = sum(end.tunnel is not None for end in far.ends.values())
            self.assertEqual((books.live, books.pending_dials), (live, len(far.dials)))
            for link in (agent.link, far):
                for end in link.ends.values():
                    if link.receive_credit and end.other is not None:
                        backlog = end.other._backlog  # type: ignore[attr-defined]
                        held = 0 if backlog is None else backlog.size
                        growth = end._growth
                        grown = growth.extra + growth._taken if growth is not None else 0
                        self.assertLessEqual(held, link.receive_credit + grown)
                        self.grown += grown > 0

    def settle(self, world: World) -> None:
        """Carry and read all there is, with little time passing."""
        for _ in range(40):
            for _ in range(400):
                if not sum([s.carry() for agent in world.agents for s in agent.streams]):
                    break
            for peer in [*world.peers, *world.strays]:
                peer.read()
            world.clock.advance(0.021)

    def check_agreement(self, world: World) -> None:
        """Both programs have the same tunnels."""
        for agent in world.agents:
            if not agent.gone:
                near, far = (
                    {number for number, end in link.ends.items() if end.tunnel is not None}
                    for link in (agent.link, agent.far)
                )
                self.assertEqual(near, far)

    def pairs(self, world: World) -> list[tuple[Client, SocketPeer]]:
        """Clients that were told of their success, each with its destination. Where two agents
        were asked there may be two destinations: those are left out."""
        strays = {account.destination for account in world.accounts if account.link == STRAY}
        for stray in world.stray_agents:
            ends = stray.link.ends.values()
            strays |= {end.tunnel.address for end in ends if end.tunnel is not None}
        found = defaultdict(list)
        for address, destination in world.destinations:
            found[address].append(destination)
        return [
            (client, found[client.address][0])
            for client in world.clients
            if client.told and len(found[client.address]) == 1 and client.address not in strays
        ]

    def check_bytes(self, world: World) -> None:
        """Nothing has come that was not said, and what has to be there is there."""
        near, far = reasons(world.accounts), reasons(world.agent_accounts)
        for client, destination in self.pairs(world):
            up, down = destination.got, client.got
            self.assertEqual(up, PATTERN[: len(up)])
            self.assertEqual(down, PATTERN[: len(down)])
            missing_up, missing_down = client.said - len(up), destination.said - len(down)
            told = near[client.address], far[client.address]
            what = f"{client.address}: {told}, {missing_up} up, {missing_down} down"
            self.assertGreaterEqual(min(missing_up, missing_down), 0, what)
            assert destination.agent is not None
            if told == ([], []):
                self.assertEqual((missing_up, missing_down), (0, 0), f"held up: {what}")
                if not client.finished and not destination.finished:
                    self.assertTrue(destination.socket.reading, what)
                    if isinstance(client, ConnectClient):
                        self.assertTrue(client.socket.reading, what)
            elif not destination.agent.tells_all:
                pass
            elif told == (["client_closed"], ["client_closed"]):
                if not destination.finished:
                    self.assertEqual(missing_up, 0, f"lost: {what}")
            elif told == (["destination_closed"], ["destination_closed"]) and not (
                client.finished or client.left
            ):
                self.assertEqual(missing_down, 0, f"lost: {what}")

    def end(self, world: World) -> None:
        """Everybody leaves."""
        chance = world.chance
        leaving = [*world.agents, *world.stray_agents, *world.clients]
        chance.shuffle(leaving)
        for one in leaving:
            one.leave() if isinstance(one, StrayAgent) else one.lose()
        for stray in world.stray_clients:
            stray.leave()
        for peer in world.peers:
            peer.lose()
        world.clock.pump([1.0] * 70)
        world.pressure.stop()
        world.pace.stop()

    def check_nothing_left(self, world: World) -> None:
        """No entry, no timer, no byte, no window."""
        self.check_books(world)
        self.assertEqual(world.clock.getDelayedCalls(), [])
        self.check_ledger(world.ledger)
        self.assertEqual(world.ledger.grpc_streams.get("Proxy", 0), 0)
        self.assertEqual(world.factory.connections, set())
        self.assertEqual(world.registry.links(), [])
        self.assertEqual(world.windows.room, BUFFER_LIMIT // 4)
        self.assertFalse(world.windows.crowded or world.ledger.brisk)
        for link in world.links:
            self.assertEqual((link.ends, link.dials), ({}, {}))
        streams = [stray.stream for stray in world.stray_agents]
        for agent in world.agents:
            self.check_ledger(agent.ledger)
            self.assertEqual(agent.ledger.open_endpoint_connections, 0)
            self.assertFalse(agent.far.busy)
            streams += agent.streams
        for stream in streams:
            self.assertEqual(stream.acknowledged, stream.owed)
        proxies = [stream.proxy for stream in world.streams]
        for proxy in [*proxies, *(stray.proxy for stray in world.stray_clients)]:
            self.assertFalse(proxy._dials or proxy._open or proxy.paused or proxy._blocked)

    def check_ledger(self, ledger: Ledger) -> None:
        """All gauges are back at zero."""
        gauges = ledger.live, ledger.pending_dials, ledger.buffered, ledger.http_connections
        self.assertEqual((*gauges, ledger.blocked_links, ledger.grown), (0,) * 6)
        self.assertEqual(set(ledger.full_receive_channels.values()) - {0}, set())


def reasons(accounts: list[Account]) -> dict[str, list[str]]:
    """By destination, why its tunnels and dials are over."""
    found = defaultdict(list)
    for account in accounts:
        found[account.destination].append(account.reason)
    return found
