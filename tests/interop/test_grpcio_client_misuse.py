"""grpcio as a client that sends our proxy what it must not: nobody else is hurt."""

from __future__ import annotations

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.grpcio_clients import GrpcioClientTestCase
from tests.interop.grpcio_streams import (
    MALFORMED,
    bare,
)
from tests.interop.processes import wait_until


class MisuseTests(GrpcioClientTestCase):
    """Clients that do what they must not: answered, counted or ignored, never more."""

    def test_data_before_a_dial(self) -> None:
        """DATA without a dial is answered with upstream's text."""
        stream = self.stream()
        stream.send(packets.data(3, b"too early"))
        closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (3, "backend not initialized"))

    def test_close_before_a_dial(self) -> None:
        """CLOSE_REQ without a dial is answered, and the stream can still dial."""
        stream = self.stream()
        stream.send(packets.close_req(3))
        closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (3, "backend uninitialized"))
        stream.send(packets.dial_req("tcp", self.destination["echo"], 1))
        self.assertEqual(stream.receive(PacketType.DIAL_RSP).dialResponse.error, "")

    def test_second_id(self) -> None:
        """DATA with a second connectID ends the tunnel: both ids are named, the second first."""
        stream, tunnel = self.dialed("silent")
        stream.send(packets.data(tunnel, b"mine"), packets.data(tunnel + 1000, b"whose?"))
        for wanted in (tunnel + 1000, tunnel):
            closed = stream.receive(PacketType.CLOSE_RSP).closeResponse
            self.assertEqual(
                (closed.connectID, closed.error), (wanted, "mismatched connection IDs")
            )
        self.assert_released("silent")

    def test_tunnels_of_others(self) -> None:
        """Another client's connectID reaches nothing: no byte gets in and no close goes through."""
        owner, tunnel = self.dialed("echo")
        for packet in (packets.data(tunnel, b"injected"), packets.close_req(tunnel)):
            intruder, _ = self.dialed("silent", self.connect(self.through.proxy))
            intruder.send(packet)
            owner.assert_silent()
        owner.send(packets.data(tunnel, b"mine alone"))
        self.assertEqual(owner.receive_bytes(tunnel, 10), b"mine alone")

    def test_dial_of_others(self) -> None:
        """DIAL_CLS with another client's dial number cancels nothing."""
        owner = self.stream()
        owner.send(packets.dial_req("tcp", self.destination["full"], 4242))
        wait_until(
            lambda: self.through.proxy.metric("pending_backend_dials") == 1, "a pending dial"
        )
        intruder = self.stream(self.connect(self.through.proxy))
        intruder.send(packets.dial_cls(4242))
        intruder.assert_silent()
        self.assertEqual(self.through.proxy.metric("pending_backend_dials"), 1)

    def test_data_with_id_zero(self) -> None:
        """DATA with connectID 0 is dropped and does not count as the tunnel's id."""
        stream, tunnel = self.dialed("echo")
        stream.send(packets.data(0, b"to nobody"), packets.data(tunnel, b"to me"))
        self.assertEqual(stream.receive_bytes(tunnel, 5), b"to me")

    def test_unknown_and_foreign_packet_types(self) -> None:
        """Types that a client has no business with, or that nobody knows, are ignored."""
        stream, tunnel = self.dialed("echo")
        stream.send(
            bare(99),
            packets.drain(),
            packets.dial_rsp(1, connect_id=tunnel),
            packets.close_rsp(tunnel, "not yours to say"),
            packets.data(tunnel, b"and on"),
        )
        self.assertEqual(stream.receive_bytes(tunnel, 6), b"and on")

    def test_malformed_packets(self) -> None:
        """Packets without their payload, and bytes that are no packet, harm nobody else."""
        for dialed in (False, True):
            for name, payload in MALFORMED.items():
                stream = self.dialed("echo")[0] if dialed else self.stream()
                stream.send(payload)
                stream.finish()
                self.assertTrue(stream.over.wait(10), f"{name}: the stream did not end")
        self.assert_serves()
        self.assert_released("echo")
