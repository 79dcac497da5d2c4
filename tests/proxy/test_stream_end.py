"""Tests of konnect.proxy.stream_end, and of how the gRPC frontend ends tunnels and streams."""

from __future__ import annotations

from konnect.proxy import frontend_grpc
from konnect.proxy.client_window import INITIAL, PART
from konnect.proxy.hold import HOLD
from konnect.tunnel.link_sizes import CHUNK
from konnect.wire import packets
from konnect.wire.features import Features
from konnect.wire.status import OK
from tests.proxy.streaming import StreamTestCase


class HoldTests(StreamTestCase):
    """Nothing comes right behind DIAL_RSP, since a Go client is not ready for it."""

    def setUp(self) -> None:
        super().setUp()
        self.c.dials(42)
        self.a.accepts(1)
        self.assertEqual(len(self.c.take()), 1)

    def test_data_waits(self) -> None:
        """A destination that speaks first waits a moment; then all comes, in order."""
        self.a.says(packets.data(1, b"220 "))
        self.a.says(packets.data(1, b"ready"))
        self.assertEqual(self.c.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.c.take(), [("DATA", 1, b"220 "), ("DATA", 1, b"ready")])
        self.a.says(packets.data(1, b"!"))
        self.assertEqual(self.c.take(), [("DATA", 1, b"!")])

    def test_the_client_speaks(self) -> None:
        """A client that has sent its first byte is ready."""
        self.a.says(packets.data(1, b"220"))
        self.c.says(packets.data(1, b"EHLO"))
        self.assertEqual(self.c.take(), [("DATA", 1, b"220")])

    def test_close_waits(self) -> None:
        """A close right behind DIAL_RSP waits too, behind the held bytes, and comes once."""
        self.a.says(packets.data(1, b"bye"))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(self.c.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.c.take(), [("DATA", 1, b"bye"), ("CLOSE_RSP", 1, "")])

    def test_client_closes_meanwhile(self) -> None:
        """A client's CLOSE_REQ for a tunnel whose end is held is answered once."""
        self.a.says(packets.close_rsp(1))
        self.c.says(packets.close_req(1))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(self.a.take(), [])

    def test_client_leaves_meanwhile(self) -> None:
        """What is held for a client that is gone is dropped."""
        self.a.says(packets.data(1, b"220"))
        self.c.leaves()
        self.assertEqual(self.c.take(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_left_with_a_held_close(self) -> None:
        """A client that goes while its tunnel's end is held leaves nothing either."""
        self.a.says(packets.close_rsp(1))
        self.c.leaves()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.c.tables, (0, 0, 0))

    def test_held_bytes_are_bounded(self) -> None:
        """The source stands still while its bytes are held, and goes on behind the last of them."""
        end = self.a.link.ends[1]
        self.a.stream.deliver(packets.data(1, b"x"), self.flow.budget)
        self.a.stream.deliver(packets.data(1, b"y"), 1000)
        self.assertEqual(self.a.stream.owed - self.a.stream.acknowledged, 1000)
        self.clock.advance(HOLD)
        self.assertEqual(self.a.stream.owed, self.a.stream.acknowledged)
        self.assertFalse(end._paused)

    def test_a_full_stream_behind_the_hold(self) -> None:
        """Held bytes that fill the stream leave the source standing until there is room."""
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"one"))
        self.a.says(packets.data(1, b"two"))
        self.c.stream.room = False
        self.clock.advance(HOLD)
        self.assertEqual(self.c.take(), [("DATA", 1, b"one")])
        self.assertTrue(end._paused)
        self.c.stream.room = True
        self.c.proxy.writable()
        self.assertEqual(self.c.take(), [("DATA", 1, b"two")])
        self.assertFalse(end._paused)


