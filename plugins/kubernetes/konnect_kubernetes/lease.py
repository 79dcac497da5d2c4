"""
What a proxy's lease is: its name, its fields, and when it has expired.

Upstream's, so that its proxies and agents count ours and ours count theirs. A lease that does not
say for how long it holds, or since when, has expired (upstream's programs break at it).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta

DURATION = 30
"""Seconds that a lease holds without being renewed."""

NAME_PREFIX = "konnectivity-proxy-server-"


def lease_name(server_id: str) -> str:
    """The name of a proxy's lease."""
    return NAME_PREFIX + server_id


def new_lease(name: str, server_id: str, labels: Mapping[str, str], now: float) -> V1Lease:
    """A lease that is not there yet, renewed at `now` (seconds since 1970)."""
    return renewed(V1Lease(metadata=V1ObjectMeta(name=name)), server_id, labels, now)


def renewed(lease: V1Lease, server_id: str, labels: Mapping[str, str], now: float) -> V1Lease:
    """The same lease, renewed at `now`; what others have written into it stays."""
    if lease.spec is None:
        lease.spec = V1LeaseSpec()
    lease.spec.holder_identity = server_id
    lease.spec.lease_duration_seconds = DURATION
    when = datetime.fromtimestamp(now, UTC)
    # The API server wants microseconds, and the client writes none where they are 0.
    lease.spec.renew_time = when.replace(microsecond=when.microsecond or 1)
    if lease.metadata is None:
        lease.metadata = V1ObjectMeta()
    lease.metadata.labels = dict(labels)
    return lease


def expiry(lease: Mapping[str, Any]) -> float:
    """When a lease, as the API writes it in JSON, expires or has expired; seconds since 1970."""
    spec = lease.get("spec")
    if not isinstance(spec, Mapping):
        return 0.0
    since = _seconds(spec.get("renewTime") or spec.get("acquireTime"))
    duration = spec.get("leaseDurationSeconds")
    if since is None or not isinstance(duration, int):
        return 0.0
    return since + duration


def _seconds(text: Any) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def name_of(lease: Mapping[str, Any]) -> str:
    """A lease's name; empty if it has none."""
    return str((lease.get("metadata") or {}).get("name") or "")


def version_of(thing: Mapping[str, Any]) -> str:
    """The resource version of a lease or a list."""
    return str((thing.get("metadata") or {}).get("resourceVersion") or "")
