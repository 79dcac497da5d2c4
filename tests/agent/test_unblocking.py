"""Tests of konnect.agent.unblocking: whom a stock proxy waits for is found, and cut."""

from __future__ import annotations

from dataclasses import replace

from konnect.agent import unblocking
from konnect.agent.side_stream import NO_DIALS
from konnect.net.grpc_stream import GrpcStream, StreamListener
from konnect.tunnel.blocked import LOOKS
from konnect.tunnel.parking import LITTLE
from konnect.wire import packets
from konnect.wire.events import StreamRefused
from konnect.wire.features import Features
from konnect.wire.status import Status
from tests.agent.test_link import LinkTestCase
from tests.fakes import FakeStream


class SideFake(FakeStream):
    """Another stream of the agent; `asked` are the tunnels it has asked after."""

    def __init__(self, listener: StreamListener) -> None:
        super().__init__()
        self.listener = listener
        self.asked: list[int] = []
        self.question = 0

    def send(self, payload: bytes) -> bool:
        if self.over:
            return False
        packet = packets.parse(payload)
        if int(packet.type) == packets.DATA and not packet.data.data:
            self.asked.append(packet.data.connectID)
            return True
        if int(packet.type) == packets.DATA:
            self.question = packet.data.connectID
        return super().send(payload)

    def end(self, status: Status = Status.OK, text: str = "") -> None:
        self.ending = status, text

    def accept(self) -> None:
        """The proxy greets the agent."""
        assert self.listener is not None
        self.listener.headers(())

    def answer(self) -> None:
        """The proxy did not wait."""
        self.deliver(packets.close_req(self.question))