class DataTests(StreamTestCase):
    """Bytes and their back-pressure."""

    @property
    def owed(self) -> int:
        """Bytes of its window that the client has not got back."""
        return self.c.stream.owed - self.c.stream.acknowledged

    def test_both_ways(self) -> None:
        """DATA is carried both ways; what is over 64 KiB is cut, never above 4 MiB."""
        self.open()
        self.a.says(packets.data(1, b"z" * (3 * CHUNK + 1)))
        self.assertEqual([len(packet[2]) for packet in self.c.take()], [CHUNK] * 3 + [1])
        self.c.says(packets.data(1, b"z" * packets.MAX_DATA))
        sent = self.a.take()
        self.assertEqual(sum(len(packet[2]) for packet in sent), packets.MAX_DATA)
        self.assertEqual({packet[:2] for packet in sent}, {("DATA", 1)})

    def test_empty_data(self) -> None:
        """A client's DATA without bytes is not relayed."""
        self.open()
        payload = packets.data(1, b"x").replace(b"\x1a\x01x", b"").replace(b"\x22\x05", b"\x22\x02")
        self.c.says(payload)
        self.assertEqual(self.a.take(), [])

    def test_slow_agent(self) -> None:
        """A full link keeps the client's window shut, until it has room."""
        self.open()
        self.a.stream.room = False
        self.c.says(packets.data(1, b"a"))
        self.c.stream.deliver(packets.data(1, b"b"), INITIAL // 2)
        self.assertGreaterEqual(self.owed, INITIAL // 2)
        self.assertEqual(dict(self.ledger.full_receive_channels), {"Proxy": 1})
        self.a.stream.room = True
        self.a.link.writable()
        self.assertEqual(self.owed, 0)
        self.c.says(packets.data(1, b"c"))
        self.assertLess(self.owed, INITIAL // PART)
        self.assertEqual([packet[2] for packet in self.a.take()], [b"a", b"b", b"c"])

    def test_closed_while_the_agent_is_slow(self) -> None:
        """A tunnel that ends while its window is shut opens it: the stream may have others."""
        self.open()
        self.a.stream.room = False
        self.c.stream.deliver(packets.data(1, b"a"), INITIAL // 2)
        self.a.says(packets.close_rsp(1))
        self.assertEqual(self.owed, 0)

    def test_slow_client(self) -> None:
        """A full stream stops the source; what still comes waits, and goes out in order."""
        self.open()
        end = self.a.link.ends[1]
        self.c.stream.room = False
        for data in (b"a", b"b", b"c"):
            self.a.says(packets.data(1, data))
        self.assertEqual(self.c.take(), [("DATA", 1, b"a")])
        self.assertTrue(end._paused)
        self.assertEqual(self.ledger.buffered, 2)
        self.c.proxy.writable()
        self.assertEqual(self.c.take(), [("DATA", 1, b"b")], "the stream is full again")
        self.assertTrue(end._paused)
        self.c.stream.room = True
        self.c.proxy.writable()
        self.assertEqual(self.c.take(), [("DATA", 1, b"c")])
        self.assertFalse(end._paused)
        self.c.proxy.writable()
        self.assertEqual(self.c.take(), [])

    def test_duration_of_writes(self) -> None:
        """A write that leaves the stream without room takes until there is some, or nobody waits
        for it any more; the others, DIAL_RSP and CLOSE_RSP too, take no time."""
        self.open()
        self.a.says(packets.data(1, b"x"))
        self.assertEqual(self.ledger.frontend_writes.counts[0], 2)
        self.c.stream.room = False
        for data in (b"a", b"b"):
            self.a.says(packets.data(1, data))
        for seconds in (1, 2):
            self.clock.advance(seconds)
            self.c.proxy.writable()
        writes = self.ledger.frontend_writes
        self.assertEqual((writes.sum, writes.counts), (3, [2, 0, 0, 0, 0, 0, 0, 2, 0, 0]))
        self.c.stream.room = True
        self.c.proxy.writable()
        self.c.stream.room = False
        self.a.says(packets.data(1, b"c"))
        self.clock.advance(4)
        self.c.leaves()
        self.assertEqual(self.ledger.frontend_writes.sum, 7)
        self.assertEqual(sum(self.ledger.frontend_writes.counts), 5)

    def test_closed_while_the_client_is_slow(self) -> None:
        """What waits for a slow client comes before its CLOSE_RSP."""
        self.open()
        self.c.stream.room = False
        for data in (b"a", b"b"):
            self.a.says(packets.data(1, data))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(self.c.take(), [("DATA", 1, b"a")])
        self.clock.advance(3600)
        self.assertEqual((self.c.take(), self.ledger.buffered), ([], 1), "it has all the time")
        self.c.proxy.writable()
        self.assertEqual(self.c.take(), [("DATA", 1, b"b"), ("CLOSE_RSP", 1, "")])
        self.assertEqual(self.ledger.buffered, 0)

    def test_closed_and_given_up(self) -> None:
        """A client that closes does not want what still waits for it."""
        self.open()
        self.c.stream.room = False
        for data in (b"a", b"b"):
            self.a.says(packets.data(1, data))
        self.a.says(packets.close_rsp(1))
        self.c.take()
        self.c.says(packets.close_req(1))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(self.ledger.buffered, 0)

    def test_gone_while_slow(self) -> None:
        """What waits for a client that goes is dropped."""
        self.open()
        self.c.stream.room = False
        for data in (b"a", b"b"):
            self.a.says(packets.data(1, data))
        self.c.leaves()
        self.assertEqual(self.ledger.buffered, 0)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])


class CloseTests(StreamTestCase):
    """The end of a tunnel and of the stream."""

    def test_by_the_client(self) -> None:
        """CLOSE_REQ is answered with one CLOSE_RSP; what the client says late is ignored."""
        self.open()
        self.c.says(packets.close_req(1))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "")])
        self.a.says(packets.close_rsp(1))
        self.c.says(packets.data(1, b"late"))
        self.c.says(packets.close_req(1))
        self.assertEqual(self.c.take(), [])
        self.assertEqual(self.a.take(), [])

    def test_by_the_destination(self) -> None:
        """The destination's end is one CLOSE_RSP without an error."""
        self.open()
        self.a.says(packets.data(1, b"last"))
        self.a.says(packets.close_rsp(1))
        self.a.says(packets.close_rsp(1))
        self.assertEqual(self.c.take(), [("DATA", 1, b"last"), ("CLOSE_RSP", 1, "")])
        self.c.says(packets.close_req(1))
        self.assertEqual(self.a.take(), [])

    def test_agent_lost(self) -> None:
        """A lost agent closes the tunnel at once and says why."""
        self.open()
        self.a.leaves()
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "the agent's connection was lost")])

    def test_client_leaves(self) -> None:
        """A client that drops its stream closes its tunnels and withdraws its dials."""
        self.open(1, 10)
        self.c.dials(11)
        random = self.a.asked()
        self.c.leaves()
        self.assertEqual(self.a.take(), [("DIAL_CLS", random), ("CLOSE_REQ", 1)])
        self.assertEqual(self.c.tables, (0, 0, 0))
        self.assertEqual(dict(self.ledger.closed_by_reason), {"client_lost": 1})
        self.assertEqual(self.failures(), {"frontend_close": 1})
        self.assertEqual(
            dict(self.ledger.stream_errors), {("from_client", "Canceled", "Unknown"): 1}
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_half_closes(self) -> None:
        """A client that ends its side gets status OK, and its tunnels are closed."""
        self.open()
        self.c.half_closes()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.c.stream.ending, (OK, ""))
        self.assertEqual(dict(self.ledger.stream_errors), {})

    def lingers_after_a_tunnel(self) -> None:
        """A tunnel comes and goes: the stream is ended `LINGER` after that."""
        self.open()
        self.c.says(packets.close_req(1))
        self.clock.advance(frontend_grpc.LINGER - 1)
        self.assertIsNone(self.c.stream.ending)
        self.clock.advance(2)
        self.assertEqual(self.c.stream.ending, (OK, ""))

    def test_lingers_after_a_close(self) -> None:
        """A stream with nothing left is ended by the proxy, but not at once."""
        self.lingers_after_a_tunnel()

    def test_lingers_after_a_failure(self) -> None:
        """So it is after a failed dial; another dial in time keeps the stream."""
        self.c.dials(1)
        self.a.refuses("no such host")
        self.clock.advance(frontend_grpc.LINGER - 1)
        self.c.take()
        self.open(1, 2)
        self.clock.advance(frontend_grpc.LINGER + 1)
        self.assertIsNone(self.c.stream.ending)

    def test_no_linger_beside_another_tunnel(self) -> None:
        """A stream that has another tunnel is not ended."""
        self.open(1, 10)
        self.open(2, 11)
        self.c.says(packets.close_req(1))
        self.clock.advance(frontend_grpc.LINGER + 1)
        self.assertIsNone(self.c.stream.ending)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_lingers_anew(self) -> None:
        """The time begins with the end of the last tunnel, however soon that is."""
        self.clock.advance(frontend_grpc.LINGER - 2)
        self.lingers_after_a_tunnel()

    def test_forgotten_ids(self) -> None:
        """Ended ids are remembered, but not without bound."""
        self.patch(frontend_grpc, "CLOSED_IDS", 2)
        for connect_id in (1, 2, 3):
            self.open(connect_id, connect_id)
            self.c.says(packets.close_req(connect_id))
            self.a.take(), self.c.take()
        self.c.says(packets.data(3, b"late"))
        self.assertEqual(self.c.take(), [])
        self.c.says(packets.data(1, b"late"))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "unrecognized connectID")])

    def test_headers_mean_nothing(self) -> None:
        """A server's stream gets no headers; being told some does nothing."""
        self.c.proxy.headers([])
        self.assertEqual(self.c.take(), [])


class KonnectAgentTests(StreamTestCase):
    """An agent with half-close, behind a client that has none."""

    features = Features(credit=65536, half_close=True)

    def test_destination_first(self) -> None:
        """A destination's EOF ends the tunnel: gRPC clients know no half-close."""
        self.open()
        self.a.says(packets.data(1, b"last"))
        self.a.says(packets.half_close(1))
        self.assertEqual(self.c.take(), [("DATA", 1, b"last"), ("CLOSE_RSP", 1, "")])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_destination_first_while_held(self) -> None:
        """So it does while the destination's bytes are held, and they come first."""
        self.c.dials(42)
        self.a.accepts(1)
        self.a.says(packets.data(1, b"bye"))
        self.a.says(packets.half_close(1))
        self.c.take()
        self.clock.advance(HOLD)
        self.assertEqual(self.c.take(), [("DATA", 1, b"bye"), ("CLOSE_RSP", 1, "")])

    def test_reset_by_the_destination(self) -> None:
        """A reset is told apart from an ordinary end."""
        self.open()
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.assertEqual(self.c.take(), [("CLOSE_RSP", 1, "the destination's connection was lost")])
