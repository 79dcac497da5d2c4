"""grpcio as a client of our gRPC frontend: tunnels from dial to close, and statuses."""

from __future__ import annotations

import hashlib
import signal

import grpc

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.destination import BURST, pattern
from tests.interop.grpcio_clients import GrpcioClientTestCase
from tests.interop.grpcio_streams import (
    CONNECT_METHOD,
    PROXY_METHOD,
    ClientStream,
    frontend_channel,
    oversized,
)
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import wait_until


class ServiceTests(GrpcioClientTestCase):
    """A tunnel from dial to close, and every way it ends."""

    def test_bytes_arrive_whole(self) -> None:
        """2 MiB in packets of all sizes from one byte up come back the same."""
        sent = pattern(2 << 20)
        stream, tunnel = self.dialed("echo")
        at, size = 0, 1
        while at < len(sent):
            stream.send(packets.data(tunnel, sent[at : at + size]))
            at, size = at + size, min(size * 2, 300_000)
        got = stream.receive_bytes(tunnel, len(sent))
        self.assertEqual(hashlib.sha256(got).digest(), hashlib.sha256(sent).digest())

    def test_close_is_answered_once(self) -> None:
        """CLOSE_REQ is answered by one CLOSE_RSP, and the destination is let go."""
        stream, tunnel = self.dialed("silent")
        stream.send(packets.close_req(tunnel))
        closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, ""))
        self.assert_released("silent")
        self.assert_no_more_packets(stream)

    def test_all_that_was_sent_before_the_close_arrives(self) -> None:
        """DATA sent right before CLOSE_REQ reaches the destination to the last byte."""
        body = pattern(1_000_000)
        stream, tunnel = self.dialed("digest")
        stream.send(packets.data(tunnel, len(body).to_bytes(8, "big")))
        stream.send(packets.data(tunnel, body[:999_999]), packets.data(tunnel, body[999_999:]))
        answer = stream.receive_bytes(tunnel, 64)
        self.assertEqual(answer.decode(), hashlib.sha256(body).hexdigest())

    def test_destination_closes_first(self) -> None:
        """What the destination sent before it closed comes whole, then one CLOSE_RSP."""
        stream, tunnel = self.dialed("burst")
        self.assertEqual(stream.receive_bytes(tunnel, BURST), pattern(BURST))
        closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, ""))
        self.assert_no_more_packets(stream)

    def test_client_leaves(self) -> None:
        """A client that resets its stream is gone at the destination too."""
        stream, _ = self.dialed("silent")
        self.assertEqual(self.destination.live("silent"), 1)
        stream.cancel()
        self.assert_released("silent")

    def test_connection_dropped(self) -> None:
        """A client whose connection goes away takes all its tunnels with it."""
        channel = self.connect(self.through.proxy)
        for _ in range(5):
            self.dialed("silent", channel)
        self.assertEqual(self.destination.live("silent"), 5)
        channel.close()
        self.assert_released("silent")

    def test_half_close_of_the_stream(self) -> None:
        """END_STREAM from a client ends its tunnels and the call, with status OK."""
        stream, _ = self.dialed("silent")
        stream.finish()
        self.assertEqual(stream.status()[0], grpc.StatusCode.OK)
        self.assert_released("silent")

    def test_dial_failures(self) -> None:
        """A failed dial is answered with Go's text, the dial's own number and no connectID."""
        failures = {
            "127.0.0.1:1": "dial tcp 127.0.0.1:1: connect: connection refused",
            "foo": "dial tcp: address foo: missing port in address",
            "127.0.0.1:99999": "dial tcp: address 99999: invalid port",
            "": "dial tcp: missing address",
        }
        for address, text in failures.items():
            stream = self.stream()
            stream.send(packets.dial_req("tcp", address, 77))
            answer = stream.receive(PacketType.DIAL_RSP).dialResponse
            self.assertEqual((answer.error, answer.random, answer.connectID), (text, 77, 0))

    def test_cancelled_dial(self) -> None:
        """DIAL_CLS ends a pending dial without an answer; the stream may dial again."""
        stream = self.stream()
        stream.send(packets.dial_req("tcp", self.destination["full"], 5))
        wait_until(
            lambda: self.through.proxy.metric("pending_backend_dials") == 1, "a pending dial"
        )
        stream.send(packets.dial_cls(5))
        wait_until(
            lambda: self.through.proxy.metric("pending_backend_dials") == 0, "no pending dial"
        )
        stream.assert_silent()
        self.assert_serves()

    def test_many_streams_on_one_connection(self) -> None:
        """A hundred tunnels on one connection keep their bytes apart."""
        tunnels = [self.dialed("echo") for _ in range(100)]
        for number, (stream, tunnel) in enumerate(tunnels):
            stream.send(packets.data(tunnel, b"%06d" % number))
        for number, (stream, tunnel) in enumerate(tunnels):
            self.assertEqual(stream.receive_bytes(tunnel, 6), b"%06d" % number)
            stream.cancel()
        self.assert_released("echo")

    def assert_no_more_packets(self, stream: ClientStream) -> None:
        """Nothing follows until the stream ends, whichever side ends it."""
        stream.finish()
        self.assertEqual(stream.status()[0], grpc.StatusCode.OK)
        self.assertEqual(stream.leftover(), [])


