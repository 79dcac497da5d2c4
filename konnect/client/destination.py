"""What is dialed: a host and a port, as the wire writes them and as Twisted does."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress


@dataclass(frozen=True, slots=True)
class Destination:
    """
    A host name or IP address (IPv6 without brackets) and a port.

    Raises ValueError for what cannot be written as `host:port`. Names are resolved by the agent.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not self.host or any(letter <= " " or letter in "\x7f[]/" for letter in self.host):
            raise ValueError(f"not a host to dial: {self.host!r}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"not a port to dial: {self.port!r}")

    @property
    def text(self) -> str:
        """`host:port`, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def address(self) -> IAddress:
        """For `buildProtocol` and `getPeer`: an IPv4Address, IPv6Address or HostnameAddress."""
        if isIPAddress(self.host):
            return IPv4Address("TCP", self.host, self.port)
        if isIPv6Address(self.host):
            return IPv6Address("TCP", self.host, self.port)
        return HostnameAddress(self.host.encode("utf-8", "replace"), self.port)
