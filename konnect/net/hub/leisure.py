"""What a hub puts off until nothing else is ready: ends that nobody waits for.

Where clients come and go, a turn has to do with some that have gone and with others that have just
come, and wait. To end a connection takes as long as to begin one, and what the newcomers send to
the other half leaves when the turn is over: so they come first. New connections of 16 clients over
a unix socket came to 1.04 to 1.07 of the rate, over gRPC to 1.02 to 1.05, of 64 to 0.99 to 1.05, at
0.97 to 1.04 of the CPU for each (measured; medians of seven to nine, three times).
"""

from __future__ import annotations

from collections.abc import Callable

from konnect.net.hub.channel import Channel

MOST = 64
"""Calls that wait; what is more is done as it comes."""

AT_ONCE = 4
"""Calls between two looks for what is ready."""

CROWD = 16
"""Turns from one with many channels on in which something may be put off. A few channels have their
ends sooner at once, while they wait for the other half: there new connections of one client came to
0.90 of the rate (measured)."""


class Leisure:
    """The part of a hub that keeps what was put off."""

    in_turn = False
    """Whether the hub takes its turns."""

    def __init__(self) -> None:
        self.crowd = 0
        """Turns that count as those of many channels still."""
        self.waiting: list[tuple[Channel, Callable[[], object]]] = []
        """What was put off, and for whom."""

    def put_off(self, channel: Channel, call: Callable[[], object]) -> bool:
        """
        Call when nothing else is ready, at the latest before the stock reactor goes on; an error is
        the channel's. False: there is no need to wait, or too much waits already.
        """
        if not (self.crowd and self.in_turn) or len(self.waiting) >= MOST:
            return False
        self.waiting.append((channel, call))
        return True

    def do_some(self) -> None:
        """Do what has waited longest."""
        waiting = self.waiting
        some, self.waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        for channel, call in some:
            try:
                call()
            except BaseException as error:
                self.contain(channel, error)

    def contain(self, channel: Channel, error: BaseException) -> None:
        """See `Hub`."""
        raise NotImplementedError
