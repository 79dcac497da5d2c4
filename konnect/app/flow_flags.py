"""Flags of both programs that say how a link holds its tunnels: credit, half-close, budgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.checks import require_not_negative
from konnect.app.flags import Flag
from konnect.tunnel.flow import Flow
from konnect.wire.features import MAX_CREDIT, MIN_CREDIT, Features

_DEFAULT = Flow()

FLOW_FLAGS = (
    Flag(
        "credit",
        kinds.INT,
        _DEFAULT.features.credit,
        "Bytes of each tunnel and direction that the other konnect half may send before they are"
        " read here, at first; more over a long path for a tunnel that is read fast. 0: no flow"
        " control for each tunnel, as upstream.",
    ),
    Flag(
        "half-close",
        kinds.BOOL,
        _DEFAULT.features.half_close,
        "Let the end of one direction of a tunnel travel by itself, to another konnect half.",
    ),
    Flag(
        "tunnel-budget",
        kinds.INT,
        _DEFAULT.budget,
        "With a stock other half: bytes that a tunnel may hold for a slow reader before all tunnels"
        " of its link wait for it.",
    ),
    Flag(
        "stall-timeout",
        kinds.DURATION,
        _DEFAULT.stall_timeout,
        "With a stock other half: how long others wait for a tunnel that is not read at all before"
        " it is cut.",
    ),
    Flag(
        "linger-timeout",
        kinds.DURATION,
        _DEFAULT.linger,
        "How long what is left of a closing tunnel may take to be written, to a reader that takes"
        " nothing of it; one that is slow has as long as it needs.",
    ),
)


def read_flow(options: Mapping[str, Any]) -> Flow:
    """The values of FLOW_FLAGS; raises usage.UsageError for those that cannot be meant."""
    credit = options["credit"]
    if credit and not MIN_CREDIT <= credit <= MAX_CREDIT:
        raise usage.UsageError(
            f"credit {credit} must be 0, or from {MIN_CREDIT} to {MAX_CREDIT} bytes"
        )
    if options["tunnel-budget"] < 0:
        raise usage.UsageError(f"tunnel-budget must be >= 0, got {options['tunnel-budget']}")
    for name in ("stall-timeout", "linger-timeout"):
        require_not_negative(name, options[name])
    return Flow(
        features=Features(credit=credit, half_close=options["half-close"]),
        budget=options["tunnel-budget"],
        stall_timeout=options["stall-timeout"],
        linger=options["linger-timeout"],
    )
