"""One connection of the agent to one proxy, from the first byte to the last."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from konnect.agent.dialer import Dialer
from konnect.agent.link import ProxyLink
from konnect.log import make_logger
from konnect.net.diagnosis import WORDLESS, with_peer
from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.grpc_terms import own_terms
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_sizes import LIMITS
from konnect.wire import features
from konnect.wire.grpc import Role
from konnect.wire.metadata import HelloError, ProxyHello, parse_proxy_hello
from konnect.wire.packets import CONNECT_PATH
from konnect.wire.status import OK, Status

log = make_logger(__name__)

HELLO_TIMEOUT = 20.0
"""Seconds that a proxy has to accept the connection, and again to say who it is."""

CLOSE_WITHIN = 1.0
"""Seconds that a proxy has to close its side of a connection whose link has ended."""


class NoAnswer(Exception):
    """The proxy left a step of the introduction unanswered; the text says which."""


class Refused(Exception):
    """The proxy ended the stream before it said who it is; the text is its status and reason."""


class Session:
    """
    A link and the connection under it.

    `hello` fires with the proxy's introduction, or fails with `Refused`, `HelloError` or what ended
    the connection. `on_end(session, text)` is called once, when a session whose hello had come is
    over.
    """

    def __init__(
        self,
        protocol: GrpcProtocol,
        ledger: Ledger,
        dialer: Dialer,
        clock: IReactorTime,
        *,
        flow: Flow,
        on_end: Callable[[Session, str], None],
    ) -> None:
        self.protocol = protocol
        self.hello: Deferred[ProxyHello] = Deferred()
        self.server_id = ""
        self.since = 0.0
        """When it became one of the agent's links."""
        self._on_end = on_end
        self._said_hello = False
        self.status = OK
        """How the stream ended."""
        self._make_link: Callable[[GrpcStream], ProxyLink] = lambda stream: ProxyLink(
            stream, ledger, dialer, clock, flow=flow, open_stream=self._open
        )
        self._link: ProxyLink | None = None
        self._introduction: tuple[Metadata, str] = ((), "")

    def start(self, metadata: Metadata, authority: str) -> None:
        """Open the stream and present the agent's metadata."""
        self._introduction = metadata, authority
        stream = self._open(self)
        self._link = self._make_link(stream)
        stream.cut_through(self._link)

    def _open(self, listener: StreamListener) -> GrpcStream:
        metadata, authority = self._introduction
        return self.protocol.open(CONNECT_PATH, metadata, listener, authority=authority)

    @property
    def link(self) -> ProxyLink:
        """The link; there from `start` on."""
        assert self._link is not None
        return self._link

    # -- the stream's listener

    def headers(self, metadata: Metadata) -> None:
        if self._said_hello:
            return
        try:
            hello = parse_proxy_hello(metadata)
        except HelloError as error:
            self.hello.errback(Failure(error))
            return
        announced, ignored = features.parse(metadata)
        if ignored:
            log.warn("the proxy announced what is not known here: {what}", what=ignored)
        self.link.agree(announced)
        self._said_hello = True
        self.server_id = self.link.name = hello.server_id
        self.hello.callback(hello)

    def message(self, payload: bytes, cost: int) -> None:
        self.link.message(payload, cost)

    def half_closed(self) -> None:
        """Only servers see a half-close; a server's end comes as `ended`."""

    def writable(self) -> None:
        self.link.writable()

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self.link.end()
        self.status = status
        if self.protocol.lost:
            text = with_peer(text, self.protocol.transport)
        reason = f"{status.name}: {text}" if text else status.name
        if self._said_hello:
            self._on_end(self, reason)
        elif not self.hello.called:
            self.hello.errback(Failure(Refused(reason)))
        self.protocol.close("the link has ended", within=CLOSE_WITHIN)


class HungUp(ConnectionError):
    """
    The connection was made, and closed by the peer before it had said a word.

    Mostly a balancer did that, with no proxy behind it.
    """


def bounded(step: Deferred[Any], clock: IReactorTime, missing: str) -> None:
    """Let `step` fail with `NoAnswer` when it takes longer than HELLO_TIMEOUT."""

    def too_late(result: Any, seconds: float) -> Any:
        raise NoAnswer(f"{missing} within {seconds:g} seconds")

    step.addTimeout(HELLO_TIMEOUT, clock, too_late)


async def connect(
    endpoint: IStreamClientEndpoint,
    clock: IReactorTime,
    keepalive_time: float,
    connections: set[GrpcProtocol],
) -> GrpcProtocol:
    """
    A connection that is ready for streams; cancelling or a failure leaves nothing open.

    It is one of `connections` from when it is made until it is gone. Raises `HungUp`, `NoAnswer`,
    and what the endpoint and the TLS handshake raise.
    """

    def build() -> GrpcProtocol:
        return GrpcProtocol(
            own_terms(
                Role.CLIENT,
                clock,
                limits=LIMITS,
                keepalive_time=keepalive_time,
                on_lost=lambda protocol, _: connections.discard(protocol),
            )
        )

    factory = Factory.forProtocol(build)
    factory.noisy = False
    attempt = endpoint.connect(factory)
    bounded(attempt, clock, "the proxy accepted no connection")
    try:
        protocol = cast(GrpcProtocol, await attempt)
    except ConnectError as error:
        if error.osError == errno.ECONNRESET:  # taken, and reset before our turn came
            raise HungUp("the peer reset the connection at once") from None
        raise
    if not protocol.lost:
        # If it was over before this coroutine had its turn, nobody would take it out again.
        connections.add(protocol)
    try:
        # A Deferred of its own, so that a timeout does not cancel the protocol's.
        ready: Deferred[None] = Deferred()
        protocol.ready.addCallbacks(ready.callback, ready.errback)
        bounded(ready, clock, "the TLS handshake with the proxy was not done")
        await ready
    except BaseException as error:
        protocol.close("the connection did not become ready", abort=True)
        if not isinstance(error, ConnectionError):
            raise
        cause = str(error)
        told = with_peer(cause, protocol.transport)
        raise (HungUp if cause in WORDLESS else ConnectionError)(told) from None
    return protocol