class UnblockingTests(LinkTestCase):
    """A proxy that takes nothing; each of three destinations has sent as much as fills it."""

    refused = False

    def setUp(self) -> None:
        super().setUp()
        self.sides: list[SideFake] = []
        sockets = [self.open(number) for number in (1, 2, 3)]
        self.stream.room = False
        for socket in sockets:
            socket.deliver(b"x" * (2 * LITTLE))
        self.take()

    def opens(self, listener: StreamListener) -> GrpcStream:
        if self.refused:
            raise StreamRefused("no more streams")
        self.sides.append(SideFake(listener))
        return self.sides[-1]

    def passes(self, times: float) -> None:
        """So many times the stall timeout."""
        self.clock.pump([self.flow.stall_timeout / LOOKS] * round(times * LOOKS) + [0])

    def blocked(self) -> SideFake:
        """The second stream, which is asked for when it is blocked, accepted."""
        self.passes(1.2)
        (side,) = self.sides
        self.assertEqual(side.asked, [], "before it is accepted")
        side.accept()
        return side

    def goes_on(self) -> None:
        self.stream.unread = 0
        self.stream.room = True
        self.link.writable()
        self.clock.advance(0)

    def test_not_before(self) -> None:
        """As long as the stall timeout, nothing is done."""
        self.passes(0.8)
        self.assertEqual(self.sides, [])
        self.goes_on()

    def test_not_before_others_have_helped(self) -> None:
        """With a short stall timeout it is told, and nobody is asked after: upstream's client may
        still give up a tunnel by itself, and would take the question for an end."""
        self.goes_on()
        self.flow = self.link.flow = replace(self.link.flow, stall_timeout=2.0)
        self.link.agree(Features())
        self.stream.room = False
        self.sockets[0].deliver(b"x" * (2 * LITTLE))
        self.passes(1)
        self.assertEqual(self.ledger.blocked_links, 1)
        self.clock.advance(unblocking.OTHERS_PATIENCE - 2.1)
        self.assertEqual(self.sides, [])
        self.clock.advance(0.1)
        self.assertEqual(len(self.sides), 1)
        self.goes_on()

    def test_cut(self) -> None:
        """The first that gets no answer is cut: past the link and on it, and no other."""
        side = self.blocked()
        self.assertEqual(side.asked, [1])
        side.answer()
        self.assertEqual(side.asked, [1, 2])
        self.clock.advance(unblocking.ANSWER_WITHIN)
        third = self.sides[1]
        self.assertEqual(third.take(), [])
        third.accept()
        self.assertEqual(third.take(), [("CLOSE_RSP", 2, "")])
        self.assertEqual(self.take(), [("CLOSE_RSP", 2, "")])
        self.assertEqual(dict(self.ledger.closed_by_reason), {"stalled": 1})
        self.goes_on()
        self.assertTrue(side.over and third.over)
        self.assertEqual(sorted(self.link.ends), [1, 3])

    def test_another(self) -> None:
        """While nothing moves it begins anew; it ends with one that was cut before."""
        for round_ in range(3):
            if round_ == 0:
                self.blocked()
            else:
                self.sides[-1].accept()
            if round_ == 1:
                self.sides[-1].answer()
            self.clock.advance(unblocking.ANSWER_WITHIN)
            if round_ < 2:
                self.sides[-1].accept()
                self.clock.advance(unblocking.ANSWER_WITHIN)
        self.assertEqual(dict(self.ledger.closed_by_reason), {"stalled": 2})
        self.assertEqual(sorted(self.link.ends), [3])
        self.assertEqual(len(self.sides), 5)
        self.assertTrue(all(side.over for side in self.sides))
        self.passes(3)
        self.assertEqual(len(self.sides), 5)

    def test_waits_for_none(self) -> None:
        """All are answered: nobody is cut."""
        side = self.blocked()
        for _ in range(3):
            side.answer()
        self.assertEqual(side.asked, [1, 2, 3])
        self.assertTrue(side.over)
        self.assertEqual(len(self.link.ends), 3)

    def test_goes_on_meanwhile(self) -> None:
        """Nothing is cut when the proxy takes again, at whatever moment that is."""
        side = self.blocked()
        self.goes_on()
        self.assertTrue(side.over)
        self.clock.advance(unblocking.ANSWER_WITHIN)
        self.assertEqual((len(self.sides), len(self.link.ends)), (1, 3))

    def test_not_accepted(self) -> None:
        """A proxy that does not greet the agent again is left alone, and asked again later."""
        self.passes(1.2)
        self.clock.advance(unblocking.ACCEPTED_WITHIN)
        self.assertTrue(self.sides[0].over)
        self.goes_on()
        self.assertEqual(len(self.link.ends), 3)

    def test_refused(self) -> None:
        """By the connection, or by the proxy."""
        self.refused = True
        self.passes(1.2)
        self.goes_on()
        self.refused = False
        self.stream.room = False
        self.sockets[0].deliver(b"x" * (2 * LITTLE))
        self.passes(1.2)
        listener = self.sides[0].listener
        assert listener is not None
        listener.ended(Status.UNAUTHENTICATED, "who are you?", False)
        self.assertEqual(len(self.link.ends), 3)
        self.goes_on()

    def test_lost(self) -> None:
        """With the link all of it ends."""
        side = self.blocked()
        self.link.end()
        self.assertTrue(side.over)

    def test_what_a_proxy_may_say(self) -> None:
        """A dial is refused; an old answer and what is no packet mean nothing."""
        side = self.blocked()
        side.take()
        side.deliver(packets.dial_req("tcp", "host:80", 9))
        self.assertEqual(side.take(), [("DIAL_RSP", 9, 0, NO_DIALS)])
        for payload in (packets.close_req(1), b"\xff\xff\xff\xff"):
            side.deliver(payload)
        self.assertEqual(side.asked, [1])
        self.assertEqual(side.owed, side.acknowledged)

    def test_one_that_has_ended(self) -> None:
        """A tunnel whose end waits behind its last bytes is found as well."""
        self.sockets[0].lose()
        self.blocked()
        self.clock.advance(unblocking.ANSWER_WITHIN)
        self.sides[1].accept()
        self.assertEqual(self.sides[1].take(), [("CLOSE_RSP", 1, "")])
        self.assertEqual(dict(self.ledger.closed_by_reason), {"destination_closed": 1})
