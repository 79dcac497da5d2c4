"""The agent's flags about how many proxies there are, how they are found, and when that is
enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.durations import format_duration
from konnect.app.flags import Flag
from konnect.app.kubernetes_flags import API_FLAGS, read_access
from konnect.app.selectors import SELECTOR
from konnect.extension.leases import LeaseSettings

ALL = 0
"""The quorum that is all expected proxies."""

SYNC_FLAGS = (
    Flag(
        "sync-interval",
        kinds.DURATION,
        1.0,
        "How often to look whether every proxy is connected, and the first wait after a failure.",
    ),
    Flag("sync-interval-cap", kinds.DURATION, 10.0, "The longest wait after repeated failures."),
    Flag(
        "probe-interval",
        kinds.DURATION,
        1.0,
        "How often it is checked whether a linked proxy is going away, and another link needed.",
    ),
    Flag(
        "sync-forever",
        kinds.BOOL,
        False,
        "Keep looking for further proxies although as many as expected are connected.",
    ),
    Flag(
        "ready-quorum",
        kinds.TEXT,
        "any",
        "How many proxies must be connected for /readyz: any (one), all that are expected, or a"
        " number.",
    ),
    Flag(
        "server-count-source",
        kinds.TEXT,
        "default",
        "Where the number of proxies is learned: default (from leases if they are counted, else"
        " from the proxies) or max (the larger of the two).",
    ),
    Flag(
        "count-server-leases",
        kinds.BOOL,
        False,
        "Count the proxies by their leases (the proxies' --enable-lease-controller)."
        " Needs konnect-kubernetes.",
    ),
    Flag("lease-namespace", kinds.TEXT, "kube-system", "Namespace of the proxies' leases."),
    Flag(
        "lease-label-selector",
        SELECTOR,
        "k8s-app=konnectivity-server",
        "Selector of the proxies' leases; empty: every lease of the namespace.",
    ),
    Flag(
        "lease-label",
        SELECTOR,
        "",
        stores="lease-label-selector",
        deprecated="Use --lease-label-selector instead",
    ),
    *API_FLAGS,
)


def require_count_source(values: Mapping[str, Any]) -> None:
    """Refuse (usage.UsageError) a source of counts that upstream does not know."""
    if values["server-count-source"] not in ("", "default", "max"):
        raise usage.UsageError(
            "--server-count-source must be one of '', 'default', 'max', got "
            + values["server-count-source"]
        )


def require_sync(values: Mapping[str, Any]) -> None:
    """Refuse (usage.UsageError) intervals at which upstream would spin, and what is no quorum."""
    for name in ("sync-interval", "probe-interval"):
        if values[name] <= 0:
            raise usage.UsageError(f"{name} must be > 0, got {format_duration(values[name])}")
    read_quorum(values)


def read_quorum(values: Mapping[str, Any]) -> int:
    """How many proxies must be connected; `ALL` for all that are expected. Raises
    usage.UsageError."""
    text = values["ready-quorum"]
    if text in ("any", "all"):
        return 1 if text == "any" else ALL
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text) > 0):
        raise usage.UsageError(f"ready-quorum must be any, all or a number above 0, got {text}")
    return int(text)


def read_leases(values: Mapping[str, Any]) -> LeaseSettings | None:
    """Which leases an agent counts; None where it counts none."""
    if not values["count-server-leases"]:
        return None
    return LeaseSettings(
        namespace=values["lease-namespace"],
        labels=values["lease-label-selector"],
        access=read_access(values),
    )
