"""A link of no role, for the tests of what both programs' links share."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link import Link
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from konnect.wire import packets
from konnect.wire.features import Features
from konnect.wire.packets import MalformedPacket
from tests.fakes import FakeEnd, FakeStream, Readable

STOCK = Features()


class PlainLink(Link):
    """Keeps what its role would have to answer in `asked`."""

    far_side_closed = Reason.DESTINATION_CLOSED

    def __init__(self, stream: FakeStream, ledger: Ledger, clock: Clock, flow: Flow) -> None:
        super().__init__(
            stream,
            ledger,
            outward="out",
            inward="in",
            carries="to_client",
            later=clock.callLater,
            flow=flow,
        )
        self.asked: list[Readable] = []

    def malformed(self, error: MalformedPacket) -> None:
        self.asked.append(("malformed", error.packet_type_name))

    def stalled(self, end: LinkEnd) -> None:
        self.asked.append(("stalled", end.connect_id))

    def blocked(self, waiting: int) -> None:
        self.asked.append(("blocked", waiting))

    def unknown_data(self, connect_id: int) -> None:
        self.asked.append(("unknown", connect_id))

    def finish(self, end: LinkEnd) -> None:
        self.asked.append(("finish", end.connect_id))
        if self.half_close:
            self.send_half_close(end)

    def close_end(self, end: LinkEnd, reason: Reason) -> None:
        if self.ends.pop(end.connect_id, None) is not None:
            self.asked.append(("close", end.connect_id, reason))

    def take(self) -> list[Readable]:
        """What the role was asked since the last look."""
        asked, self.asked = self.asked, []
        return asked


class LinkTestCase(SynchronousTestCase):
    """A link and tunnels on it; in the end nothing may be left and every byte of window be back."""

    peer = STOCK
    flow = Flow()

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.stream = FakeStream()
        self.link = PlainLink(self.stream, self.ledger, self.clock, self.flow)
        self.stream.listener = self.link  # type: ignore[assignment]
        self.link.agree(self.peer)

    def tearDown(self) -> None:
        for end in list(self.link.ends.values()):
            if end.tunnel is not None:
                end.tunnel.close(Reason.CLIENT_LOST)
        self.clock.advance(max(self.flow.linger, self.flow.stall_timeout))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.link.ends, {})
        self.assertEqual(self.ledger.live, 0)
        self.assertEqual(self.ledger.pending_dials, 0)
        self.assertEqual((self.ledger.buffered, self.ledger.grown), (0, 0))
        self.assertEqual(sum(self.ledger.full_receive_channels.values()), 0)
        self.assertEqual(self.stream.acknowledged, self.stream.owed)

    def tunnel(self, connect_id: int) -> FakeEnd:
        """An open tunnel on the link; returns the end that is not the link's."""
        near = FakeEnd()
        tunnel = Tunnel(self.ledger, near, "host:80")
        end = self.link.ends[connect_id] = LinkEnd(self.link, connect_id)
        tunnel.opened(end)
        near.take()
        return near

    def end(self, connect_id: int) -> LinkEnd:
        """The link's end of a tunnel."""
        return self.link.ends[connect_id]

    def data(self, connect_id: int, payload: bytes, cost: int | None = None) -> None:
        """DATA of the peer."""
        self.stream.deliver(packets.data(connect_id, payload), cost)

    @property
    def withheld(self) -> int:
        """Bytes of window that the peer has not got back."""
        return self.stream.owed - self.stream.acknowledged


OURS = 65536
THEIRS = 16384


class CreditTestCase(LinkTestCase):
    """Both halves are ours."""

    flow = Flow(features=Features(credit=OURS, half_close=True), linger=10.0)
    peer = Features(credit=THEIRS, half_close=True)

    def setUp(self) -> None:
        super().setUp()
        self.near = self.tunnel(1)

    def sent(self) -> int:
        """Bytes of DATA sent since the last look."""
        return sum(len(packet[2]) for packet in self.stream.take() if packet[0] == "DATA")
