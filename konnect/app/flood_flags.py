"""The proxy's flags that say what its listeners put up with."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.net.floods import FloodLimits

_DEFAULT = FloodLimits()

SHARE = 4
"""One in so many of the process's descriptors is the most that idle connections of a listener may
have, whatever the flag says: the others are for those that do something."""

LEAST_HEAD = 1024
"""A head below this would refuse honest clients."""

FLOOD_FLAGS = (
    Flag(
        "control-rate",
        kinds.INT,
        _DEFAULT.control_rate,
        "HTTP/2 frames without payload that a peer may send in a second (ping, reset and settings"
        " floods are made of them) before its connection is cut; 0: no limit.",
    ),
    Flag(
        "reset-rate",
        kinds.INT,
        _DEFAULT.reset_rate,
        "gRPC streams that a peer may reset in a second before they were answered (rapid reset)"
        " before its connection is cut; 0: no limit.",
    ),
    Flag(
        "max-streams",
        kinds.INT,
        _DEFAULT.streams,
        "gRPC streams, and so tunnels as a rule, that a client may have on one connection; 0: no"
        " limit.",
    ),
    Flag(
        "max-idle-connections",
        kinds.INT,
        _DEFAULT.idle,
        "Connections of one listener that may ask for nothing; beyond this the longest idle is cut,"
        " and so it is beyond a quarter of the process's file descriptors; 0: no limit.",
    ),
    Flag(
        "max-head-bytes",
        kinds.INT,
        _DEFAULT.head,
        "Bytes of the head of a CONNECT request, or of a gRPC request's header list.",
    ),
    Flag(
        "head-timeout",
        kinds.DURATION,
        _DEFAULT.head_timeout,
        "How long a CONNECT client may take for its TLS handshake and request head.",
    ),
    Flag(
        "preface-timeout",
        kinds.DURATION,
        _DEFAULT.preface_timeout,
        "How long a gRPC client or an agent may take for its TLS handshake and HTTP/2's preface.",
    ),
)


def read_floods(options: Mapping[str, Any]) -> FloodLimits:
    """The values of FLOOD_FLAGS; raises usage.UsageError for those that cannot be meant."""
    for name in ("control-rate", "reset-rate", "max-streams", "max-idle-connections"):
        if options[name] < 0:
            raise usage.UsageError(f"{name} must be >= 0, got {options[name]}")
    if options["max-head-bytes"] < LEAST_HEAD:
        raise usage.UsageError(
            f"max-head-bytes must be >= {LEAST_HEAD}, got {options['max-head-bytes']}"
        )
    for name in ("head-timeout", "preface-timeout"):
        if options[name] <= 0:
            raise usage.UsageError(f"{name} must be > 0, got {options[name]:g}s")
    return FloodLimits(
        control_rate=options["control-rate"],
        reset_rate=options["reset-rate"],
        streams=options["max-streams"],
        idle=_affordable(options["max-idle-connections"]),
        head=options["max-head-bytes"],
        head_timeout=options["head-timeout"],
        preface_timeout=options["preface-timeout"],
    )


def _affordable(idle: int) -> int:
    # The program raises the soft limit to this one (`open_files`).
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    if not idle or descriptors == resource.RLIM_INFINITY:
        return idle
    return min(idle, max(descriptors // SHARE, 1))
