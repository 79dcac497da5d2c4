"""Tests of konnect.tunnel.link: the table, the packets, and the turns of parked ends."""

from __future__ import annotations

from konnect.tunnel.link import Link
from konnect.tunnel.link_end import LinkEnd
from konnect.tunnel.link_sizes import CHUNK
from konnect.tunnel.parking import LITTLE, LITTLE_PER_TURN, WAKE_PER_TURN
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from konnect.wire import packets
from konnect.wire.packets import MalformedPacket
from tests.fakes import FakeEnd
from tests.tunnel.linking import LinkTestCase


class ReceivingTests(LinkTestCase):
    """Packets that come in."""

    def test_data(self) -> None:
        """DATA goes to the end of its id, in order, and its window goes back."""
        one, two = self.tunnel(1), self.tunnel(2)
        self.data(2, b"b")
        self.data(1, b"a")
        self.data(2, b"c")
        self.assertEqual(one.take(), [("write", b"a")])
        self.assertEqual(two.take(), [("write", b"b"), ("write", b"c")])
        self.assertEqual(self.withheld, 0)
        self.assertEqual(self.ledger.bytes, {"to_destination": 3, "to_client": 0})
        self.assertEqual(self.ledger.packets["in", "DATA"], 3)

    def test_unknown_id(self) -> None:
        """DATA for an id that the link does not have is the role's to answer, nobody else's."""
        one = self.tunnel(1)
        self.data(7, b"x")
        self.assertEqual(self.link.take(), [("unknown", 7)])
        self.assertEqual(one.take(), [])
        self.assertEqual(self.withheld, 0)

    def test_negative_id(self) -> None:
        """An id below zero is an unknown one."""
        self.data(-5, b"x")
        self.assertEqual(self.link.take(), [("unknown", -5)])

    def test_id_zero(self) -> None:
        """DATA for id 0 is dropped without an answer."""
        self.data(0, b"x")
        self.assertEqual(self.link.take(), [])
        self.assertEqual(self.withheld, 0)

    def test_empty_data(self) -> None:
        """DATA without bytes is counted and does nothing, known id or not 0 alike."""
        one = self.tunnel(1)
        empty = packets.data(1, b"x").replace(b"\x1a\x01x", b"").replace(b"\x22\x05", b"\x22\x02")
        self.stream.deliver(empty)
        self.assertEqual(one.take(), [])
        self.assertEqual(self.link.take(), [])
        self.assertEqual(self.ledger.packets["in", "DATA"], 1)
        self.assertEqual(self.withheld, 0)

    def test_data_after_close(self) -> None:
        """DATA behind a tunnel's end is for an unknown id."""
        one = self.tunnel(1)
        tunnel = one.tunnel
        assert tunnel is not None
        tunnel.close(Reason.CLIENT_CLOSED)
        one.take(), self.link.take()
        self.data(1, b"late")
        self.assertEqual(one.take(), [])
        self.assertEqual(self.link.take(), [("unknown", 1)])

    def test_pieces_for_an_unknown_id(self) -> None:
        """A packet that comes in pieces is asked about once, and what has ended midway no more."""
        self.link.data(7, b"first", 20)
        self.link.data(7, b"rest", 4)
        self.assertEqual(self.link.take(), [("unknown", 7)])

    def test_malformed(self) -> None:
        """What is no packet, or lacks its payload, is counted and does nothing else, but that the
        first is told of."""
        one = self.tunnel(1)
        told = [("malformed", "DIAL_REQ")]
        for payload in (
            b"",
            b"\x08\x01",
            b"\x08\x02",
            b"\x08\x03",
            b"\x08\x04",
            b"\x08\x05",
            b"\x08\x04\x3a\x00",
            b"\xff\xff\xff",
            b"\x08\x04\x22\x7f\x08\x01",
        ):
            self.stream.deliver(payload)
            self.assertEqual(self.link.take(), told, payload)
            told = []
        self.assertEqual(self.ledger.malformed_packets, 9)
        self.assertEqual(dict(self.ledger.packets), {})
        self.assertEqual(one.take(), [])
        self.assertEqual(self.withheld, 0)

    def test_types_that_the_role_does_not_know(self) -> None:
        """Other types, ours without agreement and those to come, are counted and ignored."""
        one = self.tunnel(1)
        for payload in (
            packets.drain(),
            b"\x08\x63",
            packets.credit(1, 5),
            packets.half_close(1),
            packets.dial_rsp(4),
        ):
            self.stream.deliver(payload)
        self.assertEqual(self.link.take(), [])
        self.assertEqual(one.take(), [])
        self.assertEqual(self.stream.take(), [])
        self.assertEqual(
            dict(self.ledger.packets),
            {
                ("in", "DRAIN"): 1,
                ("in", "99"): 1,
                ("in", "CREDIT"): 1,
                ("in", "HALF_CLOSE"): 1,
                ("in", "DIAL_RSP"): 1,
            },
        )

    def test_handlers(self) -> None:
        """A role's types go to its handlers with the packet's values."""
        seen = []
        self.link.handlers = {3: lambda link, values: seen.append(values[0])}
        self.stream.deliver(packets.close_rsp(9))
        self.assertEqual(seen, [9])


