"""``konnect test-server``: an HTTP destination for trying out and measuring tunnels.

Upstream's pages (``/success``, ``/sleep?time=N``, ``/error``, ``/close``), and two of ours that
move any number of bytes without holding them: ``/bytes?n=N`` sends them, ``POST /sha256`` takes
them and answers with their SHA-256 and count.

It listens on 127.0.0.1 unless told otherwise, and is no web server for anybody else: no files, no
limits, no TLS.
"""

from __future__ import annotations

import hashlib
import io
import random
import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import AlreadyCalled, AlreadyCancelled, CannotListenError
from twisted.internet.interfaces import IListeningPort, IPullProducer
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer

from konnect.app import kinds
from konnect.app.command import run_command
from konnect.app.flags import Flag, FlagOptions
from konnect.app.klog import IDLE_KLOG_FLAGS
from konnect.app.quoting import quote

HOST = "127.0.0.1"
DEFAULT_SLEEP = 10
LONGEST_SLEEP = 24 * 3600
PATTERN = random.Random(65521).randbytes(65521)
"""What ``/bytes`` repeats. Its length is prime, so that lost or swapped blocks of usual sizes
show.
"""

_PAGE = b"""<!DOCTYPE html>
<html>
    <head>
        <title>Success</title>
    </head>
    <body>
        <p>You have reached the test server of konnect.</p>
    </body>
</html>
"""


class TestServerOptions(FlagOptions):
    """The command line of ``konnect test-server``: upstream's."""

    __test__ = False
    about = (
        "An HTTP destination for trials: /success, /sleep?time=N, /error, /close, /bytes?n=N"
        " and POST /sha256."
    )
    flags = (
        Flag("server-port", kinds.KLOG_UINT, 8000, "The TCP port to listen on."),
        Flag(
            "server-bind-address",
            kinds.TEXT,
            HOST,
            "The IP address to listen on; 0.0.0.0 or :: in a pod that others are to reach.",
        ),
        *IDLE_KLOG_FLAGS,
    )

    def postOptions(self) -> None:
        """Refuse the ports that upstream refuses."""
        port = self["server-port"]
        for wrong, kind in ((port > 49151, "ephemeral"), (port < 1024, "reserved")):
            if wrong:
                raise usage.UsageError(
                    "failed to validate server options with "
                    f"please do not try to use {kind} port {port} for the server port"
                )
        host = self["server-bind-address"]
        if not isIPAddress(host) and not isIPv6Address(host):
            raise usage.UsageError(
                f"invalid value {quote(host)} for --server-bind-address: not an IP address"
            )

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return "Usage: konnect test-server [flags]"


class _Digest(io.BytesIO):
    """A request body that is hashed and counted as it comes in, and not kept."""

    def __init__(self) -> None:
        super().__init__()
        self.hash = hashlib.sha256()
        self.length = 0

    def write(self, data: Any) -> int:
        self.hash.update(data)
        self.length += len(data)
        return len(data)

    def tell(self) -> int:
        return self.length


class _DigestingRequest(Request):
    """A request whose body is digested; none of our pages wants the body itself."""

    def gotLength(self, length: int | None) -> None:
        """Called before the body: where to put it."""
        self.content = _Digest()


@implementer(IPullProducer)
class _Repeater:
    """Writes `count` bytes of PATTERN into a request at its client's speed, and finishes it."""

    def __init__(self, request: HttpRequest, count: int) -> None:
        self._request = request
        self._left = count

    def resumeProducing(self) -> None:
        piece = PATTERN[: self._left]
        self._left -= len(piece)
        self._request.write(piece)
        if self._left == 0:
            self._request.unregisterProducer()
            self._request.finish()

    def stopProducing(self) -> None:
        self._left = 0


class _Text(Resource):
    """A fixed answer."""

    isLeaf = True

    def __init__(self, body: bytes, content_type: str, status: int = 200) -> None:
        super().__init__()
        self._body = body
        self._content_type = content_type
        self._status = status

    def render(self, request: Request) -> bytes:
        """Answer any method."""
        request.setResponseCode(self._status)
        request.setHeader("Content-Type", self._content_type)
        return self._body


