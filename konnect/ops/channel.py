"""One connection of a small web site, and what it may take.

A request's head may be as large as Go's servers take it, which upstream's ports are, and answers
what they answer. Unlike there, what large heads take together is bounded, and so is the number of
their lines: each takes the event loop some microseconds.
"""

from __future__ import annotations

import re
from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel

from konnect.net.closing import can_half_close

HEAD = (1 << 20) + 4096
"""Bytes of a request's head: Go's DefaultMaxHeaderBytes, and what it gives beyond."""

LINES = 500
"""Lines of a head."""

SMALL = 16384
"""Bytes of its head that every connection may have."""

ROOM = 16 << 20
"""Bytes beyond these that the heads of all connections of a site may have together."""

REFUSED_FOR = 0.5
"""Seconds for a client to stop sending and to read why: a reset could take the answer from it."""

_TLS = b"\x16\x03"


def _refusal(status: str, body: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


_NONSENSE = "400 Bad Request"
_TOO_LARGE = "431 Request Header Fields Too Large"
_REFUSE_HEAD = _refusal(_TOO_LARGE, _TOO_LARGE)
_REFUSE_NONSENSE = _refusal(_NONSENSE, _NONSENSE)
_REFUSE_TLS = _refusal(_NONSENSE, "This port speaks HTTP, not TLS\n")
_REFUSE_NO_HOST = _refusal(*[f"{_NONSENSE}: missing required Host header"] * 2)
_REFUSE_HOST = _refusal(*[f"{_NONSENSE}: malformed Host header"] * 2)

_host = re.compile(rb"[\w!$%&'()*+,\-.:;=\[\]~]*", re.ASCII).fullmatch


class Channel(HTTPChannel):
    """
    Twisted's, with these bounds.

    It gets its data by whole lines: of one that comes in many pieces Twisted would search and copy
    all that is there at each. And its time for a head does not begin anew with each byte.
    """

    totalHeadersSize = MAX_LENGTH = HEAD  # which are reached after our own
    maxHeaders = LINES
    site: Any
    """Its `heads` are the bytes of ROOM that are in use; `gone()` is called at the end."""

    reads = 0
    """How often something was read."""
    asked = 0
    """`reads` at the last request."""
    _refused = False
    _size = _lines = 0  # of the head so far, by whole lines
    _tail = b""
    _taken = 0  # of ROOM

    def __init__(self) -> None:
        super().__init__()
        self._held = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a head, of a body, or of neither."""
        self.reads += 1
        if self._refused:
            return
        if self.reads == 1 and data.startswith(_TLS):
            # Twisted would wait for the end of a line.
            self._refuse(_REFUSE_TLS)
        elif self.line_mode:
            self._head(data)
        else:
            super().dataReceived(data)

    def setLineMode(self, extra: bytes = b"") -> None:
        """The next head begins, maybe with what came before the last answer."""
        self.line_mode = 1
        if extra:
            self._head(extra)

    def _head(self, data: bytes) -> None:
        if not (self._size or self._held or self._buffer):
            self.resetTimeout()
        across = self._tail == b"\r" and data.startswith(b"\n")
        self._tail = data[-1:]
        self._held += data
        if not self._take():
            self._refuse(_REFUSE_HEAD)
            return
        if across or b"\r\n" in data:
            lines = bytes(self._held)
            self._held.clear()
            LineReceiver.dataReceived(self, lines)
        if self.line_mode and not self._refused and self._head_size > HEAD:
            self._refuse(_REFUSE_HEAD)

    @property
    def _head_size(self) -> int:
        return self._size + len(self._held) + len(self._buffer)

    def _take(self) -> bool:
        """Take of the room, or give back, what the head is too large for; whether there is so
        much."""
        more = max(0, self._head_size - SMALL) - self._taken
        self._taken += more
        self.site.heads += more
        return more <= 0 or self.site.heads <= ROOM

    def lineReceived(self, line: bytes) -> None:
        """A line of a head."""
        self._size += len(line) + len(self.delimiter)
        self._lines += 1
        if self._size > HEAD or self._lines > LINES:
            self._refuse(_REFUSE_HEAD)
        elif not self._refused:
            super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line larger than a head."""
        self._refuse(_REFUSE_HEAD)

    def allHeadersReceived(self) -> None:
        """The end of a head, which is kept until its request is answered."""
        self._size = self._lines = 0
        hosts = self.requests[-1].requestHeaders.getRawHeaders(b"host") or []
        # Go and RFC 9112 section 3.2 want exactly one; only HTTP/1.0 may do without.
        if len(hosts) > 1:
            self._refuse(_REFUSE_NONSENSE)
        elif hosts and not _host(hosts[0]):
            self._refuse(_REFUSE_HOST)
        elif not hosts and self._version == b"HTTP/1.1" and self._command != b"CONNECT":
            self._refuse(_REFUSE_NO_HOST)
        else:
            super().allHeadersReceived()

    def allContentReceived(self) -> None:
        """The end of a request, which may have been refused for its head."""
        if not self._refused:
            super().allContentReceived()

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether there may be another request. Twisted knows only blanks between options."""
        options = b",".join(request.requestHeaders.getRawHeaders(b"connection") or [])
        if b"close" in (option.strip().lower() for option in options.split(b",")):
            request.requestHeaders.setRawHeaders(b"connection", [b"close"])
        return bool(super().checkPersistence(request, version))

    def requestDone(self, request: Any) -> None:
        """A request has been answered."""
        self._release()
        if not self.persistent:
            self.setTimeout(self.site.timeOut)  # for the client to take the answer
        super().requestDone(request)

    def _release(self) -> None:
        self.site.heads -= self._taken
        self._taken = 0

    def _respondToBadRequestAndDisconnect(self) -> None:
        # Twisted's own answer has no body, nor says so.
        self._refuse(_REFUSE_NONSENSE)

    def _refuse(self, answer: bytes) -> None:
        """Answer, and throw away what still comes."""
        if self._refused:
            return
        self._refused = True
        self._held.clear()
        self.clearLineBuffer()
        self._release()
        transport: Any = self.transport
        transport.write(answer)
        if can_half_close(transport):
            transport.unregisterProducer()  # or what is paused would keep the end from going out
            transport.loseWriteConnection()
            self.setTimeout(REFUSED_FOR)
        else:
            self.loseConnection()

    def timeoutConnection(self) -> None:
        """Too slow; or a client has had its time to take its last answer, perhaps a refusal."""
        transport: Any = self.transport
        if self._refused or not self.persistent:
            transport.abortConnection()
        else:
            super().timeoutConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self._held.clear()
        self._release()
        super().connectionLost(reason)
        self.site.gone()
