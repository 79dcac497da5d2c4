"""An agent of konnect's own wire code on a bare TLS socket, which sees GOAWAY.

grpcio does not tell its user of that, and h2 takes it for the end. Here it is an entry of `seen`,
among the packets, in the order in which they came.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading

from konnect.wire import packets
from konnect.wire.events import (
    Event,
    GoingAway,
    HeadersReceived,
    MessageReceived,
    StreamEnded,
)
from konnect.wire.features import KEY
from konnect.wire.grpc import GrpcConnection, Role
from tests.certificates import pki
from tests.interop.connecting import WAIT, client_tls
from tests.interop.grpcio_streams import CONNECT_METHOD, PacketStream
from tests.interop.pairs import Proxy

GOAWAY = "GOAWAY"
FEATURES = (KEY, "credit=524288,half-close")
"""What an agent of konnect's adds to a stock agent's metadata."""


class WireAgent(PacketStream):
    """One admitted `Connect` stream on a connection of its own."""

    def __init__(self, proxy: Proxy, name: str, *metadata: tuple[str, str]) -> None:
        super().__init__()
        self.seen: list[str] = []
        """What the proxy has sent: the kinds of packets, and GOAWAY."""
        self._admitted = threading.Event()
        self._turn = threading.Lock()
        files = pki()
        context = client_tls(files.agent_ca, files.agent_cert, files.agent_key, alpn=["h2"])
        raw = socket.create_connection(("127.0.0.1", proxy.agent_port), timeout=WAIT)
        self._socket = context.wrap_socket(raw, server_hostname="localhost")
        self._wire = GrpcConnection(Role.CLIENT)
        self._wire.start()
        self._stream = self._wire.open_stream(
            CONNECT_METHOD, [("agentid", name), *metadata], authority="localhost", scheme="https"
        )
        self._flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._admitted.wait(WAIT):
            raise AssertionError(f"{name} was not admitted")

    def send(self, *payloads: bytes) -> None:
        with self._turn:
            for payload in payloads:
                self._wire.send_message(self._stream, payload)
            self._flush()

    def close(self) -> None:
        """Drop the connection, as an agent does that has no use for it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(WAIT)
        self._socket.close()

    def _flush(self) -> None:
        self._socket.settimeout(WAIT)
        self._socket.sendall(self._wire.output())

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while self._read_once():
                select.select([self._socket], [], [])
        self.over.set()
        self._incoming.put(None)

    def _read_once(self) -> bool:
        """Take what there is; False at the end of the connection."""
        with self._turn:
            self._socket.settimeout(0)
            try:
                data = self._socket.recv(65536)
            except ssl.SSLWantReadError:
                return True
            going = [self._take(event) for event in self._wire.receive(data)]
            with contextlib.suppress(OSError):  # what has come before the end is still to be read
                self._flush()
        return bool(data) and all(going)

    def _take(self, event: Event) -> bool:
        """One event; False when it ends the stream."""
        if isinstance(event, MessageReceived):
            packet = packets.parse(event.payload)
            self.seen.append(packets.type_name(packet.type))
            self._incoming.put(packet)
            self._wire.acknowledge(self._stream, event.cost)
        elif isinstance(event, GoingAway):
            self.seen.append(GOAWAY)
        elif isinstance(event, HeadersReceived):
            self._admitted.set()
        return not isinstance(event, StreamEnded)