class MtlsServiceTests(ServiceTests):
    """The same over mutual TLS."""

    transport = "mtls"


class StatusTests(GrpcioClientTestCase):
    """What gRPC itself demands, as an independent implementation sees it."""

    def assert_status(self, stream: ClientStream, code: grpc.StatusCode, text: str = "") -> None:
        self.assertEqual(stream.status()[0], code, stream.status())
        self.assertIn(text, stream.status()[1])

    def test_unknown_methods(self) -> None:
        """A method nobody serves is UNIMPLEMENTED, also the agents' method on this frontend."""
        for method in ("/ProxyService/Proxies", "/grpc.health.v1.Health/Watch", CONNECT_METHOD):
            self.assert_status(self.stream(method=method), grpc.StatusCode.UNIMPLEMENTED)
        self.assert_serves()

    def test_oversized_packet(self) -> None:
        """A message over 4 MiB ends its stream, with grpc's text, and no other."""
        other, tunnel = self.dialed("echo")
        stream, victim = self.dialed("silent")
        packet = oversized(victim)
        stream.send(packet)
        self.assert_status(
            stream,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            f"grpc: received message larger than max ({len(packet)} vs. 4194304)",
        )
        self.assert_released("silent")
        other.send(packets.data(tunnel, b"unharmed"))
        self.assertEqual(other.receive_bytes(tunnel, 8), b"unharmed")

    def test_compressed_message(self) -> None:
        """A compressed message is refused with UNIMPLEMENTED: no compression was offered."""
        stream = ClientStream(self.channel, PROXY_METHOD, compression=grpc.Compression.Gzip)
        self.addCleanup(stream.cancel)
        stream.send(packets.dial_req("tcp", "a" * 2000 + ":1", 1))
        self.assert_status(stream, grpc.StatusCode.UNIMPLEMENTED)
        self.assert_serves()


class EndOfTheProxyTests(GrpcioClientTestCase):
    """What is left of a proxy's work: nothing."""

    def test_sigterm(self) -> None:
        """SIGTERM closes the tunnels, ends the process with 0 and lets the destination go."""
        pair = self.own_pair()
        stream, tunnel = self.dialed("silent", self.connect(pair.proxy))
        pair.proxy.program.signal(signal.SIGTERM)
        self.assertEqual(stream.receive(PacketType.CLOSE_RSP).closeResponse.connectID, tunnel)
        self.assertEqual(pair.proxy.program.wait_exit(), 0)
        self.assert_released("silent")

    def test_descriptors(self) -> None:
        """After a hundred tunnels, however they ended, both hold what they held before."""
        pair = self.own_pair()
        programs = (pair.proxy.program, pair.agent.program)
        self.assert_serves(self.connect(pair.proxy))
        before = [program.descriptors() for program in programs]
        for kind in ("silent", "burst", "echo", "flood"):
            channel = frontend_channel(pair.proxy)
            tunnels = [self.dialed(kind, channel) for _ in range(25)]
            for stream, tunnel in tunnels[:10]:
                stream.send(packets.close_req(tunnel))
            for stream, _ in tunnels[10:20]:
                stream.cancel()
            channel.close()
        for program, held in zip(programs, before, strict=True):
            wait_until(lambda p=program, n=held: p.descriptors() <= n, f"{program} lets go")  # type: ignore[misc]
        self.assertEqual(pair.proxy.metric("established_connections"), 0)
        self.assertEqual(pair.proxy.metric("pending_backend_dials"), 0)
        self.assertEqual(pair.agent.metric("open_endpoint_connections"), 0)


class NoAgentTests(GrpcioClientTestCase):
    """A proxy that no agent has connected to."""

    def setUp(self) -> None:
        InteropTestCase.setUp(self)
        self.alone = self.proxy()
        self.channel = self.connect(self.alone)

    def test_dial(self) -> None:
        """A dial fails at once, and the proxy says that it is not ready."""
        self.assertFalse(self.alone.ready())
        stream = self.stream()
        stream.send(packets.dial_req("tcp", self.destination["echo"], 9))
        answer = stream.receive(PacketType.DIAL_RSP).dialResponse
        self.assertEqual((answer.error, answer.random), ("No agent available", 9))
