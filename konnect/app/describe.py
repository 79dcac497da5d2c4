"""
A config as Twisted endpoint strings: the one place that says what upstream's flags mean.

Pure functions: nothing is opened, read or looked up. Strings given on the command line come after
those that upstream's flags ask for, and as they went in; but where gRPC is spoken an `mtls:` one
that names no ALPN protocol offers h2, without which no peer could ever be served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.endpoints import quoteStringArgument

if TYPE_CHECKING:
    # Each program has its own table of flags, and need not keep the other's in memory.
    from konnect.app.agent_options import AgentConfig
    from konnect.app.proxy_options import ProxyConfig


@dataclass(frozen=True, slots=True)
class ProxyEndpoints:
    """Server endpoint strings of a proxy."""

    frontends: tuple[tuple[str, str], ...]
    """(kind, endpoint); kind is `grpc` or `connect`."""
    agents: tuple[str, ...]
    health: str
    admin: str


@dataclass(frozen=True, slots=True)
class AgentEndpoints:
    """Endpoint strings of an agent."""

    proxies: tuple[str, ...]
    """Client endpoint strings, each a way to one or several proxies."""
    health: str
    admin: str


def describe_proxy(config: ProxyConfig) -> ProxyEndpoints:
    """Where a proxy listens, and for whom."""
    frontends = tuple(
        (kind, _for_grpc(endpoint) if kind == "grpc" else endpoint)
        for kind, endpoint in config.frontends
    )
    if config.classic_frontend:
        frontends = (_frontend(config), *frontends)
    agents = tuple(map(_for_grpc, config.agent_endpoints))
    if config.classic_agents:
        listener = _endpoint(
            "mtls",
            str(config.agent_port),
            cert=config.cluster_cert,
            key=config.cluster_key,
            ca=config.cluster_ca_cert,
            interface=config.agent_bind_address or config.any_interface,
            alpn="h2",
            minimum=config.tls_minimum,
            ciphers=",".join(config.cipher_suites),
        )
        agents = (listener, *agents)
    return ProxyEndpoints(
        frontends=frontends,
        agents=agents,
        health=_plain(config.health_port, config.health_bind_address or config.any_interface),
        admin=_plain(config.admin_port, config.admin_bind_address or config.any_interface),
    )


def describe_agent(config: AgentConfig) -> AgentEndpoints:
    """How an agent reaches proxies, and where it listens for operators."""
    proxies = tuple(map(_for_grpc, config.proxy_endpoints))
    if config.classic_proxy:
        offered = config.alpn_protos
        if "h2" not in offered:
            offered = (*offered, "h2")
        named = tuple(
            _endpoint(
                "mtls",
                host,
                str(config.proxy_server_port),
                ca=config.ca_cert,
                cert=config.agent_cert,
                key=config.agent_key,
                alpn=",".join(offered),
                via=config.outward.proxy_for(host, config.proxy_server_port),
            )
            for host in config.proxy_server_hosts
        )
        proxies = (*named, *proxies)
    return AgentEndpoints(
        proxies=proxies,
        health=_plain(config.health_server_port, config.health_server_host or config.any_interface),
        admin=_plain(config.admin_server_port, config.admin_bind_address or config.any_interface),
    )


def _frontend(config: ProxyConfig) -> tuple[str, str]:
    connect = config.mode == "http-connect"
    kind = "connect" if connect else "grpc"
    if config.uds_name:
        return kind, _endpoint("unix", config.uds_name, mode="770", lockfile="0", backlog="1024")
    return kind, _endpoint(
        "mtls",
        str(config.server_port),
        cert=config.server_cert,
        key=config.server_key,
        ca=config.server_ca_cert,
        interface=config.server_bind_address or config.any_interface,
        alpn="http/1.1" if connect else "h2",
        minimum=config.tls_minimum,
        ciphers=",".join(config.cipher_suites),
    )


def _for_grpc(endpoint: str) -> str:
    prefix, *fields = _fields(endpoint)
    if prefix != ["mtls"] or any(field[0] == "alpn" for field in fields):
        return endpoint
    return f"{endpoint}:alpn=h2"


def _plain(port: int, interface: str) -> str:
    # Without an interface Twisted listens to IPv4 only.
    return _endpoint("tcp", str(port), interface=interface)


def _endpoint(prefix: str, *places: str, **settings: str) -> str:
    """An endpoint string; settings without a value are left out."""
    parts = [prefix, *map(quoted_place, places)]
    parts += [f"{name}={quoteStringArgument(value)}" for name, value in settings.items() if value]
    return ":".join(parts)


def quoted_place(text: str) -> str:
    """A host, port or path as the part of an endpoint string that has no name."""
    # A `=` in a path would make a setting of it, and Twisted's quoting leaves it alone.
    quoted: str = quoteStringArgument(text)
    return quoted.replace("=", "\\=")


def address_text(endpoint: str) -> str:
    """Where a client endpoint string leads, in the words of a log line: `host:port`, or a path."""
    host, *rest = _places(endpoint) or [endpoint.partition(":")[0]]
    return ":".join([f"[{host}]" if rest and ":" in host else host, *rest])


def authority_of(endpoint: str) -> str:
    """
    The `:authority` of requests by a client endpoint string: its host, as URLs have it.

    Where it has none, on a unix socket, that is `localhost`, as gRPC's clients say: a path is no
    authority, and what stands before a proxy may refuse it.
    """
    host, *rest = _places(endpoint) or [""]
    if not host or not rest:
        return "localhost"
    return f"[{host.partition('%')[0]}]" if ":" in host else host


def _places(endpoint: str) -> list[str]:
    """The parts of an endpoint string that have no name, behind its type."""
    return [field[0] for field in _fields(endpoint) if len(field) == 1][1:]


def unix_path(endpoint: str) -> str | None:
    """
    The socket file that a server endpoint string listens on; None when it is not a `unix:` one.

    Whoever listens has to make room for that file first, and Twisted does not say where it is.
    """
    prefix, *fields = _fields(endpoint)
    if prefix != ["unix"] or not fields:
        return None
    named = {field[0]: field[1] for field in fields if len(field) == 2}
    places = [field[0] for field in fields if len(field) == 1]
    return named.get("address") or (places[0] if places else "") or None


def _fields(endpoint: str) -> list[list[str]]:
    """The string cut at its colons, each part cut at its first `=`, escapes resolved."""
    fields = [[""]]
    characters = iter(endpoint)
    for character in characters:
        field = fields[-1]
        if character == ":":
            fields.append([""])
        elif character == "=" and len(field) == 1:
            field.append("")
        else:
            field[-1] += next(characters, "") if character == "\\" else character
    return fields
