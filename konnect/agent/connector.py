"""An agent's links: which proxies it is linked to, and which it should be.

It connects, learns which proxy answered, keeps the connection if that proxy is new and drops it if
it is a duplicate, until as many are linked as there are. When and where to try is `search.py`'s and
`ways.py`'s part. Unlike upstream's, the agent follows several ways at a time, and a connection that
its proxy is about to leave (GOAWAY) keeps its tunnels while another is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall, deferLater

from konnect.agent.backoff import Backoff
from konnect.agent.census import Census
from konnect.agent.dialer import Dialer
from konnect.agent.link import ProxyLink
from konnect.agent.membership import Membership
from konnect.agent.search import Search
from konnect.agent.server_count import ServerCount
from konnect.agent.session import CLOSE_WITHIN, Session, bounded, connect
from konnect.agent.token import read_token
from konnect.agent.ways import Way
from konnect.log import make_logger
from konnect.net.grpc import GrpcProtocol
from konnect.tunnel.destination import host_of
from konnect.tunnel.ledger import Ledger
from konnect.wire.metadata import ProxyHello, agent_hello
from konnect.wire.status import OK

log = make_logger(__name__)

SPARE_FOR = 0.5
"""Seconds between two looks at whether a link to a proxy that is linked already carries nothing."""


class Connector:
    """
    The agent's links; `start` begins to look for proxies, `drain` and `stop` end it.

    :param ways: the ways to proxies; each is followed on its own.
    :param counts: how many proxies there are.
    :param timers: the clock of the tunnels' many limits; `clock` if None.
    """

    def __init__(
        self,
        ways: Sequence[Way],
        membership: Membership,
        ledger: Ledger,
        dialer: Dialer,
        clock: IReactorTime,
        *,
        counts: ServerCount | None = None,
        timers: IReactorTime | None = None,
    ) -> None:
        self._me = membership
        self._keepalive_time = membership.keepalive_time
        self._ledger = ledger
        self._dialer = dialer
        self._clock = clock
        self._timers = timers or clock
        self._counts = counts or ServerCount()
        self._searches = [
            Search(
                way, self, Backoff(membership.sync_interval, membership.sync_interval_cap), clock
            )
            for way in ways
        ]
        self.draining = False
        self.sessions: dict[str, Session] = {}
        """Connected proxies by server id."""
        self.leaving: list[Session] = []
        """Sessions whose proxy sent GOAWAY: they only finish what they carry."""
        self.spare: list[Session] = []
        """Sessions with proxies that are linked already: they go as soon as they carry nothing."""
        self._spare_call: IDelayedCall | None = None
        self._census = Census()
        self._probing = LoopingCall(self.tend)
        self._probing.clock = clock
        self._stopped = False
        self._connections: set[GrpcProtocol] = set()
        """All that are not gone, also those of no session."""

    def start(self) -> None:
        """Begin to look for proxies."""
        self._count()
        probing = self._probing.start(max(self._me.probe_interval, Backoff.FLOOR), now=False)
        probing.addErrback(lambda failure: log.failure("the look at the links broke", failure))
        for search in self._searches:
            search.start()

    def hasten(self, lost: Session | None = None) -> None:
        """A link is lost, or the number of proxies has changed: look soon."""
        self._count()
        for search in self._searches:
            search.hasten(lost)

    # -- what the searches ask

    @property
    def expected(self) -> int:
        """
        How many proxies there should be links to.

        As many as are counted, and at least one for each way, unless two ways are known to lead
        to the same proxy.
        """
        ends = {search.way.last_met or str(number) for number, search in enumerate(self._searches)}
        return max(self._counts.value, len(ends))

    @property
    def lacking(self) -> bool:
        """Whether there are fewer links than expected."""
        return len(self.sessions) < self.expected

    def addresses_to_try(self, way: Way) -> list[str] | None:
        """Where a further proxy may be: anywhere while too few are linked, else where none of
        those that are was met."""
        if self.draining:
            return None
        if self._me.sync_forever or len(self.sessions) < self._counts.value:
            return way.all_addresses(self.sessions)
        return way.open_addresses(self.sessions) or None

    def tend(self) -> None:
        """Look for links that their proxy gave up, and close those that are done."""
        going = self._note_goaways()
        if not going:
            self._count()
        for session in going:
            self.hasten(session)

    async def join(self, way: Way, addresses: list[str]) -> bool:
        """Connect; whether that found a proxy that was not linked yet."""
        me = self._me
        token = read_token(me.token_path) if me.token_path else None
        endpoint = way.endpoint(addresses)
        protocol = await connect(endpoint, self._clock, self._keepalive_time, self._connections)
        session = Session(
            protocol, self._ledger, self._dialer, self._timers, flow=me.flow, on_end=self._ended
        )
        try:
            hello_metadata = (
                *agent_hello(me.agent_id, me.identifiers, token),
                *me.flow.features.metadata(),
            )
            session.start(hello_metadata, way.authority)
            bounded(session.hello, self._clock, "the proxy did not say who it is")
            hello: ProxyHello = await session.hello
        except BaseException:
            protocol.close("the proxy did not introduce itself", abort=True)
            raise
        way.met(host_of(protocol.peer), addresses, hello.server_id)
        self._counts.told(hello.server_count, f"{hello.server_id} at {protocol.peer}")
        if hello.server_id in self.sessions or self.draining:
            # The proxy may have sent a dial by now: it is served, and the link goes when idle.
            session.link.drain()
            self.spare.append(session)
            if self._spare_call is None:
                self._spare_call = self._clock.callLater(SPARE_FOR, self._drop_spares)
            return False
        self.sessions[hello.server_id] = session
        session.since = self._clock.seconds()
        self._count()
        log.info(
            "linked to proxy {server_id} at {peer} ({n} of {expected})",
            server_id=hello.server_id,
            peer=protocol.peer,
            n=len(self.sessions),
            expected=self.expected,
        )
        return True

    def _ended(self, session: Session, text: str) -> None:
        if session.protocol.pinged_too_often:
            self._be_calmer()
        if self.sessions.get(session.server_id) is session:
            del self.sessions[session.server_id]
            self._count()
            if session.status is not OK and not self._stopped:
                self._ledger.stream_error("to_agent", session.status.label)
                self._ledger.server_connection_failures["from_server"] += 1
            log.info("the link to proxy {id} is lost: {text}", id=session.server_id, text=text)
            self.hasten(session)
        elif session in self.leaving:
            self.leaving.remove(session)
        elif session in self.spare:
            self.spare.remove(session)

    def _be_calmer(self) -> None:
        """A proxy has sent `too_many_pings`: do what grpc's clients do."""
        self._keepalive_time *= 2
        log.warn(
            "the proxy finds that --keepalive-time pings it too often; new connections ping after"
            " {seconds:g} s",
            seconds=self._keepalive_time,
        )

    def _note_goaways(self) -> list[Session]:
        """The links to proxies that are going away and were not a moment ago."""
        going = [session for session in self.sessions.values() if session.protocol.going_away]
        for session in going:
            log.info("proxy {id} is going away: looking for another", id=session.server_id)
            del self.sessions[session.server_id]
            self.leaving.append(session)
        _close_idle(self.leaving)
        return going

    def _drop_spares(self) -> None:
        self._spare_call = None
        _close_idle(self.spare)
        if self.spare:
            self._spare_call = self._clock.callLater(SPARE_FOR, self._drop_spares)

    def states(self) -> dict[str, int]:
        """How many links are `ready`, and how many `leaving`: their proxy is going away."""
        return {"ready": len(self.sessions), "leaving": len(self.leaving)}

    def standing(self) -> dict[str, int]:
        """
        How many proxies are `connected` (linked, and staying), `expected` (as many as there should
        be) and `known` (met in the last ten minutes).
        """
        staying = sum(not session.protocol.going_away for session in self.sessions.values())
        return {"connected": staying, "expected": self.expected, "known": len(self._census)}

    def _count(self) -> None:
        self._census.note(self.sessions, self._clock.seconds())
        ledger = self._ledger
        if self.sessions or ledger.open_server_connections is not None:
            ledger.open_server_connections = len(self.sessions)
        ledger.known_server_count = self.expected
        ledger.proxies = self.standing()

    @property
    def links(self) -> list[ProxyLink]:
        """All links, also those on their way out."""
        return [session.link for session in self._all()]

    def _all(self) -> list[Session]:
        return [*self.sessions.values(), *self.leaving, *self.spare]

    def drain(self) -> None:
        """Take no new links, and ask for no new dials."""
        if not self.draining:
            self.draining = True
            for session in self.sessions.values():
                session.link.drain()

    async def stop(self, *, within: float = CLOSE_WITHIN) -> None:
        """Close every link; done when their connections are gone, which are reset after so many
        seconds."""
        self._stopped = True
        if self._probing.running:
            self._probing.stop()
        for search in self._searches:
            search.stop()
        if self._spare_call is not None:
            self._spare_call.cancel()
            self._spare_call = None
        sessions = self._all()
        for session in sessions:
            session.protocol.close("the agent is stopping", within=within)
        for protocol in self._connections - {session.protocol for session in sessions}:
            protocol.abort()
        deadline = self._clock.seconds() + within
        while self._connections:
            if self._clock.seconds() >= deadline:
                for protocol in list(self._connections):
                    protocol.abort()
            await deferLater(self._clock, 0.01)


def _close_idle(sessions: list[Session]) -> None:
    for session in list(sessions):
        if not session.link.busy:
            session.protocol.close("the link is not needed any more", within=CLOSE_WITHIN)
