"""
The proxy's table of flags: upstream's names and defaults, and konnect's own.

Departures from upstream, each on purpose: `--backend-dial-timeout` is 30s and not "none", since a
dial that nobody bounds keeps its client waiting for ever.
"""

from __future__ import annotations

import uuid

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.app.flood_flags import FLOOD_FLAGS
from konnect.app.flow_flags import FLOW_FLAGS
from konnect.app.klog import KLOG_FLAGS
from konnect.app.kubernetes_flags import PROXY_KUBERNETES_FLAGS
from konnect.app.log_flags import LOG_FLAGS
from konnect.app.profiling_flags import PROFILING_FLAGS
from konnect.app.tls_flags import TLS_FLAGS
from konnect.app.transport_flags import TRANSPORT_FLAGS
from konnect.proxy.pending import ANSWER_WITHIN

FRONTEND_KINDS = ("grpc", "connect")
TLS_VERSIONS = {
    "VersionTLS10": "1.0",
    "VersionTLS11": "1.1",
    "VersionTLS12": "1.2",
    "VersionTLS13": "1.3",
}
"""Upstream's names, and those of endpoint strings."""


def _read_frontend(text: str) -> tuple[tuple[str, str], ...]:
    kind, equals, endpoint = text.partition("=")
    if not equals or not endpoint:
        raise ValueError("expect KIND=ENDPOINT, as in grpc=unix:/run/konnect.sock")
    if kind not in FRONTEND_KINDS:
        raise ValueError(
            f"no such kind of frontend: {kind} (there are {', '.join(FRONTEND_KINDS)})"
        )
    return ((kind, endpoint),)


_FRONTEND = kinds.Kind("KIND=ENDPOINT", _read_frontend, lambda value: "", many=True, text="=".join)

_FRONTEND_FLAGS = (
    Flag(
        "frontend",
        _FRONTEND,
        (),
        "A listener for clients, besides or instead of the one that --server-port or --uds-name"
        " ask for; may be repeated. KIND is grpc or connect, ENDPOINT a Twisted server endpoint"
        " string: unix:/run/konnect.sock, mtls:8090:cert=...:key=...:ca=...:alpn=h2.",
    ),
    Flag(
        "mode", kinds.TEXT, "grpc", "What --server-port or --uds-name speak: grpc or http-connect."
    ),
    Flag(
        "uds-name",
        kinds.TEXT,
        "",
        "Listen for clients on this unix socket, without TLS; needs --server-port=0.",
    ),
    Flag(
        "delete-existing-uds-file",
        kinds.BOOL,
        True,
        "Remove a socket file that is in a listener's way. Only sockets are ever removed.",
    ),
    Flag("server-port", kinds.INT, 8090, "TCP port for clients; 0 with --uds-name."),
    Flag("server-bind-address", kinds.TEXT, "", "Address of --server-port; empty: all of them."),
    Flag("server-cert", kinds.TEXT, "", "Certificate shown to clients (PEM)."),
    Flag("server-key", kinds.TEXT, "", "Key of --server-cert (PEM)."),
    Flag(
        "server-ca-cert",
        kinds.TEXT,
        "",
        "Authorities for clients' certificates (PEM); a client without one is refused.",
    ),
    Flag(
        "frontend-keepalive-time",
        kinds.DURATION,
        3600.0,
        "How long a gRPC client may be silent before it is pinged; below 1s is 1s, 0: for ever.",
    ),
)

_AGENT_FLAGS = (
    Flag(
        "agent-endpoint",
        kinds.EACH,
        (),
        "A listener for agents as a Twisted server endpoint string, besides or instead of"
        " --agent-port; may be repeated.",
    ),
    Flag("agent-port", kinds.INT, 8091, "TCP port for agents."),
    Flag("agent-bind-address", kinds.TEXT, "", "Address of --agent-port; empty: all of them."),
    Flag("cluster-cert", kinds.TEXT, "", "Certificate shown to agents (PEM)."),
    Flag("cluster-key", kinds.TEXT, "", "Key of --cluster-cert (PEM)."),
    Flag(
        "cluster-ca-cert",
        kinds.TEXT,
        "",
        "Authorities for agents' certificates (PEM). Empty: no certificate is asked for.",
    ),
    Flag(
        "keepalive-time",
        kinds.DURATION,
        3600.0,
        "How long an agent may be silent before it is pinged; below 1s is 1s, 0: for ever.",
    ),
    Flag(
        "server-id",
        kinds.TEXT,
        "",
        "This proxy's name for its agents; by default $PROXY_SERVER_ID, or else a random UUID.",
        env="PROXY_SERVER_ID",
        make_default=lambda: str(uuid.uuid4()),
    ),
    Flag("server-count", kinds.INT, 1, "How many proxies the agents are to look for."),
)

