"""Tests of konnect.proxy.connect_end: behind the 200 line, until both sides have ended."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost

from konnect.net.sockets import DISCARD, LINGER
from konnect.proxy.hold import HOLD
from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from konnect.wire.features import Features
from tests.fakes import FakeSocket
from tests.proxy.connecting import ConnectTestCase


class HoldTests(ConnectTestCase):
    """No byte of the destination shares a turn, or a segment, with the 200 line."""

    def test_destination_first(self) -> None:
        """A destination's first bytes wait a moment behind the 200 line, and keep their order."""
        self.dial()
        self.a.accepts()
        self.a.says(packets.data(1, b"220 "))
        self.a.says(packets.data(1, b"ready"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220 "), ("write", b"ready")])
        self.a.says(packets.data(1, b"!"))
        self.assertEqual(self.s.take(), [("write", b"!")])

    def test_early_bytes_show_nothing(self) -> None:
        """What the client said before the 200 line does not release what must wait behind it."""
        self.dial(early=b"early")
        self.a.accepts()
        self.a.says(packets.data(1, b"220"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_an_early_end_shows_nothing(self) -> None:
        """Neither does an end that came before it."""
        self.dial(early=b"early")
        self.s.deliver_fin()
        self.a.accepts()
        self.a.says(packets.data(1, b"220"))
        self.assertEqual(self.s.take(), [("write", ESTABLISHED)])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_the_client_speaks(self) -> None:
        """A client that speaks behind the 200 line has read it."""
        self.open()
        self.a.says(packets.data(1, b"220"))
        self.s.deliver(b"EHLO")
        self.assertEqual(self.s.take(), [("write", b"220")])

    def test_close_waits(self) -> None:
        """The end of a tunnel comes behind the held bytes."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN"])

    def test_close_at_once(self) -> None:
        """An end without a byte before it waits for nothing."""
        self.open()
        self.close_from_agent()
        self.assertEqual(self.s.take(), ["FIN"])

    def test_the_client_ends_meanwhile(self) -> None:
        """A client that ends its side behind the 200 line gets what is held before the close."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN", "close"])

    def test_the_client_leaves_meanwhile(self) -> None:
        """What is held for a client that is gone is dropped."""
        self.open()
        self.a.says(packets.data(1, b"220"))
        self.s.lose()
        self.assertEqual(self.s.take(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_held_close_and_a_lost_client(self) -> None:
        """So it is when the tunnel has ended already."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.close_from_agent()
        self.s.lose()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_source_stands_still(self) -> None:
        """While bytes are held their source is paused; it goes on behind the last of them."""
        self.open()
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a"))
        self.a.says(packets.data(1, b"b"))
        self.assertTrue(end._paused)
        self.clock.advance(HOLD)
        self.assertFalse(end._paused)

    def test_a_full_socket_behind_the_hold(self) -> None:
        """Held bytes that fill the socket leave the source paused until it has drained."""
        self.s = self.connect(limit=100)
        self.open()
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a" * 200))
        self.a.says(packets.data(1, b"b" * 200))
        self.clock.advance(HOLD)
        self.assertTrue(end._paused)
        self.assertEqual(self.s.take(), [("write", b"a" * 200)])
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"b" * 200)])
        self.assertTrue(end._paused)
        self.s.drain()
        self.assertFalse(end._paused)


class RelayTests(ConnectTestCase):
    """Bytes and back-pressure of an open tunnel."""

    def test_both_ways(self) -> None:
        """Bytes go both ways as they come."""
        self.open(spoken=b"ping")
        self.a.says(packets.data(1, b"pong"))
        self.assertEqual(self.s.take(), [("write", b"pong")])

    def test_slow_client(self) -> None:
        """A full socket stops the source; what still comes waits, and goes out as it drains."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        end = self.a.link.ends[1]
        self.a.says(packets.data(1, b"a" * 11))
        self.assertTrue(end._paused)
        self.a.says(packets.data(1, b"b"))
        self.assertEqual(self.s.take(), [("write", b"a" * 11)])
        self.assertEqual(self.ledger.buffered, 1)
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"b")])
        self.assertFalse(end._paused)

    def test_slow_client_holds_the_window(self) -> None:
        """Beyond its budget a slow client's window stays shut at a stock agent, and opens again."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.stream.deliver(packets.data(1, b"a" * 11), self.flow.budget)
        self.a.stream.deliver(packets.data(1, b"b"), 5000)
        self.assertEqual(self.a.stream.owed - self.a.stream.acknowledged, 5000)
        self.s.drain()
        self.assertEqual(self.a.stream.owed, self.a.stream.acknowledged)

    def test_closed_while_slow(self) -> None:
        """What waits for a slow client is handed over before the end."""
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"a" * 11))
        self.a.says(packets.data(1, b"b"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"a" * 11), ("write", b"b"), "FIN"])

    def test_slow_agent(self) -> None:
        """A full link leaves the client unread until it has room."""
        self.open()
        self.a.stream.room = False
        self.s.deliver(b"x")
        self.assertFalse(self.s.reading)
        self.a.stream.room = True
        self.a.link.writable()
        self.assertTrue(self.s.reading)


class WriteTests(ConnectTestCase):
    """What upstream calls the duration of a write to the frontend."""

    def setUp(self) -> None:
        super().setUp()
        self.s = self.connect(limit=10)
        self.open(spoken=b"x")
        self.s.drain()

    def test_at_once(self) -> None:
        """What goes out at once has not waited: the dial's answer, DATA, and the end."""
        for _ in range(3):
            self.a.says(packets.data(1, b"abc"))
            self.clock.advance(1)
            self.s.drain()
        self.assertEqual((sum(self.writes()), self.writes()[0]), (4, 4))
        self.close_from_agent()
        self.assertEqual((sum(self.writes()), self.ledger.frontend_writes.sum), (5, 0))

    def test_waits(self) -> None:
        """The write that fills the socket takes until there is room; those behind it do not count
        that again, as upstream begins them later."""
        self.a.says(packets.data(1, b"a" * 11))
        self.a.says(packets.data(1, b"b"))
        self.clock.advance(3)
        self.s.drain()
        writes = self.ledger.frontend_writes
        self.assertEqual((writes.sum, writes.counts), (3, [2, 0, 0, 0, 0, 0, 0, 0, 1, 0]))

    def test_ended_meanwhile(self) -> None:
        """With the tunnel's end nobody waits any more."""
        self.a.says(packets.data(1, b"a" * 11))
        self.clock.advance(2)
        self.close_from_agent()
        self.clock.advance(2)
        self.s.drain()
        self.assertEqual(self.ledger.frontend_writes.sum, 2)

    def test_lost_meanwhile(self) -> None:
        """So it is when the client is lost, which is told of no end."""
        self.a.says(packets.data(1, b"a" * 11))
        self.clock.advance(2)
        self.s.lose(ConnectionLost())
        writes = self.ledger.frontend_writes
        self.assertEqual((writes.sum, sum(writes.counts)), (2, 2))

    def writes(self) -> list[int]:
        """How many there were, by bucket."""
        return self.ledger.frontend_writes.counts


class EndTests(ConnectTestCase):
    """Whoever ends first."""

    def test_client_ends(self) -> None:
        """A client's EOF is told; the destination's bytes come until the agent ends."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.a.says(packets.data(1, b"answer"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"answer"), "close"])
        self.s.lose()
        self.assertEqual(self.a.take(), [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_ends_and_the_agent_does_not(self) -> None:
        """A stock agent that does not answer CLOSE_REQ is waited for only so long."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), [])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.s.drain()
        self.assertEqual(self.s.take(), ["abort"])

    def test_client_leaves(self) -> None:
        """A lost client is one CLOSE_REQ, and nothing is left."""
        self.s.lose()
        for error, reason in ((None, "client_closed"), (ConnectionLost(), "client_lost")):
            with self.subTest(reason):
                self.s = self.connect()
                self.open(spoken=b"x")
                self.s.lose(error)
                self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
                self.assertEqual(self.ledger.closed_by_reason[reason], 1)
                self.assertEqual(self.clock.getDelayedCalls(), [])
                self.a.says(packets.close_rsp(1))

    def test_destination_ends(self) -> None:
        """The destination's end is our FIN; the socket goes when the client has ended too."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"last"), "FIN"])
        self.s.deliver(b"late")
        self.s.deliver_fin()
        self.assertEqual(self.s.take(), ["close"])
        self.assertEqual(self.a.take(), [])

    def test_client_does_not_end(self) -> None:
        """A client that keeps its side open is dropped after the linger time, or too many bytes."""
        self.open(spoken=b"x")
        self.close_from_agent()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), ["FIN", "abort"])
        self.s = self.connect()
        self.open(spoken=b"x")
        self.close_from_agent()
        self.s.deliver(b"x" * DISCARD)
        self.assertEqual(self.s.take(), ["FIN"])
        self.s.deliver(b"x")
        self.assertEqual(self.s.take(), ["abort"])

    def test_tls(self) -> None:
        """TLS has no half-close: the end is close_notify for both directions."""
        self.s = self.connect(tls=True)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.close_from_agent()
        self.assertEqual(self.s.take(), [("write", b"last"), "close"])

    def test_agent_lost(self) -> None:
        """A lost agent is a reset behind the bytes that came before."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.leaves()
        self.assertEqual(self.s.take(), [("write", b"last")])
        self.s.drain()
        self.assertEqual(self.s.take(), ["abort"])

    def test_agent_lost_behind_a_client_that_does_not_read(self) -> None:
        """Bytes that nobody reads hold the reset back only so long."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.leaves()
        self.clock.advance(LINGER + 0.1)
        self.assertEqual(self.s.take(), [("write", b"last"), "abort"])

    def test_data_after_the_end(self) -> None:
        """DATA for a tunnel that is over does not reach the socket."""
        self.open(spoken=b"x")
        self.close_from_agent()
        self.a.says(packets.data(1, b"late"))
        self.assertEqual(self.s.take(), ["FIN"])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_shutdown(self) -> None:
        """Connections without a tunnel are closed by the proxy's end, others by their links."""
        open_one, waiting = self.s, self.connect()
        self.open(spoken=b"x")
        for socket in (open_one, waiting):
            self.protocol(socket).close("stopping")
        self.assertEqual((open_one.take(), waiting.take()), ([], ["FIN"]))
        self.a.link.shut_down()
        self.assertEqual(open_one.take(), [])
        open_one.drain()
        self.assertEqual(open_one.take(), ["abort"])

    def test_abort(self) -> None:
        """What does not end in time is dropped; what is gone cannot be."""
        protocol = self.protocol(self.s)
        protocol.abort()
        self.assertEqual(self.s.take(), ["abort"])
        protocol.abort()
        protocol.close("stopping")
        protocol.dataReceived(b"late")
        protocol.readConnectionLost()
        protocol.writeConnectionLost()
        self.assertEqual(self.s.take(), [])


class KonnectAgentTests(ConnectTestCase):
    """An agent with half-close: both directions end on their own."""

    features = Features(credit=65536, half_close=True)

    def test_client_first(self) -> None:
        """The client's EOF is a HALF_CLOSE, and the answer may take any time."""
        self.open(spoken=b"question")
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("HALF_CLOSE", 1)])
        self.clock.advance(10 * LINGER)
        self.a.says(packets.data(1, b"answer"))
        self.a.says(packets.close_rsp(1, "client_closed"))
        self.assertEqual(self.s.take(), [("write", b"answer"), "close"])

    def test_destination_first(self) -> None:
        """The destination's EOF is a FIN, and the client may go on."""
        self.open(spoken=b"x")
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), ["FIN"])
        self.s.deliver(b"more")
        self.assertEqual(self.a.take(), [("DATA", 1, b"more")])
        self.s.deliver_fin()
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])
        self.assertEqual(self.s.take(), ["close"])

    def test_destination_first_while_held(self) -> None:
        """A FIN waits behind held bytes."""
        self.open()
        self.a.says(packets.data(1, b"bye"))
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), [])
        self.clock.advance(HOLD)
        self.assertEqual(self.s.take(), [("write", b"bye"), "FIN"])

    def test_destination_first_over_tls(self) -> None:
        """A TLS client cannot be told of one direction's end: the tunnel ends."""
        self.s = self.connect(tls=True)
        self.open(spoken=b"x")
        self.a.says(packets.half_close(1))
        self.assertEqual(self.s.take(), ["close"])
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_early_end(self) -> None:
        """An EOF behind early bytes is a HALF_CLOSE behind them, without a limit."""
        self.dial(early=b"question")
        self.s.deliver_fin()
        self.a.accepts()
        self.assertEqual(self.a.take(), [("DATA", 1, b"question"), ("HALF_CLOSE", 1)])
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.a.take(), [])

    def test_reset_by_the_destination(self) -> None:
        """A reset is a reset, behind all that came before."""
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"last"))
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.s.drain()
        self.assertEqual(self.s.take(), [("write", b"last"), "abort"])

    def test_reset_while_slow(self) -> None:
        """Also when some of it still waited for the socket."""
        self.s: FakeSocket = self.connect(limit=10)
        self.open(spoken=b"x")
        self.a.says(packets.data(1, b"a" * 11))
        self.a.says(packets.data(1, b"b"))
        self.a.says(packets.close_rsp(1, "destination_lost"))
        self.assertEqual(self.s.take(), [("write", b"a" * 11), ("write", b"b")])
        self.s.drain()
        self.assertEqual(self.s.take(), ["abort"])
