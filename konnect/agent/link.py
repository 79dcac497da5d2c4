"""A link as the agent sees it: the proxy asks for dials, their destinations are tunnelled over it.

connectIDs are the agent's, counted from 1 on each link and used up by failed dials too (upstream's
way).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from konnect.agent.close_requests import CloseRequests
from konnect.agent.destinations import DestinationEnd, Destinations
from konnect.agent.dialer import Dialer
from konnect.agent.dialing import DialError
from konnect.agent.unblocking import Unblocking
from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream, StreamListener
from konnect.net.sockets import SocketEnd
from konnect.net.unwritten import unwritten
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import Link
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import CLIENT_CLOSED, FAULTS, Reason, from_label
from konnect.tunnel.tunnel import Tunnel
from konnect.tunnel.waiting import Holder
from konnect.wire import packets
from konnect.wire.packets import CLOSE_RSP, DIAL_RSP, MalformedPacket, PacketType

log = make_logger(__name__)

PENDING = 4096
"""Dials that one link may have on their way; more are refused at once."""


class DialledEnd(LinkEnd):
    """A tunnel's end on an agent's link, which asks for the dial itself; see
    `konnect.agent.dialing.Asker`."""

    __slots__ = ()

    link: ProxyLink

    def reached(self, protocol: DestinationEnd) -> None:
        """The destination has answered."""
        assert self.tunnel is not None
        self.tunnel.opened(protocol)

    def opened(self) -> None:
        link = self.link
        del link.dials[self.random]
        link.ends[self.connect_id] = self
        answer = packets.dialled(self.random, self.head)
        link.send(DIAL_RSP, answer)

    def failed(self, reason: Reason, text: str) -> None:
        del self.link.dials[self.random]
        self.link.send_failure(self.random, reason, text)

    def carried(self) -> tuple[int, int]:
        # What an agent is given from its link goes to the destination.
        return self.got, self.sent

    def unreached(self, error: Exception) -> None:
        """The dial has failed."""
        tunnel = self.tunnel
        if tunnel is None:
            return
        if isinstance(error, DialError):
            text, timed_out, reason = error.text, error.timed_out, error.reason
        else:
            log.failure("dialing {address} failed", Failure(error), address=tunnel.address)
            text, timed_out, reason = str(error), False, Reason.DIAL_ERROR
        failures = self.link.ledger.endpoint_dial_failures
        failures["timeout" if timed_out else "unknown"] += 1
        log.debug("dial failed: {text}", text=text)
        tunnel.fail(reason, text)


class ProxyLink(Link):
    """The agent's side of one `AgentService/Connect` stream."""

    stream: GrpcStream

    def __init__(
        self,
        stream: GrpcStream,
        ledger: Ledger,
        dialer: Dialer,
        clock: IReactorTime,
        *,
        flow: Flow,
        open_stream: Callable[[StreamListener], GrpcStream],
    ) -> None:
        """`open_stream`: opens another stream of this agent to the same proxy."""
        super().__init__(
            stream,
            ledger,
            outward="from_agent",
            inward="to_agent",
            carries="to_client",
            later=clock.callLater,
            flow=flow,
        )
        self.peer = stream.peer
        self._dialer = dialer
        self._destinations = Destinations(ledger, clock, flow.linger)
        self._make = partial(DestinationEnd, self._destinations)
        self._unblocking = Unblocking(self, open_stream, clock.callLater)
        self._last_id = 0
        self._going = False
        self._closing: list[SocketEnd] = []
        self._close_requests = CloseRequests(stream.put_off, self._close_tunnel)
        self.dials: dict[bytes, LinkEnd] = {}
        """Ends of tunnels that are not open yet, by the proxy's random."""

    @property
    def busy(self) -> bool:
        """Whether the link has tunnels or dials."""
        return bool(self.ends or self.dials)

    @property
    def holders(self) -> list[Holder]:
        """What may hold bytes: the connection, and all sockets to destinations that are open."""
        return [self.stream, *self._destinations.open]

    def drain(self) -> None:
        """Ask the proxy to prefer other agents for new dials."""
        self.send(PacketType.DRAIN, packets.drain())

    def shut_down(self) -> None:
        """The agent is going: give up the dials, which a konnect proxy then asks of another agent,
        take no more, and close the tunnels while the proxy can be told why."""
        self._going = True
        self._close_requests.all()
        for random, end in list(self.dials.items()):
            self._give_up(random)
            self._end_dial(end, Reason.SHUTDOWN)
        for end in list(self.ends.values()):
            its_tunnel = end.tunnel
            if its_tunnel is not None:
                if isinstance(its_tunnel.far, SocketEnd):
                    self._closing.append(its_tunnel.far)
                its_tunnel.close(Reason.SHUTDOWN)

    def abort_closing(self) -> None:
        """Reset the destinations that have not closed their side since `shut_down`, and those that
        have not taken all that was for them."""
        closing, self._closing = self._closing, []
        unsent = [end for end in self._destinations.open if unwritten(end.transport)]
        for end in [*closing, *unsent]:
            end.abort()

    def _give_up(self, random: bytes) -> None:
        self.send(PacketType.DIAL_CLS, packets.dial_cls(random))

    @staticmethod
    def _end_dial(end: LinkEnd, reason: Reason) -> None:
        if end.tunnel is not None:
            end.tunnel.close(reason)

    def end(self) -> None:
        """The stream is over: cancel the dials, end the tunnels."""
        self.lost = True
        self._close_requests.all()
        self._unblocking.stop()
        for end in list(self.dials.values()):
            self._end_dial(end, Reason.PROXY_LOST)
        self.end_all(Reason.PROXY_LOST)

    # -- packets

    def _dial_req(self, values: tuple[str, str, bytes, object]) -> None:
        protocol, address, random, _ = values
        if self._going:
            self._give_up(random)
            return
        self._last_id += 1
        dials, ledger = self.dials, self.ledger
        if random in dials:
            self._refuse(random, address, Reason.PROTOCOL, "duplicate dial id")
            return
        if len(dials) >= PENDING:
            self._refuse(random, address, Reason.OVERLOADED, "too many dials on their way")
            return
        if ledger.buffered > ledger.limit:
            self._refuse(random, address, Reason.OVERLOADED, Reason.OVERLOADED.text)
            return
        end = dials[random] = DialledEnd(self, self._last_id, random)
        tunnel = Tunnel(ledger, end, address)
        tunnel.via = self
        tunnel.dial = self._dialer.dial(protocol, address, self._make, end)

    def _refuse(self, random: bytes, address: str, reason: Reason, why: str) -> None:
        """Do not even begin a dial."""
        log.warn("refused a dial to {address}: {why}", address=address, why=why)
        self.send_failure(random, reason, why)

    def send_failure(self, random: bytes, reason: Reason, text: str) -> None:
        """Answer a dial that has failed. A konnect proxy is told when it is this agent that cannot
        dial, and asks another."""
        fault = reason.label if reason in FAULTS and self.extended else ""
        self.send(DIAL_RSP, packets.dial_rsp(random, error=text, fault=fault))

    def _close_req(self, values: tuple[int, str]) -> None:
        self._close_requests.add(values)

    def _close_tunnel(self, values: tuple[int, str]) -> None:
        connect_id, error = values
        end = self.ends.get(connect_id)
        if end is None:
            self._close_rsp(connect_id, "Unknown connectID")
            return
        tunnel = end.tunnel
        if tunnel is not None:
            # Between two konnect halves the error says that the tunnel was cut, and why.
            told = from_label(error) if error and self.half_close else None
            tunnel.close(told or tunnel.reason or CLIENT_CLOSED)
        if connect_id in self.ends and (tunnel is None or self.half_close):
            # Its last bytes wait for credit that nobody will give any more: a proxy that knows
            # half-close sends this only when it has let go of the tunnel.
            end.gone()
            self.close_end(end, Reason.CLIENT_CLOSED)

    def _dial_cls(self, values: tuple[bytes]) -> None:
        (random,) = values
        dialling = self.dials.get(random)
        if dialling is not None:
            self._end_dial(dialling, Reason.CLIENT_LEFT)
            return
        # It crossed our DIAL_RSP on the wire: the connection has no owner.
        for end in list(self.ends.values()):
            if end.random == random and end.tunnel is not None:
                end.tunnel.close(Reason.CLIENT_LEFT)
                return

    handlers = {
        PacketType.DIAL_REQ: _dial_req,
        PacketType.CLOSE_REQ: _close_req,
        PacketType.DIAL_CLS: _dial_cls,
    }

    # -- the role's part

    def malformed(self, error: MalformedPacket) -> None:
        log.warn(
            "the proxy at {peer} sent a malformed packet: {error} (further ones are only counted)",
            peer=self.stream.peer,
            error=error,
        )

    def unknown_data(self, connect_id: int) -> None:
        self._close_rsp(connect_id, "unrecognized connectID")

    far_side_closed = Reason.CLIENT_CLOSED

    @property
    def asking(self) -> list[LinkEnd]:  # type: ignore[override]
        """See `Link`."""
        return list(self.dials.values())

    def stalled(self, end: LinkEnd) -> None:
        address = end.tunnel.address if end.tunnel is not None else "?"
        log.warn(
            "cutting the tunnel to {address}: it reads nothing, and the proxy at {peer} knows no"
            " credit, so that others would wait for it",
            address=address,
            peer=self.stream.peer,
        )

    def blocked(self, waiting: int) -> None:
        self._unblocking.told(waiting)

    def suspects(self, queue: int) -> list[int]:
        """Whom a stock proxy may be waiting for: see `StockPeer`."""
        return [] if self._stock is None else self._stock.suspects(queue)

    def finish(self, end: LinkEnd) -> None:
        if self.half_close:
            self.send_half_close(end)
        elif end.tunnel is not None:
            # A stock proxy takes the destination's end for the tunnel's, behind its last DATA.
            end.tunnel.close(Reason.DESTINATION_CLOSED)

    def close_end(self, end: LinkEnd, reason: Reason) -> None:
        if self.ends.pop(end.connect_id, None) is not None:
            told = reason.label if self.half_close else ""
            self.send(CLOSE_RSP, packets.close_rsp(end.connect_id, told, end.head))
        elif self.dials.get(end.random) is end:
            del self.dials[end.random]  # it was given up

    def _close_rsp(self, connect_id: int, error: str) -> None:
        self.send(CLOSE_RSP, packets.close_rsp(connect_id, error))
