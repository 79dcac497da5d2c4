"""TCP connections through an HTTP proxy, as companies put between themselves and the world.

Not one of konnect's: a forward proxy that answers CONNECT, to which the agent speaks before it
speaks TLS to its own proxy, so that it sees the destination's name and nothing else.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from konnect import __version__
from konnect.net.tls import explain
from konnect.wire.connect_client import BadResponse, ResponseReader, request

DEFAULT_PORT = 80


class HttpProxyFailed(Exception):
    """The HTTP proxy could not be reached, or did not connect; the text says which and why."""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """Where an HTTP proxy is, and what it wants to hear."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)
    """The value of Proxy-Authorization."""

    @property
    def name(self) -> str:
        """`host:port`, for log lines."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def read_http_proxy(text: str) -> HttpProxy:
    """
    An HTTP proxy from `http://user:password@host:port`, of which only the host is needed.

    `https://` is accepted and means the same: as in upstream's gRPC, the proxy is spoken to in
    the clear, and what goes through it is TLS of its own. Raises ValueError, whose text does not
    repeat `text`: it may hold a password.
    """
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
    except ValueError:  # whose own text repeats what it does not like
        raise ValueError("no HTTP proxy: it is no URL") from None
    if url.scheme not in ("http", "https"):
        raise ValueError(f"no HTTP proxy: {url.scheme} is not spoken")
    try:
        port = DEFAULT_PORT if url.port is None else url.port
    except ValueError:
        raise ValueError("no HTTP proxy: its port is no number from 0 to 65535") from None
    if not url.hostname:
        raise ValueError("no HTTP proxy: it has no host, as in http://host:3128")
    authorization = None
    if url.username is not None:
        user = _unescaped(url.username) + b":" + _unescaped(url.password or "")
        authorization = "Basic " + base64.b64encode(user).decode()
    return HttpProxy(unquote(url.hostname), port, authorization)


def _unescaped(text: str) -> bytes:
    """The bytes that were meant, UTF-8 or not: an HTTP proxy compares them."""
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape"))


@implementer(IStreamClientEndpoint)
class ThroughHttpProxy:
    """
    Connects to `target` (`host:port`) through an HTTP proxy.

    :param plain: connects to the HTTP proxy.
    :param timeout: seconds for its answer.
    """

    def __init__(
        self,
        plain: IStreamClientEndpoint,
        proxy: HttpProxy,
        target: str,
        clock: IReactorTime,
        timeout: float,
    ) -> None:
        self._plain = plain
        self._proxy = proxy
        self._target = target
        self._clock = clock
        self._timeout = timeout

    def connect(self, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """See IStreamClientEndpoint; fails with HttpProxyFailed."""
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        where = f"the HTTP proxy {self._proxy.name}"
        try:
            asking = await self._plain.connect(_AskingFactory(self._proxy, self._target))
        except Exception as error:
            raise HttpProxyFailed(f"{where}: {explain(Failure(error))}") from error
        assert isinstance(asking, _Asking)
        asking.answered.addTimeout(self._timeout, self._clock, onTimeoutCancel=_no_answer)
        try:
            await asking.answered
            return asking.give_way(factory)
        except BadResponse as error:
            asking.transport.abortConnection()
            raise HttpProxyFailed(f"{where}: {error}") from error
        except BaseException:
            asking.transport.abortConnection()
            raise


def _no_answer(result: Any, seconds: float) -> Any:
    raise BadResponse(f"no answer within {seconds:g} seconds")


class _AskingFactory(Factory):
    noisy = False

    def __init__(self, proxy: HttpProxy, target: str) -> None:
        self._proxy = proxy
        self._target = target

    def buildProtocol(self, addr: Any) -> _Asking:
        return _Asking(self._proxy, self._target, addr)


class _Asking(Protocol):
    """Asks for the connection; then another protocol takes its place."""

    transport: Any

    def __init__(self, proxy: HttpProxy, target: str, address: Any) -> None:
        self._proxy = proxy
        self._target = target
        self._address = address
        self._reader = ResponseReader()
        self.answered: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(
            request(
                self._target,
                host=self._target,
                user_agent=f"konnect/{__version__}",
                authorization=self._proxy.authorization,
            )
        )

    def dataReceived(self, data: bytes) -> None:
        if self.answered.called:
            return
        try:
            answer = self._reader.receive(data)
            if answer is None:
                return
            if not answer.established:
                raise BadResponse(f"it refused: {answer.status} {answer.reason}".rstrip())
            if answer.rest:
                raise BadResponse("something was sent before it was asked for")
        except BadResponse as error:
            self.answered.errback(error)
        else:
            self.answered.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answered.called:
            self.answered.errback(self._reader.ended())

    def give_way(self, factory: IProtocolFactory) -> IProtocol:
        """Let a protocol of `factory` have the transport, before it reads anything more."""
        protocol = factory.buildProtocol(self._address)
        if protocol is None:
            raise BadResponse("nobody wants the connection any more")
        self.transport.protocol = protocol
        protocol.makeConnection(self.transport)
        return protocol
