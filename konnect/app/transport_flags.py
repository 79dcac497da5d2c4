"""The flags of both programs that choose the transports under their connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from twisted.python import usage

from konnect.app import kinds
from konnect.app.durations import format_duration
from konnect.app.flags import Flag
from konnect.net.hub.busy_poll import LIMIT
from konnect.net.hub.reactor import HubReactor
from konnect.net.stock import StockReactor

LONGEST = 0.001
"""Seconds of the longest busy polling that can be meant: beyond that a wait costs more than the
sleep that it saves."""

TRANSPORT_FLAGS = (
    Flag(
        "transport",
        kinds.one_of("transport", ("hub", "stock")),
        "hub",
        "What carries the data: hub (konnect's own epoll beside Twisted's reactor, the faster) or"
        " stock (Twisted's transports). Health and admin ports are always on stock ones.",
        env="KONNECT_TRANSPORT",
    ),
    Flag(
        "busy-poll",
        kinds.DURATION,
        LIMIT,
        "With --transport=hub: how long to look for more to do before going to sleep, while what"
        " comes next mostly comes that soon; 0: not at all. It saves the time and, as a rule, the"
        " CPU of being woken.",
    ),
)


@dataclass(frozen=True)
class TransportConfig:
    """The values of TRANSPORT_FLAGS."""

    kind: str = "hub"
    """`hub` or `stock`."""
    busy_poll: float = LIMIT
    """Seconds, see `konnect.net.hub.busy_poll`."""


def read_transport(options: Mapping[str, Any]) -> TransportConfig:
    """The values of TRANSPORT_FLAGS; raises usage.UsageError for those that cannot be meant."""
    seconds = options["busy-poll"]
    if not 0 <= seconds <= LONGEST:
        longest, given = format_duration(LONGEST), format_duration(seconds)
        raise usage.UsageError(f"busy-poll must be from 0 to {longest}, got {given}")
    return TransportConfig(options["transport"], seconds)


def data_reactor(config: TransportConfig, reactor: Any) -> Any:
    """What makes the connections that carry data."""
    if config.kind != "hub":
        return StockReactor(reactor)
    hub_reactor = HubReactor(reactor)
    hub_reactor.hub.busy_poll.limit = config.busy_poll
    return hub_reactor
