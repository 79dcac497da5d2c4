"""A link as the proxy sees it: dials go out over it, their tunnels live on it.

A pending dial is known by a random number of our own, unpredictable and scoped to the links that
were asked, so no agent can answer another's dial and no client's choice of a number matters.
Sequences are upstream's.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, Metadata
from konnect.proxy.health import PROBE_ADDRESS, LinkHealth
from konnect.proxy.pending import PendingDial
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import REMEMBERED, Link
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import Reason, classify, from_label, own_fault
from konnect.tunnel.recent import remember
from konnect.wire import packets
from konnect.wire.metadata import AgentHello
from konnect.wire.packets import CLOSE_REQ, DIAL_REQ, MalformedPacket, PacketType
from konnect.wire.status import Status

log = make_logger(__name__)

SETTLED_AFTER = 1.0
"""Seconds after which an agent would have dropped a link that it has no use for."""


ASK_AFTER = 1024
"""Dials given up, of which nothing says that the agent has read them, at which it is probed."""


class AgentLink(Link):
    """One agent's `AgentService/Connect` stream."""

    stream: GrpcStream

    def __init__(
        self,
        stream: GrpcStream,
        hello: AgentHello,
        ledger: Ledger,
        *,
        clock: IReactorTime,
        flow: Flow,
        on_end: Callable[[AgentLink], None],
    ) -> None:
        super().__init__(
            stream,
            ledger,
            outward="to_agent",
            inward="from_agent",
            carries="to_destination",
            later=clock.callLater,
            flow=flow,
        )
        self.agent_id = self.name = hello.agent_id
        self.identifiers = hello.identifiers
        self.draining = False
        self.suspect = False
        """Its agent does not answer: `health` takes it out of rotation and puts it back."""
        self.health = LinkHealth(self, clock)
        self._clock = clock
        self._since = clock.seconds()
        self.peer = stream.peer
        self.dials: dict[bytes, PendingDial] = {}
        # Dials that were given up since the last probe, and before it. A probe's answer says that
        # all before it was read.
        self._given_up = 0
        self._probed = 0
        self._on_end = on_end
        # connectIDs whose CLOSE_REQ went out and whose CLOSE_RSP has not come: late DATA of theirs
        # is not worth another CLOSE_REQ.
        self._closing: dict[int, None] = {}

    def __str__(self) -> str:
        return f"agent {self.agent_id} at {self.peer}"

    @property
    def load(self) -> int:
        """Tunnels and dials that it carries."""
        return len(self.ends) + len(self.dials)

    @property
    def unanswered(self) -> int:
        """Dials that the agent may still be busy with: given up or not, all of them are sent."""
        return len(self.dials) + self._given_up + self._probed

    @property
    def fresh(self) -> bool:
        """Whether it is so new that its agent may be about to drop it again."""
        return self._clock.seconds() - self._since < SETTLED_AFTER

    def ask(self, dial: PendingDial) -> None:
        """Send a dial's DIAL_REQ; the answer is told to the dial."""
        self.dials[dial.random] = dial
        dial.tunnel.via = self
        self.send(DIAL_REQ, dial.payload)

    def withdraw(self, dial: PendingDial) -> None:
        """The dial is wanted no more (DIAL_CLS)."""
        if self.dials.pop(dial.random, None) is not None:
            self.send(PacketType.DIAL_CLS, packets.dial_cls(dial.random))
            self._given_up += 1
            if self._given_up >= ASK_AFTER:
                self.health.late()

    def probe(self, random: bytes) -> None:
        """Ask for what no agent can dial, to hear whether this one answers."""
        self._probed += self._given_up
        self._given_up = 0
        self.send(DIAL_REQ, packets.dial_req("tcp", PROBE_ADDRESS, random))

    def announce_end(self) -> None:
        """Tell a konnect agent that this proxy is going, so that it looks for another while its
        tunnels go on here. A stock agent would drop them."""
        if self.extended:
            self.stream.goaway()

    def shut_down(self) -> None:
        """The proxy is going: give up the dials and close the tunnels, while the agent can still
        be told."""
        for dial in list(self.dials.values()):
            dial.tunnel.fail(Reason.SHUTDOWN, "the proxy is shutting down")
        for end in list(self.ends.values()):
            if end.tunnel is not None:
                end.tunnel.close(Reason.SHUTDOWN)

    def end(self, reason: Reason) -> None:
        """The stream is over: its dials go to other links or fail at once, its tunnels end."""
        self.lost = True
        self.health.stop()
        self._on_end(self)
        dials, self.dials = self.dials, {}
        for dial in dials.values():
            dial.failed_at(self, reason, f"{reason.text} during the dial")
        self.end_all(reason)

    # -- the stream's listener

    def headers(self, metadata: Metadata) -> None:
        """Only clients receive headers."""

    def half_closed(self) -> None:
        """The agent has ended its side: so do we."""
        self.stream.end()
        self.end(Reason.AGENT_LOST)

    def ended(self, status: Status, text: str, reset: bool) -> None:
        log.info("{link} is gone: {why}", link=self, why=text or status.name)
        self.ledger.stream_error("from_agent", status.label)
        self.end(Reason.AGENT_LOST)

    # -- packets

    def _dial_rsp(self, values: tuple[bytes, int, str, str]) -> None:
        random, connect_id, error, fault = values
        dial = self.dials.pop(random, None)
        if dial is None:
            read = self._probed
            if self.health.probe_answered(random):  # and perhaps the next probe is out
                self._probed -= read
            else:
                self.ledger.dial_failures["unrecognized_response"] += 1
            # Late (cancelled, timed out) or invented. A duplicate for a live tunnel must not kill
            # it.
            if connect_id and connect_id not in self.ends:
                self._send_close(connect_id)
            return
        own = own_fault(error, fault) if error else None
        if own is not None:
            dial.declined(self, own, error)
            return
        dial.answered(self)
        tunnel = dial.tunnel
        tunnel.via = self
        if error:
            tunnel.fail(classify(error), error)
        elif not connect_id or connect_id in self.ends:
            log.warn(
                "{link} answered a dial with the unusable connectID {id}", link=self, id=connect_id
            )
            tunnel.fail(
                Reason.PROTOCOL, f"the agent answered with the unusable connectID {connect_id}"
            )
        elif tunnel.near is not None and not tunnel.near.can_be_told:
            self._send_close(connect_id)
            tunnel.fail(Reason.CLIENT_GONE)
        else:
            self._closing.pop(connect_id, None)
            end = self.ends[connect_id] = LinkEnd(self, connect_id)
            tunnel.opened(end)

    def _close_rsp(self, values: tuple[int, str]) -> None:
        connect_id, error = values
        self._closing.pop(connect_id, None)
        end = self.ends.pop(connect_id, None)
        if end is None:
            return
        tunnel = end.tunnel
        if tunnel is not None:
            # Between two konnect halves the error is the label of the agent's reason.
            told = from_label(error) if self.half_close else None
            tunnel.close(told or tunnel.reason or Reason.DESTINATION_CLOSED)
        end.gone()

    def _dial_cls(self, values: tuple[bytes]) -> None:
        dial = self.dials.pop(values[0], None)
        if dial is not None:
            dial.failed_at(self, Reason.DIAL_CLOSED, Reason.DIAL_CLOSED.text)

    def _drain(self, values: tuple[()]) -> None:
        if not self.draining:
            self.draining = True
            log.info("{link} is draining: new dials prefer others", link=self)

    handlers = {
        PacketType.DIAL_RSP: _dial_rsp,
        PacketType.CLOSE_RSP: _close_rsp,
        PacketType.DIAL_CLS: _dial_cls,
        PacketType.DRAIN: _drain,
    }

    # -- the role's part

    def malformed(self, error: MalformedPacket) -> None:
        log.warn(
            "{link} sent a malformed packet: {error} (further ones are only counted)",
            link=self,
            error=error,
        )

    def unknown_data(self, connect_id: int) -> None:
        if connect_id not in self._closing:
            self._send_close(connect_id)

    far_side_closed = Reason.DESTINATION_CLOSED

    def stalled(self, end: LinkEnd) -> None:
        address = end.tunnel.address if end.tunnel is not None else "?"
        log.warn(
            "{link}: cutting the tunnel to {address}: its client reads nothing, and the agent"
            " knows no credit, so that others would wait for it",
            link=self,
            address=address,
        )

    def blocked(self, waiting: int) -> None:
        if not waiting:
            log.info("{link} takes what is sent again", link=self)
            return
        log.warn(
            "{link} has taken nothing for {seconds:g} seconds, and {waiting} tunnels wait: most"
            " likely one of its destinations reads nothing, and the agent waits for that",
            link=self,
            seconds=self.flow.stall_timeout,
            waiting=waiting,
        )

    def finish(self, end: LinkEnd) -> None:
        if self.half_close:
            self.send_half_close(end)
        else:
            # The agent answers CLOSE_RSP behind what it has read; until then the client still gets
            # the destination's bytes.
            self._send_close(end.connect_id)

    def close_end(self, end: LinkEnd, reason: Reason) -> None:
        if self.ends.pop(end.connect_id, None) is None or end.connect_id in self._closing:
            return
        if end.half_close_sent and end.half_close_received:
            # Both directions have ended: the agent closes too, and its CLOSE_RSP is on its way.
            remember(self._closing, end.connect_id, REMEMBERED)
        else:
            cut = self.half_close and reason.abortive
            remember(self._closing, end.connect_id, REMEMBERED)
            error = reason.label if cut else ""
            self.send(CLOSE_REQ, packets.close_req(end.connect_id, error, end.head))

    def _send_close(self, connect_id: int) -> None:
        remember(self._closing, connect_id, REMEMBERED)
        self.send(CLOSE_REQ, packets.close_req(connect_id))
