"""
The proxy's command line, judged in upstream's order and words, as a frozen config.

`ProxyOptions.config` is what the rest of konnect sees. What this module does not do: open
anything, or decide how a listener is built (konnect.app.describe turns the config into endpoint
strings).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import ClassVar

from twisted.python import usage

from konnect.app.checks import (
    every_interface,
    require_file,
    require_not_negative,
    require_pair,
)
from konnect.app.durations import format_duration
from konnect.app.flags import FlagOptions
from konnect.app.flood_flags import read_floods
from konnect.app.flow_flags import read_flow
from konnect.app.klog import LogConfig, read_log
from konnect.app.kubernetes_flags import (
    Tokens,
    read_published,
    read_tokens,
    require_lease_label,
    require_token_flags,
)
from konnect.app.profiling_flags import ProfilingConfig, read_profiling, require_profiling
from konnect.app.proxy_checks import (
    at_least_a_second,
    require_known_tls,
    require_one_way_in,
    require_usual_ports,
)
from konnect.app.proxy_flags import PROXY_FLAGS, TLS_VERSIONS
from konnect.app.quoting import quote
from konnect.app.strategies import parse_strategies
from konnect.app.transport_flags import TransportConfig, read_transport
from konnect.extension.leases import LeaseSettings
from konnect.net.floods import FloodLimits
from konnect.proxy.pending import ANSWER_WITHIN
from konnect.tunnel.flow import Flow


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """What a proxy is to be. Durations are seconds; an empty path or address means none given."""

    frontends: tuple[tuple[str, str], ...] = ()
    """Frontends given as endpoint strings: (kind, endpoint); kind is `grpc` or `connect`."""
    classic_frontend: bool = True
    """Whether upstream's flags (from `mode` to `server_ca_cert`) ask for a frontend too."""
    mode: str = "grpc"
    """`grpc` or `http-connect`."""
    uds_name: str = ""
    delete_existing_uds_file: bool = True
    """For every frontend on a unix socket, however it was given."""
    server_port: int = 8090
    server_bind_address: str = ""
    server_cert: str = ""
    server_key: str = ""
    server_ca_cert: str = ""

    agent_endpoints: tuple[str, ...] = ()
    """Listeners for agents given as endpoint strings."""
    classic_agents: bool = True
    """Whether upstream's flags (from `agent_port` to `cluster_ca_cert`) ask for one too."""
    agent_port: int = 8091
    agent_bind_address: str = ""
    cluster_cert: str = ""
    cluster_key: str = ""
    cluster_ca_cert: str = ""

    health_port: int = 8092
    health_bind_address: str = ""
    admin_port: int = 8095
    admin_bind_address: str = "127.0.0.1"
    any_interface: str = "0.0.0.0"
    """The interface that an empty bind address stands for."""
    tls_minimum: str = ""
    """The oldest TLS version of both `mtls` listeners: from `1.0` to `1.3`, or empty for 1.2."""
    cipher_suites: tuple[str, ...] = ()
    """Of both `mtls` listeners, in Go's names; empty: all that are secure."""

    server_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    server_count: int = 1
    """What agents are told; upstream accepts 0 and negative numbers."""
    keepalive_time: float = 3600.0
    """Silence of an agent before it is pinged."""
    frontend_keepalive_time: float = 3600.0
    """Silence of a gRPC client before it is pinged."""
    backend_dial_timeout: float = 30.0
    """How long a dial may take in all; 0: as long as it likes."""
    dial_answer_timeout: float = ANSWER_WITHIN
    """How long an agent may leave a dial unanswered before another is asked as well."""
    graceful_shutdown_timeout: float = 0.0
    """How long tunnels may go on after the first signal; 0: they are cut."""
    shutdown_delay: float = 5.0
    """How long new clients are still served after the first signal; at most half of the above."""
    strategies: tuple[str, ...] = ("default",)
    """In the order in which they are asked, and perhaps one modifier."""
    buffer_limit: int = 256 * 1024 * 1024
    """Bytes that may wait for slow readers, see `konnect.tunnel.pressure`; 0: any number."""
    floods: FloodLimits = field(default_factory=FloodLimits)
    """What the listeners put up with."""
    flow: Flow = field(default_factory=Flow)
    """How links hold their tunnels."""
    tokens: Tokens | None = None
    """How agents are admitted by tokens; None: no token is asked for."""
    leases: LeaseSettings | None = None
    """The lease that this proxy publishes; None: none."""
    tls_reload_interval: float = 10.0
    """Between two looks at the TLS files; 0: only on SIGHUP."""
    transport: TransportConfig = field(default_factory=TransportConfig)
    """What carries the data."""
    strict: bool = False
    """Whether what is open (konnect.app.open_doors) is refused."""
    log: LogConfig = field(default_factory=LogConfig)
    profiling: ProfilingConfig = field(default_factory=ProfilingConfig)
    """What is logged, and where to."""


