"""What a configuration leaves open, in one line each: who may come in, and which setting closes it.

Upstream starts with all of this, so konnect does too, but not without saying so; with `--strict` it
does not start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from konnect.app.describe import AgentEndpoints, ProxyEndpoints
from konnect.app.listening import CannotListen, where
from konnect.log import make_logger

log = make_logger(__name__)

_CLIENTS = (
    "the {kind} frontend {where} {lack}: whoever reaches it can reach every destination of the"
    " agents; {cure}"
)
_AGENTS = (
    "the agent listener {where} {lack}: whoever reaches it can become an agent and receive clients'"
    " traffic; {cure}"
)
_TOKENS = (
    "the agent listener {where} is plain TCP: whoever is on the way can read agents' tokens;"
    " an mtls: endpoint closes it"
)
_OLD_TLS = (
    "the {name} {where} speaks TLS {version}, which RFC 8996 forbids;"
    " --tls-min-version=VersionTLS12, or minimum=1.2 in its endpoint, closes it"
)

_PROXIES = (
    "the way to the proxy {where} {lack}: whoever answers there can reach every destination of"
    " this agent; {cure}"
)
_PROFILES = (
    "the admin port at {where} serves profiles: whoever reaches it can see what the program does,"
    " and slow it down; --admin-bind-address=127.0.0.1 closes it"
)


def guard(lines: Sequence[str], *, strict: bool) -> None:
    """Say what is open; with `strict` raise `CannotListen` about it instead."""
    if strict and lines:
        raise CannotListen("\n".join(("--strict refuses what is open:", *lines)))
    for line in lines:
        log.warn("{line}", line=line)


def open_doors(endpoints: ProxyEndpoints, *, tokens: bool = False) -> list[str]:
    """
    A line for each listener of a proxy that knows nothing of who connects to it, or speaks a
    version of TLS that is broken.

    :param tokens: whether agents are admitted by tokens.
    """
    lines = [
        _CLIENTS.format(kind=kind, where=where(endpoint), lack=lack, cure=cure)
        for kind, endpoint in endpoints.frontends
        for lack, cure in _lacks(endpoint, "--server-ca-cert")
    ]
    if tokens:
        lines += [
            _TOKENS.format(where=where(endpoint))
            for endpoint in endpoints.agents
            if _parse(endpoint)[0] in ("tcp", "tcp6")
        ]
    else:
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


def agents_open_doors(endpoints: AgentEndpoints) -> list[str]:
    """A line for each way to a proxy on which an agent does not know whom it obeys."""
    lines = []
    for endpoint in endpoints.proxies:
        kind, settings = _parse(endpoint)
        if kind in ("tcp", "tcp6"):
            lack = "is plain TCP"
        elif kind == "ssl" and "caCertsDir" not in settings:
            lack = "does not verify the proxy's certificate"
        else:
            continue
        cure = "an mtls: endpoint with ca= closes it"
        lines.append(_PROXIES.format(where=where(endpoint), lack=lack, cure=cure))
    return lines


def open_profiles(address: str, *, profiling: bool) -> list[str]:
    """A line for an admin port at `address` (empty: all) that has profiles for other machines."""
    if not profiling or address in ("localhost", "::1") or address.startswith("127."):
        return []
    return [_PROFILES.format(where=address or "every address")]


def _lacks(endpoint: str, flag: str) -> Iterable[tuple[str, str]]:
    kind, settings = _parse(endpoint.removeprefix("haproxy:"))
    if kind == "mtls" and "ca" not in settings:
        yield "demands no client certificate", f"{flag}, or ca= in its endpoint, closes it"
    elif kind in ("tcp", "tcp6") or settings.get("domain", "").startswith("INET"):  # systemd's
        yield "is plain TCP", "an mtls: endpoint with ca= closes it"
    elif kind in ("ssl", "tls"):
        yield "demands no client certificate", "an mtls: endpoint with ca= closes it"
    elif kind == "unix" and settings.get("mode", "666")[-1:] in "2367":
        yield "is open to every user of this machine", "mode=660 in its endpoint closes it"


def _parse(endpoint: str) -> tuple[str, dict[str, str]]:
    """The type of an endpoint string, and its settings."""
    kind, *parts = endpoint.replace("\\:", "").split(":")
    return kind, {name: value for name, _, value in (part.partition("=") for part in parts)}
