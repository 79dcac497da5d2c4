"""An HTTP destination on loopback, and HTTP requests through a tunnel."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.policies import WrappingFactory
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from konnect.client.dialing import Dialer
from konnect.client.web import WebEndpoints
from tests.functional.peers import content
from tests.functional.waiting import the_reactor, until

PIECE = 2 * 1024 * 1024


class _Page(Resource):
    isLeaf = True

    def __init__(self, render: Callable[[Request], Any]) -> None:
        super().__init__()
        self.render = render  # type: ignore[method-assign]


def _large(request: Request) -> Any:
    for piece in range(10):
        request.write(content(piece * PIECE, PIECE))
    request.finish()
    return NOT_DONE_YET


class _QuietSite(Site):
    noisy = False

    def log(self, request: Any) -> None:
        """Write no line."""


class WebServer:
    """`/hello`; `/slow`, answered by `release`; `/large`, 20 MiB; `/echo`, the request's body."""

    def __init__(self) -> None:
        root = Resource()
        self.waiting: list[Request] = []
        root.putChild(b"hello", _Page(lambda request: b"hello"))
        root.putChild(b"slow", _Page(self._slow))
        root.putChild(b"large", _Page(_large))
        root.putChild(b"echo", _Page(lambda request: request.content.read()))  # type: ignore[union-attr]
        site = _QuietSite(root, timeout=None, reactor=the_reactor())
        self._factory = WrappingFactory(site)
        self._factory.noisy = False
        self._listening = the_reactor().listenTCP(
            0, self._factory, interface="127.0.0.1", backlog=1024
        )
        self.port: int = self._listening.getHost().port

    @property
    def live(self) -> int:
        """Connections that are open."""
        return len(self._factory.protocols)

    def _slow(self, request: Request) -> Any:
        self.waiting.append(request)
        request.notifyFinish().addErrback(lambda _: self.waiting.remove(request))
        return NOT_DONE_YET

    async def asked(self, count: int = 1) -> None:
        """Wait until `count` requests wait for `release`."""
        await until(lambda: len(self.waiting) == count, "the requests have arrived")

    def release(self) -> None:
        """Answer every request that waits."""
        waiting, self.waiting = self.waiting, []
        for request in waiting:
            request.write(b"at last")
            request.finish()

    async def close(self) -> None:
        """Stop listening, drop what is open."""
        await self._listening.stopListening()
        for connection in list(self._factory.protocols):
            connection.transport.abortConnection()
        await until(lambda: not self.live, "the web server's connections are gone")


class Browser:
    """HTTP requests through a dialer; with `keep`, on kept connections."""

    def __init__(self, dialer: Dialer, port: int, *, keep: bool = False) -> None:
        self._pool = HTTPConnectionPool(the_reactor(), persistent=keep)
        self._pool.retryAutomatically = False
        self._agent = Agent.usingEndpointFactory(the_reactor(), WebEndpoints(dialer), self._pool)
        self._port = port

    def request(self, path: str, body: bytes | None = None) -> Deferred[bytes]:
        """The body of the answer to a GET, or a POST if there is a body to send."""
        return Deferred.fromCoroutine(self._request(path, body))

    async def _request(self, path: str, body: bytes | None) -> bytes:
        url = f"http://127.0.0.1:{self._port}/{path}".encode()
        producer = None if body is None else FileBodyProducer(BytesIO(body))
        method = b"GET" if body is None else b"POST"
        response = await self._agent.request(method, url, bodyProducer=producer)
        return bytes(await readBody(response))

    def close(self) -> Deferred[Any]:
        """Close kept connections."""
        closing: Deferred[Any] = self._pool.closeCachedConnections()
        return closing
