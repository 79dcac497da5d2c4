"""The plain HTTP ports: health (`/healthz`, `/readyz`, `/metrics`) and admin.

Answers, statuses and bodies are upstream's, for any method. Nothing is logged for a request: probes
come every few seconds. Request bodies are thrown away unread. There is no profiling.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Literal
from urllib.parse import parse_qs

from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from konnect.ops.exposition import CONTENT_TYPE

IDLE_TIMEOUT = 60.0
"""Seconds without a byte after which a connection is closed."""

TEXT = "text/plain; charset=utf-8"

Checks = tuple[bool, list[tuple[str, bool, str]]]
"""Whether all is well, and each check: its name, whether it passed, and why.

`?verbose` tells why of a check that passed too.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; its Content-Length is seen to."""

    body: bytes
    status: int = 200
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict)


Page = Callable[[Request], Answer]


def health_site(
    *,
    ready: Callable[[], Checks],
    metrics: Callable[[], bytes],
    style: Literal["proxy", "agent"],
    reactor: IReactorTime | None = None,
) -> Site:
    """
    The health port's site.

    :param ready: asked at every `/readyz`. The agent's first check is `ping`.
    :param metrics: the text of `/metrics`.
    :param style: whose answers: they differ in status, body and `?verbose`.
    :param reactor: for the idle timeout; the installed one if None.
    """

    def readiness(request: Request) -> Answer:
        if style == "proxy":
            return _proxy_readiness(ready())
        # Twisted's own `args` has no parameter that comes without a `=`, as this one does.
        query = parse_qs(request.uri.partition(b"?")[2], keep_blank_values=True)
        return _agent_readiness(ready(), verbose=b"verbose" in query)

    return _site(
        {
            b"/healthz": lambda _: Answer(b"ok"),
            b"/readyz": readiness,
            b"/ready": readiness,
            b"/metrics": lambda _: Answer(metrics(), content_type=CONTENT_TYPE),
        },
        reactor,
    )


def admin_site(
    *,
    metrics: Callable[[], bytes] | None = None,
    health_port: int | None = None,
    reactor: IReactorTime | None = None,
) -> Site:
    """
    The admin port's site: `/metrics` itself (proxy), or the way to it on `health_port` (agent).

    :raises ValueError: unless exactly one of `metrics` and `health_port` is given.
    """
    if metrics is not None and health_port is None:
        give = metrics
        return _site({b"/metrics": lambda _: Answer(give(), content_type=CONTENT_TYPE)}, reactor)
    if health_port is not None and metrics is None:
        port = health_port
        return _site({b"/metrics": lambda request: _moved(request, port)}, reactor)
    raise ValueError("an admin site has either metrics or the port that has them")


def _proxy_readiness(checks: Checks) -> Answer:
    passed, details = checks
    if passed:
        return Answer(b"ok")
    return Answer("; ".join(why for _, fine, why in details if not fine).encode(), status=500)


def _agent_readiness(checks: Checks, *, verbose: bool) -> Answer:
    passed, details = checks
    lines = []
    for name, fine, why in details:
        if not fine:
            lines.append(f"[-]{name} failed: {why}\n")
        elif verbose or not why:
            lines.append(f"[+]{name} ok{': ' + why if why else ''}\n")
    if not passed:
        return Answer("".join(lines).encode(), status=503)
    return Answer("".join([*lines, "check passed\n"]).encode() if verbose else b"ok")


def _moved(request: Request, port: int) -> Answer:
    host = (request.getHeader(b"host") or b"").decode("latin-1")
    name, colon, digits = host.rpartition(":")
    if colon and digits.isdigit():
        host = name
    host = host.removeprefix("[").removesuffix("]")
    place = f"//[{host}]:{port}" if ":" in host else f"//{host}:{port}"
    place += request.uri.decode("latin-1")
    if request.method not in (b"GET", b"HEAD"):
        return Answer(b"", 301, "", {"Location": place})
    body = f'<a href="{html.escape(place)}">Moved Permanently</a>.\n\n'.encode()
    return Answer(body, 301, "text/html; charset=utf-8", {"Location": place})


class _Pages(Resource):
    """Answers exact paths; all others are 404."""

    isLeaf = True

    def __init__(self, pages: Mapping[bytes, Page]) -> None:
        super().__init__()
        self._pages = pages

    def render(self, request: Request) -> Any:
        page = self._pages.get(request.path)
        answer = page(request) if page else _NOT_FOUND
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
        return NOT_DONE_YET


_NOT_FOUND = Answer(
    b"404 page not found\n", status=404, headers={"X-Content-Type-Options": "nosniff"}
)


_TLS = b"\x16\x03"
_PLAIN_ONLY = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Connection: close\r\nContent-Length: 31\r\n\r\nThis port speaks HTTP, not TLS\n"
)


class _Request(Request):
    """A request whose body goes nowhere: Twisted would keep any length of it in a file."""

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()

    def handleContentChunk(self, data: bytes) -> None:
        """Drop it."""


class _Site(Site):
    """A site without an access log, and so without the clock that ticks for its lines."""

    noisy = False

    def startFactory(self) -> None:
        """Open no log."""

    def stopFactory(self) -> None:
        """Close no log."""

    def log(self, request: Any) -> None:
        """Write no line."""

    def buildProtocol(self, addr: Any) -> Any:
        """A channel that answers TLS at once; Twisted's would wait for the end of a line."""
        channel: Any = super().buildProtocol(addr)
        make_connection, receive = channel.makeConnection, channel.dataReceived
        transports: list[Any] = []

        def made(transport: Any) -> None:
            transports.append(transport)
            make_connection(transport)

        def first(data: bytes) -> None:
            del channel.dataReceived
            if data.startswith(_TLS):
                transports[0].write(_PLAIN_ONLY)
                transports[0].loseConnection()
            else:
                receive(data)

        channel.makeConnection, channel.dataReceived = made, first
        return channel


def _site(pages: Mapping[bytes, Page], reactor: IReactorTime | None) -> Site:
    return _Site(
        _Pages(pages),
        requestFactory=_Request,
        parsePOSTFormSubmission=False,
        timeout=IDLE_TIMEOUT,
        reactor=reactor,
    )
