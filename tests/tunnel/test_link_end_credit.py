"""Tests of konnect.tunnel.link_end between two konnect halves: credit, backlog, half-close.

`LinkTestCase.tearDown` asserts that each byte of window went back exactly once, nothing is held and
no timer runs.
"""

from __future__ import annotations

from konnect.tunnel.ends import Bytes
from konnect.tunnel.link_sizes import CREDIT_SLACK, REST
from konnect.tunnel.parking import LITTLE
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from tests.tunnel.linking import OURS, THEIRS, CreditTestCase


class SendingTests(CreditTestCase):
    """What the peer allows."""

    def test_within(self) -> None:
        """Bytes within the credit go out at once and nobody is paused."""
        self.end(1).write(b"x" * (THEIRS - 1))
        self.assertEqual(self.sent(), THEIRS - 1)
        self.assertEqual(self.near.take(), [])

    def test_spent(self) -> None:
        """The last byte of credit pauses the source; more credit resumes it."""
        self.end(1).write(b"x" * THEIRS)
        self.assertEqual(self.sent(), THEIRS)
        self.assertEqual(self.near.take(), [("pause",)])
        self.stream.deliver(packets.credit(1, 10))
        self.assertEqual(self.near.take(), [("resume",)])
        self.end(1).write(b"y" * 9)
        self.assertEqual(self.sent(), 9)
        self.assertEqual(self.near.take(), [])

    def test_beyond(self) -> None:
        """What the source gives beyond the credit waits, in order, and is counted as waiting."""
        self.end(1).write(b"a" * THEIRS + b"bc")
        self.end(1).write(b"de")
        self.assertEqual(self.sent(), THEIRS)
        self.assertEqual(self.ledger.buffered, 4)
        self.stream.deliver(packets.credit(1, 3))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"bc"), ("DATA", 1, b"d")])
        self.assertEqual(self.near.take(), [("pause",)], "there is no credit left")
        self.stream.deliver(packets.credit(1, 2))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"e")])
        self.assertEqual(self.near.take(), [("resume",)])

    def test_useless_credit(self) -> None:
        """Credit of nothing, or for another's id, changes nothing."""
        self.end(1).write(b"x" * THEIRS + b"y")
        self.sent()
        for connect_id, increment in ((1, 0), (2, 100)):
            self.stream.deliver(packets.credit(connect_id, increment))
        self.assertEqual(self.sent(), 0)
        self.assertEqual(self.near.take(), [("pause",)])

    def test_credit_taken_back(self) -> None:
        """What the peer had allowed beyond the window, it can take back: what was sent of it has to
        be allowed anew before more is sent."""
        self.stream.deliver(packets.credit(1, 1000))
        self.end(1).write(b"x" * (THEIRS + 400))
        self.assertEqual(self.near.take(), [])
        self.stream.deliver(packets.credit(1, -1000))
        self.assertEqual(self.near.take(), [("pause",)])
        self.end(1).write(b"y")
        self.sent()
        self.stream.deliver(packets.credit(1, 400))
        self.assertEqual((self.sent(), self.near.take()), (0, []))
        self.stream.deliver(packets.credit(1, 2))
        self.assertEqual((self.sent(), self.near.take()), (1, [("resume",)]))

    def test_a_full_link_and_no_credit(self) -> None:
        """A source goes on only when there is both credit and room."""
        self.stream.room = False
        self.end(1).write(b"x" * THEIRS)
        self.near.take()
        self.stream.deliver(packets.credit(1, 10))
        self.assertEqual(self.near.take(), [], "parked")
        self.link.writable()
        self.assertEqual(self.near.take(), [("resume",)])
        self.end(1).write(b"x" * 10)
        self.near.take()
        self.link.writable()
        self.assertEqual(self.near.take(), [], "starved")
        self.stream.room = True
        self.stream.deliver(packets.credit(1, 10))
        self.assertEqual(self.near.take(), [("resume",)])

    def test_a_backlog_waits_for_room(self) -> None:
        """While the link is full, credit lets no backlog go: it stays here, counted, in order, and
        within what the peer may take back."""
        two = self.tunnel(2)
        self.end(1).write(b"x" * THEIRS + b"bc")
        self.stream.room = False
        self.end(2).write(b"y")
        self.stream.take()
        self.stream.deliver(packets.credit(0, 10))
        self.end(1).write(b"d")
        self.assertEqual((self.stream.take(), self.ledger.buffered), ([], 3))
        self.stream.deliver(packets.credit(0, -8))
        self.stream.room = True
        self.near.take()
        self.link.writable()
        self.clock.advance(0)
        self.assertEqual(self.stream.take(), [("DATA", 1, b"bc")])
        self.assertEqual((self.near.take(), two.take()), ([("pause",)], [("pause",), ("resume",)]))
        self.stream.deliver(packets.credit(1, 3))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"d")])
        self.assertEqual(self.near.take(), [("resume",)])

    def test_backlogs_take_turns(self) -> None:
        """One that fills the link again waits for its next turn behind the others, and so does its
        source."""
        near = (self.near, self.tunnel(2))
        for connect_id in (1, 2):
            self.end(connect_id).write(b"x" * THEIRS)
            for _ in range(2):
                self.end(connect_id).write(bytes([96 + connect_id]) * 5000)
        self.sent()
        self.stream.room = False
        self.tunnel(3)
        self.end(3).write(b"z")
        self.stream.deliver(packets.credit(0, THEIRS))
        self.stream.take()
        turns = []
        for _ in range(4):
            self.link.writable()
            turns.append([packet[1] for packet in self.stream.take()])
        self.assertEqual(turns, [[1], [2], [1], [2]])
        self.assertEqual(self.ledger.buffered, 0)
        self.assertNotIn(("resume",), [*near[0].take(), *near[1].take()])

    def test_credit_between_two_turns(self) -> None:
        """One that waits for its turn when the link has room again is not forgotten for credit that
        comes before."""
        rest = b"r" * (LITTLE + 1)
        self.tunnel(2)
        for connect_id in (1, 2):
            self.end(connect_id).write(b"x" * THEIRS)
            self.end(connect_id).write(rest)
        self.stream.room = False
        self.tunnel(3)
        self.end(3).write(b"z")
        self.stream.deliver(packets.credit(0, len(rest)))
        self.stream.take()
        self.stream.room = True
        self.link.writable()
        self.assertEqual(self.stream.take(), [("DATA", 1, rest)])
        self.stream.deliver(packets.credit(2, 1))
        self.assertEqual(self.stream.take(), [])
        self.clock.advance(0)
        self.assertEqual(self.stream.take(), [("DATA", 2, rest)])

    def tail_waits_for_room(self) -> None:
        """The first tunnel has four bytes left and credit for them, and the link is full."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        self.tunnel(2)
        self.stream.room = False
        self.end(2).write(b"y")
        self.stream.deliver(packets.credit(1, 100))

    def test_half_close_behind_a_backlog_that_waits_for_room(self) -> None:
        """A direction that ended meanwhile ends behind its last byte."""
        self.tail_waits_for_room()
        assert self.near.tunnel is not None
        self.near.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.stream.room = True
        self.stream.take()
        self.link.writable()
        self.clock.advance(0)
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail"), ("HALF_CLOSE", 1)])

    def test_closed_while_its_backlog_waits_for_room(self) -> None:
        """The rest of a tunnel that ended meanwhile goes when its turn comes."""
        self.tail_waits_for_room()
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.stream.take()
        self.link.take()
        self.link.writable()
        self.clock.advance(0)
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail")])
        self.assertEqual(self.link.take(), [("close", 1, Reason.DESTINATION_CLOSED)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_with_a_backlog(self) -> None:
        """The end of a tunnel waits for what was read before it."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.sent()
        self.assertEqual(self.link.take(), [])
        self.stream.deliver(packets.credit(1, 4))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail")])
        self.assertEqual(self.link.take(), [("close", 1, Reason.DESTINATION_CLOSED)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_closed_with_a_backlog_and_full(self) -> None:
        """The rest of an ended tunnel goes into a full stream: it has no source to pause."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.stream.room = False
        self.stream.deliver(packets.credit(1, 100))
        self.assertEqual(self.link.take(), [("close", 1, Reason.DESTINATION_CLOSED)])

    def test_closed_and_slowly_read(self) -> None:
        """A peer that gives no credit for the linger time gets the rest of an ended tunnel beyond
        it: its reader may take longer for as much as credit goes back by."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.sent()
        self.clock.advance(9.9)
        self.assertEqual(self.link.take(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail")])
        self.assertEqual(self.link.take(), [("close", 1, Reason.DESTINATION_CLOSED)])

    def test_closed_and_too_much_left(self) -> None:
        """Of more than the peer is certain to take the rest is lost, and it is told that it was."""
        self.end(1).write(b"x" * (THEIRS + REST + 1))
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.sent()
        self.clock.advance(10)
        self.assertEqual(self.link.take(), [("close", 1, Reason.LINGER)])
        self.assertEqual((self.sent(), self.ledger.buffered), (0, 0))

    def test_closed_on_a_link_that_stands_still(self) -> None:
        """Nor is more put before a link that takes nothing."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_CLOSED)
        self.stream.waiting = REST + 1
        self.clock.advance(10)
        self.assertEqual(self.link.take(), [("close", 1, Reason.LINGER)])

    def test_shut_down_with_a_backlog(self) -> None:
        """A program that stops still sends what was read, if the peer takes it in time."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.SHUTDOWN)
        self.sent()
        self.stream.deliver(packets.credit(1, 4))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail")])
        self.assertEqual(self.link.take(), [("close", 1, Reason.SHUTDOWN)])

    def test_aborted_with_a_backlog(self) -> None:
        """An abortive end waits for nothing."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.DESTINATION_LOST)
        self.assertEqual(self.link.take(), [("close", 1, Reason.DESTINATION_LOST)])
        self.assertEqual(self.ledger.buffered, 0)

    def test_the_link_ends_with_a_backlog(self) -> None:
        """A lost link drops backlogs, also those of tunnels that are over already."""
        two = self.tunnel(2)
        for connect_id in (1, 2):
            self.end(connect_id).write(b"x" * THEIRS + b"tail")
        assert two.tunnel is not None
        two.tunnel.close(Reason.DESTINATION_CLOSED)
        self.link.end_all(Reason.AGENT_LOST)
        self.assertEqual(self.ledger.buffered, 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class HalfCloseTests(CreditTestCase):
    """The end of one direction."""

    def test_sent(self) -> None:
        """The other side's last byte is told, and the tunnel stays."""
        tunnel = self.near.tunnel
        assert tunnel is not None
        self.assertTrue(tunnel.can_finish_far)
        tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.stream.take(), [("HALF_CLOSE", 1)])
        self.data(1, b"answer")
        self.assertIn(("write", b"answer"), self.near.take())

    def test_behind_the_backlog(self) -> None:
        """A half-close waits for what was read before it, and is told once."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.sent()
        self.stream.deliver(packets.credit(1, 100))
        self.assertEqual(self.stream.take(), [("DATA", 1, b"tail"), ("HALF_CLOSE", 1)])
        self.stream.deliver(packets.credit(1, 100))
        self.assertEqual(self.stream.take(), [])

    def test_received(self) -> None:
        """The peer's half-close finishes the other end; said twice, it is heard once."""
        self.stream.deliver(packets.half_close(1))
        self.stream.deliver(packets.half_close(1))
        self.assertEqual(self.near.take(), [("finish",)])
        self.assertTrue(self.end(1).half_close_received)

    def test_received_for_nobody(self) -> None:
        """A half-close for an unknown id, or for a tunnel that only waits, does nothing."""
        self.stream.deliver(packets.half_close(2))
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_CLOSED)
        self.near.take()
        self.stream.deliver(packets.half_close(1))
        self.assertEqual(self.near.take(), [])

    def test_data_behind_a_half_close(self) -> None:
        """DATA behind the peer's own half-close is dropped: the other end is finished."""
        self.stream.deliver(packets.half_close(1))
        self.near.take()
        self.data(1, b"late")
        self.assertEqual(self.near.take(), [])

    def test_both(self) -> None:
        """The second direction's end closes the tunnel."""
        assert self.near.tunnel is not None
        self.near.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.stream.deliver(packets.half_close(1))
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.link.take(), [("finish", 1), ("close", 1, Reason.CLIENT_CLOSED)])


class ReceivingTests(CreditTestCase):
    """What we allow."""

    def returned(self) -> list[int]:
        """Increments of the CREDIT packets sent since the last look."""
        return [packet[2] for packet in self.stream.take() if packet[0] == "CREDIT"]

    def test_returned_in_bulk(self) -> None:
        """Credit goes back when half of it is due; the link's window goes back at once."""
        self.data(1, b"x" * (OURS // 2 - 1))
        self.assertEqual(self.returned(), [])
        self.data(1, b"x")
        self.assertEqual(self.returned(), [OURS // 2])
        self.assertEqual(self.withheld, 0)

    def test_held(self) -> None:
        """A tunnel that takes no bytes gives no credit back, and all of it when it goes on."""
        self.end(1).pause()
        self.data(1, b"x" * OURS)
        self.assertEqual(self.returned(), [])
        self.assertEqual(self.withheld, 0)
        self.end(1).resume()
        self.assertEqual(self.returned(), [OURS])

    def test_drained(self) -> None:
        """Credit goes back as bytes leave: each byte once."""
        self.end(1).pause()
        self.data(1, b"x" * OURS)
        self.end(1).drained(OURS // 2)
        self.assertEqual(self.returned(), [OURS // 2])
        self.end(1).drained(OURS)
        self.assertEqual(self.returned(), [OURS // 2])
        self.end(1).resume()
        self.assertEqual(self.returned(), [])

    def test_paused_by_its_own_bytes(self) -> None:
        """Bytes that fill the other end are held, not given back."""

        def full(data: Bytes) -> None:
            self.end(1).pause()

        self.near.write = full  # type: ignore[method-assign]
        self.data(1, b"x" * OURS)
        self.assertEqual(self.returned(), [])
        self.end(1).resume()
        self.assertEqual(self.returned(), [OURS])

    def test_closed_while_held(self) -> None:
        """A tunnel that ends returns no credit: the peer forgets it with the tunnel."""
        self.end(1).pause()
        self.data(1, b"x" * OURS)
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_LOST)
        self.assertEqual(self.returned(), [])

    def test_overrun(self) -> None:
        """A peer that sends far beyond its credit loses the tunnel, not the link."""
        self.end(1).pause()
        two = self.tunnel(2)
        chunk = b"x" * (1 << 20)
        for _ in range((OURS + CREDIT_SLACK) // len(chunk)):
            self.data(1, chunk)
        self.assertIn(1, self.link.ends)
        self.data(1, chunk)
        self.assertEqual(self.link.take(), [("close", 1, Reason.PROTOCOL)])
        self.data(2, b"ok")
        self.assertEqual(two.take(), [("write", b"ok")])

    def test_overrun_of_a_tunnel_that_is_over(self) -> None:
        """An overrun has nothing to end where the tunnel has ended already."""
        end = self.end(1)
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_LOST)
        self.link.take()
        self.link.overrun(end)
        self.assertEqual(self.link.take(), [])

    def test_data_for_an_end_that_waits(self) -> None:
        """DATA for a tunnel that only waits to say its last is dropped, its window given back."""
        self.end(1).write(b"x" * THEIRS + b"tail")
        assert self.near.tunnel is not None
        self.near.tunnel.close(Reason.CLIENT_CLOSED)
        self.near.take()
        self.data(1, b"late")
        self.assertEqual(self.near.take(), [])
        self.assertEqual(self.withheld, 0)


class ClosedByItsOwnBytesTests(CreditTestCase):
    """A write that ends the tunnel."""

    def test_no_credit_for_the_dead(self) -> None:
        """Bytes whose delivery ends the tunnel are worth no CREDIT packet."""
        tunnel = self.near.tunnel
        assert tunnel is not None
        self.near.write = lambda data: tunnel.close(Reason.CLIENT_LOST)  # type: ignore[method-assign]
        self.data(1, b"x" * OURS)
        self.assertEqual(self.stream.take(), [])
        self.assertEqual(self.withheld, 0)
