"""The test case of a pair of ours whose clients are grpcio's."""

from __future__ import annotations

import secrets

import grpc

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.grpcio_streams import (
    PROXY_METHOD,
    ClientStream,
    frontend_channel,
)
from tests.interop.pairs import InteropTestCase, Proxy


class GrpcioClientTestCase(InteropTestCase):
    """A grpcio client with as many streams as a test wants."""

    transport = "uds"

    def setUp(self) -> None:
        super().setUp()
        self.through = self.pair("grpc", self.transport)
        self.channel = self.connect(self.through.proxy)

    def connect(self, proxy: Proxy) -> grpc.Channel:
        """A connection to a gRPC frontend, closed at the end of the test."""
        channel = frontend_channel(proxy)
        self.addCleanup(channel.close)
        return channel

    def stream(
        self, channel: grpc.Channel | None = None, method: str = PROXY_METHOD
    ) -> ClientStream:
        stream = ClientStream(channel or self.channel, method)
        self.addCleanup(stream.cancel)
        return stream

    def dialed(self, kind: str, channel: grpc.Channel | None = None) -> tuple[ClientStream, int]:
        """A stream with an open tunnel to a kind of destination, and the tunnel's connectID."""
        stream = self.stream(channel)
        random = secrets.randbits(62)
        stream.send(packets.dial_req("tcp", self.destination[kind], random))
        answer = stream.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual((answer.error, answer.random), ("", random))
        self.assertNotEqual(answer.connectID, 0)
        return stream, answer.connectID

    def assert_serves(self, channel: grpc.Channel | None = None) -> None:
        """The proxy serves a client from dial to close."""
        stream, tunnel = self.dialed("echo", channel)
        stream.send(packets.data(tunnel, b"still there?"))
        self.assertEqual(stream.receive_bytes(tunnel, 12), b"still there?")
        stream.send(packets.close_req(tunnel))
        closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, ""))