_TUNNEL_FLAGS = (
    Flag(
        "backend-dial-timeout",
        kinds.DURATION,
        30.0,
        "How long a dial may take in all; 0: as long as it likes. Below 12s it shortens"
        " --dial-answer-timeout.",
    ),
    Flag(
        "dial-answer-timeout",
        kinds.DURATION,
        ANSWER_WITHIN,
        "How long an agent may leave a dial unanswered before another is asked as well; at most"
        " half of --backend-dial-timeout. Agents give a destination up after 5s: below that, slow"
        " destinations are asked for twice.",
    ),
    Flag(
        "graceful-shutdown-timeout",
        kinds.DURATION,
        0.0,
        "How long tunnels may go on after the first signal to stop; 0: they are cut.",
    ),
    Flag(
        "shutdown-delay",
        kinds.DURATION,
        5.0,
        "How long new clients are still served after the first signal to stop, by a proxy that is"
        " not ready any more; part of --graceful-shutdown-timeout, at most half of it.",
    ),
    Flag(
        "buffer-limit",
        kinds.INT,
        256 * 1024 * 1024,
        "Bytes that may wait for slow readers, of all tunnels together: above half of it their"
        " windows shrink, above it new dials are refused; 0: no limit.",
    ),
    Flag(
        "proxy-strategies",
        kinds.TEXT,
        "default",
        "How an agent is chosen for a dial: a comma separated list of default (any), destHost"
        " (one that names the destination's host), destCIDR (one whose range holds its address) and"
        " defaultRoute (one that says default-route=true); the first that knows one decides. With"
        " leastLoaded besides, the one with the fewest tunnels is taken instead of a random one.",
    ),
    Flag(
        "tls-min-version",
        kinds.TEXT,
        "",
        "The oldest TLS version that listeners speak: VersionTLS12 (also when empty) or"
        " VersionTLS13; VersionTLS10 and VersionTLS11 warn. Endpoint strings say it themselves"
        " (minimum=1.3).",
    ),
    Flag(
        "cipher-suites",
        kinds.LIST,
        (),
        "Cipher suites that listeners offer up to TLS 1.2, in Go's names, comma separated; empty:"
        " all that are secure. Those of TLS 1.3 are always offered. Endpoint strings say it"
        " themselves (ciphers=...).",
    ),
    Flag(
        "xfr-channel-size",
        kinds.INT,
        10,
        "Accepted from upstream's manifests; konnect bounds what it holds in bytes, not packets.",
    ),
    Flag(
        "warn-on-channel-limit",
        kinds.BOOL,
        True,
        deprecated="This behavior is now thread safe and always on."
        " This flag will be removed in a future release.",
    ),
)

_OPERATION_FLAGS = (
    Flag(
        "strict",
        kinds.BOOL,
        False,
        "Refuse to start with anything open that is otherwise warned of: agents or clients that"
        " nobody has to vouch for, old TLS, profiles for others.",
    ),
    Flag("health-port", kinds.INT, 8092, "TCP port for /healthz, /readyz and /metrics."),
    Flag("health-bind-address", kinds.TEXT, "", "Address of --health-port; empty: all of them."),
    Flag(
        "admin-port", kinds.INT, 8095, "TCP port for operators: /metrics, and profiles if enabled."
    ),
    Flag(
        "admin-bind-address",
        kinds.TEXT,
        "127.0.0.1",
        "Address of --admin-port; empty: all of them.",
    ),
)

PROXY_FLAGS = (
    *_FRONTEND_FLAGS,
    *_AGENT_FLAGS,
    *_TUNNEL_FLAGS,
    *FLOW_FLAGS,
    *FLOOD_FLAGS,
    *TRANSPORT_FLAGS,
    *TLS_FLAGS,
    *_OPERATION_FLAGS,
    *PROXY_KUBERNETES_FLAGS,
    *PROFILING_FLAGS,
    *LOG_FLAGS,
    *KLOG_FLAGS,
)
