"""The HTTP CONNECT frontend: one connection, one tunnel.

    reading    the request head, bounded in size and time
    dialing    the agent is asked; the client is watched, and what it says early is kept (bounded)
    relaying   200 is out, the socket is the near end of the tunnel
    over       answered with an error, or the tunnel has ended

Upstream's statuses and texts. Different on purpose: error answers have a Content-Length, the 200
line is out before any byte of the destination, and a client that leaves during the dial cancels it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect.log import make_logger
from konnect.net.closing import can_half_close, hung_up, shows_hang_up
from konnect.net.deadlines import Deadlines, deadlines_of
from konnect.net.diagnosis import explain, peer_address
from konnect.net.floods import DEFAULT, NEVER, FloodLimits
from konnect.net.sockets import LINGER
from konnect.net.unwritten import unwritten
from konnect.net.users import user_of
from konnect.proxy.connect_end import ConnectEnd
from konnect.proxy.dialing import Switchboard
from konnect.tunnel.account import client_of
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import DIALING
from konnect.tunnel.waiting import BACKLOGS, MESSAGES, TRANSPORTS
from konnect.wire.connect import ConnectRequest, HeadReader, Refused, error_response

log = make_logger(__name__)

REFUSALS = 16
"""Requests that are no CONNECT, answered on one connection before it is closed."""


@implementer(IHalfCloseableProtocol)
class ConnectProtocol(Protocol):
    """One client's connection."""

    def __init__(self, factory: ConnectFactory) -> None:
        self._owner = factory
        self.ledger = factory.ledger
        self._end: ConnectEnd | None = None
        self._head: HeadReader | None = HeadReader(factory.floods.head)
        self._counted = False
        self._refused = 0

    def connectionMade(self) -> None:
        owner = self._owner
        self._end = ConnectEnd(self, self.transport, owner)
        self._watch_head()
        owner.connections.add(self)

    @property
    def peer(self) -> str:
        """The client's address, for log lines."""
        return peer_address(self.transport) or "an unknown peer"

    def _watch_head(self) -> None:
        owner = self._owner
        heads = owner.heads
        heads.set(self)
        if len(heads.times) > owner.most_idle:
            first = next(iter(heads.times))
            heads.drop(first)
            first.crowded_out()

    def head_late(self) -> None:
        """The time for a whole request is over."""
        assert self._head is not None  # or the limit would be off
        slow = self._head.received > 0
        self._cut("sent no whole CONNECT request in time", "slow_head" if slow else "silent")

    def crowded_out(self) -> None:
        """Too many have come since, and this one has not asked for anything."""
        self._cut("asked for nothing, and too many do", "crowded_out")

    def _cut(self, why: str, label: str) -> None:
        log.info("cut client {peer}: it {why}", peer=self.peer, why=why)
        self.ledger.cut[label] += 1
        if self._end is not None:
            self._end.abort()

    def dataReceived(self, data: bytes) -> None:
        # Until the tunnel is open: see `ConnectEnd.opened`.
        end = self._end
        if end is None:
            return
        if self._head is not None:
            self._read_head(data)
        elif end.tunnel is not None and end.tunnel.state is DIALING:
            end.keep_early(data)
        else:
            end.received(data)

    def _read_head(self, data: bytes) -> None:
        while self._head is not None:
            result = self._head.receive(data)
            if result is None:
                return
            self._owner.heads.drop(self)
            self._head = None
            if isinstance(result, ConnectRequest):
                self._dial(result)
                return
            self._refuse(result)
            data = result.rest

    def _refuse(self, refused: Refused) -> None:
        self._refused += 1
        keep_alive = refused.keep_alive and self._refused < REFUSALS
        self._say(refused, refused.response if keep_alive else refused.last_response)
        if keep_alive:
            self._head = HeadReader(self._owner.floods.head)
            self._watch_head()
        elif self._end is not None:
            self._end.close(Reason.CLIENT_CLOSED)

    def _say(self, refused: Refused, response: bytes) -> None:
        log.info("refused client {peer}: {why}", peer=self.peer, why=refused.why)
        self.ledger.cut["bad_request"] += 1
        self._answer(response)

    def _dial(self, request: ConnectRequest) -> None:
        end = self._end
        assert end is not None
        self._counted = True
        self.ledger.http_connections += 1
        if self.ledger.account is not None:
            end.client = client_of(("connect", self.peer, user_of(self.transport)))
        if request.early:
            end.keep_early(request.early)
        self._owner.switchboard.dial(end, "tcp", request.address)

    def dial_failed(self, reason: Reason, text: str) -> None:
        """Answer the CONNECT with the reason."""
        body = _BODIES.get(reason, "{text}").format(text=text)
        self._answer(error_response(reason.status, body))
        if self._end is not None:
            self._end.close(Reason.CLIENT_CLOSED)

    def _answer(self, response: bytes) -> None:
        if self._end is not None and self._end.transport is not None:
            self._end.transport.write(response)

    def readConnectionLost(self) -> None:
        """The client has sent its last byte; it may still want to read."""
        end = self._end
        if end is None:
            return
        tunnel = end.tunnel
        if tunnel is None or tunnel.state is not DIALING:
            refused = self._head.ended() if self._head is not None else None
            if refused is not None and not hung_up(end.transport):
                self._say(refused, refused.response)
            end.read_ended()
            end.limit_answer()
        elif (
            (end.has_early or shows_hang_up(end.transport))
            and can_half_close(end.transport)
            and not hung_up(end.transport)
        ):
            # It has said all it wants to say (`nc -N`): it waits for the answer.
            end.end_early()
        else:
            # It is gone altogether, or its end looks no different and it has said nothing.
            tunnel.close(Reason.CLIENT_LEFT)
            end.read_ended()

    def writeConnectionLost(self) -> None:
        """Our own FIN is out: nothing to do."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        owner = self._owner
        owner.connections.discard(self)
        clean = isinstance(reason.value, ConnectionDone)
        if self._head is not None:
            owner.heads.drop(self)
            if not clean:
                why = explain(reason, self.transport)
                log.info("lost client {peer}: {why}", peer=self.peer, why=why)
        if self._counted:
            self.ledger.http_connections -= 1
        end, self._end = self._end, None
        if end is None:
            return
        tunnel = end.tunnel
        if tunnel is not None and tunnel.state is DIALING:
            end.transport = None
            tunnel.close(Reason.CLIENT_LEFT)
        end.lost(clean)

    def close(self, why: str) -> None:
        """Flush and close (for the proxy's shutdown)."""
        end = self._end
        if end is not None and end.tunnel is None:
            # No tunnel is cut by this; one that was cut before is about to be reset.
            end.close(Reason.CLIENT_CLOSED)

    def count_waiting(self, waiting: dict[str, int]) -> None:
        """See `konnect.tunnel.waiting.Holder`."""
        if self._head is not None:
            waiting[MESSAGES] += self._head.received
        if self._end is not None:
            waiting[BACKLOGS] += self._end.early_size
        waiting[TRANSPORTS] += unwritten(self.transport)

    def abort(self) -> None:
        """Drop the connection."""
        if self._end is not None:
            self._end.abort()


# Upstream's words around the texts; the texts of dials that an agent answered go out as they are.
_BODIES = {
    Reason.NO_AGENT: "currently no tunnels available: {text}",
    Reason.BACKEND_TIMEOUT: "Backend dial timeout: {text}\r\n",
    Reason.AGENT_LOST: "Backend context error: context canceled: {text}\r\n",
}


class ConnectFactory(Factory):
    """Makes the CONNECT frontend's protocols."""

    noisy = False

    def __init__(
        self,
        switchboard: Switchboard,
        ledger: Ledger,
        clock: IReactorTime,
        *,
        linger: float = LINGER,
        floods: FloodLimits = DEFAULT,
    ) -> None:
        self.floods = floods
        self.most_idle = floods.idle or NEVER
        """Clients that may be there and have not asked for anything; the longest idle goes."""
        self.switchboard = switchboard
        self.ledger = ledger
        self.clock = clock
        self.lingering = deadlines_of(clock, linger, ConnectEnd.lingered)
        self.heads: Deadlines[ConnectProtocol] = Deadlines(
            clock, floods.head_timeout, ConnectProtocol.head_late, lasting=True
        )
        """Limits of requests that have not come whole: of all who have not asked for anything."""
        self.connections: set[ConnectProtocol] = set()

    def buildProtocol(self, addr: Any) -> ConnectProtocol:
        return ConnectProtocol(self)
