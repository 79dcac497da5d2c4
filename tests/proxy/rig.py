"""A proxy in memory: agents and clients are scripts, the clock is the test's.

Every test ends with nothing left: no tunnel, no dial, no timer, no table entry, no window withheld.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.net.sockets import LINGER
from konnect.proxy.client_window import ClientWindows
from konnect.proxy.dialing import Switchboard
from konnect.proxy.frontend_connect import ConnectFactory, ConnectProtocol
from konnect.proxy.frontend_grpc import LINGER as STREAM_LINGER
from konnect.proxy.frontend_grpc import GrpcFrontend
from konnect.proxy.health import PROBE_ADDRESS
from konnect.proxy.link import AgentLink
from konnect.proxy.pending import ANSWER_WITHIN
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.wire import packets
from konnect.wire.features import Features
from konnect.wire.metadata import AgentHello, Identifiers
from konnect.wire.status import Status
from tests.fakes import FakeSocket, FakeStream, Readable

STOCK = Features()
ADDRESS = "host:80"


class Agent:
    """An agent's stream, and the link that the proxy has for it."""

    def __init__(self, case: ProxyTestCase, agent_id: str, features: Features) -> None:
        self.stream = FakeStream()
        self.link = AgentLink(
            self.stream,
            AgentHello(agent_id, Identifiers()),
            case.ledger,
            clock=case.clock,
            flow=case.flow,
            on_end=case.registry.remove,
        )
        self.link.agree(features)
        self.stream.listener = self.link
        case.registry.add(self.link)

    def says(self, payload: bytes) -> None:
        """Send one packet to the proxy."""
        self.stream.deliver(payload)

    def take(self) -> list[Readable]:
        """What the proxy has sent since the last look."""
        return self.stream.take()

    def asked(self, address: str = ADDRESS) -> int:
        """The proxy has asked for one dial and nothing else; returns its random."""
        kind, protocol, asked, random = self.take()[0]
        assert (kind, protocol, asked) == ("DIAL_REQ", "tcp", address)
        return int(random)

    def accepts(self, connect_id: int = 1, address: str = ADDRESS) -> int:
        """Answer the dial that was asked for; returns its random."""
        random = self.asked(address)
        self.says(packets.dial_rsp(random, connect_id=connect_id))
        return random

    def refuses(self, text: str) -> None:
        """Refuse the dial that was asked for."""
        self.says(packets.dial_rsp(self.asked(), error=text))

    def gives_up(self) -> None:
        """Answer the dial that was asked for with DIAL_CLS."""
        self.says(packets.dial_cls(self.asked()))

    def answers_probe(self) -> list[Readable]:
        """Answer the one probe that has come; returns what else has."""
        came = self.take()
        (probe,) = [packet for packet in came if packet[2:3] == (PROBE_ADDRESS,)]
        self.says(packets.dial_rsp(probe[3], error="missing port in address"))
        return [packet for packet in came if packet is not probe]

    def leaves(self) -> None:
        """The agent's connection is lost."""
        self.stream.listener = None
        self.link.ended(Status.CANCELLED, "the connection was lost", True)


class Client:
    """A gRPC client's stream."""

    def __init__(self, case: ProxyTestCase) -> None:
        self.stream = FakeStream()
        self.proxy = case.frontend.accept(self.stream, ())
        self.stream.listener = self.proxy
        self.gone = False

    def says(self, payload: bytes) -> None:
        """Send one packet to the proxy."""
        self.stream.deliver(payload)

    def dials(self, random: int = 77, address: str = ADDRESS) -> None:
        """Ask for a tunnel."""
        self.says(packets.dial_req("tcp", address, random))

    def take(self) -> list[Readable]:
        """What the proxy has sent since the last look."""
        return self.stream.take()

    def leaves(self) -> None:
        """Drop the stream, as clients usually do."""
        self.gone = True
        self.proxy.ended(Status.CANCELLED, "reset", True)

    def half_closes(self) -> None:
        """End the client's side of the stream."""
        self.gone = True
        self.proxy.half_closed()

    @property
    def tables(self) -> tuple[int, int, int]:
        """Sizes of the stream's tables."""
        proxy = self.proxy
        return len(proxy._dials), len(proxy._open), len(proxy.paused)


