"""Tunnels whose clients have left, on an agent that has something else to do."""

from __future__ import annotations

from collections.abc import Callable

from konnect.agent.close_requests import AT_ONCE, MOST
from konnect.tunnel.reasons import CLIENT_CLOSED
from konnect.wire import packets
from tests.agent.test_link import LinkTestCase
from tests.fakes import Readable


class CloseRequestTests(LinkTestCase):
    """A link whose stream puts off what may wait."""

    def setUp(self) -> None:
        super().setUp()
        self.leisure: list[Callable[[], object]] = []
        self.stream.leisure = self.leisure

    def tearDown(self) -> None:
        super().tearDown()
        self.take()
        # Whoever is called after the link's end does nothing.
        self.at_leisure()
        self.assertEqual(self.take(), [])

    def at_leisure(self) -> None:
        """Nothing else is to be done."""
        while self.leisure:
            self.leisure.pop(0)()

    def ended(self, *connect_ids: int) -> list[Readable]:
        """What the proxy is told."""
        return [("CLOSE_RSP", connect_id, "") for connect_id in connect_ids]

    def test_dials_go_first(self) -> None:
        """A new dial is not behind the end of another's tunnel."""
        socket = self.open()
        self.says(packets.close_req(1))
        self.assertEqual((self.take(), socket.take()), ([], []))
        self.sockets.append(self.asks(8).connects())
        self.assertEqual(self.take(), [("DIAL_RSP", 8, 2, "")])
        self.at_leisure()
        self.assertEqual((self.take(), socket.take()), (self.ended(1), ["FIN"]))

    def test_in_portions(self) -> None:
        """Between some of them and the next, others have their turn."""
        count = 2 * AT_ONCE + 1
        ids = range(1, count + 1)
        for connect_id in ids:
            self.open(connect_id)
        for connect_id in ids:
            self.says(packets.close_req(connect_id))
        portions = []
        while self.leisure:
            (call,) = self.leisure
            self.leisure.clear()
            call()
            portions.append(self.take())
        self.assertEqual([each for portion in portions for each in portion], self.ended(*ids))
        self.assertEqual([len(portion) for portion in portions], [AT_ONCE, AT_ONCE, 1])

    def test_no_more_leisure(self) -> None:
        """When the rest cannot be put off once more, it is done."""
        for connect_id in range(1, AT_ONCE + 3):
            self.open(connect_id)
        for connect_id in range(1, AT_ONCE + 3):
            self.says(packets.close_req(connect_id))
        (call,) = self.leisure
        self.stream.leisure = None
        call()
        self.assertEqual(self.take(), self.ended(*range(1, AT_ONCE + 3)))
        self.leisure.clear()

    def test_bounded(self) -> None:
        """When many wait, they are ended at once; what was put off has nothing to do then."""
        ids = range(1, MOST + 2)
        for connect_id in ids:
            self.open(connect_id)
        for connect_id in ids[:-1]:
            self.says(packets.close_req(connect_id))
        self.assertEqual(self.take(), [])
        self.says(packets.close_req(ids[-1]))
        self.assertEqual(self.take(), self.ended(*ids))
        self.assertEqual(len(self.leisure), 1)
        self.at_leisure()
        self.assertEqual(self.take(), [])

    def test_destination_ends_meanwhile(self) -> None:
        """A tunnel that ends by its destination meanwhile is told of once, and the request is
        answered as any that crosses the tunnel's end."""
        socket = self.open()
        self.says(packets.close_req(1))
        socket.lose()
        self.assertEqual(self.take(), self.ended(1))
        self.at_leisure()
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "Unknown connectID")])

    def test_link_ends(self) -> None:
        """The clients of these tunnels had left before the proxy was lost."""
        self.open()
        self.says(packets.close_req(1))
        self.link.end()
        self.assertEqual(self.ledger.closed_by_reason[CLIENT_CLOSED.label], 1)
        self.assertEqual(self.ledger.live, 0)

    def test_shut_down(self) -> None:
        """Nor did the agent's end cut them."""
        self.open()
        self.says(packets.close_req(1))
        self.link.shut_down()
        self.assertEqual(self.ledger.closed_by_reason[CLIENT_CLOSED.label], 1)
        self.assertEqual(self.take(), self.ended(1))
