"""Keeps an agent connected to every proxy behind its address.

One attempt at a time: connect, learn which proxy answered, keep the connection if that proxy is new
and drop it if it is a duplicate; until as many are connected as the proxies say there are.
Upstream's order and timing, except that duplicates back off, and that a connection the proxy is
about to leave (GOAWAY) keeps its tunnels while another is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from konnect.agent.backoff import Backoff
from konnect.agent.dialer import Dialer
from konnect.agent.session import CLOSE_WITHIN, Refused, Session, bounded, connect
from konnect.agent.token import TokenUnusable, read_token
from konnect.log import make_logger
from konnect.net.grpc import GrpcProtocol
from konnect.net.tls import explain
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import Flow
from konnect.wire.metadata import HelloError, ProxyHello, agent_hello
from konnect.wire.status import OK

log = make_logger(__name__)

IDLE_POLL = 0.1
"""Seconds between two looks at whether a draining agent is idle."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Who the agent is and how it looks for proxies; times in seconds."""

    agent_id: str
    identifiers: str
    authority: str
    sync_interval: float = 1.0
    sync_interval_cap: float = 10.0
    sync_forever: bool = False
    keepalive_time: float = 3600.0
    flow: Flow = field(default_factory=Flow)
    token_path: str = ""
    """The file with the token to present; empty: none is."""


