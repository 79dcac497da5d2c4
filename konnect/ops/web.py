"""A small web site of exact pages on a plain HTTP port.

Any method gets a page's answer. Nothing is logged for a request: probes come every few seconds.
Request bodies are thrown away unread, there are never more than `CONNECTIONS` connections, and
those that ask on without waiting for answers are closed. What a connection may take besides is in
`konnect.ops.channel`.

It is made of Twisted's HTTP protocol without its sites and resources: `twisted.web.server` imports
what takes 2.4 MiB in each program (measured), Perspective Broker and an XML parser among them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import HTTPFactory, Request, datetimeToString

from konnect.log import make_logger
from konnect.ops.channel import Channel

log = make_logger(__name__)

IDLE_TIMEOUT = 60.0
"""Seconds in which a request's head has to come, or the next byte of its body."""

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
    last: bool = False
    """Whether the connection ends with it."""


QUERY = 4096
"""Bytes of a query that are looked at: a megabyte of it would take more than half a second."""


def parameters(request: Request) -> dict[str, str]:
    """A query's parameters, also those that come without a `=`; of equal names the last one."""
    query = request.uri.partition(b"?")[2][:QUERY].decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True))


Page = Callable[[Request], Answer | Deferred[Answer]]
"""Makes the answer, now or later; a Deferred is cancelled when nobody waits any more."""


def _be_last(request: Request) -> None:
    request.channel.persistent = False
    request.setHeader("connection", "close")


def _write(request: Request, answer: Answer) -> None:
    request.setResponseCode(answer.status)
    if answer.content_type:
        request.setHeader("content-type", answer.content_type)
    request.setHeader("content-length", str(len(answer.body)))
    for name, value in answer.headers.items():
        request.setHeader(name, value)
    if answer.last:
        _be_last(request)
    request.write(answer.body)  # which writes no body for HEAD
    request.finish()


def _failed(failure: Failure, request: Request) -> None:
    if not failure.check(CancelledError):
        log.failure("a page could not be made", failure)
        _write(request, Answer(b"internal error\n", 500))


def _star(request: Request) -> Answer:
    """`OPTIONS *` asks whether there is a server (RFC 9110 section 9.3.7); all else as Go's."""
    if request.method == b"OPTIONS":
        return Answer(b"", content_type="")
    return Answer(b"", 400, "", last=True)


_NOT_FOUND = Answer(
    b"404 page not found\n", status=404, headers={"X-Content-Type-Options": "nosniff"}
)


class _Request(Request):
    """
    A request whose body goes nowhere: Twisted would keep any length of it in a file.

    Requests that come in one read are not all answered either. Twisted would do so before anything
    else runs and whether or not the answers leave: two thousand scrapes for a read of 64 KiB.
    """

    channel: Channel

    def parseCookies(self) -> None:
        """Nobody wants them."""

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is complete; unlike Twisted's, the whole query is not gone through."""
        self.method, self.uri, self.clientproto = command, path, version
        self.process()

    def process(self) -> None:
        """Answer; a second request of the same read is the connection's last."""
        channel = self.channel
        if channel.asked == channel.reads:
            _be_last(self)
        channel.asked = channel.reads
        self._read_target()
        self.setHeader("date", datetimeToString())
        try:
            answer = channel.site.page(self.path)(self)
        except Exception:
            _failed(Failure(), self)
            return
        if isinstance(answer, Answer):
            _write(self, answer)
            return
        self.notifyFinish().addErrback(lambda _: answer.cancel())
        answer.addCallback(lambda done: _write(self, done))
        answer.addErrback(_failed, self)

    def _read_target(self) -> None:
        """A target may be a whole URL, whose host then counts, and its path percent-encoded."""
        if not self.uri.startswith(b"/"):
            scheme, mark, rest = self.uri.partition(b"://")
            end = re.search(rb"[/?]|$", rest)
            if mark and scheme and end is not None:
                self.requestHeaders.setRawHeaders(b"host", [rest[: end.start()]])
                self.uri = rest[end.start() :]
        self.path = unquote_to_bytes(self.uri.partition(b"?")[0])

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Drop it."""


class Site(HTTPFactory):
    """
    Pages at exact paths, and for whatever begins with a path; all else is 404.

    There is no access log, and so no clock that ticks for its lines.
    """

    protocol = Channel  # type: ignore[assignment]
    requestFactory = _Request
    noisy = False
    heads = 0
    """Bytes that large heads have of `konnect.ops.channel.ROOM`."""
    _open = 0

    def __init__(
        self,
        pages: Mapping[bytes, Page],
        reactor: IReactorTime,
        below: Mapping[bytes, Page] | None = None,
    ) -> None:
        """
        :param reactor: for the idle timeout.
        :param below: pages for whatever begins with a path.
        """
        super().__init__(timeout=IDLE_TIMEOUT, reactor=reactor)
        self._pages = {b"*": _star, **pages}
        self._below = below or {}

    def page(self, path: bytes) -> Page:
        """What makes the answer for a path."""
        page = self._pages.get(path)
        if page is not None:
            return page
        for prefix, page in self._below.items():
            if path.startswith(prefix):
                return page
        return lambda _: _NOT_FOUND

    def startFactory(self) -> None:
        """Open no log."""

    def stopFactory(self) -> None:
        """Close no log."""

    def log(self, request: Any) -> None:
        """Write no line."""

    def buildProtocol(self, addr: Any) -> Any:
        """A channel, as long as there are not too many."""
        if self._open >= CONNECTIONS:
            return None
        self._open += 1
        channel: Any = super().buildProtocol(addr)
        channel.requestFactory = self.requestFactory
        channel.site = self
        return channel

    def gone(self) -> None:
        """A connection is over."""
        self._open -= 1
