"""The interface of a tunnel's two ends.

A tunnel joins two ends: a client's socket, a gRPC frontend stream, a tunnel's share of a link, or
the socket to a destination. An end gives the bytes it reads to `self.other.write(...)` and obeys
the calls below. Bytes never pass through the `Tunnel` object; only beginnings and endings do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from konnect.tunnel.account import Client
    from konnect.tunnel.reasons import Reason
    from konnect.tunnel.tunnel import Tunnel

Bytes = bytes | memoryview


class End:
    """One side of a tunnel. `other` is set while the tunnel is open, `tunnel` until it is
    closed."""

    __slots__ = ("__weakref__", "client", "other", "tunnel")

    def __init__(self) -> None:
        self.tunnel: Tunnel | None = None
        self.other: End | None = None
        self.client: Client | None = None
        """Who asked for the tunnel; known to near ends of the proxy's frontends."""

    can_finish = True
    """Whether `finish()` ends one direction only; else it ends the tunnel, in its own time."""

    can_be_told = True
    """Whether the asker can still be answered (near ends only)."""

    def write(self, data: Bytes) -> None:
        """
        Take bytes from the other end. When this end is full it calls `other.pause()`.

        A view is of immutable bytes, and is copied by whoever keeps it: it would keep alive all
        that was received with it.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """The other end will write no more; what it wrote is still to be delivered."""
        raise NotImplementedError

    def pause(self) -> None:
        """Give the other end no more bytes until `resume()`; what was read is still given."""
        raise NotImplementedError

    def resume(self) -> None:
        """Undo `pause()`."""
        raise NotImplementedError

    def drained(self, count: int) -> None:
        """`count` of the bytes that the other end had to hold back have left it."""

    def carried(self) -> tuple[int, int] | None:
        """Bytes to the destination and bytes to the client, if this end counts them."""
        return None

    def opened(self) -> None:
        """The dial has succeeded: tell the asker (near ends only)."""

    def failed(self, reason: Reason, text: str) -> None:
        """The dial has failed: tell the asker (near ends only). The end is let go."""
        raise NotImplementedError

    def close(self, reason: Reason) -> None:
        """
        The tunnel is over. Deliver what was written, then release everything.

        Called once, by the tunnel, after `tunnel` and `other` have been cleared.
        """
        raise NotImplementedError
