"""The gRPC frontend: `ProxyService/Proxy` streams, one tunnel each as a rule.

A stream knows only tunnels of its own: dials by the client's `random`, open ones by the connectID
that the client was told. Any other id from the client is answered or ignored here and never reaches
an agent.

A stream that has nothing left to do (its tunnel is over, its dial failed, the client broke the
protocol) ignores what still comes, as upstream does, but not for ever: after `LINGER` seconds it is
ended.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from konnect.log import make_logger
from konnect.net.deadlines import Deadlines
from konnect.net.grpc_stream import GrpcStream, Metadata
from konnect.proxy.client_stream import ClientStream
from konnect.proxy.client_window import ClientWindows
from konnect.proxy.dialing import Switchboard
from konnect.proxy.stream_end import StreamEnd
from konnect.tunnel.account import client_of
from konnect.tunnel.ends import Bytes
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import CLIENT_CLOSED, CLIENT_LOST, Reason
from konnect.tunnel.recent import remember
from konnect.wire import contents, data_packet
from konnect.wire.packets import DATA, MalformedPacket, Packet, PacketType
from konnect.wire.status import Status

log = make_logger(__name__)

LINGER = 30.0
"""Seconds that a finished stream waits for its client to end it (a Go client does at once)."""

TUNNELS = 256
"""Tunnels and dials that one stream may have at a time; stock clients have one."""

CLOSED_IDS = 1024
"""Ended connectIDs that a stream remembers, so that late DATA for them is no protocol error."""

LARGEST_DIAL = 16384
"""Bytes of a DIAL_REQ, which goes to the agent as it is: one near the limit of a message would grow
beyond it, and cost all tunnels of the agent their link."""

MISMATCH = "mismatched connection IDs"


class GrpcFrontend:
    """
    Makes the streams of all gRPC listeners of a proxy, and keeps what they share.

    :param windows: bounds what all clients may send ahead.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        ledger: Ledger,
        clock: IReactorTime,
        windows: ClientWindows,
    ) -> None:
        self.switchboard = switchboard
        self.ledger = ledger
        self.clock = clock
        self.windows = windows
        self.came, self.went = ledger.packets.of("from_client"), ledger.packets.of("to_client")
        self.resting: Deadlines[ProxyStream] = Deadlines(
            clock, LINGER, ProxyStream.rested, lasting=True
        )
        """Streams without a tunnel or a dial."""

    def accept(self, stream: GrpcStream, metadata: Metadata) -> ProxyStream:
        """See `konnect.net.grpc_server.Accept`."""
        return ProxyStream(self, stream)


