"""The windows of a link's tunnels, changed for all of them at once.

A CREDIT packet for the connectID 0, which no tunnel has, changes the credit of every tunnel of the
link by its increment, which may be negative, and that of tunnels to come. (HTTP/2 does the same by
SETTINGS_INITIAL_WINDOW_SIZE, RFC 9113 section 6.9.2.) A half that does not know this ignores it, as
it ignores CREDIT for any tunnel that is not there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from konnect.wire import packets
from konnect.wire.features import MAX_CREDIT
from konnect.wire.packets import PacketType

if TYPE_CHECKING:
    from konnect.tunnel.link import Link

ALL = 0
"""The connectID that means all tunnels."""


def credited(link: Link, connect_id: int, increment: int) -> None:
    """The peer allows `increment` bytes more (or less), on one tunnel or on all."""
    if connect_id != ALL:
        end = link.ends.get(connect_id)
        if end is not None:
            end.credited(increment)
    elif 0 < link.send_credit + increment <= MAX_CREDIT:
        link.send_credit += increment
        for end in [*link.ends.values(), *link.asking]:
            end.shifted(increment)


def resize(link: Link, size: int) -> None:
    """Let the peer have at most `size` bytes of each tunnel on the way or held here, or as many as
    were announced if that is less; what is there already stays."""
    size = min(size, link.receive_credit)
    change = size - link.window
    if not change or link.lost:
        return
    link.window = size
    link.send(PacketType.CREDIT, packets.credit(ALL, change))
    # Of what is to be returned, more than half of the new window may have come together: with that
    # kept back a sender could wait for ever.
    for end in list(link.ends.values()):
        end.give_back_due()


def take_back(link: Link) -> None:
    """Let no tunnel have more than the link's window (`konnect.tunnel.growth`)."""
    if not link.lost:
        for end in list(link.ends.values()):
            end.take_back()
