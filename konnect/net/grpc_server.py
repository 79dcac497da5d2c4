"""A gRPC listener: accepts connections, tells nonsense from HTTP/2, routes streams by path.

A connection has a limited time for its TLS handshake and the HTTP/2 preface. While it has no stream
it is one of the listener's idle crowd (`konnect.net.floods`). What is no HTTP/2 at all is named in
one log line; plain HTTP/1 is also answered, since a person with a browser or curl sent it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure

from konnect.log import make_logger
from konnect.net.deadlines import Deadlines
from konnect.net.floods import DEFAULT, Count, Crowd, FloodLimits
from konnect.net.grpc import GrpcProtocol
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.net.grpc_terms import Terms
from konnect.net.keepalive import TICKS, Keepalive
from konnect.net.policing import TOO_MANY_PINGS, PingPolice, PingRules
from konnect.wire.grpc import Limits, OpeningMemo, Role
from konnect.wire.status import ErrorCode, Status

log = make_logger(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

Accept = Callable[[GrpcStream, Metadata], StreamListener | None]

_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: 43\r\n\r\n"
    b"This port speaks gRPC (HTTP/2), not HTTP/1\n"
)


@dataclass(slots=True, kw_only=True)
class ServerTerms(Terms):
    """What a listener's connections have in common besides."""

    crowd: Crowd
    """Those of them that ask for nothing."""
    prefaces: Deadlines[GrpcServerProtocol]
    """The limits for connections that have not begun, which end by `preface_late`."""
    pings: PingRules | None = None
    """How often their peers may ping; None: as often as they like."""
    watched_early: bool = True
    """Whether keepalive begins with HTTP/2, and not when the limit for that is over."""


class GrpcServerProtocol(GrpcProtocol):
    """One accepted connection."""

    _terms: ServerTerms

    _police: PingPolice | None = None

    _head: bytes
    """What has come of the preface."""

    # The superclass is called by its name, since `super()` takes 1,000 instructions more each time.

    def connectionMade(self) -> None:
        terms = self._terms
        terms.prefaces.set(self)
        self._head = b""
        GrpcProtocol.connectionMade(self)
        terms.crowd.enter(self)

    def _idle(self) -> None:
        # One that goes would crowd out another first.
        if self._closing is None:
            self._terms.crowd.enter(self)

    def _busy(self) -> None:
        self._terms.crowd.leave(self)

    def pinged(self, sent: int) -> None:
        rules, clock = self._terms.pings, self._terms.clock
        if rules is None or self._closing is not None:
            return
        police = self._police
        if police is None:  # most connections never see a ping
            police = self._police = PingPolice(rules)
        if police.too_many(clock.seconds(), sent, self.live_streams):
            self._count_cut("too_many_pings")
            self._wire.goaway(ErrorCode.ENHANCE_YOUR_CALM, TOO_MANY_PINGS)
            self.close(
                "the peer sent keepalive pings too often (they have to be"
                f" {rules.min_time:g} s apart)"
            )

    def crowded_out(self) -> None:
        """See `konnect.net.floods.Crowd`."""
        self.cut("too many connections ask for nothing, this one longest", "crowded_out")

    def _start(self) -> None:
        """Say nothing before the client's preface: who speaks HTTP/1 is to read our answer."""

    def _early(self, data: bytes) -> bytes:
        if self._head:
            data = self._head + data
        if data.startswith(PREFACE):
            self._head = b""
            GrpcProtocol._start(self)
            return data
        if PREFACE.startswith(data):
            self._head = data
        else:
            self._nonsense(data)
        return b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._streams:
            self._terms.crowd.leave(self)
        GrpcProtocol.connectionLost(self, reason)

    def _watch(self) -> None:
        # Most connections of clients are gone before they would be asked anything: these stay where
        # they are.
        terms = self._terms
        if terms.watched_early:
            terms.prefaces.drop(self)
            terms.keepalive.start(self)

    def _watch_no_more(self) -> None:
        if not self._terms.prefaces.drop(self):
            self._terms.keepalive.stop(self)

    def preface_late(self) -> None:
        """The limit for the preface is over."""
        if self._started:
            self._terms.keepalive.start(self)
        else:
            self.cut("the peer did not begin HTTP/2 in time", "silent")

    def _nonsense(self, head: bytes) -> None:
        if head[:2] == b"\x16\x03":
            why = "TLS was spoken to a plain gRPC port"
        elif head.split(b" ", 1)[0].isalpha() and head[:1].isupper():
            why = "HTTP/1 was spoken to a gRPC port"
            self.transport.write(_ANSWER)
        else:
            why = "the peer spoke neither HTTP/2 nor anything known"
        self._count_cut("not_http2")
        self.close(why)


class GrpcServerFactory(Factory):
    """
    Makes the protocols of one listener.

    :param name: the listener in log lines ("agent listener", "gRPC frontend").
    :param routes: what serves each path; others are UNIMPLEMENTED.
    :param memo: what its connections have in common, for a listener with a connection per tunnel;
        it brings the limits then.
    :param pings: how often peers may ping; None: as often as they like.
    :param on_cut: counts what was cut for what its peer did.
    """

    noisy = False

    def __init__(
        self,
        name: str,
        routes: Mapping[str, Accept],
        clock: IReactorTime,
        *,
        limits: Limits | None = None,
        memo: OpeningMemo | None = None,
        keepalive_time: float = 3600.0,
        floods: FloodLimits = DEFAULT,
        pings: PingRules | None = None,
        on_cut: Count | None = None,
    ) -> None:
        self._name = name
        self._routes = routes
        prefaces: Deadlines[GrpcServerProtocol] = Deadlines(
            clock, floods.preface_timeout, GrpcServerProtocol.preface_late, lasting=True
        )
        self._terms = ServerTerms(
            Role.SERVER,
            clock,
            Keepalive(clock, keepalive_time, lasting=True),
            self._accept,
            limits,
            memo,
            floods,
            on_cut,
            self._lost,
            crowd=Crowd(floods.idle),
            prefaces=prefaces,
            pings=pings,
            watched_early=0 < keepalive_time < TICKS * floods.preface_timeout,
        )
        self.connections: set[GrpcProtocol] = set()

    def buildProtocol(self, addr: Any) -> GrpcProtocol:
        protocol = GrpcServerProtocol(self._terms)
        self.connections.add(protocol)
        return protocol

    def _accept(self, stream: GrpcStream, path: str, metadata: Metadata) -> StreamListener | None:
        accept = self._routes.get(path)
        if accept is not None:
            return accept(stream, metadata)
        service, slash, method = path[1:].rpartition("/")
        if not slash or not path.startswith("/"):
            text = f'malformed method name: "{path}"'
        elif any(route.startswith(f"/{service}/") for route in self._routes):
            text = f"unknown method {method} for service {service}"
        else:
            text = f"unknown service {service}"
        stream.end(Status.UNIMPLEMENTED, text)
        return None

    def _lost(self, protocol: GrpcProtocol, why: str) -> None:
        self.connections.discard(protocol)
        if protocol.unusual_end:
            log.info("{name}: lost {peer}: {why}", name=self._name, peer=protocol.peer, why=why)
