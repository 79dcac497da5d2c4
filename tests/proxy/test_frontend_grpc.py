"""Tests of konnect.proxy.frontend_grpc: dials, and what a client must not send."""

from __future__ import annotations

from twisted.logger import capturedLogs

from konnect.proxy import frontend_grpc
from konnect.proxy.client_window import INITIAL, PART
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.status import OK
from tests.proxy.streaming import StreamTestCase

MISMATCH = "mismatched connection IDs"


class DialTests(StreamTestCase):
    """From DIAL_REQ to its answer."""

    def test_accepted(self) -> None:
        """The client gets one DIAL_RSP with its own random and the agent's connectID."""
        self.c.dials(random=42)
        self.a.accepts(9)
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 9, "")])

    def test_too_large(self) -> None:
        """A request that no agent would take is refused: it would cost all others the link."""
        for size in (frontend_grpc.LARGEST_DIAL + 1, packets.MAX_PACKET - 100):
            self.c.dials(random=42, address="a" * size)
            ((kind, random, _, error),) = self.c.take()
            self.assertEqual((kind, random), ("DIAL_RSP", 42))
            self.assertIn("bytes in a dial request", error)
        self.assertEqual(self.a.take(), [])
        self.clock.advance(frontend_grpc.LINGER)
        self.assertEqual(self.c.stream.ending, (OK, ""), "a stream with nothing to do was kept")

    def test_largest_id(self) -> None:
        """The largest connectID there is may be taken on this stream already."""
        largest = 2**63 - 1
        for random in (42, 43):
            self.c.dials(random=random)
            self.a.accepts(largest)
            self.a.says(packets.close_rsp(largest))
        first, second = (packet for packet in self.c.take() if packet[0] == "DIAL_RSP")
        self.assertEqual(first, ("DIAL_RSP", 42, largest, ""))
        self.assertGreater(second[2], 0)

    def test_refused(self) -> None:
        """The agent's text reaches the client word for word, and the stream stays for a while."""
        text = "dial tcp 127.0.0.1:1: connect: connection refused"
        self.c.dials(random=42)
        self.a.refuses(text)
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 0, text)])
        self.assertIsNone(self.c.stream.ending)

    def test_no_agent(self) -> None:
        """Without an agent the answer comes at once, in upstream's words."""
        self.a.leaves()
        self.c.dials(random=42)
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 0, "No agent available")])
        self.assertEqual(self.failures(), {"no_agent": 1})

    def test_agent_lost(self) -> None:
        """An agent that goes during the dial fails it at once; upstream never tells the client."""
        self.c.dials(random=42)
        self.a.leaves()
        self.assertEqual(
            self.c.take(),
            [("DIAL_RSP", 42, 0, "the agent's connection was lost during the dial")],
        )
        self.assertEqual(self.failures(), {"backend_close": 1})

    def test_closed_by_the_agent(self) -> None:
        """The agent's DIAL_CLS fails the dial with a text."""
        self.c.dials(random=42)
        self.a.says(packets.dial_cls(self.a.asked()))
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 0, "the agent closed the dial")])

    def test_cancelled(self) -> None:
        """The client's DIAL_CLS withdraws the dial at the agent; the client is told nothing."""
        self.c.dials(random=42)
        random = self.a.asked()
        self.c.says(packets.dial_cls(42))
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.assertEqual(self.c.take(), [])
        self.assertEqual(self.failures(), {"frontend_close": 1})

    def test_answer_that_cannot_be_sent(self) -> None:
        """A success for a client whose connection is being closed is a failed dial: the agent is
        told at once, and the books have upstream's words for it."""
        self.c.dials(random=42)
        self.c.stream.is_closing = True
        self.a.accepts(1)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.failures(), {"send_rsp": 1})
        self.assertEqual(dict(self.ledger.failed_by_reason), {"client_gone": 1})
        self.assertEqual((self.ledger.opened, self.c.tables), (0, (0, 0, 0)))
        self.assertEqual(
            dict(self.ledger.stream_errors), {("to_client", "Unavailable", "DIAL_RSP"): 1}
        )

    def test_packets_that_cannot_be_sent(self) -> None:
        """DATA is counted as well, once, since its tunnel is stopped for it."""
        self.open()
        self.c.stream.is_closing = True
        self.a.says(packets.data(1, b"a"))
        self.a.says(packets.data(1, b"b"))
        self.assertEqual(dict(self.ledger.stream_errors), {("to_client", "Unavailable", "DATA"): 1})

    def test_close_that_cannot_be_sent(self) -> None:
        """CLOSE_RSP is counted as well."""
        self.open()
        self.c.stream.is_closing = True
        self.c.says(packets.close_req(1))
        self.assertEqual(
            dict(self.ledger.stream_errors), {("to_client", "Unavailable", "CLOSE_RSP"): 1}
        )

    def test_cancel_crosses_the_answer(self) -> None:
        """A DIAL_CLS that comes when the dial has just succeeded closes the tunnel."""
        self.c.dials(random=42)
        self.a.accepts(1)
        self.c.says(packets.dial_cls(42))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 1, ""), ("CLOSE_RSP", 1, "")])

    def test_answer_crosses_the_cancel(self) -> None:
        """A success that comes behind DIAL_CLS is closed at the agent and not told to anybody."""
        self.c.dials(random=42)
        random = self.a.asked()
        self.c.says(packets.dial_cls(42))
        self.a.take()
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.c.take(), [])

    def test_unknown_cancel(self) -> None:
        """A DIAL_CLS for a random of nobody's does nothing, before and after a dial."""
        self.c.says(packets.dial_cls(1))
        self.open()
        self.c.says(packets.dial_cls(1))
        self.assertEqual(self.a.take(), [])
        self.assertEqual(self.c.take(), [])

    def test_another_clients_dial(self) -> None:
        """A client cannot cancel what another has asked for, even with the same random."""
        other = self.client()
        self.c.dials(random=42)
        self.a.asked()
        other.says(packets.dial_cls(42))
        self.assertEqual(self.a.take(), [])

    def test_the_same_random_twice(self) -> None:
        """A random in use is refused, and the first dial goes on."""
        self.c.dials(random=42)
        random = self.a.asked()
        self.c.dials(random=42)
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 0, "duplicate dial id")])
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 1, "")])

    def test_the_same_random_of_two_clients(self) -> None:
        """Clients may choose the same random: each gets its own answer."""
        other = self.client()
        self.c.dials(random=42, address="one:1")
        first = self.a.asked("one:1")
        other.dials(random=42, address="two:2")
        second = self.a.asked("two:2")
        self.a.says(packets.dial_rsp(second, connect_id=8))
        self.a.says(packets.dial_rsp(first, connect_id=9))
        self.assertEqual(self.c.take(), [("DIAL_RSP", 42, 9, "")])
        self.assertEqual(other.take(), [("DIAL_RSP", 42, 8, "")])

    def test_too_many(self) -> None:
        """One stream has a bounded number of dials and tunnels."""
        self.patch(frontend_grpc, "TUNNELS", 2)
        self.open(1, 10)
        self.c.dials(11)
        self.c.dials(12)
        self.assertEqual(self.c.take(), [("DIAL_RSP", 12, 0, "more than 2 tunnels on one stream")])
        self.assertEqual(len(self.a.take()), 1)

    def test_second_tunnel(self) -> None:
        """A stream may have several tunnels at once, each with its own bytes and its own end."""
        self.open(1, 10)
        self.open(2, 11)
        self.a.says(packets.data(2, b"two"))
        self.a.says(packets.data(1, b"one"))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(
            self.c.take(), [("DATA", 2, b"two"), ("DATA", 1, b"one"), ("CLOSE_RSP", 1, "")]
        )
        self.c.says(packets.data(2, b"more"))
        self.assertEqual(self.a.take(), [("DATA", 2, b"more")])

    def test_the_same_id_of_two_agents(self) -> None:
        """Two agents may choose one connectID: the client sees two different ones."""
        self.open(1, 10)
        b = self.agent("b")
        self.a.link.draining = True
        self.c.dials(11)
        b.accepts(1)
        (answer,) = self.c.take()
        told = answer[2]
        self.assertNotIn(told, (0, 1))
        self.c.says(packets.data(told, b"for b"))
        self.assertEqual((self.a.take(), b.take()), ([], [("DATA", 1, b"for b")]))
        b.says(packets.data(1, b"from b"))
        b.says(packets.close_rsp(1))
        self.assertEqual(self.c.take(), [("DATA", told, b"from b"), ("CLOSE_RSP", told, "")])


