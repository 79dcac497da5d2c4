"""The flag of both programs that chooses the transports under their connections."""

from __future__ import annotations

from typing import Any

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.net.hub.reactor import HubReactor

TRANSPORT_FLAGS = (
    Flag(
        "transport",
        kinds.one_of("transport", ("hub", "stock")),
        "hub",
        "What carries the data: hub (konnect's own epoll beside Twisted's reactor, the faster) or"
        " stock (Twisted's transports). Health and admin ports are always on stock ones.",
        env="KONNECT_TRANSPORT",
    ),
)


def data_reactor(transport: str, reactor: Any) -> Any:
    """What makes the connections that carry data: the reactor itself for `stock`."""
    return HubReactor(reactor) if transport == "hub" else reactor
