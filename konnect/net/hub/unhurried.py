"""What a plain transport may leave until its hub has nothing else to do: see
`konnect.net.hub.leisure`."""

from __future__ import annotations

from collections.abc import Callable

from konnect.net.hub.loop import HUNG_UP, IN
from konnect.net.hub.plain_output import PlainOutput


class Unhurried(PlainOutput):
    """The end of a peer that has gone, and the closing of what nobody waits for."""

    __slots__ = ()

    def put_off(self, call: Callable[[], object]) -> bool:
        """See `Leisure.put_off`."""
        return self._hub.put_off(self, call)

    def _puts_off_end(self) -> bool:
        """The peer's bytes have been read, and it is gone as a whole: whether to tell that later.

        On a unix socket; on TCP it may be one that has only finished, as we have.
        """
        if self.mask != IN or self.is_tcp() or not self._hub.put_off(self, self._end_read):
            return False
        self._hub.want(self, 0)  # else it would be told again in each turn
        return True

    def _end_read(self) -> None:
        # One that is paused, or ended otherwise, meanwhile: with the next event, or not at all.
        if self._reading and self.connected and self._end is None and self._may_read():
            self._read_ended(HUNG_UP)

    def _close_at_leisure(self) -> None:
        """Let the flush that closes the socket wait too."""
        if not self._due:
            self._due = self._hub.put_off(self, self.flush)

    _reading: bool

    def _read_ended(self, events: int) -> None:
        """The peer will send no more."""
        raise NotImplementedError

    def _may_read(self) -> bool:
        """Whether there may be something to read still."""
        raise NotImplementedError
