"""What a configuration leaves open, in one line each: who may come in, and which setting closes it.

Upstream starts with all of this, so konnect does too, but not without saying so.
"""

from __future__ import annotations

from collections.abc import Iterable

from konnect.app.describe import ProxyEndpoints
from konnect.app.listening import where

_CLIENTS = (
    "the {kind} frontend {where} {lack}: whoever reaches it can reach every destination of the"
    " agents; {cure}"
)
_AGENTS = (
    "the agent listener {where} {lack}: whoever reaches it can become an agent and receive clients'"
    " traffic; {cure}"
)
_OLD_TLS = (
    "the {name} {where} speaks TLS {version}, which RFC 8996 forbids;"
    " --tls-min-version=VersionTLS12, or minimum=1.2 in its endpoint, closes it"
)


def open_doors(endpoints: ProxyEndpoints) -> list[str]:
    """A line for each listener of a proxy that knows nothing of who connects to it, or speaks a
    version of TLS that is broken."""
    lines = [
        _CLIENTS.format(kind=kind, where=where(endpoint), lack=lack, cure=cure)
        for kind, endpoint in endpoints.frontends
        for lack, cure in _lacks(endpoint, "--server-ca-cert")
    ]
    lines += [
        _AGENTS.format(where=where(endpoint), lack=lack, cure=cure)
        for endpoint in endpoints.agents
        for lack, cure in _lacks(endpoint, "--cluster-ca-cert")
    ]
    named = [(f"{kind} frontend", endpoint) for kind, endpoint in endpoints.frontends]
    named += [("agent listener", endpoint) for endpoint in endpoints.agents]
    return lines + [
        _OLD_TLS.format(name=name, where=where(endpoint), version=version)
        for name, endpoint in named
        for version in ("1.0", "1.1")
        if endpoint.startswith("mtls:") and f"minimum={version}" in endpoint.split(":")
    ]


def _lacks(endpoint: str, flag: str) -> Iterable[tuple[str, str]]:
    parts = endpoint.replace("\\:", "").split(":")
    kind, settings = parts[0], {part.partition("=")[0] for part in parts[1:]}
    if kind == "mtls" and "ca" not in settings:
        yield "demands no client certificate", f"{flag}, or ca= in its endpoint, closes it"
    elif kind in ("tcp", "tcp6"):
        yield "is plain TCP", "an mtls: endpoint with ca= closes it"
    elif kind in ("ssl", "tls"):
        yield "demands no client certificate", "an mtls: endpoint with ca= closes it"
