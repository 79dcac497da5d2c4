"""Tests of konnect.agent.link: what a proxy may ask, and what becomes of destinations."""

from __future__ import annotations

from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from konnect.agent import link as link_module
from konnect.agent.dialing import Asker, DialError, Make
from konnect.agent.link import ProxyLink
from konnect.net.grpc_stream import GrpcStream, StreamListener
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.link_sizes import CHUNK
from konnect.tunnel.parking import LITTLE
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.events import StreamRefused
from konnect.wire.features import Features
from tests.agent.rig import FakeDial, FakeDialer
from tests.fakes import FakeSocket, FakeStream, Readable

NO_FILES = "dial tcp 127.0.0.1:1: socket: too many open files"
REFUSED = "dial tcp 127.0.0.1:1: connect: connection refused"


class LinkTestCase(SynchronousTestCase):
    """A link to a scripted proxy; in the end nothing may be left."""

    features = Features()

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds, agent=True)
        self.dialer = FakeDialer()
        self.stream = FakeStream()
        self.flow = Flow()
        self.link = ProxyLink(
            self.stream,
            self.ledger,
            self.dialer,
            self.clock,
            flow=self.flow,
            open_stream=self.opens,
        )
        self.link.agree(self.features)
        # A session is the listener in the end; it hands everything to the link.
        self.stream.listener = self.link  # type: ignore[assignment]
        self.sockets: list[FakeSocket] = []

    def tearDown(self) -> None:
        for socket in self.sockets:
            if not socket.gone:
                socket.lose()
        self.link.end()
        self.clock.advance(self.flow.linger)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.link.busy)
        ledger = self.ledger
        self.assertEqual((ledger.live, ledger.pending_dials, ledger.buffered), (0, 0, 0))
        self.assertEqual(ledger.open_endpoint_connections, 0)
        self.assertEqual(self.stream.acknowledged, self.stream.owed)

    def opens(self, listener: StreamListener) -> GrpcStream:
        """The link asks for another stream."""
        raise StreamRefused("no more streams")

    def says(self, payload: bytes) -> None:
        """A packet of the proxy."""
        self.stream.deliver(payload)

    def take(self) -> list[Readable]:
        """What the agent has sent since the last look."""
        return self.stream.take()

    def asks(self, random: int = 7, address: str = "host:80") -> FakeDial:
        """The proxy asks for a dial."""
        self.says(packets.dial_req("tcp", address, random))
        return self.dialer.dials[-1]

    def open(self, random: int = 7, *, limit: int = 1 << 16) -> FakeSocket:
        """A destination that answers; what was sent is taken."""
        socket = self.asks(random).connects(limit=limit)
        self.sockets.append(socket)
        ((kind, told, _, error),) = self.take()
        assert (kind, told, error) == ("DIAL_RSP", random, "")
        return socket


