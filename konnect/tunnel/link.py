"""One agent's connection to one proxy, as both programs see it: many tunnels over one stream of
packets.

`Link` keeps the table of the tunnels' ends by connectID, which is scoped to this very stream, sends
their bytes as DATA and gives each received DATA to its end. What differs between the two programs
(who may dial, what an unknown id is answered with) is in `konnect.proxy.link` and
`konnect.agent.link`.

When the stream takes no more, who goes on first is decided in `konnect.tunnel.parking`. What a
tunnel may hold of the link's window, and its credit, is in `konnect.tunnel.link_end`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from konnect.tunnel import window
from konnect.tunnel.ends import Bytes
from konnect.tunnel.flow import Flow
from konnect.tunnel.later import Later
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.link_sizes import HEADS, SMALL
from konnect.tunnel.message_stream import MessageStream
from konnect.tunnel.parking import Parking
from konnect.tunnel.reasons import Reason
from konnect.tunnel.stock_peer import StockPeer
from konnect.wire import contents, data_packet, packets
from konnect.wire.features import STOCK, Features, common
from konnect.wire.packets import CREDIT, DATA, HALF_CLOSE, MalformedPacket, PacketType
from konnect.wire.status import Status

if TYPE_CHECKING:
    from konnect.tunnel.ledger import Ledger

REMEMBERED = 65536
"""How many ended connectIDs a link remembers while the peer has not confirmed their end."""


class Link:
    """
    The tunnels of one stream of packets. Subclasses say what each packet means in their role.

    :param stream: where messages are sent; it must call `message` and `writable` in turn.
    :param outward: `segment` label of what is sent here, `inward` of what is received.
    :param carries: which direction of a tunnel is sent here, `to_client` or `to_destination`.
    """

    handlers: dict[int, Callable[[Any, Any], None]] = {}
    """What the role does with packets of a type, given the values of `contents.Contents`."""
    _complained = False

    def __init__(
        self,
        stream: MessageStream,
        ledger: Ledger,
        *,
        outward: str,
        inward: str,
        carries: str,
        later: Later,
        flow: Flow,
    ) -> None:
        self.stream = stream
        self.ledger = ledger
        self.later = later
        self.flow = flow
        self.handlers = self.handlers  # the class's, where it is found sooner
        self.ends: dict[int, LinkEnd] = {}
        self.lost = False
        self.name = ""
        """The other program's id."""
        self.peer = ""
        """The other program's address."""
        self.send_credit = 0
        self.receive_credit = self.window = 0
        """What is announced for each tunnel, and what each has of it now (`tunnel.window`)."""
        self.half_close = False
        self.is_stock = False
        """Whether the peer has announced nothing."""
        self._outward = outward
        self._came, self._went = ledger.packets.of(inward), ledger.packets.of(outward)
        self._data_in, self._data_out = self._came[DATA], self._went[DATA]
        self._carries = carries
        self._brings = "to_client" if carries == "to_destination" else "to_destination"
        self._parking = Parking(later)
        self._withholding = 0
        self._stock: StockPeer | None = None
        """Of a link whose peer has no credit."""

    def agree(self, peer: Features) -> None:
        """The peer has announced its features: from now on, tunnels use what both have."""
        self.send_credit, self.receive_credit, self.half_close = common(self.flow.features, peer)
        self.window = self.receive_credit
        self.is_stock = peer == STOCK
        self.stream.follow_path(own=self.send_credit > 0)
        if not self.send_credit:
            stock = self._stock = StockPeer(
                self.stream,
                self.ledger,
                self.later,
                self.flow.stall_timeout,
                lambda: self._parking.waiting,
                self.blocked,
            )
            self._parking.watch = stock.watch

    @property
    def extended(self) -> bool:
        """Whether the peer is a konnect half, and something of the extension is in force."""
        return self.half_close or self.send_credit > 0

    @property
    def held_up(self) -> bool:
        """Whether a stock peer has taken nothing for the stall timeout, while somebody waited."""
        return self._stock is not None and self._stock.watch.blocked

    # -- receiving

    def message(self, payload: bytes, cost: int) -> None:
        """One packet has come, of a stream that is not cut through."""
        plain = data_packet.read(payload)
        back = self.packet(payload, cost) if plain is None else self.data(*plain, cost)
        if back:
            self.stream.acknowledge(back)

    def packet(self, payload: bytes, cost: int) -> int:
        """See `konnect.wire.inlet.PacketSink`; a malformed packet is only counted."""
        try:
            kind, values = contents.read(payload)
        except MalformedPacket as error:
            self.ledger.malformed_packets += 1
            if not self._complained:  # one read may hold tens of thousands, and each be a log line
                self._complained = True
                self.malformed(error)
            return cost
        if kind == DATA:
            connect_id, data = values
            return self.data(connect_id, data, cost)
        self._came[kind][0] += 1
        handler = self.handlers.get(kind)
        if handler is not None:
            handler(self, values)
        elif kind == CREDIT and self.send_credit:
            window.credited(self, *values)
        elif kind == HALF_CLOSE and self.half_close:
            end = self.ends.get(*values)
            if end is not None:
                end.half_close_received = True
                if end.tunnel is not None:
                    end.tunnel.ended(end, self.far_side_closed)
        return cost

    def data(self, connect_id: int, data: Bytes, cost: int) -> int:
        """See `konnect.wire.inlet.PacketSink`."""
        size = len(data)
        if cost != size:
            self._data_in[0] += 1
        end = self.ends.get(connect_id)
        if end is not None and size:
            self.ledger.bytes[self._brings] += size
            return end.received(data, cost)
        if end is None and connect_id and cost != size:  # once for a packet, with its first piece
            self.unknown_data(connect_id)
        return cost

    def joined(self, packets: int) -> None:
        """See `konnect.wire.inlet.PacketSink`."""
        self._data_in[0] += packets

    far_side_closed: Reason
    """The reason of a tunnel whose far side, seen from this link's program, ended first."""

    def withheld(self, change: int) -> None:
        """So many tunnels more keep the link's window shut."""
        before = self._withholding
        self._withholding += change
        full = self.ledger.full_receive_channels
        full["Connect"] += (self._withholding > 0) - (before > 0)

    # -- sending

    def send(self, kind: PacketType, packet: bytes) -> None:
        """Send a control packet; it never waits for room."""
        if not self.lost:
            self._went[kind][0] += 1
            if not self.stream.send(packet):
                self._without_room(packets.NAMES[kind])
            if self._stock is not None:
                self._stock.control(len(packet))

    def send_credit_packet(self, end: LinkEnd, increment: int) -> None:
        """Allow the peer `increment` more bytes of a tunnel."""
        self.send(CREDIT, packets.credit(end.connect_id, increment))

    def send_half_close(self, end: LinkEnd) -> None:
        """Tell the peer that a tunnel's direction has ended."""
        end.half_close_sent = True
        self.send(HALF_CLOSE, packets.half_close(end.connect_id))

    def send_data(self, end: LinkEnd, data: Bytes) -> None:
        """Send a tunnel's bytes as DATA, each in a frame; pause the tunnel when it is enough."""
        if self.lost:
            return
        stream, stock, ledger, size = self.stream, self._stock, self.ledger, len(data)
        ledger.bytes[self._carries] += size
        if size <= SMALL or size <= stream.largest_message - HEADS:
            self._data_out[0] += 1
            head = data_packet.head(end.head, size)
            room = stream.send_data(head, data)
            if stock is not None:
                stock.data(end.connect_id, len(head) + size)
        else:
            run = data_packet.cut(end.head, data, stream.largest_message - HEADS)
            self._data_out[0] += len(run)
            room = stream.send_run(run)
            if stock is not None:
                for head, piece in run:
                    stock.data(end.connect_id, len(head) + len(piece))
        if not room:
            self._without_room("DATA")
            self._parking.park(end, size)

    def has_room_for(self, end: LinkEnd, size: int) -> bool:
        """
        Whether `end` may send now what had to wait, `size` bytes; else it is told by `unparked`.

        When the peer allows all tunnels more (`konnect.tunnel.window`), what waits in all of them
        would be on its way at once, beyond what it can take back. The rest of an ended tunnel
        goes as a whole, when its turn or credit comes: it has no source to pause.
        """
        if end.other is None:
            return True
        if self._parking.full:
            self._parking.park(end, size)
        return not end.parked

    def _without_room(self, packet_type: str) -> None:
        """A packet waits for the peer; or it was in vain, which upstream counts as an error."""
        if self.stream.closing:
            self.ledger.stream_error(self._outward, Status.UNAVAILABLE.label, packet_type)

    def writable(self) -> None:
        """The stream has room again."""
        self._parking.writable()

    # -- the end of the link

    def end_all(self, reason: Reason) -> None:
        """The stream is gone: end every tunnel."""
        self.lost = True
        ends, self.ends = list(self.ends.values()), {}
        self._parking.clear()
        for end in ends:
            if end.tunnel is not None:
                end.tunnel.close(reason)
            end.gone()

    # -- the role's part

    asking: Sequence[LinkEnd] = ()  # ends of tunnels that are not open yet

    def malformed(self, error: MalformedPacket) -> None:
        """A packet could not be read (it has been counted). Called for the first one only."""
        raise NotImplementedError

    def stalled(self, end: LinkEnd) -> None:
        """A tunnel holds up the link and makes no progress; it is about to be cut."""
        raise NotImplementedError

    def blocked(self, waiting: int) -> None:
        """A stock peer has taken nothing for long, and so many tunnels wait; 0: it takes again."""
        raise NotImplementedError

    def overrun(self, end: LinkEnd) -> None:
        """The peer has sent more than its credit."""
        if end.tunnel is not None:
            end.tunnel.close(Reason.PROTOCOL)

    def unknown_data(self, connect_id: int) -> None:
        """DATA came for an id that this link does not have."""
        raise NotImplementedError

    def finish(self, end: LinkEnd) -> None:
        """The other side of a tunnel has given its last byte."""
        raise NotImplementedError

    def close_end(self, end: LinkEnd, reason: Reason) -> None:
        """A tunnel is over: say so to the peer."""
        raise NotImplementedError
