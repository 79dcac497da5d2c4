"""The search for proxies along one way, for as long as the agent runs.

Each way has a search of its own, so that one that does not answer keeps no other waiting. One
attempt follows another; those that were connected and are not answered wait on beside the next.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from konnect.agent.backoff import Backoff
from konnect.agent.session import HungUp, Refused, Session
from konnect.agent.token import TokenUnusable
from konnect.agent.ways import Way
from konnect.log import make_logger
from konnect.net.tls import explain
from konnect.wire.metadata import HelloError

log = make_logger(__name__)

HANGS = 2.0
"""Seconds after which an attempt gives way to one for a proxy that was just lost."""

PATIENCE = 4.0
"""Seconds after which the search goes on beside an attempt that is not answered, in a hurry or
where there are other addresses. Balancers without a proxy, and proxies that hang, take connections
and say nothing; but a proxy to which thousands of agents come back at once is waited for, too."""

ASIDE = 3
"""Attempts that may wait so; each has all the time that it always had."""

LOOK_AGAIN = 60.0
"""Seconds after which a name is looked up again while nothing is missing."""


BRIEF = 5.0
"""Seconds below which a link's life is so short that the next one may come to the same end."""

TELL_AGAIN = 60.0
"""Seconds after which a problem is told again that has come back in the place of another."""

MAX_TOLD = 64
"""Problems that are remembered."""


class Links(Protocol):
    """What a search needs to know of the agent's links."""

    @property
    def expected(self) -> int:
        """How many proxies there should be links to."""

    @property
    def lacking(self) -> bool:
        """Whether there are fewer than that."""

    def addresses_to_try(self, way: Way) -> list[str] | None:
        """Where a further proxy may be; None if none is looked for along this way."""

    async def join(self, way: Way, addresses: list[str]) -> bool:
        """Connect; whether that found a proxy that was not linked yet."""


