"""A small web site of exact pages on a plain HTTP port.

Any method gets a page's answer. Nothing is logged for a request: probes come every few seconds.
Request bodies are thrown away unread, TLS is answered in plain words, there are never more than
`CONNECTIONS` connections, and those that ask on without waiting for answers are closed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from konnect.log import make_logger

log = make_logger(__name__)

IDLE_TIMEOUT = 60.0
"""Seconds without a byte after which a connection is closed."""

CONNECTIONS = 512
"""Connections at a time; more are closed at once, so that a port open to all cannot use up the
process's file descriptors."""

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; its Content-Length is seen to."""

    body: bytes
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[Request], Answer | Deferred[Answer]]
"""Makes the answer, now or later; a Deferred is cancelled when nobody waits any more."""


class _Pages(Resource):
    """Answers exact paths, and those below a path with one page; all others are 404."""

    isLeaf = True

    def __init__(self, pages: Mapping[bytes, Page], below: Mapping[bytes, Page]) -> None:
        super().__init__()
        self._pages = pages
        self._below = below

    def render(self, request: Request) -> Any:
        answer = self._page(request.path)(request)
        if isinstance(answer, Answer):
            _write(request, answer)
            return NOT_DONE_YET
        gone = request.notifyFinish()
        gone.addErrback(lambda _: answer.cancel())
        answer.addCallback(lambda done: _write(request, done))
        answer.addErrback(_failed, request)
        return NOT_DONE_YET

    def _page(self, path: bytes) -> Page:
        page = self._pages.get(path)
        if page is not None:
            return page
        for prefix, page in self._below.items():
            if path.startswith(prefix):
                return page
        return lambda _: _NOT_FOUND


def _write(request: Request, answer: Answer) -> None:
    request.setResponseCode(answer.status)
    # It would tell our version to everyone who asks.
    request.responseHeaders.removeHeader(b"server")
    if answer.content_type:
        request.setHeader("content-type", answer.content_type)
    request.setHeader("content-length", str(len(answer.body)))
    for name, value in answer.headers.items():
        request.setHeader(name, value)
    request.write(answer.body)  # which writes no body for HEAD
    request.finish()


def _failed(failure: Failure, request: Request) -> None:
    if not failure.check(CancelledError):
        log.failure("a page could not be made", failure)
        _write(request, Answer(b"internal error\n", 500))


_NOT_FOUND = Answer(
    b"404 page not found\n", status=404, headers={"X-Content-Type-Options": "nosniff"}
)


_TLS = b"\x16\x03"
_PLAIN_ONLY = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: 31\r\n\r\nThis port speaks HTTP, not TLS\n"
)


@dataclass(slots=True)
class _Reads:
    """How often something was read of a connection, in all and when it last asked."""

    now: int = 0
    asked: int = 0


class _Request(Request):
    """
    A request whose body goes nowhere: Twisted would keep any length of it in a file.

    Requests that come in one read are not all answered either. Twisted would do so before anything
    else runs and whether or not the answers leave: two thousand scrapes for a read of 64 KiB.
    """

    def __init__(self, reads: _Reads, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._reads = reads

    def process(self) -> None:
        """Answer; a second request of the same read is the connection's last."""
        if self._reads.asked == self._reads.now:
            self.channel.persistent = False
            self.setHeader("connection", "close")
        self._reads.asked = self._reads.now
        super().process()

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Drop it."""


class _Site(Site):
    """A site without an access log, and so without the clock that ticks for its lines."""

    noisy = False
    _open = 0

    def startFactory(self) -> None:
        """Open no log."""

    def stopFactory(self) -> None:
        """Close no log."""

    def log(self, request: Any) -> None:
        """Write no line."""

    def buildProtocol(self, addr: Any) -> Any:
        """A channel that answers TLS at once; Twisted's would wait for the end of a line."""
        if self._open >= CONNECTIONS:
            return None
        self._open += 1
        channel: Any = super().buildProtocol(addr)
        make_connection, receive = channel.makeConnection, channel.dataReceived
        connection_lost = channel.connectionLost
        transports: list[Any] = []
        reads = _Reads()
        channel.requestFactory = partial(self.requestFactory, reads)

        def lost(reason: Failure) -> None:
            self._open -= 1
            connection_lost(reason)

        def made(transport: Any) -> None:
            transports.append(transport)
            make_connection(transport)

        def first(data: bytes) -> None:
            channel.dataReceived = more
            if data.startswith(_TLS):
                transports[0].write(_PLAIN_ONLY)
                transports[0].loseConnection()
            else:
                more(data)

        def more(data: bytes) -> None:
            reads.now += 1
            receive(data)

        channel.makeConnection, channel.dataReceived = made, first
        channel.connectionLost = lost
        return channel


def make_site(
    pages: Mapping[bytes, Page],
    reactor: IReactorTime | None,
    below: Mapping[bytes, Page] | None = None,
) -> Site:
    """
    The site of these pages.

    :param reactor: for the idle timeout; the installed one if None.
    :param below: pages for whatever begins with a path.
    """
    return _Site(
        _Pages(pages, below or {}),
        requestFactory=_Request,
        parsePOSTFormSubmission=False,
        timeout=IDLE_TIMEOUT,
        reactor=reactor,
    )
