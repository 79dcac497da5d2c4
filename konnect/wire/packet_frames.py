"""The usual frames of a stream of packets, many in one step: DATA that holds one whole packet.

Echoes and the beginnings and ends of tunnels are such frames. To cut one out, charge it to the
windows and find its packet, each in its own layer (`frames`, `arrivals`, `inlet`, `data_packet`),
takes some 410 opcodes and four calls; here it takes 130 and none (measured with 64 echoing
tunnels). What is unusual in any way is left to those layers, which decide what it is: a frame that
has not come whole, with flags, of another stream, with more or less than one message, beyond a
window or a limit.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from konnect.wire.data_packet import BYTES, CONNECT_ID, TYPE_AND_TAG, read_varint
from konnect.wire.frames import HEAD_SIZE
from konnect.wire.framing import PREFIX_SIZE
from konnect.wire.reactions import Reactions

if TYPE_CHECKING:
    from konnect.wire.events import Event
    from konnect.wire.stream import Stream

_HEADS = Struct("!I6sI3sB")
"""A frame's length and type (as one: DATA is 0); its flags, its stream and a message's flag, which
are `Stream.mark`; the message's length; a DATA packet's first fields and their first length."""

HEADS_SIZE = _HEADS.size
_unpack = _HEADS.unpack_from

COPIED = 2048
"""Payloads up to this are copied: a view would keep the whole read alive, and costs as much."""


class PacketFrames(Reactions):
    """The part of `konnect.wire.arrivals.Arrivals` that takes them."""

    __slots__ = ("deliver", "events", "gathering")

    events: list[Event]
    deliver: Callable[[list[Event]], None] | None
    gathering: Stream | None
    """Of whose bytes some wait for the end of the read."""

    def let_go(self) -> None:
        raise NotImplementedError

    def _claim(self) -> None:
        raise NotImplementedError

    def packets(self, data: bytes, position: int, stream: Stream) -> int:
        """
        See `FrameSink`: give the packets from `position` on to the sink of the stream's inlet.

        It ends before the first frame that is not of the kind, and when nobody listens any more.
        """
        if self.gathering is not None and self.gathering is not stream:
            self.let_go()
        inlet, end = stream.inlet, len(data)
        last = end - HEADS_SIZE
        if inlet is None or inlet.midway:
            return position
        if self.events and self.deliver is not None:
            self.deliver(self.events)
        sink, mark = inlet.sink, stream.mark
        streams = self._streams
        limits = streams.limits
        largest = limits.largest_whole
        room = left = streams.into if streams.into < stream.into else stream.into
        back = 0
        while position <= last and not stream.deaf:
            lead, middle, size, tag, inner = _unpack(data, position)
            cost = size + PREFIX_SIZE
            stop = position + HEAD_SIZE + cost
            if middle != mark or lead != cost << 8 or stop > end or size > largest or cost > left:
                break
            left -= cost
            # The same as `data_packet.read_head`; what is in doubt is left to protobuf.
            if tag == TYPE_AND_TAG and size > 8:
                at = position + HEADS_SIZE
                if inner > 0x7F:
                    # Two bytes, as `data_packet.read_varint` reads them.
                    inner += (data[at] - 1) << 7
                    at += 1
                    if inner > 0x3FFF:
                        inner, at = read_varint(data, at - 2, stop)
                if at + inner == stop and inner > 4 and data[at] == CONNECT_ID:
                    connect_id = data[at + 1]
                    at += 2
                    if connect_id > 0x7F:
                        # Up to two million without a call; `inner` says that so many bytes are
                        # there.
                        connect_id += (data[at] - 1) << 7
                        at += 1
                        if connect_id > 0x3FFF:
                            connect_id += (data[at] - 1) << 14
                            at += 1
                            if connect_id > 0x1FFFFF:
                                connect_id, at = read_varint(data, at - 3, stop)
                    if at + 2 < stop and data[at] == BYTES:
                        length = data[at + 1]
                        at += 2
                        if length > 0x7F:
                            length += (data[at] - 1) << 7
                            at += 1
                            if length > 0x3FFF:
                                length, at = read_varint(data, at - 2, stop)
                        if at + length == stop and length and connect_id > 0:
                            if length <= COPIED and not inlet.waiting:
                                back += sink.data(connect_id, data[at:stop], cost)
                            else:
                                back += inlet.pass_on(connect_id, memoryview(data)[at:stop], cost)
                            position = stop
                            continue
            if inlet.waiting:
                back += inlet.let_go()
            back += sink.packet(data[stop - size : stop], cost)
            position = stop
        charge = room - left
        if charge:
            streams.into -= charge
            stream.into -= charge
            if inlet.waiting:
                self.gathering = stream
            if streams.into <= limits.claim_at:
                self._claim()
            if not stream.deaf:
                streams.usual = stream
                if back:
                    streams.give_back(stream, back)
        return position
