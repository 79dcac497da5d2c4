"""What a dial is for, as strategies compare it: by value, not by spelling."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

IP = IPv4Address | IPv6Address


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
        text = host_of(self.address)
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

    Names in lower case and without a final dot; IPv6 addresses in their shortest form; IPv4
    addresses also when they are written as IPv6 (`::ffff:10.0.0.1`).
    """
    ip = ip_value(host)
    return _name(host) if ip is None else str(ip)


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


def _name(host: str) -> str:
    return host.lower().removesuffix(".")
