"""The books of a process: plain integers that the data path counts up and metrics read at scrape.

Nothing here locks, formats or reads a clock. `opened - closed` is the number of live tunnels; every
tunnel is counted once in each, whoever ends it (`Tunnel` sees to that).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from konnect.tunnel.account import Account
from konnect.tunnel.api_calls import ApiCalls
from konnect.tunnel.counts import PacketCounts
from konnect.tunnel.histogram import Histogram

DIAL_BOUNDS = (1e-06, 1e-05, 0.0001, 0.005, 0.025, 0.1, 0.5, 2.5, 12.5)
AGENT_DIAL_BOUNDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 30.0)
CONNECTION_BOUNDS = (1.0, 5, 15, 30, 60, 300, 900, 1800, 3600, 14400, 43200, 86400)
API_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
UNBOUNDED = 2**63
"""More bytes than ever wait."""

LAG_BOUNDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Ledger:
    """
    All counters of one proxy or agent. Attributes are read by `konnect.ops.metrics`.

    :param now: the caller's clock, in seconds; read once when a tunnel dials, opens and closes.
    """

    def __init__(self, now: Callable[[], float], *, agent: bool = False) -> None:
        self.now = now
        self.account: Callable[[Account], None] | None = None
        """Told of every tunnel and every failed dial at its end, if anybody wants to know."""
        # Tunnels
        self.closed_by_reason: dict[str, int] = defaultdict(int)
        self.pending_dials = 0
        self.dial_failures: dict[str, int] = defaultdict(int)
        self.failed_by_reason: dict[str, int] = defaultdict(int)
        self.dials_retried: dict[str, int] = defaultdict(int)
        self.dial_seconds = Histogram(AGENT_DIAL_BOUNDS if agent else DIAL_BOUNDS)
        self.connection_seconds = Histogram(CONNECTION_BOUNDS)
        self.buffered = 0
        """Bytes that wait in backlogs for slow readers."""
        self.limit = UNBOUNDED
        """Above so many of them nothing new is begun."""
        self.crowd = UNBOUNDED
        """Above so many of them a backlog that grows calls `crowded`."""
        self.crowded: Callable[[], None] = lambda: None
        self.roomy = True
        """Whether so little of them waits that windows may grow (`konnect.tunnel.growth`)."""
        self.grown = 0
        """Bytes by which windows of tunnels are larger than announced."""
        self.small = 0
        """Small messages to links that followed another one of their tunnel."""
        self.small_until = UNBOUNDED
        """The next one after so many of them calls `first_small`."""
        self.first_small: Callable[[], None] = lambda: None
        self.brisk = False
        """Whether bulk moves in smaller pieces for their sake (`konnect.tunnel.pace`)."""
        self.bytes: dict[str, int] = {"to_destination": 0, "to_client": 0}
        # Links and streams
        self.packets = PacketCounts()
        self.malformed_packets = 0
        self.stream_errors: dict[tuple[str, str, str], int] = defaultdict(int)
        self.blocked_links = 0
        """Links whose peer takes nothing while tunnels wait (`konnect.tunnel.blocked`)."""
        self.grpc_streams: dict[str, int] = {}
        self.cut: dict[str, int] = defaultdict(int)
        """Connections and streams that were ended for what their peers did, by reason."""
        # The process
        self.reactor_lag = Histogram(LAG_BOUNDS)
        self.log_lines_lost: dict[str, int] = {"stderr": 0, "files": 0}
        """By where they should have gone to."""
        self.lease_calls = ApiCalls(AGENT_DIAL_BOUNDS if agent else API_BOUNDS)
        # TLS
        self.certificate_ends: dict[tuple[str, str, str], float] = {}
        """POSIX times by (whose TLS, `certificate` or `authority`, file)."""
        self.tls_renewals: dict[str, int] = {"taken": 0, "failed": 0}
        # Proxy
        self.http_connections = 0
        self.ready_backends: dict[str, int] = {}
        self.frontend_waits = Histogram(DIAL_BOUNDS)
        """Of the writes to clients that found no room: how long until there was some."""
        self.full_receive_channels: dict[str, int] = defaultdict(int)
        """By method, the streams whose window is shut, since a tunnel takes no more."""
        self.culled_leases = 0
        self.agents_refused: dict[str, int] = defaultdict(int)
        """Streams of agents that were not admitted, by the label of their status."""
        self.token_reviews: dict[str, int] = defaultdict(int)
        self.pending_token_reviews = 0
        self.token_review_seconds = Histogram(API_BOUNDS)
        # Agent
        self.endpoint_dial_failures: dict[str, int] = defaultdict(int)
        self.server_connection_failures: dict[str, int] = defaultdict(int)
        self.open_server_connections: int | None = None
        self.known_server_count = 1
        self.proxies: dict[str, int] = {}
        """How many are connected, expected and known."""
        self.open_endpoint_connections = 0

    @property
    def opened(self) -> int:
        """Tunnels whose dial has succeeded: each has been observed in `dial_seconds`."""
        return sum(self.dial_seconds.counts)

    @property
    def closed(self) -> int:
        """Tunnels that were open and have ended: each is in `connection_seconds`."""
        return sum(self.connection_seconds.counts)

    @property
    def live(self) -> int:
        """Tunnels open now."""
        return self.opened - self.closed

    def stream_opened(self, method: str) -> None:
        """Count a gRPC stream of `method` (`Proxy` or `Connect`)."""
        self.grpc_streams[method] = self.grpc_streams.get(method, 0) + 1

    def stream_closed(self, method: str) -> None:
        """The stream counted by `stream_opened` is over."""
        self.grpc_streams[method] -= 1

    @property
    def frontend_writes(self) -> Histogram:
        """
        Writes to clients of what comes from agents, by how long they waited for room.

        Those that did not wait are not counted as they are made, since nearly all are such: there
        is one for each DATA packet, each answer to a dial, and each end that a client is told.
        """
        waits = self.frontend_waits
        writes = Histogram(waits.bounds)
        writes.counts = list(waits.counts)
        writes.sum = waits.sum
        failed, ended = self.failed_by_reason, self.closed_by_reason
        made = (
            self.packets["from_agent", "DATA"]
            + self.opened
            + self.dial_failures.get("error_response", 0)
            + failed.get("dial_closed", 0)
            + self.closed
            - sum(ended.get(label, 0) for label in ("client_lost", "client_left"))
        )
        writes.counts[0] += max(0, made - sum(waits.counts))
        return writes

    def stream_error(self, segment: str, code: str, packet_type: str = "Unknown") -> None:
        """Count a stream that ended with an error, or a packet that found one that is ending;
        `code` is a `wire.status.Status.label`."""
        self.stream_errors[segment, code, packet_type] += 1