class DialTests(LinkTestCase):
    """From DIAL_REQ to DIAL_RSP."""

    def test_reached(self) -> None:
        """A destination that answers is told with the proxy's random and an id counted from 1."""
        dial = self.asks(7)
        self.assertEqual((dial.protocol, dial.address), ("tcp", "host:80"))
        self.assertEqual(self.take(), [])
        self.assertTrue(self.link.busy)
        self.sockets.append(dial.connects())
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 1, "")])
        self.assertEqual(self.ledger.open_endpoint_connections, 1)
        self.assertEqual(list(self.link.dials), [])

    def test_failed(self) -> None:
        """The dialer's words reach the proxy, and each failure is counted once."""
        self.asks(7).fails(REFUSED)
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, REFUSED)])
        self.asks(8).fails("dial tcp 10.0.0.1:80: i/o timeout", timed_out=True)
        self.assertEqual(self.take()[0][1:3], (8, 0))
        self.assertEqual(dict(self.ledger.endpoint_dial_failures), {"unknown": 1, "timeout": 1})
        self.assertEqual(
            dict(self.ledger.failed_by_reason), {"refused": 1, "destination_timeout": 1}
        )

    def test_ids(self) -> None:
        """Failed dials use up ids too, as upstream's do."""
        self.asks(1).fails(REFUSED)
        self.take()
        self.sockets.append(self.asks(2).connects())
        self.assertEqual(self.take(), [("DIAL_RSP", 2, 2, "")])

    def test_broken_dialer(self) -> None:
        """A mistake of our own fails the dial and is logged, and the link goes on."""
        self.asks(7).asker.unreached(ZeroDivisionError("oops"))
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, "oops")])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_failed_at_once(self) -> None:
        """A dial that fails while it begins is answered, and leaves nothing."""

        def dial(network: str, address: str, make: Make, asker: Asker) -> None:
            asker.unreached(DialError(REFUSED))

        self.patch(self.dialer, "dial", dial)
        self.says(packets.dial_req("tcp", "host:80", 7))
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, REFUSED)])
        self.assertFalse(self.link.busy)

    def test_the_random_of_an_ended_tunnel(self) -> None:
        """What a tunnel leaves behind does not touch a later dial with the same random."""
        self.open(7)
        dial = self.asks(7)
        self.says(packets.close_req(1))
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "")])
        self.assertFalse(dial.cancelled)
        self.sockets.append(dial.connects())
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 2, "")])

    def test_cancelled(self) -> None:
        """DIAL_CLS cancels the dial at once; nothing is answered."""
        dial = self.asks(7)
        self.says(packets.dial_cls(8))
        self.assertFalse(dial.cancelled)
        self.says(packets.dial_cls(7))
        self.assertTrue(dial.cancelled)
        self.assertEqual(self.take(), [])
        self.assertFalse(self.link.busy)

    def test_cancel_crosses_the_answer(self) -> None:
        """A DIAL_CLS that crosses DIAL_RSP closes the connection that has no owner."""
        other, socket = self.open(6), self.open(7)
        self.says(packets.dial_cls(7))
        self.assertEqual(self.take(), [("CLOSE_RSP", 2, "")])
        self.assertEqual((other.take(), socket.take()), ([], ["FIN"]))
        self.says(packets.dial_cls(7))
        self.assertEqual(self.take(), [])

    def test_the_same_random_twice(self) -> None:
        """A random in use is refused, and the first dial goes on."""
        dial = self.asks(7)
        self.asks(7)
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, "duplicate dial id")])
        self.assertEqual(len(self.dialer.dials), 1)
        self.sockets.append(dial.connects())
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 1, "")])

    def test_too_many(self) -> None:
        """Dials on their way are bounded."""
        self.patch(link_module, "PENDING", 2)
        for random in (1, 2, 3):
            self.asks(random)
        self.assertEqual(self.take(), [("DIAL_RSP", 3, 0, "too many dials on their way")])

    def test_out_of_files(self) -> None:
        """A stock proxy is told no more than the text."""
        self.asks(7).fails(NO_FILES, fault=Reason.TOO_MANY_FILES)
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, NO_FILES)])
        self.assertEqual(dict(self.ledger.failed_by_reason), {"too_many_files": 1})


class FaultTests(LinkTestCase):
    """What the agent itself cannot do, told to a konnect proxy."""

    features = Features(half_close=True)

    def test_out_of_files(self) -> None:
        """It is told that it was not the destination."""
        self.asks(7).fails(NO_FILES, fault=Reason.TOO_MANY_FILES)
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, NO_FILES, "too_many_files")])

    def test_too_many(self) -> None:
        """So are the agent's own limits."""
        self.patch(link_module, "PENDING", 1)
        self.asks(1)
        self.asks(2)
        self.ledger.limit, self.ledger.buffered = 1, 2
        self.says(packets.dial_cls(1))
        self.asks(3)
        self.ledger.buffered = 0
        text = "too many bytes are waiting for slow readers"
        self.assertEqual(
            self.take(),
            [
                ("DIAL_RSP", 2, 0, "too many dials on their way", "overloaded"),
                ("DIAL_RSP", 3, 0, text, "overloaded"),
            ],
        )

    def test_the_destinations_failures(self) -> None:
        """What the destination or the client is to blame for is not the agent's fault."""
        told = "dial tcp: address too many open files: missing port in address"
        for text in (REFUSED, told):
            self.asks(7).fails(text)
            self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, text)])
        self.asks(7)
        self.asks(7)
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 0, "duplicate dial id")])


