"""Tests of konnect.proxy.link: open tunnels, and packets that an agent must not send."""

from __future__ import annotations

from twisted.logger import capturedLogs

from konnect.proxy import link
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.features import Features
from tests.proxy.linking import LinkTestCase


class CloseTests(LinkTestCase):
    """The end of tunnels."""

    def test_by_the_agent(self) -> None:
        """CLOSE_RSP ends the tunnel; nothing is answered, and a second one does nothing."""
        near = self.open(1)
        self.a.says(packets.data(1, b"last"))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(near.take(), [("write", b"last"), ("close", Reason.DESTINATION_CLOSED)])
        self.a.says(packets.close_rsp(1))
        self.a.says(packets.close_rsp(77))
        self.assertEqual(self.a.take(), [])

    def test_a_stock_agents_error_is_no_label(self) -> None:
        """The error of a stock agent's CLOSE_RSP is text, even if it looks like a reason."""
        near = self.open(1)
        self.a.says(packets.close_rsp(1, "stalled"))
        self.assertEqual(near.take(), [("close", Reason.DESTINATION_CLOSED)])

    def test_by_the_client(self) -> None:
        """A client's close is one CLOSE_REQ; late DATA asks for no second one until CLOSE_RSP."""
        self.close(self.open(1))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"late"))
        self.assertEqual(self.a.take(), [])
        self.a.says(packets.close_rsp(1))
        self.a.says(packets.data(1, b"too late"))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_last_byte_of_the_client(self) -> None:
        """A stock agent hears of a client's EOF by CLOSE_REQ; its answer is delivered until
        CLOSE_RSP, which needs no other CLOSE_REQ."""
        near = self.open(1)
        assert near.tunnel is not None
        near.tunnel.ended(near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"answer"))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(near.take(), [("write", b"answer"), ("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.a.take(), [])

    def test_client_gone_after_its_last_byte(self) -> None:
        """The CLOSE_REQ of an EOF is also that of the close behind it."""
        near = self.open(1)
        assert near.tunnel is not None
        near.tunnel.ended(near, Reason.CLIENT_CLOSED)
        self.close(near)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"late"))
        self.assertEqual(self.a.take(), [])

    def test_ids_of_other_links(self) -> None:
        """Two agents have the same ids: packets of one never touch the tunnels of the other."""
        other = self.agent("b")
        near = self.open(1)
        theirs = self.dial(other)
        other.accepts(1)
        theirs.take()
        other.says(packets.data(1, b"b's"))
        other.says(packets.close_rsp(1))
        self.assertEqual(near.take(), [])
        self.assertEqual(theirs.take()[0], ("write", b"b's"))
        self.a.says(packets.data(1, b"a's"))
        self.assertEqual(near.take(), [("write", b"a's")])
        self.close(near)

    def test_forgotten_ids(self) -> None:
        """An agent that never confirms a close does not fill the proxy's memory."""
        self.patch(link, "REMEMBERED", 3)
        for connect_id in range(1, 10):
            self.close(self.open(connect_id))
            self.a.take()
        self.a.says(packets.data(9, b"x"))
        self.assertEqual(self.a.take(), [], "remembered")
        self.a.says(packets.data(1, b"x"))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_what_agents_have_no_say_in(self) -> None:
        """CLOSE_REQ, DIAL_REQ, headers and unknown types of an agent do nothing."""
        near = self.open(1)
        self.a.says(packets.close_req(1))
        self.a.says(packets.dial_req("tcp", "host:80", 4))
        self.a.says(b"\x08\x63")
        self.a.link.headers([])
        self.assertEqual(self.a.take(), [])
        self.assertEqual(near.take(), [])
        self.close(near)

    def test_malformed(self) -> None:
        """Malformed packets of an agent are counted and cost nothing else."""
        near = self.open(1)
        with capturedLogs() as events:
            for payload in (b"", b"\x08\x01", b"\x08\x04", b"\x08\x03", b"\x08\x05", b"\xff"):
                self.a.says(payload)
        self.assertEqual(len(events), 1, events)
        self.assertEqual(self.ledger.malformed_packets, 6)
        self.assertEqual(self.a.take(), [])
        self.a.says(packets.data(1, b"alive"))
        self.assertEqual(near.take(), [("write", b"alive")])
        self.close(near)


class KonnectAgentTests(LinkTestCase):
    """An agent that has announced credit and half-close."""

    features = Features(credit=65536, half_close=True)

    def test_reason(self) -> None:
        """The reason that the agent gives is the tunnel's."""
        near = self.open(1)
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.assertEqual(near.take(), [("close", Reason.DESTINATION_LOST)])

    def test_cut(self) -> None:
        """The agent is told the reason of a tunnel that is cut, and none of another's."""
        for connect_id, reason, told in (
            (1, Reason.CLIENT_LOST, ("client_lost",)),
            (2, Reason.SHUTDOWN, ("shutdown",)),
            (3, Reason.CLIENT_CLOSED, ()),
        ):
            near = self.open(connect_id)
            assert near.tunnel is not None
            near.tunnel.close(reason)
            self.assertEqual(self.a.take(), [("CLOSE_REQ", connect_id, *told)])

    def test_client_first(self) -> None:
        """A client's EOF is a HALF_CLOSE, and the agent's CLOSE_RSP ends the tunnel."""
        near = self.open(1)
        assert near.tunnel is not None
        near.tunnel.ended(near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.a.take(), [("HALF_CLOSE", 1)])
        self.a.says(packets.data(1, b"answer"))
        self.a.says(packets.close_rsp(1, "client_closed"))
        self.assertEqual(near.take(), [("write", b"answer"), ("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.a.take(), [])

    def test_destination_first(self) -> None:
        """A destination's EOF finishes the client; the client's then needs a CLOSE_REQ."""
        near = self.open(1)
        self.a.says(packets.half_close(1))
        self.assertEqual(near.take(), [("finish",)])
        assert near.tunnel is not None
        near.tunnel.ended(near, Reason.CLIENT_CLOSED)
        self.assertEqual(near.take(), [("close", Reason.DESTINATION_CLOSED)])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_crossing(self) -> None:
        """Two half-closes that cross need no CLOSE_REQ: the agent's CLOSE_RSP is on its way."""
        near = self.open(1)
        assert near.tunnel is not None
        near.tunnel.ended(near, Reason.CLIENT_CLOSED)
        self.a.says(packets.half_close(1))
        self.assertEqual(near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.a.take(), [("HALF_CLOSE", 1)])
        self.a.says(packets.close_rsp(1, "client_closed"))
        self.assertEqual(self.a.take(), [])

    def test_closed_behind_a_backlog(self) -> None:
        """A CLOSE_RSP drops what still waits for credit."""
        near = self.open(1)
        self.a.link.ends[1].write(b"x" * 65536 + b"tail")
        self.close(near)
        self.assertEqual(self.ledger.buffered, 4)
        self.a.says(packets.close_rsp(1, "destination_closed"))
        self.assertEqual(self.ledger.buffered, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class StalledTests(LinkTestCase):
    """A client that reads nothing, behind an agent without credit."""

    def test_cut(self) -> None:
        """It is cut after the stall timeout, with or without a tunnel to name in the log."""
        near = self.open(1)
        end = self.a.link.ends[1]
        end.pause()
        self.a.stream.deliver(packets.data(1, b"x"), self.flow.budget + 1)
        self.clock.advance(self.flow.stall_timeout)
        self.assertEqual(near.take()[-1], ("close", Reason.STALLED))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.link.stalled(end)
