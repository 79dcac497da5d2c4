"""Another stream of an agent to a proxy that it is linked to, for a few packets past the link."""

from __future__ import annotations

from collections.abc import Callable

from konnect.net.grpc_stream import GrpcStream, Metadata, StreamListener
from konnect.wire import packets
from konnect.wire.packets import CLOSE_REQ, DIAL_REQ, MalformedPacket
from konnect.wire.status import Status

NO_DIALS = "the agent uses this stream to end a tunnel that holds up all others"
"""What a dial is answered with, should the proxy take this stream for one that serves dials."""


class SideStream:
    """
    The listener of such a stream. Nothing is told after `end`.

    :param open_stream: opens it; may raise `konnect.wire.events.StreamRefused`.
    :param accepted: called when the proxy has greeted the agent on it, once.
    :param closing: called with the connectID of each CLOSE_REQ.
    :param refused: called with the reason when it ends before `end` does it.
    """

    def __init__(
        self,
        open_stream: Callable[[StreamListener], GrpcStream],
        accepted: Callable[[], None],
        closing: Callable[[int], None],
        refused: Callable[[str], None],
    ) -> None:
        self._accepted = accepted
        self._closing = closing
        self._refused = refused
        self._greeted = False
        self._stream: GrpcStream | None = open_stream(self)

    def send(self, *payloads: bytes) -> None:
        """Send packets; each small, so that there is always room."""
        for payload in payloads:
            if self._stream is not None:
                self._stream.send(payload)

    def end(self) -> None:
        """Send nothing more."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()

    # -- the stream's listener

    def headers(self, metadata: Metadata) -> None:
        """The proxy has accepted it."""
        if self._stream is not None and not self._greeted:
            self._greeted = True
            self._accepted()

    def message(self, payload: bytes, cost: int) -> None:
        """One packet."""
        stream = self._stream
        if stream is None:
            return
        stream.acknowledge(cost)
        try:
            packet = packets.parse(payload)
        except MalformedPacket:
            return
        kind: int = packet.type
        if kind == DIAL_REQ:
            stream.send(packets.dial_rsp(packet.dialRequest.random, error=NO_DIALS))
        elif kind == CLOSE_REQ:
            self._closing(packet.closeRequest.connectID)

    def half_closed(self) -> None:
        """Only servers see a half-close."""

    def writable(self) -> None:
        """Little is ever sent here."""

    def ended(self, status: Status, text: str, reset: bool) -> None:
        """By the proxy, or with the connection."""
        if self._stream is not None:
            self._stream = None
            self._refused(f"{status.name}: {text}" if text else status.name)