class ProxyStream(ClientStream):
    """One client's `Proxy` stream."""

    def __init__(self, frontend: GrpcFrontend, stream: GrpcStream) -> None:
        ledger = frontend.ledger
        ClientStream.__init__(self, stream, ledger, frontend.windows, frontend.went)
        self._dialed = self._ignoring = False
        self._came = frontend.came
        self._frontend = frontend
        self._dials: dict[bytes, StreamEnd] = {}
        self._open: dict[int, StreamEnd] = {}
        self._closed_ids: dict[int, None] = {}
        self._client = client_of(("grpc", stream.peer, stream.user)) if ledger.account else None
        stream.cut_through(self)
        ledger.stream_opened("Proxy")
        self._resting = True
        frontend.resting.set(self)

    # -- the stream's listener

    def headers(self, metadata: Metadata) -> None:
        """Only clients receive headers."""

    def message(self, payload: bytes, cost: int) -> None:
        if back := self.packet(payload, cost):
            self.stream.acknowledge(back)

    def packet(self, payload: bytes, cost: int) -> int:
        """See `konnect.wire.inlet.PacketSink`."""
        if self._ignoring:
            return cost
        try:
            kind, values = contents.read(payload)
        except MalformedPacket as error:
            self._malformed(error)
            return cost
        if kind == DATA:
            connect_id, data = values
            return self.data(connect_id, data, cost)
        self._came[kind][0] += 1
        if handler := _HANDLERS.get(kind):
            handler(self, values)
        owed = self._owed = self._owed + cost
        return 0 if owed < self._part else self._give_back()

    def data(self, connect_id: int, data: Bytes, cost: int) -> int:
        """See `konnect.wire.inlet.PacketSink`."""
        if self._ignoring:
            return cost
        begins = cost != len(data)
        if begins:
            self._came[DATA][0] += 1
        end = self._open.get(connect_id)
        if end is not None:
            end.client_said(data)
        elif begins:
            self._stray_data(connect_id)
        owed = self._owed = self._owed + cost
        return 0 if owed < self._part else self._give_back()

    def joined(self, packets: int) -> None:
        """See `konnect.wire.inlet.PacketSink`."""
        self._came[DATA][0] += packets

    def half_closed(self) -> None:
        """The client has ended its side: as upstream, OK, and its tunnels are closed."""
        self._over(Reason.CLIENT_CLOSED)
        self.stream.end()

    def ended(self, status: Status, text: str, reset: bool) -> None:
        self._ledger.stream_error("from_client", status.label)
        self._over(CLIENT_LOST)

    # -- packets

    def _dial_req(self, values: tuple[str, str, bytes, Packet | None]) -> None:
        protocol, address, random, whole = values
        self._dialed = True
        self._resting = False
        if random in self._dials:
            self._not_dialled(random, "duplicate dial id")
        elif len(self._dials) + len(self._open) >= TUNNELS:
            self._not_dialled(random, f"more than {TUNNELS} tunnels on one stream")
        elif whole is not None and (size := whole.ByteSize()) > LARGEST_DIAL:
            text = f"{size} bytes in a dial request, {LARGEST_DIAL} are allowed"
            self._not_dialled(random, text)
            self._rest()
        else:
            end = self._dials[random] = StreamEnd(self, random, self._ledger, self._frontend.clock)
            end.client = self._client
            self._frontend.switchboard.dial(end, protocol, address, whole)

    def _stray_data(self, connect_id: int) -> None:
        if not connect_id or connect_id in self._closed_ids:
            # Id 0 means nothing (upstream drops it too); DATA may cross our CLOSE_RSP on the wire.
            pass
        elif not self._dialed:
            self._close_rsp(connect_id, "backend not initialized")
            self._ignoring = True
            self._rest()
        elif self._open:
            log.warn("client {peer} sent DATA for an id that is not its own", peer=self.stream.peer)
            self._close_rsp(connect_id, MISMATCH)
            self._ignoring = True
            for end in list(self._open.values()):
                end.spoken()
                if end.tunnel is not None:
                    end.tunnel.close(Reason.PROTOCOL)
            self._rest()
        else:
            self._close_rsp(connect_id, "unrecognized connectID")

    def _close_req(self, values: tuple[int, str]) -> None:
        connect_id, _ = values
        end = self._open.get(connect_id)
        if end is not None:
            end.spoken()
            if end.tunnel is not None:
                end.tunnel.close(CLIENT_CLOSED)
            else:
                end.give_up()
        elif not self._dialed:
            self._close_rsp(connect_id, "backend uninitialized")
        elif connect_id not in self._closed_ids:
            self._close_rsp(connect_id, "Unknown connectID")

    def _dial_cls(self, values: tuple[bytes]) -> None:
        end = self._dials.get(values[0])
        if end is not None and end.tunnel is not None:
            end.tunnel.close(Reason.CLIENT_LEFT)
            return
        # The client gave up just as the dial succeeded: the connection has no owner any more.
        for end in list(self._open.values()):
            if end.random == values[0] and end.tunnel is not None:
                end.spoken()
                end.tunnel.close(Reason.CLIENT_LEFT)

    # -- what the ends say

    def dial_opened(self, end: StreamEnd) -> None:
        """A dial has succeeded: the client learns its connectID (the agent's, when it is free
        here)."""
        del self._dials[end.random]
        far = end.other
        connect_id, head = (far.connect_id, far.head) if isinstance(far, LinkEnd) else (1, b"")
        while connect_id in self._open or connect_id in self._closed_ids:
            connect_id, head = (connect_id + (1 << 32)) % (1 << 63) or 1, b""
        end.connect_id = connect_id
        end.head = head or data_packet.middle(connect_id)
        self._open[connect_id] = end
        self._dialled(end.random, end.head)

    def dial_failed(self, end: StreamEnd, text: str) -> None:
        """A dial has failed."""
        self._dials.pop(end.random, None)
        self._not_dialled(end.random, text)
        self._rest()

    def dial_dropped(self, end: StreamEnd) -> None:
        """A dial was given up by the client."""
        self._dials.pop(end.random, None)
        self._rest()

    def tunnel_closed(self, end: StreamEnd, reason: Reason) -> None:
        """A tunnel is over: exactly one CLOSE_RSP."""
        connect_id = end.connect_id
        if self._open.pop(connect_id, None) is None:
            return
        remember(self._closed_ids, connect_id, CLOSED_IDS)
        # Else it is the agent that broke it.
        mismatch = self._ignoring and reason is Reason.PROTOCOL
        error = MISMATCH if mismatch else reason.text if reason.abortive else ""
        self._close_rsp(connect_id, error, end.head)
        self._rest()

    # -- ending

    def _rest(self) -> None:
        """Without a tunnel or a dial the stream waits for its client to end it, for a while."""
        if not self._resting and (self._ignoring or not (self._dials or self._open)):
            self._resting = True
            self._frontend.resting.set(self)

    def rested(self) -> None:
        """It has waited long enough for its client to end it. (A dial leaves the limit alone.)"""
        if self._resting:
            self._resting = False
            self.half_closed()

    def _over(self, reason: Reason) -> None:
        """The stream is gone: cancel its dials, close its tunnels, leave nothing."""
        self._ledger.stream_closed("Proxy")
        self._owed = 0
        if self._window is not None:
            self.forget_window()
        self._ignoring = True
        if self._dials or self._open:  # most have none by then
            self._end_tunnels(reason)
        self._blocked = ()
        self._resting = False
        self._frontend.resting.drop(self)

    def _end_tunnels(self, reason: Reason) -> None:
        for end in list(self._dials.values()):
            if end.tunnel is not None:
                end.tunnel.close(Reason.CLIENT_LEFT)
        # Out of the table first: nobody is there for their CLOSE_RSP.
        ends, self._open = list(self._open.values()), {}
        for end in ends:
            end.drop()
            if end.tunnel is not None:
                end.tunnel.close(reason)


_HANDLERS: dict[int, Callable[..., None]] = {
    PacketType.DIAL_REQ: ProxyStream._dial_req,
    PacketType.CLOSE_REQ: ProxyStream._close_req,
    PacketType.DIAL_CLS: ProxyStream._dial_cls,
}
