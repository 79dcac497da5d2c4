"""
A proxy's lease: made, renewed, deleted; and the expired leases of others taken away.

Upstream's names and rhythm. Differently from upstream's, a stop ends the renewing before it deletes
the lease, so that no late renewal makes it anew.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from kubernetes.client import CoordinationV1Api, V1Lease
from twisted.internet.defer import Deferred
from zope.interface import implementer

from konnect.extension.leases import IPresence, LeaseSettings, parse_labels
from konnect.log import make_logger
from konnect.tunnel.ledger import Ledger
from konnect_kubernetes.access import make_client
from konnect_kubernetes.allowance import Allowance
from konnect_kubernetes.calls import Calls
from konnect_kubernetes.failures import ApiFailure
from konnect_kubernetes.lease import (
    DURATION,
    expiry,
    lease_name,
    name_of,
    new_lease,
    renewed,
    version_of,
)
from konnect_kubernetes.lease_calls import LeaseCalls
from konnect_kubernetes.rounds import Rounds

log = make_logger(__name__)

RENEW = 15.0
"""Seconds between two renewals, and between two looks at others' leases; up to 4 % more."""
JITTER = 0.04

TRIES = 5
"""Attempts at one renewal while others keep writing the lease."""

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 7.0
"""Seconds before a renewal that failed is tried again: doubled from the first to the longest."""

STOP_WITHIN = 2.5
"""Seconds that a stop may take."""


@implementer(IPresence)
class Presence:
    """
    One proxy's lease.

    :param wall: the time of day, in seconds since 1970: leases are about that, not about a clock
        of this process.
    """

    def __init__(
        self,
        reactor: Any,
        calls: Calls,
        leases: LeaseCalls,
        server_id: str,
        labels: Mapping[str, str],
        ledger: Ledger,
        *,
        close: Callable[[], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._reactor = reactor
        self._calls = calls
        self._leases = leases
        self._server_id = server_id
        self._name = lease_name(server_id)
        self._labels = labels
        self._selector = ",".join(f"{key}={value}" for key, value in labels.items())
        self._ledger = ledger
        self._close = close
        self._wall = wall
        self._lease: V1Lease | None = None
        self._may_exist = False
        """Whether the lease was seen, or asked for: an error tells nothing of what was done."""
        self._pause = FIRST_PAUSE
        self._problem = ""
        self._published = False
        self._cull_problem = ""
        self._renewing = Rounds(reactor, self._renew)
        self._culling = Rounds(reactor, self._cull)

    def start(self) -> None:
        """See `IPresence`."""
        self._renewing.start()
        self._culling.start()

    # -- renewing

    async def _renew(self) -> float:
        try:
            await self._renew_in_a_few_tries()
        except ApiFailure as failure:
            if self._renewing.stopping:
                return 0.0
            self._lease = None  # what is known of it may be what is wrong
            if str(failure) != self._problem:
                self._problem = str(failure)
                log.warn("the lease {name} is not renewed: {why}", name=self._name, why=failure)
            pause, self._pause = self._pause, min(self._pause * 2, LONGEST_PAUSE)
            return pause
        if self._problem or not self._published:
            log.info("the lease {name} is published", name=self._name)
        self._problem, self._pause, self._published = "", FIRST_PAUSE, True
        return RENEW * (1 + random.random() * JITTER)

    async def _renew_in_a_few_tries(self) -> None:
        for left in reversed(range(TRIES)):
            try:
                await self._renew_once()
                return
            except ApiFailure as failure:
                # 404, 409: deleted or written by somebody else, so look at it again. A lease that
                # could not be made for a 404 has no namespace, which takes longer.
                if failure.code not in (404, 409) or not left or self._renewing.stopping:
                    raise
                if failure.code == 404 and self._lease is None:
                    raise
                self._lease = None

    async def _renew_once(self) -> None:
        lease = self._lease
        if lease is None:
            try:
                lease = await self._leases.read(self._name)
            except ApiFailure as failure:
                if failure.code != 404:
                    raise
                made = new_lease(self._name, self._server_id, self._labels, self._wall())
                self._may_exist = True
                self._lease = await self._leases.create(made)
                return
        self._may_exist = True
        lease = renewed(lease, self._server_id, self._labels, self._wall())
        self._lease = await self._leases.replace(self._name, lease)

    # -- others' leases

    async def _cull(self) -> float:
        try:
            problem = await self._cull_listed()
        except ApiFailure as failure:
            problem = str(failure)
        if problem and problem != self._cull_problem:
            log.warn("expired leases are not deleted: {why}", why=problem)
        self._cull_problem = problem
        return RENEW * (1 + random.random() * JITTER)

    async def _cull_listed(self) -> str:
        """One that may not be deleted does not keep the others; says what was wrong with the first
        such."""
        listed = await self._leases.list(self._selector)
        problem = ""
        for lease in listed["items"]:
            if self._culling.stopping:
                break
            if not isinstance(lease, dict) or name_of(lease) in ("", self._name):
                continue
            try:
                await self._cull_one(lease)
            except ApiFailure as failure:
                if not failure.code or failure.wait:
                    raise  # it may be so with each, and take its time
                problem = problem or str(failure)
        return problem

    async def _cull_one(self, lease: Mapping[str, Any]) -> None:
        if expiry(lease) > self._wall():
            return
        try:
            await self._leases.delete(name_of(lease), version_of(lease))
        except ApiFailure as failure:
            # Deleted by another proxy, or renewed in this moment.
            if failure.code not in (404, 409):
                raise
            return
        self._ledger.culled_leases += 1
        log.info("deleted the expired lease {name}", name=name_of(lease))

    # -- stopping

    def stop(self) -> Deferred[None]:
        """See `IPresence`."""
        self._leases.hurry()
        stopping = Deferred.fromCoroutine(self._stop())
        stopping.addTimeout(STOP_WITHIN, self._reactor)
        stopping.addErrback(self._not_deleted)
        # In this order: a thread may be waiting for a kubeconfig's command.
        stopping.addCallback(lambda _: self._close())
        stopping.addCallback(lambda _: self._calls.stop())
        return stopping

    async def _stop(self) -> None:
        culled = self._culling.stop()
        await self._renewing.stop()
        if self._may_exist:
            try:
                await self._leases.delete(self._name)
            except ApiFailure as failure:
                if failure.code != 404:
                    raise
        await culled

    def _not_deleted(self, failure: Any) -> None:
        error = failure.value
        log.warn(
            "the lease {name} could not be deleted ({why}): agents count this proxy for up to"
            " {seconds} seconds more",
            name=self._name,
            why=str(error) if isinstance(error, ApiFailure) else "no answer in time",
            seconds=DURATION,
        )


def make_presence(
    reactor: Any, server_id: str, settings: LeaseSettings, ledger: Ledger
) -> Presence:
    """What keeps a proxy's lease; raises `ValueError` for settings that cannot be used."""
    labels = parse_labels(settings.labels)
    # One for the proxy's own lease, and one for those of others, which may have to wait.
    calls = Calls(reactor, 2, "leases")
    api = CoordinationV1Api(make_client(settings.access, 2))
    allowance = Allowance(reactor, settings.access.qps, settings.access.burst)
    leases = LeaseCalls(api, calls, allowance, settings.namespace, ledger)
    return Presence(reactor, calls, leases, server_id, labels, ledger, close=api.api_client.close)
