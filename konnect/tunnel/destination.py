"""What a dial is for, as strategies compare it: by value, not by spelling."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAPPED = IPv6Network("::ffff:0:0/96")
"""The IPv4 addresses as IPv6 writes them."""

_LONGEST_NAME = 253
"""Characters of a name that can be one."""


class Destination:
    """
    The address of a dial, taken apart when somebody asks.

    :param address: as the client gave it; anything at all, often `host:port`.
    """

    __slots__ = ("_host", "_ip", "address")

    def __init__(self, address: str) -> None:
        self.address = address
        self._host: str | None = None
        self._ip: IP | None = None

    @property
    def host(self) -> str:
        """The host in its one spelling, as `host_value` gives it."""
        return self._take_apart() if self._host is None else self._host

    @property
    def ip(self) -> IP | None:
        """The host as an address; None when it is a name."""
        if self._host is None:
            self._take_apart()
        return self._ip

    def _take_apart(self) -> str:
        text = _bare(host_of(self.address))
        self._ip = ip_value(text)
        host = self._host = _name(text) if self._ip is None else str(self._ip)
        return host


def host_of(address: str) -> str:
    """
    An address without its port, as upstream cuts it.

    With at most one colon what is before it; with more, brackets and what follows them are taken
    off; an IPv6 address without brackets stays as it is.
    """
    if address.count(":") <= 1:
        return address.partition(":")[0]
    if address.endswith("]"):
        return address.strip("[]")
    if "[" in address and "]" in address:
        return address[: address.rindex(":")].strip("[]")
    return address


def host_value(host: str) -> str:
    """
    One spelling for all spellings of a host.

    Names in lower case, without a final dot, as name servers have them (`xn--bcher-kva.example`);
    IPv6 addresses in their shortest form and without brackets; IPv4 addresses also when they are
    written as IPv6 (`::ffff:10.0.0.1`).
    """
    host = _bare(host)
    ip = ip_value(host)
    return _name(host) if ip is None else str(ip)


def is_address(host: str) -> bool:
    """Whether `host` is the value of an address, not of a name."""
    return ip_value(_bare(host)) is not None


def ip_value(host: str) -> IP | None:
    """The address that a text is; None for a name."""
    # Asking `ip_address` about a name costs several times as much as this.
    if ":" not in host and not host[-1:].isdigit():
        return None
    try:
        ip = ip_address(host)
    except ValueError:
        return None
    return (isinstance(ip, IPv6Address) and ip.ipv4_mapped) or ip


def network_value(text: str) -> Network | None:
    """The range of addresses that a text is, as its IPv4 range where it is one; None if it is none.
    What is set behind the prefix does not matter: upstream's agents may send 10.0.0.1/8."""
    address, slash, length = text.partition("/")
    try:
        network = ip_network(_bare(address) + slash + length, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        first = network.network_address.ipv4_mapped
        return IPv4Network(f"{first}/{network.prefixlen - _MAPPED.prefixlen}")
    return network


def _bare(host: str) -> str:
    return host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host


def _name(host: str) -> str:
    name = host.lower().removesuffix(".")
    if name.isascii() or len(name) > _LONGEST_NAME:
        return name
    try:
        return name.encode("idna").decode().removesuffix(".")
    except UnicodeError:
        return name  # nobody can look that up
