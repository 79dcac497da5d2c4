"""grpcio as a peer of konnect: packet streams as a client, an agent and a proxy.

Only grpcio speaks on the wire here; `konnect.wire.packets` builds and reads the messages' bytes,
which go through grpcio as they are. Nothing blocks without a bound.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc

from konnect.pb.konnect_pb2 import Data, Packet
from konnect.wire import packets
from tests.certificates import pki
from tests.interop.pairs import Proxy

PROXY_METHOD = "/ProxyService/Proxy"
CONNECT_METHOD = "/AgentService/Connect"
WAIT = 10.0
QUIET = 0.3
"""How long silence is listened to before it counts as such."""


def bare(kind: int) -> bytes:
    """A packet of a type without any payload, which our own builders refuse to make."""
    return bytes([0x08, kind]) if kind else b""


def empty_data(tunnel: int) -> bytes:
    """A DATA packet without a byte."""
    return Packet(type="DATA", data=Data(connectID=tunnel)).SerializeToString()


def oversized(tunnel: int) -> bytes:
    """A DATA packet of more than 4 MiB."""
    data = Data(connectID=tunnel, data=bytes(5_000_000))
    return Packet(type="DATA", data=data).SerializeToString()


MALFORMED = {
    "no protobuf at all": b"\xff\xff\xff\xff",
    "text that is no UTF-8": b"\x12\x04\x0a\x02\xff\xfe",
    **{f"{kind.name} without payload": bare(kind) for kind in packets.PacketType},
    "DATA with the payload of CLOSE_REQ": b"\x08\x04\x2a\x02\x08\x07",
}
"""Messages that stock peers crash on, or would if they got that far, by what is wrong with each."""


class StreamOver(AssertionError):
    """A packet was awaited, and the stream ended instead."""


class PacketStream:
    """One bidirectional stream of packets, whoever opened it: bytes out, parsed packets in."""

    def __init__(self) -> None:
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._incoming: queue.SimpleQueue[Packet | None] = queue.SimpleQueue()
        self.over = threading.Event()
        """Set when nothing more can arrive."""

    def outgoing(self) -> Iterator[bytes]:
        """What to send, until `finish`."""
        return iter(self._outgoing.get, None)

    def pump(self, messages: Iterator[bytes]) -> None:
        """Read until the stream ends, however it ends (its status is read elsewhere)."""
        try:
            for message in messages:
                self._incoming.put(packets.parse(message))
        except grpc.RpcError:
            pass
        except Exception as why:  # grpcio's server side raises a bare Exception on cancellation
            if type(why) is not Exception:
                raise
        finally:
            self.over.set()
            self._incoming.put(None)

    def send(self, *payloads: bytes) -> None:
        for payload in payloads:
            self._outgoing.put(payload)

    def finish(self) -> None:
        """Send nothing more: END_STREAM from a client, the end of the call from a server."""
        self._outgoing.put(None)

    def receive(self, kind: packets.PacketType | None = None, seconds: float = WAIT) -> Any:
        """The next packet, which must be of `kind` if that is given."""
        try:
            packet = self._incoming.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no packet within {seconds:g} s, wanted {kind!r}") from None
        if packet is None:
            self._incoming.put(None)
            raise StreamOver(f"the stream is over, wanted {kind!r}")
        if kind is not None and int(packet.type) != kind:
            raise AssertionError(f"wanted {kind!r}, got {packet!r}")
        return packet

    def leftover(self) -> list[Packet]:
        """Packets that nobody has received, once the stream is over."""
        found = []
        while (packet := self._incoming.get_nowait()) is not None:
            found.append(packet)
        return found

    def receive_bytes(self, connect_id: int, length: int) -> bytes:
        """Payloads of DATA packets of one tunnel, joined, until there are `length` bytes."""
        got = bytearray()
        while len(got) < length:
            packet = self.receive(packets.PacketType.DATA)
            if packet.data.connectID != connect_id:
                raise AssertionError(f"DATA of tunnel {packet.data.connectID}, not {connect_id}")
            got += packet.data.data
        return bytes(got)

    def assert_silent(self, seconds: float = QUIET) -> None:
        """Nothing arrives for a while and the stream lives."""
        try:
            packet = self._incoming.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError(f"expected silence, got {packet!r} (None: the stream is over)")


class ClientStream(PacketStream):
    """A stream that grpcio opened as a client."""

    def __init__(
        self, channel: grpc.Channel, method: str, metadata: Any = (), **options: Any
    ) -> None:
        super().__init__()
        self.call = channel.stream_stream(method)(self.outgoing(), metadata=metadata, **options)
        self._reader = threading.Thread(target=self.pump, args=(self.call,), daemon=True)
        self._reader.start()

    def cancel(self) -> None:
        """Reset the stream: how clients usually leave."""
        self.call.cancel()
        self.finish()

    def status(self, seconds: float = WAIT) -> tuple[grpc.StatusCode, str]:
        """Code and message the stream ended with."""
        if not self.over.wait(seconds):
            raise AssertionError(f"the stream did not end within {seconds:g} s")
        return self.call.code(), self.call.details()

    def initial_metadata(self, seconds: float = WAIT) -> dict[str, list[str]]:
        """The response headers, which must come within the bound."""
        found: queue.SimpleQueue[Any] = queue.SimpleQueue()
        ask = threading.Thread(target=lambda: found.put(self.call.initial_metadata()), daemon=True)
        ask.start()
        headers: dict[str, list[str]] = {}
        try:
            for key, value in found.get(timeout=seconds):
                headers.setdefault(key, []).append(value)
        except queue.Empty:
            raise AssertionError(f"no response headers within {seconds:g} s") from None
        return headers


def credentials(ca: str, cert: str = "", key: str = "") -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(
        Path(ca).read_bytes(),
        Path(key).read_bytes() if key else None,
        Path(cert).read_bytes() if cert else None,
    )


def frontend_channel(proxy: Proxy, **options: Any) -> grpc.Channel:
    """A connection to a proxy's gRPC frontend, as its transport demands; the caller closes it."""
    settings = [("grpc.use_local_subchannel_pool", 1), *options.items()]
    if proxy.uds:
        return grpc.insecure_channel(f"unix:{proxy.uds}", settings)
    files = pki()
    trust = credentials(files.frontend_ca, files.frontend_client_cert, files.frontend_client_key)
    return grpc.secure_channel(f"127.0.0.1:{proxy.port}", trust, settings)