class ProxyOptions(FlagOptions):
    """Options of konnect-proxy; `config` is there once parseOptions has returned."""

    flags = PROXY_FLAGS
    about: ClassVar[str] = (
        "The konnect proxy: takes tunnels from clients and hands each to one of its agents."
    )
    config: ProxyConfig

    def postOptions(self) -> None:
        """Judge the values together and make `config`; raises usage.UsageError."""
        try:
            self._validate()
        except usage.UsageError as problem:
            raise usage.UsageError(f"failed to validate server options with {problem}") from None
        self._require_certificates()
        self.config = self._freeze()

    def _classic_frontend(self) -> bool:
        if not self["frontend"]:
            return True
        paths = ("uds-name", "server-cert", "server-key", "server-ca-cert")
        port = "server-port" in self.given and self["server-port"] != 0
        return port or any(self[name] for name in paths)

    def _classic_agents(self) -> bool:
        if not self["agent-endpoint"]:
            return True
        paths = ("cluster-cert", "cluster-key", "cluster-ca-cert")
        return "agent-port" in self.given or any(self[name] for name in paths)

    def _validate(self) -> None:
        """Upstream's checks, in its order: the first complaint is the one that is shown."""
        require_pair("server", self["server-cert"], self["server-key"])
        if path := self["server-ca-cert"]:
            require_file(f"error checking server CA cert {path}", path)
        require_pair("cluster", self["cluster-cert"], self["cluster-key"])
        if path := self["cluster-ca-cert"]:
            require_file(f"error checking cluster CA cert {path}", path)
        if self["mode"] not in ("grpc", "http-connect"):
            raise usage.UsageError(
                f"mode must be set to either 'grpc' or 'http-connect' not {quote(self['mode'])}"
            )
        frontend = self._classic_frontend()
        if frontend:
            require_one_way_in(self)
        require_usual_ports(self, frontend=frontend)
        require_profiling(self)
        require_token_flags(self)
        if path := self["kubeconfig"]:
            require_file(f"checking KubeconfigPath {quote(path)}", path)
        self._validate_strategies()
        if self["xfr-channel-size"] <= 0:
            raise usage.UsageError(
                f"channel size {self['xfr-channel-size']} must be greater than 0"
            )
        require_known_tls(self)
        require_lease_label(self)
        for name in (
            "graceful-shutdown-timeout",
            "shutdown-delay",
            "backend-dial-timeout",
            "tls-reload-interval",
        ):
            require_not_negative(name, self[name])
        if self["dial-answer-timeout"] <= 0:
            given = format_duration(self["dial-answer-timeout"])
            raise usage.UsageError(f"dial-answer-timeout must be > 0, got {given}")

    def _validate_strategies(self) -> None:
        try:
            self._strategies = parse_strategies(self["proxy-strategies"])
        except ValueError as problem:
            raise usage.UsageError(str(problem)) from None

    def _require_certificates(self) -> None:
        """What upstream finds out only when it starts to listen."""
        tcp = self._classic_frontend() and not self["uds-name"]
        if tcp and not self["server-cert"]:
            raise usage.UsageError(
                "failed to run the frontend server: it has no certificate:"
                " set --server-cert and --server-key"
            )
        if self._classic_agents() and not self["cluster-cert"]:
            raise usage.UsageError(
                "failed to run the agent server: it has no certificate:"
                " set --cluster-cert and --cluster-key, or give --agent-endpoint"
            )

    def _freeze(self) -> ProxyConfig:
        return ProxyConfig(
            frontends=self["frontend"],
            classic_frontend=self._classic_frontend(),
            mode=self["mode"],
            uds_name=self["uds-name"],
            delete_existing_uds_file=self["delete-existing-uds-file"],
            server_port=self["server-port"],
            server_bind_address=self["server-bind-address"],
            server_cert=self["server-cert"],
            server_key=self["server-key"],
            server_ca_cert=self["server-ca-cert"],
            agent_endpoints=self["agent-endpoint"],
            classic_agents=self._classic_agents(),
            agent_port=self["agent-port"],
            agent_bind_address=self["agent-bind-address"],
            cluster_cert=self["cluster-cert"],
            cluster_key=self["cluster-key"],
            cluster_ca_cert=self["cluster-ca-cert"],
            health_port=self["health-port"],
            health_bind_address=self["health-bind-address"],
            admin_port=self["admin-port"],
            admin_bind_address=self["admin-bind-address"],
            any_interface=every_interface(),
            tls_minimum=TLS_VERSIONS.get(self["tls-min-version"], ""),
            cipher_suites=tuple(self["cipher-suites"]),
            server_id=self["server-id"],
            server_count=self["server-count"],
            keepalive_time=at_least_a_second(self["keepalive-time"]),
            frontend_keepalive_time=at_least_a_second(self["frontend-keepalive-time"]),
            backend_dial_timeout=self["backend-dial-timeout"],
            dial_answer_timeout=self["dial-answer-timeout"],
            graceful_shutdown_timeout=self["graceful-shutdown-timeout"],
            shutdown_delay=self["shutdown-delay"],
            strategies=self._strategies,
            buffer_limit=self["buffer-limit"],
            floods=read_floods(self),
            flow=read_flow(self),
            tokens=read_tokens(self),
            leases=read_published(self),
            tls_reload_interval=self["tls-reload-interval"],
            transport=read_transport(self),
            strict=self["strict"],
            log=read_log(self),
            profiling=read_profiling(self),
        )
