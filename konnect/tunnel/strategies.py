"""The strategies that konnect has: which links a dial may take, in which order.

A strategy keeps the links that it accepts in pools, and answers a dial with the pools that fit,
best first; links within a pool are equally good. It knows nothing of draining or of failing links:
`konnect.tunnel.routing` passes those by. Names and meanings are upstream's, except `destCIDR`,
which upstream does not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from konnect.tunnel.destination import IP, Destination, host_value, is_address, network_value
from konnect.tunnel.pool import L, Pool
from konnect.wire.metadata import Identifiers

_Key = TypeVar("_Key", str, tuple[int, int, int])


class Strategy(Protocol[L]):
    """What the registry asks of a strategy."""

    def add(self, link: L) -> None:
        """A link is there; a strategy that does not accept it forgets it."""

    def remove(self, link: L) -> None:
        """A link is gone; it may be one that was not accepted."""

    def pools(self, destination: Destination) -> Iterable[Pool[L]]:
        """The pools for a dial, best first; none when the strategy has no answer."""

    def __len__(self) -> int:
        """How many keys it can be asked for: `ready_backends` in the metrics."""


class Default(Generic[L]):
    """`default`: every agent will do."""

    def __init__(self) -> None:
        self._pool: Pool[L] = Pool()

    def add(self, link: L) -> None:
        """See Strategy."""
        self._pool.add(link)

    def remove(self, link: L) -> None:
        """See Strategy."""
        self._pool.remove(link)

    def pools(self, destination: Destination) -> Iterable[Pool[L]]:
        """See Strategy."""
        return (self._pool,)

    def __len__(self) -> int:
        """Agents."""
        return len(self._pool)


class DefaultRoute(Default[L]):
    """`defaultRoute`: every agent that says `default-route=true` will do."""

    def add(self, link: L) -> None:
        """See Strategy."""
        if link.identifiers.default_route:
            super().add(link)


class DestHost(Generic[L]):
    """`destHost`: agents that name the destination's host (`host=`, `ipv4=`, `ipv6=`)."""

    def __init__(self) -> None:
        self._pools: dict[str, Pool[L]] = {}

    def add(self, link: L) -> None:
        """See Strategy."""
        for host in _hosts(link.identifiers):
            self._pools.setdefault(host, Pool()).add(link)

    def remove(self, link: L) -> None:
        """See Strategy."""
        for host in _hosts(link.identifiers):
            _take_out(self._pools, host, link)

    def pools(self, destination: Destination) -> Iterable[Pool[L]]:
        """See Strategy."""
        pool = self._pools.get(destination.host)
        return () if pool is None else (pool,)

    def __len__(self) -> int:
        """Hosts."""
        return len(self._pools)


class DestCidr(Generic[L]):
    """
    `destCIDR`: agents whose range (`cidr=`) holds the destination's address, longest prefix first.

    A destination that is a name has no address here: names are looked up at the agents.
    """

    def __init__(self) -> None:
        self._pools: dict[_Range, Pool[L]] = {}
        self._lengths: dict[int, dict[int, int]] = {4: {}, 6: {}}
        """By IP version, how many ranges have a prefix of which length; longest first."""

    def add(self, link: L) -> None:
        """See Strategy."""
        for network in ranges(link.identifiers):
            pool = self._pools.get(network)
            if pool is None:
                pool = self._pools[network] = Pool()
                self._count(network, 1)
            pool.add(link)

    def remove(self, link: L) -> None:
        """See Strategy."""
        for network in ranges(link.identifiers):
            if _take_out(self._pools, network, link):
                self._count(network, -1)

    def pools(self, destination: Destination) -> Iterator[Pool[L]]:
        """See Strategy."""
        ip = destination.ip
        if ip is not None:
            for length in self._lengths[ip.version]:
                pool = self._pools.get((ip.version, length, _cut(ip, length)))
                if pool is not None:
                    yield pool

    def __len__(self) -> int:
        """Ranges."""
        return len(self._pools)

    def _count(self, network: _Range, change: int) -> None:
        version, length, _ = network
        lengths = self._lengths[version]
        lengths[length] = lengths.get(length, 0) + change
        if not lengths[length]:
            del lengths[length]
        elif lengths[length] == change:
            self._lengths[version] = dict(sorted(lengths.items(), reverse=True))


_Range = tuple[int, int, int]
"""IP version, length of the prefix, and the prefix as a number."""


def ranges(identifiers: Identifiers) -> set[_Range]:
    """The ranges that an agent names; what is none is left out."""
    networks = [network_value(text) for text in identifiers.cidr]
    return {
        (network.version, network.prefixlen, _cut(network.network_address, network.prefixlen))
        for network in networks
        if network is not None
    }


def useless(identifiers: Identifiers) -> list[str]:
    """What an agent names and no destination can match, as it is written in its identifiers."""
    hosts = [("host", text) for text in identifiers.host]
    hosts += [("ipv4", text) for text in identifiers.ipv4]
    hosts += [("ipv6", text) for text in identifiers.ipv6]
    none = [
        f"{key}={text}"
        for key, text in hosts
        # With a colon it is an address or has a port; no destination's host has one.
        if not text or (":" in text and not is_address(text))
    ]
    return none + [f"cidr={text}" for text in identifiers.cidr if network_value(text) is None]


def _cut(ip: IP, length: int) -> int:
    return int(ip) >> (ip.max_prefixlen - length)


def _hosts(identifiers: Identifiers) -> set[str]:
    names = (*identifiers.host, *identifiers.ipv4, *identifiers.ipv6)
    return {host_value(name) for name in names if name}


def _take_out(pools: dict[_Key, Pool[L]], key: _Key, link: L) -> bool:
    """Take a link out of its pool; whether that pool is gone."""
    pool = pools.get(key)
    if pool is None:
        return False
    pool.remove(link)
    if pool:
        return False
    del pools[key]
    return True
