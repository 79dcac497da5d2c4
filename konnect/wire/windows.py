"""Flow-control windows of a connection or a stream, which are ours since h2 sees no DATA.

RFC 9113 sections 5.2 and 6.9. A window that is sent into may become negative (by SETTINGS); one
that is received into may not.
"""

from __future__ import annotations

from konnect.wire.frames import ProtocolViolation
from konnect.wire.status import ErrorCode

DEFAULT = 65535
LARGEST = 2**31 - 1


class WindowOverflow(Exception):
    """The peer gave more room than a window can have."""


class Windows:
    """Both directions; `out` is what we may send, `into` what the peer may."""

    __slots__ = ("into", "out")

    def __init__(self, into: int, out: int) -> None:
        self.into = into
        self.out = out

    def widen(self, increment: int) -> None:
        """The peer gives room. Raises `WindowOverflow`."""
        self.out += increment
        if self.out > LARGEST:
            raise WindowOverflow


def overrun(what: str) -> ProtocolViolation:
    """The error for a peer that has sent more than `into` of a window."""
    text = f"more DATA than the window of the {what} has room for"
    return ProtocolViolation(ErrorCode.FLOW_CONTROL_ERROR, text)
