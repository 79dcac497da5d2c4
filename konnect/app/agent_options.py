"""
The agent's command line, judged in upstream's order and words, as a frozen config.

`AgentOptions.config` is what the rest of konnect sees. What this module does not do: open
anything, or decide how a proxy is reached (konnect.app.describe turns the config into endpoint
strings).
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from typing import ClassVar
from urllib.parse import unquote_plus

from twisted.python import usage

from konnect.app.agent_flags import AGENT_FLAGS
from konnect.app.checks import (
    every_interface,
    require_file,
    require_not_negative,
    require_pair,
)
from konnect.app.durations import format_duration
from konnect.app.environment import Outward, read_outward
from konnect.app.flags import FlagOptions
from konnect.app.flow_flags import read_flow
from konnect.app.klog import LogConfig, read_log
from konnect.app.profiling_flags import ProfilingConfig, read_profiling, require_profiling
from konnect.app.quoting import quote
from konnect.app.sync_flags import read_leases, read_quorum, require_count_source, require_sync
from konnect.app.transport_flags import TransportConfig, read_transport
from konnect.extension.leases import LeaseSettings
from konnect.tunnel.flow import Flow

_IDENTIFIERS = ("ipv4", "ipv6", "cidr", "host", "default-route")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """What an agent is to be. Durations are seconds; an empty path or address means none given."""

    proxy_endpoints: tuple[str, ...] = ()
    """Ways to proxies given as client endpoint strings."""
    classic_proxy: bool = True
    """Whether upstream's flags (from `proxy_server_hosts` to `alpn_protos`) name one too."""
    proxy_server_hosts: tuple[str, ...] = ("127.0.0.1",)
    proxy_server_port: int = 8091
    outward: Outward = field(default_factory=Outward)
    """The HTTP proxy on the way to those hosts."""
    ca_cert: str = ""
    agent_cert: str = ""
    agent_key: str = ""
    alpn_protos: tuple[str, ...] = ()
    """Offered before `h2`."""

    health_server_port: int = 8093
    health_server_host: str = ""
    admin_server_port: int = 8094
    admin_bind_address: str = "127.0.0.1"
    any_interface: str = "0.0.0.0"
    """The interface that an empty bind address of a plain listener stands for."""

    agent_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    agent_identifiers: str = ""
    """A URL query, sent to proxies as it is."""
    sync_interval: float = 1.0
    sync_interval_cap: float = 10.0
    probe_interval: float = 1.0
    sync_forever: bool = False
    ready_quorum: int = 1
    """Proxies that have to be linked for `/readyz`; 0: all that are expected."""
    server_count_source: str = "default"
    leases: LeaseSettings | None = None
    """The leases that are counted to know how many proxies there are; None: none."""
    keepalive_time: float = 3600.0
    """Silence of a proxy before it is pinged; never below 10 seconds."""
    service_account_token_path: str = ""
    """The file with the token that proxies are shown, read anew for each connection."""
    drain_timeout: float = 25.0
    """How long tunnels may go on after the first signal."""
    buffer_limit: int = 128 * 1024 * 1024
    """Bytes that may wait for slow readers, see `konnect.tunnel.pressure`; 0: any number."""
    flow: Flow = field(default_factory=Flow)
    """How links hold their tunnels."""
    tls_reload_interval: float = 10.0
    """Between two looks at the TLS files; 0: only on SIGHUP."""
    transport: TransportConfig = field(default_factory=TransportConfig)
    """What carries the data."""
    strict: bool = False
    """Whether what is open (konnect.app.open_doors) is refused."""
    log: LogConfig = field(default_factory=LogConfig)
    profiling: ProfilingConfig = field(default_factory=ProfilingConfig)
    """What is logged, and where to."""


