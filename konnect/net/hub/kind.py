"""What the sending half of a transport asks of its kind: how bytes go out, what closing means."""

from __future__ import annotations

from twisted.python.failure import Failure


class Kind:
    """Implemented by plain and TLS transports; called by `konnect.net.hub.output.Output`."""

    __slots__ = ()

    errors: tuple[type[Exception], ...] = (OSError,)
    """What `_send` raises when the connection is broken."""

    def write_now(self, data: bytes | memoryview) -> None:
        """
        `write` what nothing else of this turn is to share a call or a record with: if nothing is
        before it, it goes to the kernel at once.

        A tunnel's bytes, which are one piece for each read already: so their reader has work while
        the turn goes on, and the flush is spared. An echo over a unix socket took 0.92 to 0.95 of
        the CPU (measured; medians of ten).
        """
        raise NotImplementedError

    def _send(self) -> bool:
        """Send from the queue; whether all of it is sent. Raises one of `errors`."""
        raise NotImplementedError

    def _why(self, error: Exception) -> Failure:
        """The reason for `connectionLost` after an error of the socket."""
        raise NotImplementedError

    def _read_rest(self) -> None:
        """Deliver what can still be read, once."""
        raise NotImplementedError

    def _lose(self, reason: Failure) -> None:
        """Close the socket and tell the protocol."""
        raise NotImplementedError

    def _stop_for_close(self) -> None:
        """`loseConnection` was called."""
        raise NotImplementedError

    def _finish_connection(self) -> None:
        """Everything is sent and the connection is to be closed."""
        raise NotImplementedError

    def _finish_writing(self) -> None:
        """Everything is sent and the sending direction is to be closed."""
        raise NotImplementedError

    def handle(self, events: int) -> None:
        """See `konnect.net.hub.channel.Channel`."""
        raise NotImplementedError
