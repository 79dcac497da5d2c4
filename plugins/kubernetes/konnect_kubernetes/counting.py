"""
How many proxies there are: the leases that have not expired, as an API server tells of them.

One LIST, then one WATCH after the other from where the last one ended; a new LIST when the API
server no longer knows what was (`410 Gone`). The labels are selected by the API server (upstream's
agents fetch all leases of the namespace).

A lease that is deleted makes the count fall at once. One that only runs out may as well mean that
this agent hears nothing any more, so a LIST is asked first: while there is no answer the count
stays, as a proxy that is forgotten by mistake is worse than one that is looked for in vain.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from kubernetes.client import CoordinationV1Api
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

from konnect.extension.leases import IProxyCount, LeaseSettings
from konnect.log import make_logger
from konnect.tunnel.ledger import Ledger
from konnect_kubernetes.access import make_client
from konnect_kubernetes.allowance import Allowance
from konnect_kubernetes.calls import Calls
from konnect_kubernetes.failures import ApiFailure
from konnect_kubernetes.lease import expiry, name_of, version_of
from konnect_kubernetes.lease_calls import LeaseCalls
from konnect_kubernetes.rounds import Rounds
from konnect_kubernetes.watching import GONE, Watch

log = make_logger(__name__)

WATCH_SECONDS = (240, 480)
"""How long the API server is to let one watch live, at random between these."""

SHORT = 1.0
"""Seconds of a watch that tells nothing and ends so soon that it cannot be meant: something on the
way ends it, and would be asked again and again."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds before a request that failed is tried again: doubled from the first to the longest, and
then halved at random, so that the agents of a cluster do not come all at once."""

GRACE = (5.0, 15.0)
"""Seconds after the end of a lease before it is looked whether it is really over. The proxies look
every 15 and delete what has run out, so mostly the watch tells first."""


@implementer(IProxyCount)
class ProxyCount:
    """The proxies with these labels. `wall` is the time of day, in seconds since 1970."""

    def __init__(
        self,
        reactor: Any,
        calls: Calls,
        leases: LeaseCalls,
        selector: str,
        *,
        close: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.count = 1
        self._reactor = reactor
        self._calls = calls
        self._leases = leases
        self._selector = selector
        self._close = close
        self._wall = wall
        self._changed: Callable[[], object] = lambda: None
        self._expiries: dict[str, float] = {}
        self._version = ""
        """Where the next watch begins; empty: a LIST comes first."""
        self._watch: Watch | None = None
        self._told_of = 0
        """Changes that this watch, or the last, has told of."""
        self._pause = FIRST_PAUSE
        self._problem = ""
        self._grace: IDelayedCall | None = None
        self._rounds = Rounds(reactor, self._round)

    def start(self, changed: Callable[[], object]) -> None:
        """See `IProxyCount`."""
        self._changed = changed
        self._rounds.start()

    async def _round(self) -> float:
        """One LIST if it is needed, then one WATCH to its end."""
        fresh, began = not self._version, self._reactor.seconds()
        try:
            if fresh:
                self._listed(await self._leases.list(self._selector))
            watch = self._watch = await self._leases.watch(
                self._selector, self._version, random.randint(*WATCH_SECONDS), self._told
            )
            if self._rounds.stopping:
                return 0.0
            begun, self._told_of = self._reactor.seconds(), 0
            await watch.run()
            short = self._reactor.seconds() - begun < SHORT and not self._told_of
            if short and self._version and not self._rounds.stopping:
                raise ApiFailure("it ends each watch at once")
        except ApiFailure as failure:
            if failure.code == GONE and self._version:
                self._version = ""
                # What a LIST has just said may be gone each time: not twice a second, then.
                soon = fresh and self._reactor.seconds() - began < SHORT
                return random.random() * (LONGEST_PAUSE if soon else 1.0)
            if self._rounds.stopping:
                return 0.0
            if str(failure) != self._problem:
                self._problem = str(failure)
                log.warn(
                    "proxies are not counted by their leases ({why}); there were {count}",
                    why=failure,
                    count=self.count,
                )
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            return pause * (0.5 + random.random() / 2)
        finally:
            self._watch = None
        return random.random() / 10

    def _listed(self, listed: dict[str, Any]) -> None:
        self._version = version_of(listed)
        self._expiries = {
            name_of(lease): expiry(lease) for lease in listed["items"] if isinstance(lease, dict)
        }
        self._heard()

    def _told(self, event: dict[str, Any]) -> None:
        """The watch tells of one change."""
        self._told_of += 1
        lease, kind = event["object"], event.get("type")
        self._version = version_of(lease) or self._version
        if kind == "BOOKMARK":
            return
        if kind == "DELETED":
            self._expiries.pop(name_of(lease), None)
        else:
            self._expiries[name_of(lease)] = expiry(lease)
        self._heard()

    def _heard(self) -> None:
        """The API server speaks, so what is known is true: count."""
        if self._problem:
            log.info("proxies are counted by their leases again")
        self._problem, self._pause = "", FIRST_PAUSE
        now = self._wall()
        valid = [end for end in self._expiries.values() if end > now]
        self._look_again(min(valid) - now if valid else None)
        count = len(valid) or 1
        if count != self.count:
            self.count = count
            self._changed()

    def _look_again(self, seconds: float | None) -> None:
        """Have a look when the next lease has run out, unless something is heard before."""
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
        if seconds is not None:
            seconds += random.uniform(*GRACE)
            self._grace = self._reactor.callLater(seconds, self._run_out)

    def _run_out(self) -> None:
        self._grace = None
        self._version = ""
        if self._watch is not None:
            self._watch.abandon()
        self._rounds.hasten()

    def stop(self) -> Deferred[None]:
        """See `IProxyCount`."""
        self._changed = lambda: None
        self._look_again(None)
        over = self._rounds.stop()
        if self._watch is not None:
            self._watch.abandon()
        self._close()  # first: a thread may be waiting for a kubeconfig's command
        # Gives up whatever is under way, so that the round ends.
        stopped = self._calls.stop()
        self._leases.hurry()  # after that: nothing is asked in these turns
        stopped.addCallback(lambda _: over)
        return stopped


def make_count(reactor: Any, settings: LeaseSettings, ledger: Ledger) -> ProxyCount:
    """What counts an agent's proxies; raises `ValueError` for settings that cannot be used."""
    # LIST and WATCH take turns. The second is for the moment when a watch that was abandoned has
    # not noticed yet.
    calls = Calls(reactor, 2, "leases")
    api = CoordinationV1Api(make_client(settings.access, 2))
    allowance = Allowance(reactor, settings.access.qps, settings.access.burst)
    leases = LeaseCalls(api, calls, allowance, settings.namespace, ledger)
    return ProxyCount(reactor, calls, leases, settings.labels, close=api.api_client.close)