class Connector:
    """
    The agent's links; `start` begins to look for proxies, `drain` and `stop` end it.

    :param names: the endpoints in the words of log lines, in the same order.
    :param timers: the clock of the tunnels' many limits; `clock` if None.
    """

    def __init__(
        self,
        endpoints: Sequence[IStreamClientEndpoint],
        membership: Membership,
        ledger: Ledger,
        dialer: Dialer,
        clock: IReactorTime,
        *,
        timers: IReactorTime | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self._endpoints = list(endpoints)
        self._names = list(names)
        self._turn = 0
        self._me = membership
        self._ledger = ledger
        self._dialer = dialer
        self._clock = clock
        self._timers = timers or clock
        self._backoff = Backoff(membership.sync_interval, membership.sync_interval_cap)
        self._running: Deferred[None] | None = None
        self._stopped = False
        self._wanted = 1
        self._last_problem = ""
        self.draining = False
        self.sessions: dict[str, Session] = {}
        """Connected proxies by server id."""
        self.leaving: list[Session] = []
        """Sessions whose proxy sent GOAWAY: they only finish what they carry."""
        self._next_attempt: IDelayedCall | None = None
        self._connections: set[GrpcProtocol] = set()
        """All that are not gone, also those of no session."""

    def start(self) -> None:
        """Begin to look for proxies."""
        running = self._running = Deferred.fromCoroutine(self._run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        running.addErrback(lambda failure: log.failure("the search for proxies broke", failure))

    async def _run(self) -> None:
        while True:
            await self._rest(await self._attempt())

    async def _rest(self, seconds: float) -> None:
        """Wait for the next attempt; a lost link makes the wait shorter."""
        rest: Deferred[None] = Deferred()
        call = self._next_attempt = self._clock.callLater(seconds, rest.callback, None)
        try:
            await rest
        finally:
            self._next_attempt = None
            if call.active():
                call.cancel()

    def _hasten(self) -> None:
        """A link is lost: try again soon, but not all agents at the same moment."""
        call = self._next_attempt
        soon = self._backoff.after_loss()
        if call is not None and call.getTime() - self._clock.seconds() > soon:
            call.reset(soon)

    async def _attempt(self) -> float:
        """One attempt; returns the seconds until the next."""
        self._note_goaways()
        if self.draining or (not self._me.sync_forever and len(self.sessions) >= self._wanted):
            return self._backoff.after_success()
        endpoint = self._endpoints[self._turn % len(self._endpoints)]
        self._turn += 1
        try:
            new = await self._connect_once(endpoint)
        except CancelledError:
            raise
        except Exception as error:
            if self._stopped:
                # Endpoints have words of their own for being cancelled.
                raise CancelledError() from error
            self._report(endpoint, error)
            return self._backoff.after_error()
        self._last_problem = ""
        return self._backoff.after_success() if new else self._backoff.after_error()

    def _report(self, endpoint: IStreamClientEndpoint, error: Exception) -> None:
        """One line for each new problem; the same one again only at debug level."""
        in_words = isinstance(error, (Refused, HelloError, TokenUnusable))
        text = str(error) if in_words else explain(Failure(error))
        number = self._endpoints.index(endpoint)
        name = f"the proxy at {self._names[number]}" if self._names else "a proxy"
        text = f"no link to {name}: {text}"
        (log.debug if text == self._last_problem else log.warn)("{text}", text=text)
        self._last_problem = text

    async def _connect_once(self, endpoint: IStreamClientEndpoint) -> bool:
        """Whether the attempt found a proxy that was not connected yet."""
        me = self._me
        token = read_token(me.token_path) if me.token_path else None
        protocol = await connect(endpoint, self._clock, me.keepalive_time, self._connections)
        session = Session(
            protocol, self._ledger, self._dialer, self._timers, flow=me.flow, on_end=self._ended
        )
        try:
            hello_metadata = (
                *agent_hello(me.agent_id, me.identifiers, token),
                *me.flow.features.metadata(),
            )
            session.start(hello_metadata, me.authority)
            bounded(session.hello, self._clock, "the proxy did not say who it is")
            hello: ProxyHello = await session.hello
        except BaseException:
            protocol.close("the proxy did not introduce itself", abort=True)
            raise
        if hello.server_id in self.sessions:
            protocol.close("the agent is connected to this proxy already", within=CLOSE_WITHIN)
            return False
        if self.draining:
            protocol.close("the agent is draining", within=CLOSE_WITHIN)
            return False
        self.sessions[hello.server_id] = session
        # A count below 1 would mean "never enough" (upstream) or "none": neither is of use.
        self._wanted = max(hello.server_count, 1)
        self._ledger.known_server_count = self._wanted
        self._count()
        log.info(
            "linked to proxy {server_id} at {peer} ({n} of {wanted})",
            server_id=hello.server_id,
            peer=protocol.peer,
            n=len(self.sessions),
            wanted=self._wanted,
        )
        return True

    def _ended(self, session: Session, text: str) -> None:
        if self.sessions.get(session.server_id) is session:
            del self.sessions[session.server_id]
            self._count()
            if session.status is not OK and not self._stopped:
                self._ledger.stream_error("to_agent", session.status.label)
                self._ledger.server_connection_failures["from_server"] += 1
            log.info("the link to proxy {id} is lost: {text}", id=session.server_id, text=text)
            self._hasten()
        elif session in self.leaving:
            self.leaving.remove(session)

    def _note_goaways(self) -> None:
        for server_id, session in list(self.sessions.items()):
            if session.protocol.going_away:
                log.info("proxy {id} is going away: looking for another", id=server_id)
                del self.sessions[server_id]
                self.leaving.append(session)
                self._count()
        for session in list(self.leaving):
            if not session.link.busy:
                session.protocol.close(
                    "nothing is left on a link that its proxy gave up", within=CLOSE_WITHIN
                )

    def states(self) -> dict[str, int]:
        """How many links are `ready`, and how many `leaving`: their proxy is going away."""
        return {"ready": len(self.sessions), "leaving": len(self.leaving)}

    def _count(self) -> None:
        self._ledger.open_server_connections = len(self.sessions)

    async def drain(self, timeout: float) -> None:
        """Take no new links, ask for no new dials, and wait (at most `timeout` seconds) until
        idle."""
        if not self.draining:
            self.draining = True
            for session in self.sessions.values():
                session.link.drain()
        deadline = self._clock.seconds() + timeout
        while self._busy() and self._clock.seconds() < deadline:
            await deferLater(self._clock, IDLE_POLL)

    def _busy(self) -> bool:
        return any(s.link.busy for s in [*self.sessions.values(), *self.leaving])

    async def stop(self) -> None:
        """Close every link; done when their connections are gone."""
        self._stopped = True
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        sessions = [*self.sessions.values(), *self.leaving]
        for session in sessions:
            session.protocol.close("the agent is stopping", within=CLOSE_WITHIN)
        for protocol in self._connections - {session.protocol for session in sessions}:
            protocol.abort()
        deadline = self._clock.seconds() + CLOSE_WITHIN
        while self._connections:
            if self._clock.seconds() >= deadline:
                for protocol in list(self._connections):
                    protocol.abort()
            await deferLater(self._clock, 0.01)
