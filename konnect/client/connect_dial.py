"""Dialing by HTTP CONNECT, over any endpoint: TLS, a unix socket, plain TCP.

After the 200 the user's protocol has the very transport that the endpoint made: its back-pressure,
its half-close, its peer (the proxy). Here its calls are only passed on. Bytes that came behind the
answer's head go first, and the transport then has a thin layer for them (`konnect.client.early`).
Reading the answer is `konnect.wire.connect_client`. Twisted's TLS has no half-close of its own: its
`loseWriteConnection` is the socket's, and if the peer closes then, Twisted logs an AttributeError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from konnect import __version__
from konnect.client.destination import Destination
from konnect.client.dialing import DIAL_TIMEOUT, build, dial_within
from konnect.client.early import EarlyTransport
from konnect.client.errors import (
    ConnectRefused,
    DialCancelled,
    DialFailed,
    StreamSetupFailed,
    TunnelClosed,
)
from konnect.client.ledger import DIALING, OPEN, TunnelState
from konnect.client.linger import Linger
from konnect.client.live import Live
from konnect.client.reaching import reach
from konnect.net.diagnosis import explain, with_peer
from konnect.net.tcp import tune
from konnect.wire.connect_client import (
    BadResponse,
    ConnectResponse,
    RefusalBody,
    ResponseReader,
    request,
)

LINGER = 10.0
"""Seconds for a protocol without half-close to flush after the peer's end of stream, for a peer on
TLS to stop sending after ours, and for the text of a refusal to come whole; each after the last of
our own bytes has gone out."""


class ConnectDialer:
    """
    Dials destinations through one CONNECT frontend, on a new connection each.

    :param timeout: seconds for a whole dial, reaching the proxy included.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        *,
        timeout: float = DIAL_TIMEOUT,
        user_agent: str | None = f"konnect/{__version__}",
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._timeout = timeout
        self._user_agent = user_agent
        self._live: Live[ConnectDial] = Live()

    def dial(self, destination: Destination, factory: IProtocolFactory) -> Deferred[IProtocol]:
        """A protocol of `factory`, connected to `destination`. May be cancelled at any moment, and
        fails with `konnect.client.errors.DialFailed`."""
        return dial_within(self._timeout, self._clock, self._dial(destination, factory), factory)

    def close(self) -> Deferred[None]:
        """End all dials and tunnels; fires when no connection is left."""
        self._live.closed = True
        for dial in self._live.members():
            dial.give_up()
        return self._live.gone()

    async def _dial(self, destination: Destination, factory: IProtocolFactory) -> IProtocol:
        if self._live.closed:
            raise TunnelClosed()
        question = request(destination.text, user_agent=self._user_agent)
        dial = ConnectDial(question, self._clock, self._live.discard)
        self._live.add(dial)
        try:
            await dial.connect(self._endpoint)
            await dial.answer
            protocol = build(factory, destination.address)
        except CancelledError:
            dial.give_up()
            if self._live.closed:
                raise TunnelClosed() from None
            raise DialCancelled(asked=dial.asked) from None
        except BaseException:
            dial.give_up()
            raise
        dial.hand_over(protocol, factory.doStop)
        return protocol


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class ConnectDial(Protocol):
    """
    One connection to the frontend. `answer` fires at the 200 or fails with DialFailed; then
    `hand_over` gives everything to the user's protocol. `gone` is called when it is all over.
    """

    def __init__(
        self, question: bytes, clock: IReactorTime, gone: Callable[[ConnectDial], None]
    ) -> None:
        self.answer: Deferred[None] = Deferred()
        self.asked = False
        """Whether the proxy was reached and sent the request."""
        self._question = question
        self._clock = clock
        self._gone = gone
        self._state = TunnelState()
        self._connecting: Deferred[Any] | None = None
        self._reader = ResponseReader()
        self._refusal: tuple[ConnectResponse, RefusalBody] | None = None
        self._early = b""
        self._inner: IProtocol | None = None
        self._over: Callable[[], None] | None = None
        self._waiting: EarlyTransport | None = None
        self._secure = False
        self._lingering: Linger | None = None

    async def connect(self, endpoint: IStreamClientEndpoint) -> None:
        """Reach the proxy. Raises StreamSetupFailed, or CancelledError."""
        self._connecting = reach(endpoint, self)
        try:
            await self._connecting
        except BaseException:
            self.answer.addErrback(lambda _: None)  # nobody will wait for it any more
            self._state.over()
            self._gone(self)
            raise
        finally:
            self._connecting = None

    def give_up(self) -> None:
        """Drop everything at once. Harmless at any time."""
        if self._connecting is not None:
            self._connecting.cancel()
        elif self.transport is not None:
            cast(Any, self.transport).abortConnection()

    def hand_over(self, protocol: IProtocol, over: Callable[[], None]) -> None:
        """Connect the user's protocol; `over` is called after its `connectionLost`."""
        self._inner = protocol
        self._over = over
        self._state.become(OPEN)
        transport: Any = self.transport
        if self._early:
            transport = EarlyTransport(transport, protocol, self._early, self._clock)
            self._waiting, self._early = transport, b""
        try:
            protocol.makeConnection(transport)
        except BaseException:
            self._over = None  # the failed dial does that
            if self._waiting is not None:
                self._waiting.drop()
            self.give_up()
            raise
        if self._waiting is not None:
            self._waiting.give_later()

    # -- what the transport tells

    def connectionMade(self) -> None:
        transport = cast(Any, self.transport)
        tune(transport)
        self._secure = ISSLTransport.providedBy(transport)
        if not self._secure:
            # Twisted's endpoints put a wrapper around a protocol that claims only one of its
            # interfaces, here IHandshakeListener: the end of one direction would be the end of all.
            wrapper = getattr(transport, "protocol", self)
            if wrapper is not self and wrapper is not None:
                alsoProvides(wrapper, IHalfCloseableProtocol)
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """The way to the proxy is there: ask."""
        self.asked = True
        self._state.become(DIALING)
        cast(Any, self.transport).write(self._question)

    def dataReceived(self, data: bytes) -> None:
        if self._waiting is not None and self._waiting.keep(data):
            return
        if self._inner is not None:
            if self._secure and cast(Any, self.transport).disconnecting:
                # Closing waits for the peer's close_notify. A peer that takes ours for the end of
                # one direction (TLS 1.3) sends its own behind its last byte, which may never come.
                self._linger()
            self._inner.dataReceived(data)
        elif self._refusal is not None:
            if self._refusal[1].receive(data):
                self._refused()
        elif self.answer.called:
            self._early += data
        else:
            self._answer(data)

    def readConnectionLost(self) -> None:
        if self._waiting is not None:
            self._waiting.give()
        inner = self._inner
        half_closeable: Any = IHalfCloseableProtocol(inner, None)
        if half_closeable is not None:
            half_closeable.readConnectionLost()
            return
        transport = cast(Any, self.transport)
        if inner is not None:
            self._linger()
        transport.loseConnection()

    def _linger(self) -> None:
        if self._lingering is None:
            self._lingering = Linger(self.transport, self._clock, LINGER)

    def writeConnectionLost(self) -> None:
        half_closeable: Any = IHalfCloseableProtocol(self._inner, None)
        if half_closeable is not None:
            half_closeable.writeConnectionLost()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._lingering is not None:
            self._lingering.stop()
            self._lingering = None
        if self._waiting is not None:
            self._waiting.give()
            self._waiting = None
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.connectionLost(reason)
        else:
            self._unanswered(reason)
        self._state.over()
        self._gone(self)
        over, self._over = self._over, None
        if over is not None:
            over()
        self.transport = None

    # -- the answer

    def _answer(self, data: bytes) -> None:
        try:
            response = self._reader.receive(data)
        except BadResponse as problem:
            self._fail(DialFailed(str(problem)))
            return
        if response is None:
            return
        if response.established:
            self._early = response.rest
            self._question = b""
            self.answer.callback(None)
            return
        self._refusal = (response, RefusalBody(response))
        if self._refusal[1].complete:
            self._refused()
        else:
            self._linger()

    def _refused(self) -> None:
        assert self._refusal is not None
        response, body = self._refusal
        self._fail(ConnectRefused(response.status, response.reason, body.text))

    def _unanswered(self, reason: Failure) -> None:
        why = with_peer(explain(reason, self.transport), self.transport)
        if self.answer.called:
            return
        if self._refusal is not None:
            self._refused()
        elif not self.asked:
            self._fail(StreamSetupFailed(f"cannot reach the proxy: {why}"))
        else:
            self._fail(TunnelClosed(f"{self._reader.ended()} ({why})"))

    def _fail(self, problem: DialFailed) -> None:
        cast(Any, self.transport).abortConnection()
        if not self.answer.called:
            self.answer.errback(problem)