def agent_channel(proxy: Proxy) -> grpc.Channel:
    """A connection to a proxy's agent listener."""
    files = pki()
    trust = credentials(files.agent_ca, files.agent_cert, files.agent_key)
    settings = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"127.0.0.1:{proxy.agent_port}", trust, settings)


def assert_grpc_serves(proxy: Proxy, echo: str) -> None:
    """A proxy's gRPC frontend serves a client from dial to close, on a connection of its own."""
    with frontend_channel(proxy) as channel:
        stream = ClientStream(channel, PROXY_METHOD)
        stream.send(packets.dial_req("tcp", echo, 1))
        tunnel = stream.receive(packets.PacketType.DIAL_RSP).dialResponse.connectID
        stream.send(packets.data(tunnel, b"still there?"))
        if stream.receive_bytes(tunnel, 12) != b"still there?":
            raise AssertionError("other bytes came back than were sent")
        stream.send(packets.close_req(tunnel))
        stream.receive(packets.PacketType.CLOSE_RSP)
        stream.cancel()


class Link(PacketStream):
    """One `Connect` stream that an agent opened to a `GrpcioProxy`."""

    def __init__(self, metadata: dict[str, list[str]], context: grpc.ServicerContext) -> None:
        super().__init__()
        self.metadata = metadata
        self.context = context


class GrpcioProxy:
    """grpcio as the proxy: listens for agents on loopback, over mutual TLS.

    `greet` decides what an agent is told: it gets the number of the link (from 0) and returns the
    response headers, or None to say nothing at all. `kind`: of what class links are.
    """

    def __init__(
        self,
        greet: Callable[[int], Any] | None = None,
        port: int = 0,
        kind: Callable[..., Link] = Link,
    ) -> None:
        files = pki()
        self._kind = kind
        self._greet = greet or (lambda number: (("serverid", "grpcio"), ("servercount", "1")))
        self._links: queue.SimpleQueue[Link] = queue.SimpleQueue()
        self._counter = iter(range(1 << 30))
        self._server = grpc.server(ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
        method = grpc.stream_stream_rpc_method_handler(self._connect)
        service = grpc.method_handlers_generic_handler("AgentService", {"Connect": method})
        self._server.add_generic_rpc_handlers((service,))
        trust = grpc.ssl_server_credentials(
            [
                (
                    Path(files.agent_server_key).read_bytes(),
                    Path(files.agent_server_cert).read_bytes(),
                )
            ],
            Path(files.agent_ca).read_bytes(),
            require_client_auth=True,
        )
        self.port = self._server.add_secure_port(f"127.0.0.1:{port}", trust)
        self._server.start()

    def _connect(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        metadata: dict[str, list[str]] = {}
        for key, value in context.invocation_metadata():
            metadata.setdefault(key, []).append(value)
        link = self._kind(metadata, context)
        context.add_callback(link.finish)
        headers = self._greet(next(self._counter))
        if headers is not None:
            context.send_initial_metadata(headers)
        threading.Thread(target=link.pump, args=(requests,), daemon=True).start()
        self._links.put(link)
        yield from link.outgoing()

    def accept(self, seconds: float = 20.0) -> Link:
        """The next link an agent opens."""
        try:
            return self._links.get(timeout=seconds)
        except queue.Empty:
            raise AssertionError(f"no agent connected within {seconds:g} s") from None

    def assert_no_link(self, seconds: float = QUIET) -> None:
        """No agent opens another link for a while."""
        try:
            self._links.get(timeout=seconds)
        except queue.Empty:
            return
        raise AssertionError("an agent opened another link")

    def stop(self, grace: float | None = None) -> None:
        """End the server; with a grace, GOAWAY first and streams may end by themselves."""
        stopped = self._server.stop(grace)
        if grace is None:
            stopped.wait(WAIT)
