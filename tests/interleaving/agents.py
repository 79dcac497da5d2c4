"""Agents that keep the rules: a link with both its sides, and the dials at its end."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from twisted.internet.task import Clock

from konnect.agent.link import ProxyLink
from konnect.net.grpc_stream import GrpcStream, StreamListener
from konnect.proxy.health import PROBE_ADDRESS
from konnect.proxy.link import AgentLink
from konnect.tunnel.account import Account
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.wire.events import StreamRefused
from konnect.wire.features import STOCK, Features
from konnect.wire.metadata import AgentHello, Identifiers
from konnect.wire.status import Status
from tests.agent.rig import FakeDial, FakeDialer
from tests.interleaving.peers import SocketPeer
from tests.interleaving.pipe import pipe

FEATURES = (
    STOCK,
    Features(credit=4096, half_close=True),
    Features(credit=65536, half_close=True),
    Features(credit=20_000),
    Features(half_close=True),
)
"""What agents announce."""

NO_FILES = "dial tcp 127.0.0.1:1: socket: too many open files"
REFUSED = "dial tcp 127.0.0.1:1: connect: connection refused"

MakeLink = Callable[[GrpcStream, AgentHello], AgentLink]


def _refuse(listener: StreamListener) -> GrpcStream:
    raise StreamRefused("there is one stream")


class Agent:
    """
    One agent.

    :param make_link: makes the proxy's side of its link.
    :param ours: what the proxy announces.
    :param accounts: gets the agent's accounts of tunnels.
    """

    def __init__(
        self,
        agent_id: str,
        make_link: MakeLink,
        ours: Features,
        clock: Clock,
        chance: Random,
        accounts: list[Account],
    ) -> None:
        self.gone = False
        self.ledger = Ledger(clock.seconds, agent=True)
        self.ledger.account = accounts.append
        self.dialer = FakeDialer()
        self._answered: set[FakeDial] = set()
        theirs = chance.choice(FEATURES)
        near, far = self.streams = pipe(chance, stock=theirs == STOCK)
        self.link = make_link(near, AgentHello(agent_id, Identifiers()))
        self.link.agree(theirs)
        flow = Flow(theirs, budget=20_000, stall_timeout=chance.choice((2.0, 50.0)))
        self.far = ProxyLink(far, self.ledger, self.dialer, clock, flow=flow, open_stream=_refuse)
        self.far.agree(ours if theirs != STOCK else STOCK)
        near.listener = self.link
        far.listener = self.far  # type: ignore[assignment]

    @property
    def tells_all(self) -> bool:
        """Whether an end that is not clean looks so at the other side, whatever waited."""
        return self.link.half_close or not self.link.send_credit

    def answer_dial(self, chance: Random) -> tuple[str, SocketPeer] | None:
        """End one dial; if it succeeds, its address and the destination."""
        for dial in self.dialer.dials:
            if dial in self._answered or dial.cancelled or dial.address == PROBE_ADDRESS:
                continue
            self._answered.add(dial)
            if chance.random() < 0.85:
                socket = dial.connects(limit=chance.choice((1000, 65536)))
                return dial.address, SocketPeer(socket, self)
            if chance.random() < 0.5:
                dial.fails(REFUSED)
            else:
                dial.fails(NO_FILES, fault=Reason.TOO_MANY_FILES)
            break
        return None

    def lose(self) -> None:
        """The connection is lost."""
        if not self.gone:
            self.gone = True
            for stream in self.streams:
                stream.gone = True
                stream.listener = None
            self.link.ended(Status.UNAVAILABLE, "lost", True)
            self.far.end()
