"""The proxy's agent listener: admits `AgentService/Connect` streams and registers their links."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.proxy.guest import Guest
from konnect.proxy.link import AgentLink
from konnect.proxy.reviews import Reviews
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.tunnel.strategies import useless
from konnect.wire import features
from konnect.wire.metadata import (
    AdmissionError,
    AgentHello,
    bearer_token,
    parse_agent_hello,
    proxy_hello,
)
from konnect.wire.status import Status

log = make_logger(__name__)


class Admission:
    """Turns a new `Connect` stream into a link, or ends it with the reason."""

    def __init__(
        self,
        registry: Registry[AgentLink],
        ledger: Ledger,
        *,
        server_id: str,
        server_count: int,
        clock: IReactorTime,
        flow: Flow,
        reviews: Reviews | None = None,
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._hello = (*proxy_hello(server_id, server_count), *flow.features.metadata())
        self._flow = flow
        self._clock = clock
        self._reviews = reviews

    def accept(self, stream: GrpcStream, metadata: Metadata) -> StreamListener | None:
        """
        Admit or refuse, at once or when the agent's token is reviewed.

        Refusals carry upstream's text; bad metadata has its status too.
        """
        try:
            hello = parse_agent_hello(metadata)
        except AdmissionError as error:
            self._refuse(stream, Status.UNKNOWN, str(error))
            return None
        if self._reviews is None:
            return self._admit(stream, hello, metadata)
        try:
            token = bearer_token(metadata)
        except AdmissionError as error:
            self._refuse(stream, Status.UNAUTHENTICATED, str(error))
            return None
        guest = Guest(
            stream,
            self._reviews.admit(token),
            admit=lambda: self._admit(stream, hello, metadata),
            refuse=self._refuse,
        )
        return guest.listener

    def _refuse(self, stream: GrpcStream, status: Status, text: str) -> None:
        log.warn("refused an agent from {peer}: {text}", peer=stream.peer, text=text)
        self._ledger.agents_refused[status.label] += 1
        stream.end(status, text)

    def _admit(self, stream: GrpcStream, hello: AgentHello, metadata: Metadata) -> AgentLink:
        link = AgentLink(
            stream, hello, self._ledger, clock=self._clock, flow=self._flow, on_end=self._ended
        )
        announced, ignored = features.parse(metadata)
        if ignored:
            log.warn("{link} announced what is not known here: {what}", link=link, what=ignored)
        if ignored := useless(hello.identifiers):
            log.warn("{link} names what matches no destination: {what}", link=link, what=ignored)
        link.agree(announced)
        # Agents wait for these headers before anything else, so they go out at once.
        stream.send_headers(self._hello)
        self._registry.add(link)
        self._ledger.stream_opened("Connect")
        stream.cut_through(link)
        self._count()
        log.info("{link} is connected", link=link)
        return link

    def _ended(self, link: AgentLink) -> None:
        self._registry.remove(link)
        self._ledger.stream_closed("Connect")
        self._count()

    def _count(self) -> None:
        self._ledger.ready_backends.update(self._registry.counts())
