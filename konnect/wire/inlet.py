"""Cut-through: the messages of a stream of packets, the payload of DATA passed on as it comes.

Why: waiting for the end of a packet of 256 KiB, and joining its pieces, costs two copies of every
byte and holds the bytes back for as long as the packet takes. A tunnel is a stream of bytes, so the
pieces of a packet's payload can go on alone. DATA packets that are canonical (`data_packet`) are
read here; every other message is collected, and given whole.

It knows neither HTTP/2 nor what becomes of a packet.
"""

from __future__ import annotations

from typing import Protocol

from konnect.wire.collecting import Collecting, NoRoomToCollect
from konnect.wire.data_packet import LONGEST_HEAD, read_head
from konnect.wire.framing import (
    PREFIX,
    PREFIX_SIZE,
    CompressedMessage,
    FramingError,
    MessageTooLarge,
)
from konnect.wire.gathering import Gathering

_ENOUGH = PREFIX_SIZE + LONGEST_HEAD


class PacketSink(Protocol):
    """
    What an inlet tells. Each call answers how many of the `cost` bytes of the stream's window it
    gives back now; the rest is owed to `acknowledge`.
    """

    def data(self, connect_id: int, piece: bytes | memoryview, cost: int) -> int:
        """Some of a DATA packet's payload; with its first piece the heads cost as well, so that
        `cost` is more than the piece's length."""

    def joined(self, packets: int) -> None:
        """The next piece holds the payloads of so many packets more than one."""

    def packet(self, payload: bytes, cost: int) -> int:
        """A whole message of any other kind."""


class PacketInlet(Gathering):
    """One stream's received bytes, on their way to a `PacketSink`."""

    # Of a message that has begun and not ended: those of most streams come whole.
    # Bytes to come of the DATA packet whose payload is being passed on, and its tunnel.
    _left = 0
    _midway_id = 0
    # A message that is collected, and the bytes that it lacks.
    _collected: bytearray | None = None
    _missing = 0
    # A message's beginning that is too short to be acted upon.
    _rest = b""

    def __init__(self, sink: PacketSink, limit: int, collecting: Collecting | None = None) -> None:
        """
        :param limit: the largest message accepted, in bytes, its prefix not counted.
        :param collecting: what large messages may take that are collected, in all.
        """
        self.sink = sink
        self.waiting = 0
        self.limit = limit
        self.midway = False
        """Whether the next byte does not begin a message."""
        self._collecting = collecting
        self.taken = 0
        """What it takes of what large messages may take that are collected."""
        self.error: FramingError | None = None
        """Why reading stopped. Set once; nothing is given after it."""

    @property
    def incomplete(self) -> bool:
        """Whether a message has begun and not ended: an error if the stream ends here."""
        return bool(self._left or self._rest) or self._collected is not None

    @property
    def held(self) -> int:
        """Bytes of an incomplete message that are kept here (a DATA packet's are passed on)."""
        return len(self._rest) + (len(self._collected) if self._collected is not None else 0)

    def feed(self, data: memoryview) -> int:
        """Take `data`; answers how many bytes of the window are to be given back now. Negative, it
        is what is to be kept back of what is given later."""
        position = back = 0
        if self.midway:
            data, position, back = self._go_on(data)
        end = len(data)
        while position < end:
            start = position + PREFIX_SIZE
            if start > end:
                return back + self._keep(data, position)
            flag, size = PREFIX.unpack_from(data, position)
            if flag or size > self.limit:
                self.error = CompressedMessage(flag) if flag else MessageTooLarge(size, self.limit)
                self.midway = True
                return back + end - position
            stop = start + size
            try:
                found = read_head(data, start, stop)
            except IndexError:
                if stop > end and end - position < _ENOUGH:
                    # Too short to tell what it is.
                    return back + self._keep(data, position)
                found = None
            if found is not None:
                connect_id, payload = found
                if stop > end:
                    if payload == end:
                        # There is no payload to go with the heads yet.
                        return back + self._keep(data, position)
                    self._midway_id = connect_id
                    self._left = stop - end
                    self.midway = True
                    stop = end
                back += self.pass_on(connect_id, data[payload:stop], stop - position)
            elif stop <= end:
                if self.waiting:
                    back += self.let_go()
                back += self.sink.packet(bytes(data[start:stop]), stop - position)
            else:
                self._begin(data[start:], size)
                # The window takes it back at once: it might be smaller than the message.
                return back + end - position
            position = stop
        return back

    def _keep(self, data: memoryview, position: int) -> int:
        """Keep a message's beginning; nothing of it is given back yet."""
        self._rest = bytes(data[position:])
        self.midway = True
        return 0

    def _go_on(self, data: memoryview) -> tuple[memoryview, int, int]:
        """Go on where the last piece ended: the data to read on in, from where, and what is given
        back so far."""
        size = len(data)
        if self.error is not None or not size:  # an empty frame is nothing to pass on
            return data, size, size
        self.midway = False
        if self._left:
            position = min(self._left, size)
            self._left -= position
            self.midway = self._left > 0
            return data, position, self.pass_on(self._midway_id, data[:position], position)
        if self._collected is not None:
            position, back = self._collect(self._collected, data)
            return data, position, back
        rest, self._rest = self._rest, b""
        return memoryview(rest + data), 0, 0

    def _begin(self, data: memoryview, size: int) -> None:
        """Collect a message of `size` bytes, of which these have come."""
        self.midway = True
        if self._collecting is not None:
            try:
                self.taken = self._collecting.begin(size)
            except NoRoomToCollect as error:
                self.error = error
                return
        self._collected = bytearray(data)
        self._missing = size - len(data)

    def close(self) -> None:
        """The stream is over: let go of what was collected of a message."""
        self._collected = None
        taken, self.taken = self.taken, 0
        if taken and self._collecting is not None:
            self._collecting.end(taken)

    def _collect(self, collected: bytearray, data: memoryview) -> tuple[int, int]:
        """How many bytes of `data` belong to it, and how many are given back: less than none when
        it is whole and the sink wants it to wait, since its window has been given back by then."""
        size = min(self._missing, len(data))
        collected += data[:size]
        self._missing -= size
        self.midway = self._missing > 0
        if self._missing:
            return size, size
        self.close()
        cost = PREFIX_SIZE + len(collected)
        back = self.let_go() if self.waiting else 0
        return size, size + back + self.sink.packet(bytes(collected), cost) - cost
