"""
The agent's table of flags: upstream's names and defaults, and konnect's own.
"""

from __future__ import annotations

import uuid

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.app.flow_flags import FLOW_FLAGS
from konnect.app.klog import KLOG_FLAGS
from konnect.app.log_flags import LOG_FLAGS
from konnect.app.profiling_flags import PROFILING_FLAGS
from konnect.app.sync_flags import SYNC_FLAGS
from konnect.app.tls_flags import TLS_FLAGS
from konnect.app.transport_flags import TRANSPORT_FLAGS

_PROXY_FLAGS = (
    Flag(
        "agent-endpoint",
        kinds.EACH,
        (),
        "A way to a proxy as a Twisted client endpoint string, besides or instead of"
        " --proxy-server-host; may be repeated.",
    ),
    Flag(
        "proxy-server-host",
        kinds.LIST,
        ("127.0.0.1",),
        "Names or addresses of the proxies, comma separated or repeated. Each is followed, and so"
        " is every address of a name.",
    ),
    Flag("proxy-server-port", kinds.INT, 8091, "The proxies' TCP port for agents."),
    Flag("ca-cert", kinds.TEXT, "", "Authorities for the proxies' certificates (PEM)."),
    Flag("agent-cert", kinds.TEXT, "", "Certificate shown to the proxies (PEM)."),
    Flag("agent-key", kinds.TEXT, "", "Key of --agent-cert (PEM)."),
    Flag(
        "alpn-proto",
        kinds.LIST,
        (),
        "Protocol names to offer before h2 in the TLS handshake, for a load balancer that"
        " chooses by them; comma separated or repeated.",
    ),
    Flag(
        "keepalive-time",
        kinds.DURATION,
        3600.0,
        "How long a proxy may be silent before it is pinged; below 10s is 10s.",
    ),
)

_IDENTITY_FLAGS = (
    Flag(
        "agent-id",
        kinds.TEXT,
        "",
        "This agent's name; by default $PROXY_AGENT_ID, or else a random UUID.",
        env="PROXY_AGENT_ID",
        make_default=lambda: str(uuid.uuid4()),
    ),
    Flag(
        "agent-identifiers",
        kinds.TEXT,
        "",
        "What this agent is near to, as a URL query: host=NAME, ipv4=ADDRESS, ipv6=ADDRESS,"
        " cidr=RANGE (each may be repeated) and default-route=true, joined by &.",
    ),
    Flag(
        "service-account-token-path",
        kinds.TEXT,
        "",
        "File with a service account token to show to proxies, besides or instead of a certificate;"
        " read anew for each connection.",
    ),
)

_TUNNEL_FLAGS = (
    Flag(
        "drain-timeout",
        kinds.DURATION,
        25.0,
        "How long tunnels may go on after the first signal to stop.",
    ),
    Flag(
        "buffer-limit",
        kinds.INT,
        128 * 1024 * 1024,
        "Bytes that may wait for slow readers, of all tunnels together: above half of it their"
        " windows shrink, above it new dials are refused; 0: no limit.",
    ),
    Flag(
        "xfr-channel-size",
        kinds.INT,
        150,
        "Accepted from upstream's manifests; konnect bounds what it holds in bytes, not packets.",
    ),
    Flag(
        "warn-on-channel-limit",
        kinds.BOOL,
        False,
        "Accepted from upstream's manifests, without effect.",
    ),
)

_OPERATION_FLAGS = (
    Flag(
        "strict",
        kinds.BOOL,
        False,
        "Refuse to start with anything open that is otherwise warned of: a proxy that is not"
        " verified.",
    ),
    Flag("health-server-port", kinds.INT, 8093, "TCP port for /healthz, /readyz and /metrics."),
    Flag("health-server-host", kinds.TEXT, "", "Address of that port; empty: all of them."),
    Flag(
        "admin-server-port",
        kinds.INT,
        8094,
        "TCP port for operators: /metrics, and profiles if enabled.",
    ),
    Flag(
        "admin-bind-address",
        kinds.TEXT,
        "127.0.0.1",
        "Address of --admin-server-port; empty: all of them.",
    ),
)

AGENT_FLAGS = (
    *_PROXY_FLAGS,
    *_IDENTITY_FLAGS,
    *SYNC_FLAGS,
    *_TUNNEL_FLAGS,
    *FLOW_FLAGS,
    *TRANSPORT_FLAGS,
    *TLS_FLAGS,
    *_OPERATION_FLAGS,
    *PROFILING_FLAGS,
    *LOG_FLAGS,
    *KLOG_FLAGS,
)
