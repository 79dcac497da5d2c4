"""gRPC clients that write as much as their windows allow, a connection and a tunnel for each.

Python's grpcio would take a thread for each, so they stand on konnect's own HTTP/2, of which
nothing is tested here.
"""

from __future__ import annotations

import math
import selectors
import socket
from collections.abc import Callable

from konnect.wire import packets
from konnect.wire.events import MessageReceived
from konnect.wire.grpc import GrpcConnection, Role
from tests.interop.connecting import frontend_socket
from tests.interop.pairs import Proxy

CHUNK = 32768
"""Bytes of a message, as of a stock client."""


class GrpcWriter:
    """
    One client, whose tunnel is open when this returns. Its `unsent` bytes are those that the
    socket has not taken.

    :param packet: makes a DATA packet of a connectID and some bytes.
    """

    def __init__(
        self, proxy: Proxy, address: str, packet: Callable[[int, bytes], bytes] = packets.data
    ) -> None:
        self.socket: socket.socket = frontend_socket(proxy)
        self._wire = wire = GrpcConnection(Role.CLIENT)
        wire.start()
        self._stream = wire.open_stream(
            packets.PROXY_PATH, (), authority="localhost", scheme="http"
        )
        wire.send_message(self._stream, packets.dial_req("tcp", address, 1))
        self.unsent: bytes = b""
        while True:
            self.socket.sendall(wire.output())
            for event in wire.receive(self.socket.recv(65536)):
                if isinstance(event, MessageReceived):
                    answer = packets.parse(event.payload).dialResponse
                    assert not answer.error, answer.error
                    self._payload = packet(answer.connectID, bytes(CHUNK))
                    self.socket.setblocking(False)
                    return

    def write(self) -> int:
        """Hand over what the socket takes without waiting; answers how many bytes it took."""
        wire, taken = self._wire, 0
        try:
            data = self.socket.recv(65536)
            assert data, "the proxy has closed the connection"
            wire.receive(data)
        except BlockingIOError:
            pass
        if wire.queued(self._stream) < CHUNK:
            wire.send_message(self._stream, self._payload)
        self.unsent += wire.output()
        try:
            taken = self.socket.send(self.unsent) if self.unsent else 0
        except BlockingIOError:
            pass
        self.unsent = self.unsent[taken:]
        return taken


def write_all(writers: list[GrpcWriter], still: float, most: float = math.inf) -> None:
    """Write until for so many seconds no client has been told of room, or could write, or `most`
    bytes have been taken."""
    with selectors.DefaultSelector() as selector:
        for writer in writers:
            selector.register(writer.socket, selectors.EVENT_READ, writer)
        ready = writers
        while ready and most > 0:
            while most > 0 and (taken := sum(writer.write() for writer in ready)):
                most -= taken
            for writer in ready:
                # A busy proxy may read later, and have no room to tell of.
                write = selectors.EVENT_WRITE if writer.unsent else 0
                selector.modify(writer.socket, selectors.EVENT_READ | write, writer)
            ready = [key.data for key, _ in selector.select(still)]