class DataTests(LinkTestCase):
    """Bytes both ways."""

    def test_both_ways(self) -> None:
        """Bytes go to and come from the destination of their id."""
        first, second = self.open(1), self.open(2)
        self.says(packets.data(2, b"two"))
        self.says(packets.data(1, b"one"))
        self.assertEqual((first.take(), second.take()), ([("write", b"one")], [("write", b"two")]))
        first.deliver(b"from one")
        self.assertEqual(self.take(), [("DATA", 1, b"from one")])
        self.assertEqual(self.ledger.bytes, {"to_destination": 6, "to_client": 8})
        self.assertEqual(self.link.ends[1].carried(), (3, 8))

    def test_destination_first(self) -> None:
        """A destination that speaks first is heard behind DIAL_RSP."""
        socket = self.asks(7).connects()
        self.sockets.append(socket)
        socket.deliver(b"220")
        self.assertEqual(self.take(), [("DIAL_RSP", 7, 1, ""), ("DATA", 1, b"220")])

    def test_large_read(self) -> None:
        """A large read is cut into packets."""
        self.open().deliver(b"x" * (CHUNK + 1))
        self.assertEqual([len(packet[2]) for packet in self.take()], [CHUNK, 1])

    def test_full_link(self) -> None:
        """A full link leaves destinations unread, and wakes them in turn."""
        first, second = self.open(1), self.open(2)
        self.stream.room = False
        second.deliver(b"x" * (LITTLE + 1))
        first.deliver(b"y" * (LITTLE + 1))
        self.assertEqual((first.reading, second.reading), (False, False))
        self.stream.room = True
        self.link.writable()
        self.assertEqual((first.reading, second.reading), (False, True))
        self.clock.advance(0)
        self.assertEqual((first.reading, second.reading), (True, True))

    def test_full_destination(self) -> None:
        """A destination that takes no more costs its own window only, beyond its budget."""
        full, other = self.open(1, limit=10), self.open(2)
        self.stream.deliver(packets.data(1, b"a" * 11), self.flow.budget)
        self.stream.deliver(packets.data(1, b"b"), 7000)
        self.stream.deliver(packets.data(2, b"c"), 100)
        self.assertEqual(self.stream.owed - self.stream.acknowledged, 7000)
        self.assertEqual(other.take(), [("write", b"c")])
        full.drain()
        self.assertEqual(self.stream.owed, self.stream.acknowledged)
        self.assertEqual(full.written, b"a" * 11 + b"b")

    def test_stalled(self) -> None:
        """A destination that takes nothing for too long while the link waits is cut."""
        socket = self.open(1, limit=10)
        self.stream.deliver(packets.data(1, b"a" * 11), self.flow.budget)
        self.stream.deliver(packets.data(1, b"b"), 7000)
        self.clock.advance(self.flow.stall_timeout)
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(self.stream.owed, self.stream.acknowledged)
        self.clock.advance(self.flow.linger)
        self.assertEqual(socket.take()[-1], "abort")

    def test_unknown_id(self) -> None:
        """DATA for an id that the link does not have is answered in upstream's words."""
        self.says(packets.data(5, b"x"))
        self.assertEqual(self.take(), [("CLOSE_RSP", 5, "unrecognized connectID")])
        self.says(packets.data(0, b"x"))
        self.assertEqual(self.take(), [], "id 0 is dropped")

    def test_an_id_that_is_not_open_yet(self) -> None:
        """An id means nothing before its DIAL_RSP."""
        dial = self.asks(7)
        self.says(packets.data(1, b"guessed"))
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "unrecognized connectID")])
        socket = dial.connects()
        self.sockets.append(socket)
        self.assertEqual(socket.take(), [])


class CloseTests(LinkTestCase):
    """The end of tunnels."""

    def test_by_the_proxy(self) -> None:
        """CLOSE_REQ is answered once; the destination gets all that came before, then FIN."""
        socket = self.open(limit=10)
        self.says(packets.data(1, b"a" * 11))
        self.says(packets.data(1, b"b"))
        self.says(packets.close_req(1))
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(socket.take(), [("write", b"a" * 11), ("write", b"b"), "FIN"])
        socket.deliver(b"late")
        self.says(packets.data(1, b"late"))
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "unrecognized connectID")])
        socket.deliver_fin()
        self.assertEqual(socket.take(), ["close"])

    def test_unknown(self) -> None:
        """CLOSE_REQ for an id that is not there is answered in upstream's words, 0 included."""
        self.open()
        self.says(packets.close_req(1))
        self.take()
        for connect_id in (1, 99, 0):
            self.says(packets.close_req(connect_id))
        self.assertEqual(self.take(), [("CLOSE_RSP", i, "Unknown connectID") for i in (1, 99, 0)])

    def test_by_the_destination(self) -> None:
        """A destination's FIN is the tunnel's end at a stock proxy, behind its last bytes."""
        socket = self.open()
        self.says(packets.data(1, b"question"))
        socket.deliver(b"last")
        socket.deliver_fin()
        self.assertEqual(self.take(), [("DATA", 1, b"last"), ("CLOSE_RSP", 1, "")])
        self.assertEqual(socket.take(), [("write", b"question"), "close"])
        self.assertFalse(self.link.busy)

    def test_reset_by_the_destination(self) -> None:
        """A reset is an ordinary end to a stock proxy, and the connection's count is right."""
        self.open().lose(ConnectionLost())
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(self.ledger.open_endpoint_connections, 0)
        self.assertEqual(dict(self.ledger.closed_by_reason), {"destination_lost": 1})

    def test_link_lost(self) -> None:
        """A lost link cancels its dials and ends its tunnels, and sends nothing."""
        socket, dial = self.open(1), self.asks(2)
        self.link.end()
        self.assertTrue(dial.cancelled)
        self.assertEqual(self.take(), [])
        socket.drain()
        self.assertEqual(socket.take(), ["abort"])
        self.assertFalse(self.link.busy)
        self.assertEqual(dict(self.ledger.closed_by_reason), {"proxy_lost": 1})

    def test_drain(self) -> None:
        """Draining asks the proxy for no new dials."""
        self.link.drain()
        self.assertEqual(self.take(), [("DRAIN",)])


