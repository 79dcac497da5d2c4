"""What is known of a tunnel when it is over: the facts of its log line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from konnect.tunnel.tunnel import Tunnel


class Client(NamedTuple):
    """Who asked for a tunnel, as far as its frontend knows."""

    frontend: str
    """The frontend's kind: `grpc`, `connect`."""
    peer: str
    """The client's address, or the word for a unix socket."""
    user: str = ""
    """Whom it proved to be: the common name of its certificate; empty: nobody."""


class Account(NamedTuple):
    """One tunnel, open or never opened, at its end. Times in seconds."""

    client: Client | None
    """None at the agent, which is asked by proxies only."""
    link: str
    """Whose link carried it, or was asked last: the agent's id, or the proxy's; empty: none."""
    link_peer: str
    """The address of that link's other side."""
    destination: str
    """As the client named it."""
    opened: bool
    dial_seconds: float
    seconds: float
    """From the dial's success to the end; 0 if it never opened."""
    to_destination: int
    """Bytes that the client sent and the link carried or was given to carry."""
    to_client: int
    reason: str
    """The label of why it ended, or why its dial failed."""
    text: str
    """What the asker was told of a failed dial."""


def account_of(tunnel: Tunnel, now: float, text: str = "") -> Account:
    """The account of `tunnel`, which is ending: its reason is set, its ends are still there."""
    near, far, via = tunnel.near, tunnel.far, tunnel.via
    opened = far is not None
    carried = near.carried() if near is not None else None
    if carried is None and far is not None:
        carried = far.carried()
    to_destination, to_client = carried or (0, 0)
    return Account(
        near.client if near is not None else None,
        via.name if via is not None else "",
        via.peer if via is not None else "",
        tunnel.address,
        opened,
        (tunnel.opened_at if opened else now) - tunnel.started,
        now - tunnel.opened_at if opened else 0.0,
        to_destination,
        to_client,
        tunnel.reason.label if tunnel.reason is not None else "",
        text,
    )