class _Sleep(Resource):
    """The success page, ``time`` seconds later."""

    isLeaf = True

    def __init__(self, clock: Any, page: Resource) -> None:
        super().__init__()
        self._clock = clock
        self._page = page

    def render(self, request: Request) -> int:
        """Answer any method; a time that is no number counts as the default."""
        seconds = min(_argument(request, b"time", DEFAULT_SLEEP), LONGEST_SLEEP)

        def answer() -> None:
            request.write(self._page.render(request))
            request.finish()

        call = self._clock.callLater(seconds, answer)

        def client_left(failure: Failure) -> None:
            try:
                call.cancel()
            except (AlreadyCalled, AlreadyCancelled):
                pass

        request.notifyFinish().addErrback(client_left)
        return NOT_DONE_YET


class _Close(Resource):
    """No answer: the connection is closed."""

    isLeaf = True

    def render(self, request: Request) -> int:
        """Close, whatever the method."""
        request.loseConnection()
        return NOT_DONE_YET


class _Bytes(Resource):
    """``n`` bytes of PATTERN, repeated."""

    isLeaf = True

    def render_GET(self, request: Request) -> bytes | int:
        """Send them, with their Content-Length."""
        count = _argument(request, b"n", 0)
        request.setHeader("Content-Type", "application/octet-stream")
        request.setHeader("Content-Length", str(count))
        if count == 0 or request.method == b"HEAD":
            return b""
        request.registerProducer(_Repeater(request, count), False)
        return NOT_DONE_YET


class _Sha256(Resource):
    """The digest of what is posted."""

    isLeaf = True

    def render_POST(self, request: Request) -> bytes:
        """Answer ``<hex digest> <length>``."""
        content = request.content
        assert isinstance(content, _Digest)
        request.setHeader("Content-Type", "text/plain; charset=utf-8")
        return f"{content.hash.hexdigest()} {content.length}\n".encode("ascii")

    render_PUT = render_POST


def make_site(clock: Any) -> Site:
    """The pages, for any endpoint to listen with; `clock` (the reactor) times ``/sleep``."""
    success = _Text(_PAGE, "text/html; charset=utf-8")
    root = Resource()
    root.putChild(b"success", success)
    root.putChild(b"sleep", _Sleep(clock, success))
    root.putChild(
        b"error", _Text(b"Internal Server Error\n", "text/plain; charset=utf-8", status=500)
    )
    root.putChild(b"close", _Close())
    root.putChild(b"bytes", _Bytes())
    root.putChild(b"sha256", _Sha256())
    site = Site(
        root, requestFactory=_DigestingRequest, parsePOSTFormSubmission=False, reactor=clock
    )
    site.noisy = False
    return site


def serve(reactor: Any, port: int, host: str = HOST) -> Deferred[IListeningPort]:
    """Listen on an IP address. Fails with CannotListenError."""
    kind = TCP6ServerEndpoint if isIPv6Address(host) else TCP4ServerEndpoint
    endpoint = kind(reactor, port, interface=host)
    listening: Deferred[IListeningPort] = endpoint.listen(make_site(reactor))
    return listening


def _argument(request: Request, name: bytes, default: int) -> int:
    """The whole number of a query argument, `default` if there is none; nothing below zero."""
    try:
        return max(0, int(request.args[name][0]))
    except (KeyError, ValueError):
        return default


async def _run(reactor: Any, options: TestServerOptions) -> None:
    host, port = options["server-bind-address"], options["server-port"]
    place = f"[{host}]:{port}" if isIPv6Address(host) else f"{host}:{port}"
    try:
        await serve(reactor, port, host)
    except CannotListenError as error:
        reason = str(error.socketError.strerror or error.socketError).lower()
        print(
            f"konnect test-server: cannot listen on {place}: {reason};"
            " choose another --server-port",
            file=sys.stderr,
        )
        raise SystemExit(1) from None
    print(f"test server: http://{place}/success", flush=True)
    await Deferred()  # until the reactor is stopped


def main(argv: Sequence[str]) -> int:
    """Run until SIGINT or SIGTERM. Exit code 0, or 1 for a bad flag or a taken port."""
    return run_command(_run, TestServerOptions(), argv)
