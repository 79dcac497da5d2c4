"""How large packets, frames and windows of a link are."""

from __future__ import annotations

from konnect.wire.frames import SMALLEST_LIMIT
from konnect.wire.http2 import Limits

CHUNK = 256 * 1024
"""Largest payload of one DATA packet that we make: one read's."""

HEADS = 64
"""Bytes that are certainly enough for what goes before a packet's payload in its frame."""

SMALL = SMALLEST_LIMIT - HEADS
"""Bytes of a payload that fits any peer's frame with these."""

CREDIT_SLACK = 4 * 1024 * 1024
"""Bytes beyond its credit that cost a peer the tunnel (one packet may be this large)."""

REST = 1024 * 1024
"""Bytes of an ended tunnel that go out beyond its credit after the linger time, since a reader may
take longer for as much as credit goes back by. As much as a client may have sent ahead."""

STREAM_WINDOW = 1024 * 1024
"""Receive window of a link's stream at first; it grows (`konnect.net.link_window`)."""

CONNECTION_WINDOW = 16 * 1024 * 1024
"""What it may grow to."""

PATH_RATE = 500_000_000
"""Bytes a second that one link is to reach (a process does not do much more)."""

LONG = 0.002
"""Seconds of a round trip that a busy machine takes by itself; beyond them it is the path's."""


def path_holds(trip: float) -> float:
    """
    Bytes on the way that keep a path busy whose round trip takes `trip` seconds.

    On a long path twice what passes in a round trip: window does not go back the moment that bytes
    come. With once as much, uploads over 10 ms came to 0.8 of the original's rate (`bench/far.py`).
    """
    return PATH_RATE * (trip + max(0.0, trip - LONG))


MAX_FRAME = CHUNK + HEADS
"""Largest HTTP/2 frame that a link takes: one of our DATA packets. Stock peers stay at 16 KiB."""

LIMITS = Limits(
    stream_window=STREAM_WINDOW, connection_window=CONNECTION_WINDOW, max_frame=MAX_FRAME
)
"""Of a link's connection, on either side: there is one stream on it."""