class MisuseTests(LinkTestCase):
    """Packets that a proxy must not send."""

    def test_malformed(self) -> None:
        """Malformed packets are counted and survived (upstream's agent dies of them)."""
        socket = self.open()
        with capturedLogs() as events:
            for payload in (b"", b"\x08\x04", b"\x08\x02", b"\x08\x05", b"\xff\xff"):
                self.says(payload)
        self.assertEqual(len(events), 1, events)
        self.assertEqual(self.ledger.malformed_packets, 5)
        self.assertEqual(self.take(), [])
        self.says(packets.data(1, b"alive"))
        self.assertEqual(socket.take(), [("write", b"alive")])

    def test_what_proxies_have_no_say_in(self) -> None:
        """An agent's own packets, and unknown types, do nothing."""
        self.open()
        for payload in (
            packets.dial_rsp(7, connect_id=1),
            packets.close_rsp(1),
            packets.drain(),
            b"\x08\x63",
        ):
            self.says(payload)
        self.assertEqual(self.take(), [])
        self.assertTrue(self.link.busy)


class StockProxyReasonTests(LinkTestCase):
    """A proxy that has announced nothing."""

    def test_no_reason(self) -> None:
        """What is no part of upstream's CLOSE_REQ means nothing."""
        socket = self.open()
        self.says(packets.close_req(1, "client_lost"))
        self.assertEqual(socket.take(), ["FIN"])


class KonnectProxyTests(LinkTestCase):
    """A proxy that has announced credit and half-close."""

    features = Features(credit=16384, half_close=True)

    def test_destination_first(self) -> None:
        """A destination's FIN is a HALF_CLOSE, and the client may go on."""
        socket = self.open()
        socket.deliver_fin()
        self.assertEqual(self.take(), [("HALF_CLOSE", 1)])
        self.says(packets.data(1, b"more"))
        self.assertEqual(socket.take(), [("write", b"more")])
        self.says(packets.half_close(1))
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "destination_closed")])
        self.assertEqual(socket.take(), ["close"])

    def test_client_first(self) -> None:
        """A client's HALF_CLOSE is a FIN at the destination, whose answer is carried."""
        socket = self.open()
        self.says(packets.half_close(1))
        self.assertEqual(socket.take(), ["FIN"])
        socket.deliver(b"answer")
        socket.deliver_fin()
        self.assertEqual(self.take(), [("DATA", 1, b"answer"), ("CLOSE_RSP", 1, "client_closed")])

    def test_reason(self) -> None:
        """A reset is told as such."""
        self.open().lose(ConnectionLost())
        self.assertEqual(self.take(), [("CLOSE_RSP", 1, "destination_lost")])

    def test_the_clients_reason(self) -> None:
        """A tunnel that the proxy has cut is a reset at the destination, behind what came before;
        a reason that nobody knows is none."""
        for error, end in (("client_lost", "abort"), ("shutdown", "abort"), ("?", "FIN")):
            socket = self.open(random=len(error))
            self.says(packets.data(self.link._last_id, b"half a request"))
            self.says(packets.close_req(self.link._last_id, error))
            socket.drain()
            self.assertEqual(socket.take(), [("write", b"half a request"), end])
            label = "client_closed" if error == "?" else error
            self.assertEqual(self.take()[-1], ("CLOSE_RSP", self.link._last_id, label))

    def test_credit(self) -> None:
        """A destination is read no further than the proxy allows."""
        socket = self.open()
        socket.deliver(b"x" * 16384)
        self.assertFalse(socket.reading)
        self.says(packets.credit(1, 100))
        self.assertTrue(socket.reading)

    def test_client_leaves_a_backlog(self) -> None:
        """A CLOSE_REQ drops what waits for credit, and is answered once."""
        for ended in (False, True):
            with self.subTest(destination_has_ended=ended):
                socket = self.open(random=7 + ended)
                connect_id = 1 + ended
                socket.deliver(b"x" * 20000)
                if ended:
                    socket.lose()
                self.take()
                self.says(packets.close_req(connect_id))
                self.assertEqual(
                    [packet[:2] for packet in self.take()], [("CLOSE_RSP", connect_id)]
                )
                self.assertEqual(self.ledger.buffered, 0)
                self.assertFalse(self.link.busy)

    def test_half_closed_behind_a_backlog(self) -> None:
        """A destination's end waits for the credit that its last bytes need."""
        socket = self.open()
        socket.deliver(b"x" * 20000)
        socket.lose()
        self.assertEqual([packet[0] for packet in self.take()], ["DATA"])
        self.says(packets.credit(1, 16384))
        self.assertEqual([packet[0] for packet in self.take()], ["DATA", "CLOSE_RSP"])