class AgentOptions(FlagOptions):
    """Options of konnect-agent; `config` is there once parseOptions has returned."""

    flags = AGENT_FLAGS
    about: ClassVar[str] = (
        "The konnect agent: connects to proxies and dials the destinations they ask for."
    )
    config: AgentConfig

    def postOptions(self) -> None:
        """Judge the values together and make `config`; raises usage.UsageError."""
        try:
            self._validate()
        except usage.UsageError as problem:
            raise usage.UsageError(f"failed to validate agent options with {problem}") from None
        if self._classic_proxy() and not self["ca-cert"]:
            # Upstream says so only when it has started.
            raise usage.UsageError(
                "failed to run proxy connection: nothing to verify the proxy's certificate with:"
                " set --ca-cert, or give --agent-endpoint"
            )
        self.config = self._freeze()

    def _classic_proxy(self) -> bool:
        if not self["agent-endpoint"]:
            return True
        named = self.given & {"proxy-server-host", "proxy-server-port"}
        return bool(named) or any(self[name] for name in ("ca-cert", "agent-cert", "agent-key"))

    def _validate(self) -> None:
        """Upstream's checks, in its order: the first complaint is the one that is shown."""
        require_pair("agent", self["agent-cert"], self["agent-key"])
        if path := self["ca-cert"]:
            require_file(f"error checking agent CA cert {path}", path)
        for name in ("proxy server port", "health server port", "admin server port"):
            if (port := self[name.replace(" ", "-")]) <= 0:
                raise usage.UsageError(f"{name} {port} must be greater than 0")
        if self["xfr-channel-size"] <= 0:
            raise usage.UsageError(
                f"channel size {self['xfr-channel-size']} must be greater than 0"
            )
        require_profiling(self)
        if self["sync-interval"] > self["sync-interval-cap"]:
            raise usage.UsageError(
                f"sync interval {format_duration(self['sync-interval'])} must be less than"
                f" sync interval cap {format_duration(self['sync-interval-cap'])}"
            )
        if path := self["service-account-token-path"]:
            require_file(f"error checking service account token path {path}", path)
        _validate_identifiers(self["agent-identifiers"])
        if path := self["kubeconfig"]:
            require_file(f"error checking KubeconfigPath {quote(path)}", path)
        require_count_source(self)
        self._validate_beyond_upstream()

    def _validate_beyond_upstream(self) -> None:
        """What upstream starts with and then fails, or spins, at."""
        for name in ("proxy server port", "health server port", "admin server port"):
            if (port := self[name.replace(" ", "-")]) > 65535:
                raise usage.UsageError(f"{name} {port} must be less than 65536")
        if not all(self["proxy-server-host"] or ("",)):
            raise usage.UsageError("proxy server host is empty: give a name or an address")
        require_sync(self)
        for name in ("drain-timeout", "tls-reload-interval"):
            require_not_negative(name, self[name])

    def _read_outward(self) -> Outward:
        try:
            return read_outward(self.environ)
        except ValueError as problem:
            raise usage.UsageError(str(problem)) from None

    def _freeze(self) -> AgentConfig:
        return AgentConfig(
            proxy_endpoints=self["agent-endpoint"],
            classic_proxy=self._classic_proxy(),
            proxy_server_hosts=tuple(dict.fromkeys(self["proxy-server-host"])),
            proxy_server_port=self["proxy-server-port"],
            outward=self._read_outward(),
            ca_cert=self["ca-cert"],
            agent_cert=self["agent-cert"],
            agent_key=self["agent-key"],
            alpn_protos=self["alpn-proto"],
            health_server_port=self["health-server-port"],
            health_server_host=self["health-server-host"],
            admin_server_port=self["admin-server-port"],
            admin_bind_address=self["admin-bind-address"],
            any_interface=every_interface(),
            agent_id=self["agent-id"],
            agent_identifiers=self["agent-identifiers"],
            sync_interval=self["sync-interval"],
            sync_interval_cap=self["sync-interval-cap"],
            probe_interval=self["probe-interval"],
            sync_forever=self["sync-forever"],
            ready_quorum=read_quorum(self),
            server_count_source=self["server-count-source"],
            leases=read_leases(self),
            keepalive_time=max(self["keepalive-time"], 10.0),
            service_account_token_path=self["service-account-token-path"],
            drain_timeout=self["drain-timeout"],
            buffer_limit=self["buffer-limit"],
            flow=read_flow(self),
            tls_reload_interval=self["tls-reload-interval"],
            transport=read_transport(self),
            strict=self["strict"],
            log=read_log(self),
            profiling=read_profiling(self),
        )


def _validate_identifiers(text: str) -> None:
    """Go's rules for a query, then upstream's for its keys; the values are not looked at."""
    pairs = [pair for pair in text.split("&") if pair]
    for pair in pairs:
        if ";" in pair:
            raise usage.UsageError("agent address is invalid: invalid semicolon separator in query")
        for part in pair.split("=", 1):
            if bad := _BAD_ESCAPE.search(part):
                raise usage.UsageError(
                    f"agent address is invalid: invalid URL escape {quote(bad[0])}"
                )
    for pair in pairs:
        name = unquote_plus(pair.partition("=")[0])
        if name not in _IDENTIFIERS:
            raise usage.UsageError(f"agent address is invalid: unknown address type: {name}")