class TimeoutTests(StreamTestCase):
    """An agent that does not answer."""

    dial_timeout = 5.0

    def test_timeout(self) -> None:
        """The client is told in upstream's words, and a late success reaches nobody."""
        self.c.dials(random=42)
        random = self.a.asked()
        self.wait(5.1)
        told = [("DIAL_RSP", 42, 0, "timed out waiting for backend dial")]
        self.assertEqual(self.c.take(), told)
        self.a.answers_probe()
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.c.take(), [])


class MisuseTests(StreamTestCase):
    """Packets that a client must not send."""

    def test_data_before_dial(self) -> None:
        """DATA before any dial is answered and ends all service on the stream."""
        self.c.says(packets.data(5, b"x"))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 5, "backend not initialized")])
        self.c.dials()
        self.c.says(b"\x08\x01")
        self.assertEqual((self.c.take(), self.a.take()), ([], []))
        self.c.stream.deliver(packets.data(5, b"x"), INITIAL)
        self.assertLess(self.c.stream.owed - self.c.stream.acknowledged, INITIAL // PART)
        self.clock.advance(frontend_grpc.LINGER)
        self.assertEqual(self.c.stream.ending, (OK, ""))

    def test_malformed_are_not_all_logged(self) -> None:
        """Malformed packets are counted, and the log tells of the first: they are small, and a
        client may send tens of thousands at once."""
        with capturedLogs() as events:
            for payload in (b"", b"\x08\x01", b"\xff", b"\x08\x05"):
                self.c.says(payload)
        self.assertEqual(self.ledger.malformed_packets, 4)
        self.assertEqual(len(events), 1, events)
        self.open()

    def test_close_before_dial(self) -> None:
        """CLOSE_REQ before any dial is answered, and the stream goes on."""
        self.c.says(packets.close_req(5))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 5, "backend uninitialized")])
        self.open()

    def test_unknown_ids(self) -> None:
        """Ids that the stream never had are answered here and never reach an agent."""
        self.c.dials()
        random = self.a.asked()
        self.c.says(packets.data(5, b"x"))
        self.c.says(packets.close_req(5))
        self.assertEqual(
            self.c.take(),
            [("CLOSE_RSP", 5, "unrecognized connectID"), ("CLOSE_RSP", 5, "Unknown connectID")],
        )
        self.assertEqual(self.a.take(), [])
        self.a.says(packets.dial_rsp(random, connect_id=1))

    def test_pieces_for_an_unknown_id(self) -> None:
        """A packet that comes in pieces is answered once."""
        self.c.dials()
        sink = self.c.stream.listener
        assert isinstance(sink, frontend_grpc.ProxyStream)
        sink.data(5, b"first", 20)
        sink.data(5, b"rest", 4)
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 5, "unrecognized connectID")])

    def test_id_zero(self) -> None:
        """DATA for id 0 is dropped, before a dial and behind it."""
        self.c.says(packets.data(0, b"x"))
        self.open()
        self.c.says(packets.data(0, b"x"))
        self.assertEqual((self.c.take(), self.a.take()), ([], []))

    def test_mismatch(self) -> None:
        """DATA for a second id closes the tunnel: the offending id is told first, then its own."""
        self.open(1)
        self.c.says(packets.data(2, b"x"))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 2, MISMATCH), ("CLOSE_RSP", 1, MISMATCH)])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)], "the foreign id reaches nobody")
        self.c.dials(5)
        self.assertEqual((self.c.take(), self.a.take()), ([], []))

    def test_the_agents_fault(self) -> None:
        """An agent that breaks the protocol is not told of as if the client had."""
        self.open(1)
        self.a.link.overrun(self.a.link.ends[1])
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, Reason.PROTOCOL.text)])

    def test_another_clients_tunnel(self) -> None:
        """A client can neither write into nor close another's tunnel on the same agent."""
        self.open(1)
        thief = self.client()
        thief.says(packets.close_req(1))
        thief.dials(5)
        self.a.accepts(2)
        thief.says(packets.close_req(1))
        thief.says(packets.data(1, b"injected"))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 2)])
        self.a.says(packets.data(1, b"still mine"))
        self.assertEqual(self.c.take(), [("DATA", 1, b"still mine")])

    def test_mismatch_beside_a_held_close(self) -> None:
        """A tunnel that is over, and only held, is told as it ended."""
        self.c.dials(42)
        self.a.accepts(1)
        self.a.says(packets.close_rsp(1))
        self.c.take()
        self.c.says(packets.data(2, b"x"))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 2, MISMATCH), ("CLOSE_RSP", 1, "")])

    def test_success_after_misuse(self) -> None:
        """A dial that succeeds on a stream that is ignored lives no longer than the stream."""
        self.open(1)
        self.c.dials(5)
        random = self.a.asked()
        self.c.says(packets.data(9, b"x"))
        self.a.take()
        self.a.says(packets.dial_rsp(random, connect_id=2))
        self.clock.advance(frontend_grpc.LINGER)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 2)])

    def test_malformed(self) -> None:
        """Malformed packets are counted and cost nothing else."""
        self.open()
        for payload in (b"", b"\x08\x04", b"\x08\x02", b"\x08\x05", b"\xff\xff"):
            self.c.says(payload)
        self.assertEqual(self.ledger.malformed_packets, 5)
        self.assertEqual((self.c.take(), self.a.take()), ([], []))
        self.c.says(packets.data(1, b"alive"))
        self.assertEqual(self.a.take(), [("DATA", 1, b"alive")])

    def test_what_clients_have_no_say_in(self) -> None:
        """Packets of agents, and types that are not known, do nothing but count."""
        self.open()
        for payload in (
            packets.dial_rsp(77, connect_id=1),
            packets.close_rsp(1),
            packets.drain(),
            packets.credit(1, 5),
            packets.half_close(1),
            b"\x08\x63",
        ):
            self.c.says(payload)
        self.assertEqual((self.c.take(), self.a.take()), ([], []))
        self.assertEqual(self.ledger.packets["from_client", "99"], 1)
