"""
What the environment says about HTTP proxies: `HTTPS_PROXY` and `NO_PROXY`, as for Go's programs.

Upstream's agent gets this from its gRPC library, and manifests in networks that only an HTTP proxy
leads out of count on it. Nothing is connected here: konnect.net.http_proxy does that.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from konnect.net.http_proxy import read_http_proxy

_PROXY_NAMES = ("HTTPS_PROXY", "https_proxy")
_EXCEPTION_NAMES = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True)
class Outward:
    """How connections get out of here."""

    http_proxy: str = field(default="", repr=False)
    """An HTTP proxy's URL, which may hold a password; empty: there is none to go through."""
    exceptions: tuple[str, ...] = ()
    """What is reached directly: names with all below them, addresses, networks, each perhaps with
    a port; `*` is everything."""

    def proxy_for(self, host: str, port: int) -> str:
        """The URL of the HTTP proxy on the way to `host`; empty: it is reached directly."""
        direct = _is_here(host) or any(_covers(item, host, port) for item in self.exceptions)
        return "" if direct else self.http_proxy


def read_outward(environ: Mapping[str, str]) -> Outward:
    """
    From the variables in capitals, or else in small letters.

    Raises ValueError that names the variable, and does not repeat it.
    """
    for name in _PROXY_NAMES:
        if url := environ.get(name, "").strip():
            try:
                read_http_proxy(url)
            except ValueError as problem:
                raise ValueError(f"bad ${name}: {problem}") from None
            break
    else:
        return Outward()
    for name in _EXCEPTION_NAMES:
        if text := environ.get(name):
            items = (item.strip().lower() for item in text.split(","))
            return Outward(url, tuple(item for item in items if item))
    return Outward(url)


def _is_here(host: str) -> bool:
    address = _address(host)
    return host.lower() == "localhost" or (address is not None and address.is_loopback)


def _covers(item: str, host: str, port: int) -> bool:
    if item == "*":
        return True
    address = _address(host)
    if "/" in item:
        try:
            return address is not None and address in ipaddress.ip_network(item, strict=False)
        except ValueError:
            return False
    name, colon, wanted = item.rpartition(":")
    if colon and wanted.isdigit() and (":" not in name or name.startswith("[")):
        if int(wanted) != port:
            return False
        item = name
    if address is not None:
        return _address(item) == address
    name = host.lower().rstrip(".")
    if item.startswith(("*.", ".")):
        return name.endswith("." + item.lstrip("*."))
    return name == item or name.endswith("." + item)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
