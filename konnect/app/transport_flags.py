"""The flag of both programs that chooses the transports under their connections."""

from __future__ import annotations

from typing import Any

from konnect.app import kinds
from konnect.app.flags import Flag
from konnect.net.hub.reactor import HubReactor

TRANSPORTS = ("hub", "stock")


def _read(text: str) -> str:
    if text not in TRANSPORTS:
        raise ValueError(f"no such transport (there are {', '.join(TRANSPORTS)})")
    return text


TRANSPORT_FLAGS = (
    Flag(
        "transport",
        kinds.Kind("string", _read, str),
        "hub",
        "What carries the data: hub (konnect's own epoll beside Twisted's reactor, the faster) or"
        " stock (Twisted's transports). Health and admin ports are always on stock ones.",
        env="KONNECT_TRANSPORT",
    ),
)


def data_reactor(transport: str, reactor: Any) -> Any:
    """What makes the connections that carry data: the reactor itself for `stock`."""
    return HubReactor(reactor) if transport == "hub" else reactor
