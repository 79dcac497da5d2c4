"""What an agent is told about itself: who it is, and how it looks for proxies and keeps to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from konnect.tunnel.flow import Flow


@dataclass(frozen=True, slots=True)
class Membership:
    """Who the agent is and how it looks for proxies; times in seconds."""

    agent_id: str
    identifiers: str
    sync_interval: float = 1.0
    sync_interval_cap: float = 10.0
    sync_forever: bool = False
    probe_interval: float = 1.0
    """How often it is seen whether proxies are going away, and the links of such are done; at
    least `Backoff.FLOOR`, since less would spin."""
    keepalive_time: float = 3600.0
    flow: Flow = field(default_factory=Flow)
    token_path: str = ""
    """The file with the token to present; empty: none is."""
