"""A way to proxies that the flags name, and the addresses behind its name.

A name may stand for one balancer, which leads to another proxy each time, or for the addresses of
all proxies (a headless service), or for both. So a way remembers which proxy it met where, and
prefers addresses that may lead to one that is not linked yet.
"""

from __future__ import annotations

from collections.abc import Container

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHostnameResolver, IReactorTime, IStreamClientEndpoint

from konnect.agent.lookup import Lookup
from konnect.net.named import NamedEndpoint

LOOKUP_TIMEOUT = 10.0
"""Seconds for a lookup; later it counts as one that found nothing."""

HURRIED_LOOKUP = 0.5
"""Seconds that an attempt in a hurry waits for a lookup, if there are addresses from before."""

HURRIED_CONNECT = 1.9
"""Seconds for a TCP connection in a hurry: where nothing is answered, the kernel asks again after
one second, and then after ever longer ones. A new attempt begins before those."""

MAX_ADDRESSES = 256
"""Addresses of one name that are kept."""

ANYWHERE = ""
"""What stands for the address of a way whose endpoint has none that is known here."""


class Way:
    """
    One endpoint that leads to proxies.

    :param name: the endpoint in the words of log lines.
    :param authority: the `:authority` of requests.
    :param resolver: looks names up; without one the endpoint does so itself, and its addresses
        are not told apart.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        name: str = "",
        authority: str = "",
        resolver: IHostnameResolver | None = None,
    ) -> None:
        self.name = name
        self.authority = authority
        self._endpoint = endpoint
        self._resolver = resolver if isinstance(endpoint, NamedEndpoint) else None
        self._turn = 0
        self._met: dict[str, str] = {}
        """By address, the id of the proxy that was met there last."""
        self.addresses: list[str] = [ANYWHERE]
        self.last_met: str | None = None
        """The id of the proxy that was met last."""
        self.looked_up: float | None = None
        """When `addresses` were looked up last; None: never."""
        self.stale = False
        """Whether the last lookup found nothing, and `addresses` are those of before."""
        self.hurried = False
        """Whether a proxy that was lost is looked for."""
        self._lookup: Lookup | None = None
        """On its way, perhaps since an earlier attempt."""
        self._lookup_until = 0.0
        self._looking: Deferred[None] | None = None
        """The attempt that waits for it."""

    async def look_up(self, clock: IReactorTime) -> None:
        """Look the name up, if there is one; the old addresses stay when that fails."""
        now = self.looked_up = clock.seconds()
        if self._lookup is not None and now >= self._lookup_until:
            self.abandon()
        if self._lookup is None:
            self._begin_lookup(now)
        if self._lookup is None:
            return
        patience = self._lookup_until - now
        if self.hurried and self.addresses != [ANYWHERE]:
            patience = min(patience, HURRIED_LOOKUP)
        looking = self._looking = Deferred()
        looking.addTimeout(patience, clock, onTimeoutCancel=lambda _, __: None)
        try:
            await looking
        finally:
            self._looking = None

    def abandon(self) -> None:
        """Hear no more of a lookup that is on its way."""
        lookup, self._lookup = self._lookup, None
        if lookup is not None:
            lookup.abandon()

    def _begin_lookup(self, now: float) -> None:
        endpoint, resolver = self._endpoint, self._resolver
        if resolver is None or not isinstance(endpoint, NamedEndpoint):
            return
        if isIPAddress(endpoint.host) or isIPv6Address(endpoint.host):
            return
        lookup = self._lookup = Lookup(self._found)
        self._lookup_until = now + LOOKUP_TIMEOUT
        try:
            resolver.resolveHostName(lookup, endpoint.host, endpoint.port)
        except BaseException:
            self.abandon()
            raise

    def _found(self, found: list[str]) -> None:
        self._lookup = None
        self.stale = not found and self.addresses != [ANYWHERE]
        if found:
            self.addresses = list(dict.fromkeys(found))[:MAX_ADDRESSES]
            for address in set(self._met) - set(self.addresses):
                del self._met[address]
        looking, self._looking = self._looking, None
        if looking is not None:
            looking.callback(None)

    def open_addresses(self, linked: Container[str]) -> list[str]:
        """The addresses where no proxy was met yet that is one of `linked`, in turns."""
        return [address for address in self._in_turns() if self._met.get(address) not in linked]

    def all_addresses(self, linked: Container[str]) -> list[str]:
        """All addresses, those of `open_addresses` first."""
        addresses = self._in_turns()
        return sorted(addresses, key=lambda address: self._met.get(address) in linked)

    def endpoint(self, addresses: list[str]) -> IStreamClientEndpoint:
        """An endpoint that tries these addresses, beginning with the first."""
        self._turn += 1
        if self._resolver is None or not isinstance(self._endpoint, NamedEndpoint):
            return self._endpoint
        known = None if addresses == [ANYWHERE] else addresses
        return self._endpoint.at(known, within=HURRIED_CONNECT if self.hurried else None)

    def leads_to(self, server_id: str) -> bool:
        """Whether this proxy was met along this way, as far as is remembered."""
        return server_id == self.last_met or server_id in self._met.values()

    def met(self, host: str, tried: list[str], server_id: str) -> None:
        """A proxy has been met at `host`, where an endpoint to the addresses `tried` has led."""
        self.last_met = server_id
        self._met[host if host in tried else tried[0]] = server_id

    def _in_turns(self) -> list[str]:
        start = self._turn % len(self.addresses)
        return self.addresses[start:] + self.addresses[:start]