class Search:
    """The attempts along one way."""

    def __init__(self, way: Way, links: Links, backoff: Backoff, clock: IReactorTime) -> None:
        self.way = way
        self._links = links
        self._backoff = backoff
        self._clock = clock
        self._running: Deferred[None] | None = None
        self._attempting: Deferred[float] | None = None
        self._began = 0.0
        """When the attempt did."""
        self._given_up = False
        """Whether the attempt was, for a better one."""
        self._aside: set[Deferred[bool]] = set()
        """Attempts beside which the search has gone on."""
        self._stopped = False
        self._next_attempt: IDelayedCall | None = None
        self._told: dict[str, float] = {}
        """When each problem was told last, the one of the last attempt as the last."""

    def start(self) -> None:
        """Begin; the first attempt is made at once."""
        running = self._running = Deferred.fromCoroutine(self._run())
        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        running.addErrback(lambda failure: log.failure("the search for proxies broke", failure))

    def stop(self) -> None:
        """Give up the attempt that is under way, and make no other."""
        self._stopped = True
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
        self._drop_aside()
        self.way.abandon()

    def hasten(self, lost: Session | None) -> None:
        """A link is lost, or there are more proxies: try soon, but not all agents at one moment."""
        call, attempt, now = self._next_attempt, self._attempting, self._clock.seconds()
        brief = lost is not None and now - lost.since < BRIEF
        if lost is None or not self.way.leads_to(lost.server_id):
            brief, soon = False, self._backoff.after_change()
        else:
            soon = self._backoff.after_brief_link() if brief else self._backoff.after_loss()
            if attempt is not None and now - self._began >= HANGS:
                self._given_up = True
                attempt.cancel()
        if call is not None and (brief or call.getTime() - now > soon):
            call.reset(soon)

    async def _run(self) -> None:
        while True:
            self._began, self._given_up = self._clock.seconds(), False
            attempt = self._attempting = Deferred.fromCoroutine(self._attempt())
            try:
                wait = await attempt
            finally:
                self._attempting = None
            await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        """Wait for the next attempt; `hasten` makes the wait shorter."""
        rest: Deferred[None] = Deferred()
        call = self._next_attempt = self._clock.callLater(seconds, rest.callback, None)
        try:
            await rest
        finally:
            self._next_attempt = None
            if call.active():
                call.cancel()

    async def _attempt(self) -> float:
        """One attempt, if there is anything to look for; returns the seconds until the next."""
        self.way.hurried = self._backoff.hurried
        try:
            addresses = await self._addresses()
            if addresses is None:
                return self._backoff.after_nothing()
            new = await self._join(addresses)
        except Exception as error:
            # Endpoints have words of their own for being cancelled.
            if self._stopped:
                raise CancelledError() from error
            if self._given_up:
                return self._backoff.after_loss()
            self._report(error)
            return self._after(error)
        if new is None:
            return self._backoff.after_silence()
        self._told.clear()
        if new:
            self._drop_aside()
            return self._backoff.after_success()
        return self._backoff.after_duplicate(self._links.expected)

    async def _join(self, addresses: list[str]) -> bool | None:
        """Connect; whether that found a new proxy, None if the attempt waits on beside the next."""
        joining = Deferred.fromCoroutine(self._links.join(self.way, addresses))
        elsewhere = self._links.lacking and len(self.way.addresses) > 1
        if not (self.way.hurried or elsewhere):
            return await joining
        told: Deferred[bool | None] = Deferred(lambda _: joining.cancel())

        def set_aside() -> None:
            if len(self._aside) < ASIDE:
                self._aside.add(joining)
                patience.stop()
                told.callback(None)

        def over(result: bool | Failure) -> None:
            if patience.running:
                patience.stop()
            if not told.called:
                told.callback(result)
            elif joining in self._aside:
                self._aside.discard(joining)
                self._late(result)

        patience = LoopingCall(set_aside)
        patience.clock = self._clock
        patience.start(PATIENCE, now=False)
        joining.addBoth(over)
        return await told

    def _late(self, result: bool | Failure) -> None:
        """What an attempt comes to beside which the search has gone on."""
        if isinstance(result, Failure):
            if isinstance(result.value, Exception):
                self._report(result.value)
        elif result:
            self._told.clear()
            self._drop_aside()

    def _drop_aside(self) -> None:
        """They are not needed any more."""
        aside, self._aside = self._aside, set()
        for joining in aside:
            joining.cancel()

    async def _addresses(self) -> list[str] | None:
        way = self.way
        addresses = self._links.addresses_to_try(way)
        looked_up = way.looked_up
        due = looked_up is None or self._clock.seconds() - looked_up >= LOOK_AGAIN
        if addresses is None and not due:
            return None
        await way.look_up(self._clock)
        return self._links.addresses_to_try(way)

    def _after(self, error: Exception) -> float:
        """The wait after a failure: short where the failure costs nobody anything."""
        # Of a unix socket, the file may be missing too.
        if isinstance(error, ConnectionRefusedError | FileNotFoundError):
            return self._backoff.after_refusal()
        if isinstance(error, HungUp):
            return self._backoff.after_hang_up()
        if isinstance(error, ConnectError | DNSLookupError):
            return self._backoff.after_silence()
        return self._backoff.after_error()

    def _report(self, error: Exception) -> None:
        """One line for each new problem; the same one again only at debug level, or after a while
        where several take turns, as those of a name's addresses do."""
        in_words = isinstance(error, (Refused, HelloError, TokenUnusable))
        text = str(error) if in_words else explain(Failure(error))
        name = f"the proxy at {self.way.name}" if self.way.name else "a proxy"
        text = f"no link to {name}: {text}"
        if self.way.stale:
            text += " (the name has no address now: one that it had before was tried)"
        lacking = self._links.lacking
        told, now = self._told, self._clock.seconds()
        last = next(reversed(told), None)
        when = told.pop(text, None)
        news = lacking and (when is None or (text != last and now - when >= TELL_AGAIN))
        (log.warn if news else log.debug)("{text}", text=text)
        if not lacking:
            # Nobody was told, and it is news once something is missing.
            told.clear()
            return
        told[text] = now if news or when is None else when
        while len(told) > MAX_TOLD:
            del told[next(iter(told))]
