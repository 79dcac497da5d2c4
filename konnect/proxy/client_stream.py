"""What a gRPC client's stream does whatever its tunnels are: its window, and what is sent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from konnect.log import make_logger
from konnect.net.grpc_stream import GrpcStream
from konnect.proxy.client_window import INITIAL, PART, ClientWindow, ClientWindows
from konnect.tunnel.counts import SegmentCounts
from konnect.tunnel.ends import Bytes
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_sizes import HEADS, SMALL
from konnect.wire import data_packet, packets
from konnect.wire.packets import CLOSE_RSP, DATA, DIAL_RSP, MalformedPacket
from konnect.wire.status import Status

if TYPE_CHECKING:
    from konnect.proxy.stream_end import StreamEnd

log = make_logger(__name__)

_NOBODY: frozenset[StreamEnd] = frozenset()


class ClientStream:
    """
    One stream.

    :param windows: what the windows of all streams share.
    :param went: counts what is sent to clients.
    """

    _complained = False

    def __init__(
        self, stream: GrpcStream, ledger: Ledger, windows: ClientWindows, went: SegmentCounts
    ) -> None:
        self.stream = stream
        self._ledger = ledger
        self._windows = windows
        self._went = went
        # Not the class's, though most streams change none of these: Python 3.11 takes 250
        # instructions to find there what each packet asks for.
        self._window: ClientWindow | None = None
        self._part = INITIAL // PART
        self._owed = 0
        """Bytes that have been passed on and not given back."""
        self.paused = _NOBODY
        """The ends of tunnels that take no more."""
        self._blocked: tuple[StreamEnd, ...] = ()

    def _malformed(self, error: MalformedPacket) -> None:
        """Count it, and log the first: one read may hold tens of thousands."""
        self._ledger.malformed_packets += 1
        if not self._complained:
            self._complained = True
            log.warn(
                "client {peer} sent a malformed packet: {error} (further ones are only counted)",
                peer=self.stream.peer,
                error=error,
            )

    # -- the window

    def _give_back(self) -> int:
        """A part of the window has been passed on. How many bytes go back now: none while a tunnel
        is paused."""
        if self.paused:
            return 0
        window = self._window
        if window is None:
            window = self._window = ClientWindow(self._windows)
        owed, self._owed = self._owed, 0
        back = window.give_back(owed)
        self._part = window.part
        return back

    def pause(self, end: StreamEnd) -> None:
        """A tunnel takes no more: the stream's window stays shut."""
        self._ledger.full_receive_channels["Proxy"] += not self.paused
        self.paused |= {end}

    def resume(self, end: StreamEnd) -> None:
        """Undo `pause`."""
        if end in self.paused:
            self.paused -= {end}
            self._ledger.full_receive_channels["Proxy"] -= not self.paused
        if not self.paused and self._owed >= self._part:
            back = self._give_back()
            if back:
                self.stream.acknowledge(back)

    def forget_window(self) -> None:
        """The stream is over."""
        window, self._window = self._window, None
        if window is not None:
            window.end()

    # -- sending

    def send_data(self, end: StreamEnd, data: Bytes) -> bool:
        """Send a destination's bytes; False: the end's `writable` will say when there is room."""
        stream = self.stream
        size = len(data)
        if size <= SMALL:
            self._went[DATA][0] += 1
            room = stream.send_data(data_packet.head(end.head, size), data)
        else:
            run = data_packet.cut(end.head, data, stream.largest_message - HEADS)
            self._went[DATA][0] += len(run)
            room = stream.send_run(run)
        if not room and end not in self._blocked:
            self._blocked += (end,)
            self._without_room("DATA")
        return room

    def writable(self) -> None:
        blocked, self._blocked = self._blocked, ()
        for end in blocked:
            end.writable()

    def _dialled(self, random: bytes, middle: bytes) -> None:
        self._went[DIAL_RSP][0] += 1
        if not self.stream.send(packets.dialled(random, middle)):
            self._without_room("DIAL_RSP")

    def _not_dialled(self, random: bytes, error: str) -> None:
        self._went[DIAL_RSP][0] += 1
        if not self.stream.send(packets.dial_rsp(random, error=error)):
            self._without_room("DIAL_RSP")

    def _close_rsp(self, connect_id: int, error: str, middle: bytes = b"") -> None:
        self._went[CLOSE_RSP][0] += 1
        if not self.stream.send(packets.close_rsp(connect_id, error, middle)):
            self._without_room("CLOSE_RSP")

    def _without_room(self, packet_type: str) -> None:
        """A packet waits for the client; or it was in vain, which upstream counts as an error."""
        if self.stream.closing:
            self._ledger.stream_error("to_client", Status.UNAVAILABLE.label, packet_type)