class SendingTests(LinkTestCase):
    """Bytes that go out."""

    def test_data(self) -> None:
        """A tunnel's bytes go out under its id and are counted."""
        self.tunnel(3)
        self.end(3).write(b"abc")
        self.assertEqual(self.stream.take(), [("DATA", 3, b"abc")])
        self.assertEqual(self.ledger.bytes, {"to_destination": 0, "to_client": 3})
        self.assertEqual(dict(self.ledger.packets), {("out", "DATA"): 1})

    def test_chunks(self) -> None:
        """Long reads are cut into packets of CHUNK."""
        data = b"x" * CHUNK
        self.tunnel(1)
        self.end(1).write(data + b"yz")
        self.assertEqual(
            [(packet[0], len(packet[2])) for packet in self.stream.take()],
            [("DATA", CHUNK), ("DATA", 2)],
        )

    def test_control_packets_wait_for_nothing(self) -> None:
        """A control packet goes out whatever the stream says, and parks nobody."""
        one = self.tunnel(1)
        self.stream.room = False
        self.link.send(packets.PacketType.CLOSE_RSP, packets.close_rsp(1))
        self.assertEqual(self.stream.take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(one.take(), [])

    def test_nothing_after_the_end(self) -> None:
        """A lost link sends and counts nothing more."""
        end = LinkEnd(self.link, 1)
        self.link.end_all(Reason.AGENT_LOST)
        self.link.send(packets.PacketType.CLOSE_RSP, packets.close_rsp(1))
        self.link.send_data(end, b"x")
        self.assertEqual(self.stream.take(), [])
        self.assertEqual(dict(self.ledger.packets), {})


class ParkingTests(LinkTestCase):
    """What happens when the stream takes no more."""

    def fill(self, *connect_ids: int, size: int = LITTLE + 1) -> None:
        """The stream is full and these tunnels have tried it, with so many bytes each."""
        self.stream.room = False
        for connect_id in connect_ids:
            self.end(connect_id).write(b"x" * size)

    def test_paused_once(self) -> None:
        """The source that fills the stream is paused once, and is resumed when there is room."""
        one = self.tunnel(1)
        self.fill(1, 1)
        self.assertEqual(one.take(), [("pause",)])
        self.stream.room = True
        self.link.writable()
        self.assertEqual(one.take(), [("resume",)])
        self.link.writable()
        self.assertEqual(one.take(), [])

    def test_turns(self) -> None:
        """Parked sources are woken in the order in which they came, a few a turn, all of them."""
        count = 2 * WAKE_PER_TURN + 1
        order: list[int] = []
        for connect_id in range(1, count + 1):
            near = self.tunnel(connect_id)
            near.resume = lambda i=connect_id: order.append(i)  # type: ignore[method-assign, misc]
        self.fill(*range(count, 0, -1))
        self.stream.room = True
        self.link.writable()
        self.assertEqual(len(order), WAKE_PER_TURN)
        self.link.writable()
        self.assertEqual(len(order), WAKE_PER_TURN, "a turn is a turn, however often asked")
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(order, list(range(count, 0, -1)))

    def test_little_is_woken_first(self) -> None:
        """A source that wrote little waits for no large read of those that came before it. They
        have their turn as well, however many write little."""
        order: list[int] = []
        little = range(11, 11 + 2 * LITTLE_PER_TURN)
        for connect_id in (1, 2, 3, *little):
            near = self.tunnel(connect_id)
            near.resume = lambda i=connect_id: order.append(i)  # type: ignore[method-assign, misc]
        self.fill(1, 2, 3)
        self.fill(*little, size=LITTLE)
        self.stream.room = True
        self.link.writable()
        first = list(little[:LITTLE_PER_TURN])
        self.assertEqual(order, [*first, 1])
        self.clock.advance(0)
        self.clock.advance(0)
        self.assertEqual(order, [*first, 1, *little[LITTLE_PER_TURN:], 2, 3])

    def test_little_that_becomes_much(self) -> None:
        """What a source wrote last says where it waits."""
        order: list[int] = []
        for connect_id in (1, 2):
            near = self.tunnel(connect_id)
            near.resume = lambda i=connect_id: order.append(i)  # type: ignore[method-assign, misc]
        self.fill(1)
        self.fill(2, size=LITTLE)
        self.link.writable()
        self.fill(2)
        self.stream.room = True
        self.clock.advance(0)
        self.link.writable()
        self.clock.advance(0)
        self.assertEqual(order, [2, 1, 2])

    def test_a_full_stream_wakes_nobody(self) -> None:
        """When the first to wake fill the stream again, the others wait for its next drain."""
        count = 3 * WAKE_PER_TURN
        written: list[int] = []

        class Eager(FakeEnd):
            def resume(self) -> None:
                super().resume()
                assert isinstance(self.other, LinkEnd)
                written.append(self.other.connect_id)
                self.other.write(b"more" * LITTLE)

        for connect_id in range(1, count + 1):
            near = Eager()
            tunnel = Tunnel(self.ledger, near, "host:80")
            end = self.link.ends[connect_id] = LinkEnd(self.link, connect_id)
            tunnel.opened(end)
        self.fill(*range(1, count + 1))
        self.link.writable()
        for _ in range(100):
            self.clock.advance(0)
        self.assertEqual(written, [1], "one read went in, and the stream said no")
        for _ in range(count):
            self.link.writable()
            self.clock.advance(0)
        self.assertEqual(written[:count], list(range(1, count + 1)))

    def test_full_again_after_a_turn(self) -> None:
        """Turns that nobody asked for leave nothing behind: the next drain wakes at once."""
        ends = [self.tunnel(i) for i in range(1, WAKE_PER_TURN + 2)]
        for _ in range(2):
            self.fill(*range(1, WAKE_PER_TURN + 2))
            self.stream.room = True
            self.link.writable()
            self.assertEqual(ends[0].take(), [("pause",), ("resume",)])
            self.assertEqual(ends[-1].take(), [("pause",)])
            self.clock.advance(0)
            self.assertEqual(ends[-1].take(), [("resume",)])

    def test_an_ended_tunnel_costs_no_turn(self) -> None:
        """A parked tunnel that has ended meanwhile is passed over."""
        ends = [self.tunnel(i) for i in range(1, WAKE_PER_TURN + 2)]
        self.fill(*range(1, WAKE_PER_TURN + 2))
        first = ends[0].tunnel
        assert first is not None
        first.close(Reason.CLIENT_LOST)
        for end in ends:
            end.take()
        self.stream.room = True
        self.link.writable()
        self.assertEqual([end.take() for end in ends], [[]] + [[("resume",)]] * WAKE_PER_TURN)

    def test_the_last_bytes_are_not_parked(self) -> None:
        """An end whose tunnel is over has no source to pause."""
        end = LinkEnd(self.link, 5)
        self.stream.room = False
        self.link.send_data(end, b"x")
        self.assertFalse(end.parked)

    def test_the_link_ends_while_some_are_parked(self) -> None:
        """A lost link wakes nobody, and its tunnels are closed."""
        ends = [self.tunnel(i) for i in range(1, 2 * WAKE_PER_TURN)]
        self.fill(*range(1, 2 * WAKE_PER_TURN))
        self.stream.room = True
        self.link.writable()
        for end in ends:
            end.take()
        self.link.end_all(Reason.AGENT_LOST)
        self.clock.advance(0)
        for end in ends:
            self.assertEqual(end.take(), [("close", Reason.AGENT_LOST)])


class EndingTests(LinkTestCase):
    """The end of tunnels and of the link."""

    def test_close(self) -> None:
        """A tunnel's end is told to the role once, with the reason, and leaves the table."""
        one = self.tunnel(1)
        assert one.tunnel is not None
        one.tunnel.close(Reason.CLIENT_CLOSED)
        self.assertEqual(self.link.take(), [("close", 1, Reason.CLIENT_CLOSED)])
        self.assertEqual(self.link.ends, {})

    def test_end_all(self) -> None:
        """Every tunnel of a lost link is closed and counted once, and the role has none to tell."""
        ends = [self.tunnel(i) for i in range(1, 4)]
        self.link.end_all(Reason.AGENT_LOST)
        for end in ends:
            self.assertEqual(end.take(), [("close", Reason.AGENT_LOST)])
        self.assertEqual(self.link.take(), [])
        self.assertEqual(self.ledger.closed, 3)
        self.assertTrue(self.link.lost)

    def test_a_tunnel_that_closes_another(self) -> None:
        """Tunnels that end each other while the link ends are closed once each."""
        one, two = self.tunnel(1), self.tunnel(2)
        assert two.tunnel is not None
        other: Tunnel = two.tunnel

        class Chain(FakeEnd):
            def close(self, reason: Reason) -> None:
                other.close(Reason.CLIENT_LOST)

        first = one.tunnel
        assert first is not None
        chain = Chain()
        chain.tunnel, chain.other = first, self.end(1)
        first.near = chain
        self.link.end_all(Reason.AGENT_LOST)
        self.assertEqual(two.take(), [("close", Reason.CLIENT_LOST)])
        self.assertEqual(self.ledger.closed, 2)

    def test_an_end_without_half_close(self) -> None:
        """The last byte of the other side is the role's to tell, and the end says what it can."""
        one = self.tunnel(1)
        assert one.tunnel is not None
        self.assertFalse(self.end(1).can_finish)
        self.assertFalse(one.tunnel.can_finish_far)
        one.tunnel.ended(one, Reason.CLIENT_CLOSED)
        self.assertEqual(self.link.take(), [("finish", 1)])
        self.assertEqual(self.stream.take(), [])


class RoleTests(LinkTestCase):
    """What a role must say for itself."""

    def test_the_interface_is_abstract(self) -> None:
        """A link without a role can answer nothing."""
        link = Link(
            self.stream,
            self.ledger,
            outward="out",
            inward="in",
            carries="to_destination",
            later=self.clock.callLater,
            flow=self.flow,
        )
        end = LinkEnd(link, 1)
        self.assertRaises(NotImplementedError, link.malformed, MalformedPacket("x", "DATA"))
        self.assertRaises(NotImplementedError, link.stalled, end)
        self.assertRaises(NotImplementedError, link.unknown_data, 1)
        self.assertRaises(NotImplementedError, link.finish, end)
        self.assertRaises(NotImplementedError, link.close_end, end, Reason.REFUSED)
