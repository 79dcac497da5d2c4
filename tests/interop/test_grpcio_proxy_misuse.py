"""grpcio as a proxy that sends our agent what it must not: the agent survives all of it."""

from __future__ import annotations

from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.destination import pattern
from tests.interop.grpcio_proxies import GrpcioProxyTestCase
from tests.interop.grpcio_streams import MALFORMED, bare, oversized


class SurvivalTests(GrpcioProxyTestCase):
    """Proxies that send what they must not."""

    def test_unknown_ids(self) -> None:
        """Unknown ids are answered with upstream's texts, or dropped where it drops them."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "echo")
        for unknown, text in (
            (packets.close_req(4711), "Unknown connectID"),
            (packets.data(4711, b"whose?"), "unrecognized connectID"),
        ):
            link.send(unknown)
            closed = link.receive(PacketType.CLOSE_RSP).closeResponse
            self.assertEqual((closed.connectID, closed.error), (4711, text))
        link.send(packets.close_req(0))
        closed = link.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (0, "Unknown connectID"))
        link.send(
            packets.data(0, b"zero"),
            packets.dial_cls(4711),
            packets.dial_rsp(4711, connect_id=tunnel),
            packets.close_rsp(tunnel, "not yours to say"),
            packets.drain(),
            bare(99),
        )
        self.assert_echoes(link, tunnel)

    def test_data_and_close_after_the_close(self) -> None:
        """A closed tunnel's id is as unknown as any other."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "echo")
        self.assert_closes(link, tunnel)
        link.send(packets.close_req(tunnel))
        closed = link.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, "Unknown connectID"))
        link.send(packets.data(tunnel, b"too late"))
        closed = link.receive(PacketType.CLOSE_RSP).closeResponse
        self.assertEqual((closed.connectID, closed.error), (tunnel, "unrecognized connectID"))

    def test_malformed_packets(self) -> None:
        """Each costs at most the link it came on: the same process serves the next link."""
        link, agent, server = self.linked()
        for payload in MALFORMED.values():
            link.send(payload)
            tunnel = 0
            try:
                tunnel = self.dial(link, "echo")
                self.assert_echoes(link, tunnel)
            except AssertionError:
                if not link.over.wait(5):
                    raise
                link = server.accept()
        self.assert_echoes(link, self.dial(link, "echo"))
        self.assertTrue(agent.program.alive())

    def test_oversized_packet(self) -> None:
        """A message over 4 MiB ends the link; the agent connects again."""
        link, _, server = self.linked()
        tunnel = self.dial(link, "echo")
        link.send(oversized(tunnel))
        self.assertTrue(link.over.wait(10), "the link did not end")
        again = server.accept()
        self.assert_echoes(again, self.dial(again, "echo"))
        self.assert_released("echo", before=1)

    def test_largest_packet(self) -> None:
        """A packet of just under 4 MiB passes."""
        link, _, _ = self.linked()
        tunnel = self.dial(link, "echo")
        big = pattern(packets.MAX_DATA)
        self.assert_echoes(link, tunnel, big)
