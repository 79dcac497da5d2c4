"""What the pieces of `micro.py` put in the place of sockets, streams and destinations.

They do as little as can be, so that nearly all that is counted is the piece.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

DONE = Failure(ConnectionDone())


class Transport:
    """A transport that keeps what is written, until `take`."""

    takes_views = True
    disconnecting = False

    def __init__(self) -> None:
        self.out: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.out.append(data)

    write_now = write

    def writeSequence(self, pieces: Any) -> None:
        self.out.extend(pieces)

    def take(self) -> bytes:
        """What was written since the last look."""
        out, self.out = self.out, []
        return b"".join(out)

    def nothing(self, *_: Any) -> None:
        """Whatever else it is asked for."""

    registerProducer = unregisterProducer = pauseProducing = resumeProducing = nothing
    loseConnection = loseWriteConnection = abortConnection = setTcpNoDelay = nothing

    def getPeer(self) -> Any:
        return UNIXAddress(b"/nowhere")

    getHost = getPeer


class Stream:
    """A gRPC stream that keeps the last message."""

    id = 1
    listener: Any = None
    peer = user = "somebody"
    transport = None
    queued = 0
    closing = False
    largest_message = 1 << 18
    last = b""

    def send(self, payload: bytes) -> bool:
        self.last = payload
        return True

    def send_data(self, head: bytes, payload: Any) -> bool:
        return True

    def nothing(self, *_: Any, **__: Any) -> None:
        """Whatever else it is asked for."""

    cut_through = acknowledge = send_headers = end = half_close = goaway = reset = nothing

    def __getattr__(self, name: str) -> Any:
        # Other versions ask for more.
        return self.nothing