class ProxyTestCase(SynchronousTestCase):
    """A proxy and whoever speaks to it."""

    flow = Flow()
    features = STOCK
    """What agents announce."""
    dial_timeout = 0.0
    answer_timeout = ANSWER_WITHIN
    buffer_limit = 1 << 20

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.registry: Registry[AgentLink] = Registry()
        self.windows = ClientWindows(self.clock.seconds, self.buffer_limit)
        self.switchboard = Switchboard(
            self.registry,
            self.ledger,
            self.clock,
            dial_timeout=self.dial_timeout,
            answer_timeout=self.answer_timeout,
            buffer_limit=self.buffer_limit,
        )
        self.frontend = GrpcFrontend(self.switchboard, self.ledger, self.clock, self.windows)
        self.factory = ConnectFactory(self.switchboard, self.ledger, self.clock)
        self.agents: list[Agent] = []
        self.clients: list[Client] = []
        self.sockets: list[FakeSocket] = []

    def agent(self, agent_id: str = "a") -> Agent:
        """An agent that is connected."""
        agent = Agent(self, agent_id, self.features)
        self.agents.append(agent)
        return agent

    def client(self) -> Client:
        """A new stream at the gRPC frontend."""
        client = Client(self)
        self.clients.append(client)
        return client

    def connect(self, *, tls: bool = False, unix: bool = False, limit: int = 65536) -> FakeSocket:
        """A new connection at the CONNECT frontend."""
        socket = FakeSocket(tls=tls, unix=unix, limit=limit)
        socket.connect(self.factory.buildProtocol(None))
        self.sockets.append(socket)
        return socket

    def protocol(self, socket: FakeSocket) -> ConnectProtocol:
        """The frontend's side of a connection."""
        assert isinstance(socket.protocol, ConnectProtocol)
        return socket.protocol

    def wait(self, seconds: float) -> None:
        """Let time pass in small steps, as a reactor sees it."""
        self.clock.pump([0.1] * round(seconds / 0.1))

    def failures(self) -> dict[str, int]:
        """Failed dials by upstream's labels."""
        return dict(self.ledger.dial_failures)

    def tearDown(self) -> None:
        self.assert_consistent()
        for socket in self.sockets:
            if not socket.gone:
                socket.lose()
        for client in self.clients:
            if not client.gone and not client.stream.over:
                client.leaves()
        self.clock.advance(max(LINGER, STREAM_LINGER, self.flow.linger) + 1)
        self.assert_consistent()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ledger.live, 0)
        self.assertEqual(self.ledger.pending_dials, 0)
        self.assertEqual(self.ledger.buffered, 0)
        self.assertEqual(sum(self.ledger.full_receive_channels.values()), 0)
        self.assertEqual(self.ledger.http_connections, 0)
        self.assertEqual(self.ledger.grpc_streams.get("Proxy", 0), 0)
        self.assertEqual(self.factory.connections, set())
        for agent in self.agents:
            self.assertEqual(agent.link.ends, {})
            self.assertEqual(agent.link.dials, {})
            self.assertEqual(agent.stream.acknowledged, agent.stream.owed)
        for client in self.clients:
            self.assertEqual(client.tables, (0, 0, 0))
        self.assertEqual(self.windows.room, self.buffer_limit // 4)

    def assert_consistent(self) -> None:
        """The books agree with the tables."""
        ledger = self.ledger
        # A dial may be in the tables of two links.
        dials = len({id(d) for agent in self.agents for d in agent.link.dials.values()})
        open_ends = sum(
            end.tunnel is not None for agent in self.agents for end in agent.link.ends.values()
        )
        self.assertEqual(ledger.pending_dials, dials)
        self.assertEqual(ledger.live, open_ends)
        self.assertEqual(sum(ledger.closed_by_reason.values()), ledger.closed)
