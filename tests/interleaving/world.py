"""A proxy, agents and whoever they join, in memory: all that happens is one of `MOVES`.

Both programs' own links and ends are at work. Clients, destinations, the network and the clock are
the test's. Each client dials an address of its own, so it is known which destination is its.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.internet.task import Clock

from konnect.net.grpc_stream import GrpcStream
from konnect.proxy.client_window import ClientWindows
from konnect.proxy.dialing import Switchboard
from konnect.proxy.frontend_connect import ConnectFactory
from konnect.proxy.frontend_grpc import GrpcFrontend
from konnect.proxy.link import AgentLink
from konnect.tunnel import window
from konnect.tunnel.account import Account
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.pace import Pace
from konnect.tunnel.pressure import Pressure
from konnect.tunnel.routing import Registry
from konnect.wire.features import Features
from konnect.wire.metadata import AgentHello
from tests.interleaving.agents import Agent
from tests.interleaving.peers import Client, ClientStream, ConnectClient, GrpcClient, SocketPeer
from tests.interleaving.strays import Stray, StrayAgent, StrayClient

BUFFER_LIMIT = 1 << 20

BACKLOG_LIMIT = 60_000
"""Bytes that may wait in backlogs; from the half of it on windows become smaller."""

LATEST = 6
"""Of clients and destinations so many of the latest are moved."""


class World:
    """See the module. `chance` decides everything."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.clock = clock = Clock()
        self.flow = Flow(
            features=Features(credit=30_000, half_close=True),
            budget=20_000,
            stall_timeout=chance.choice((2.0, 50.0)),
        )
        self.ledger = Ledger(clock.seconds)
        self.accounts: list[Account] = []
        """The proxy's, of tunnels and dials that are over."""
        self.agent_accounts: list[Account] = []
        self.ledger.account = self.accounts.append
        self.registry: Registry[AgentLink] = Registry()
        self.windows = ClientWindows(clock.seconds, BUFFER_LIMIT)
        self.switchboard = Switchboard(
            self.registry, self.ledger, clock, dial_timeout=chance.choice((0.0, 8.0, 30.0))
        )
        self.frontend = GrpcFrontend(self.switchboard, self.ledger, clock, self.windows)
        self.factory = ConnectFactory(self.switchboard, self.ledger, clock)
        self.pressure = Pressure(
            self.ledger, BACKLOG_LIMIT, self.registry.links, clock.callLater, self.windows.resize
        )
        self.pace = Pace(self.ledger, self.registry.links, clock.callLater, lambda most: None)
        self.agents: list[Agent] = []
        self.streams: list[ClientStream] = []
        self.clients: list[Client] = []
        self.destinations: list[tuple[str, SocketPeer]] = []
        """With the addresses that were dialed."""
        self.stray_clients: list[StrayClient] = []
        self.stray_agents: list[StrayAgent] = []
        self.history: list[str] = []
        self.new_agent()

    @property
    def peers(self) -> list[Client | SocketPeer]:
        """All clients and destinations."""
        return [*self.clients, *(destination for _, destination in self.destinations)]

    @property
    def strays(self) -> list[Stray]:
        """All who keep no rule."""
        return [*self.stray_clients, *self.stray_agents]

    @property
    def links(self) -> list[AgentLink]:
        """The proxy's, of all agents that there were."""
        links = [agent.link for agent in self.agents]
        return links + [stray.link for stray in self.stray_agents]

    def make_link(self, stream: GrpcStream, hello: AgentHello) -> AgentLink:
        """An agent has connected."""
        link = AgentLink(
            stream,
            hello,
            self.ledger,
            clock=self.clock,
            flow=self.flow,
            on_end=self.registry.remove,
        )
        self.registry.add(link)
        return link

    def run(self, count: int) -> None:
        """So many moves."""
        for move in self.chance.choices(*zip(*MOVES, strict=True), k=count):
            self.history.append(move.__name__)
            move(self)

    # -- clients

    def _client(self) -> Client | None:
        return self.chance.choice(self.clients[-LATEST:]) if self.clients else None

    def _address(self) -> str:
        return f"host{len(self.clients)}:80"

    def new_connect_client(self) -> None:
        self.clients.append(ConnectClient(self.factory, self._address(), self.chance))

    def new_grpc_client(self) -> None:
        streams = [stream for stream in self.streams if not stream.over]
        if not streams or self.chance.random() < 0.7:
            streams = [ClientStream(self.frontend)]
            self.streams += streams
        stream = self.chance.choice(streams)
        self.clients.append(GrpcClient(stream, self._address(), len(self.clients) + 1))

    def client_speaks(self) -> None:
        if client := self._client():
            client.speak(self.chance)

    def client_finishes(self) -> None:
        if client := self._client():
            client.finish()

    def client_is_lost(self) -> None:
        if client := self._client():
            client.lose()

    def client_gives_up(self) -> None:
        client = self._client()
        if isinstance(client, GrpcClient):
            client.give_up()

    def client_reads(self) -> None:
        if client := self._client():
            client.read()

    def client_stops_reading(self) -> None:
        client = self._client()
        if isinstance(client, GrpcClient):
            client.stream.stream.room = False

    # -- destinations

    def _destination(self) -> SocketPeer | None:
        if not self.destinations:
            return None
        return self.chance.choice(self.destinations[-LATEST:])[1]

    def destination_answers(self) -> None:
        for agent in self.agents:
            answer = agent.answer_dial(self.chance)
            if answer is not None:
                self.destinations.append(answer)
                return

    def destination_speaks(self) -> None:
        if destination := self._destination():
            destination.speak(self.chance)

    def destination_finishes(self) -> None:
        if destination := self._destination():
            destination.finish()

    def destination_is_lost(self) -> None:
        if destination := self._destination():
            destination.lose()

    def destination_reads(self) -> None:
        if destination := self._destination():
            destination.read()

    # -- links and both programs

    def new_agent(self) -> None:
        if sum(not agent.gone for agent in self.agents) < 3:
            agent_id = f"a{len(self.agents) % 2}"
            ours, clock, accounts = self.flow.features, self.clock, self.agent_accounts
            self.agents.append(Agent(agent_id, self.make_link, ours, clock, self.chance, accounts))

    def _agent(self) -> Agent:
        return self.chance.choice(self.agents)

    def carry(self) -> None:
        for _ in range(self.chance.randrange(1, 6)):
            self.chance.choice(self._agent().streams).carry()

    def link_is_lost(self) -> None:
        self._agent().lose()

    def agent_drains(self) -> None:
        self._agent().far.drain()

    def agent_stops(self) -> None:
        self._agent().far.shut_down()

    def proxy_stops(self) -> None:
        """Or not, after all: so that there is something to see."""
        self.switchboard.closing = self.chance.random() < 0.2
        if self.chance.random() < 0.2:
            for link in self.registry.links():
                link.shut_down()

    def windows_change(self) -> None:
        agent = self._agent()
        link = self.chance.choice((agent.link, agent.far))
        window.resize(link, self.chance.choice((4096, 10_000, 1 << 30)))

    def time_passes(self) -> None:
        self.clock.advance(self.chance.choice((0, 0, 0.01, 0.02, 0.1, 1.0)))

    def much_time_passes(self) -> None:
        self.clock.pump([0.5] * self.chance.randrange(30))

    # -- who keeps no rule

    def stray_client_acts(self) -> None:
        strays = [stray for stray in self.stray_clients if not stray.over]
        if not strays or self.chance.random() < 0.1:
            strays = [StrayClient(self.frontend, self.chance)]
            self.stray_clients += strays
        self.chance.choice(strays).act()

    def stray_agent_acts(self) -> None:
        strays = [stray for stray in self.stray_agents if not stray.over]
        if not strays:
            if self.chance.random() < 0.8:
                return
            strays = [StrayAgent(self.make_link, self.chance)]
            self.stray_agents += strays
        self.chance.choice(strays).act()


MOVES: tuple[tuple[Callable[[World], None], float], ...] = (
    (World.new_agent, 2),
    (World.new_connect_client, 5),
    (World.new_grpc_client, 5),
    (World.client_speaks, 15),
    (World.client_finishes, 4),
    (World.client_is_lost, 2),
    (World.client_gives_up, 1),
    (World.client_reads, 10),
    (World.client_stops_reading, 3),
    (World.destination_answers, 10),
    (World.destination_speaks, 15),
    (World.destination_finishes, 3),
    (World.destination_is_lost, 1),
    (World.destination_reads, 10),
    (World.carry, 40),
    (World.link_is_lost, 0.5),
    (World.agent_drains, 0.5),
    (World.agent_stops, 0.2),
    (World.proxy_stops, 0.3),
    (World.windows_change, 2),
    (World.time_passes, 15),
    (World.much_time_passes, 0.5),
    (World.stray_client_acts, 5),
    (World.stray_agent_acts, 10),
)
"""What may happen, and how likely it is beside the others."""
