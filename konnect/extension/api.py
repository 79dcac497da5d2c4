"""How an API server is reached: what the flags of both programs say of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiAccess:
    """Where the API server is, and how fast it may be asked."""

    kubeconfig: str = ""
    """A path; empty: the configuration that a pod finds inside its cluster."""
    qps: float = 0.0
    """Requests in a second; 0: the plugin's default. Below 0: as many as come."""
    burst: int = 0
    """Requests at once above that rate; 0: the plugin's default."""
