"""What is known of a tunnel when it is over: the facts of its log line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from konnect.tunnel.ends import End
    from konnect.tunnel.reasons import Reason
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


# The same as `Account(...)` and `Client(...)` without their calls in Python, each of which takes as
# long as all the rest (measured): one of both is made for each tunnel.
_account: Callable[[tuple[Any, ...]], Account] = partial(tuple.__new__, Account)
client_of: Callable[[tuple[str, str, str]], Client] = partial(tuple.__new__, Client)


def account_of(tunnel: Tunnel, near: End, far: End, now: float) -> Account:
    """The account of an open `tunnel` between these ends, which is ending: its reason is set."""
    via = tunnel.via
    to_destination, to_client = near.carried() or far.carried() or (0, 0)
    opened_at = tunnel.opened_at
    return _account(
        (
            near.client,
            "" if via is None else via.name,
            "" if via is None else via.peer,
            tunnel.address,
            True,
            opened_at - tunnel.started,
            now - opened_at,
            to_destination,
            to_client,
            "" if tunnel.reason is None else tunnel.reason.label,
            "",
        )
    )


def account_of_dial(tunnel: Tunnel, reason: Reason, now: float, text: str) -> Account:
    """The account of a `tunnel` that never opened and is ending: its near end is still there."""
    near, via = tunnel.near, tunnel.via
    return Account(
        near.client if near is not None else None,
        via.name if via is not None else "",
        via.peer if via is not None else "",
        tunnel.address,
        False,
        now - tunnel.started,
        0.0,
        0,
        0,
        reason.label,
        text,
    )
