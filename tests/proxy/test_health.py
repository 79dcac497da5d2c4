"""Tests of konnect.proxy.health: links out of rotation, and back."""

from __future__ import annotations

from konnect.proxy import health
from konnect.proxy.health import LONGEST_REST, MISSES, PROBE_ADDRESS, PROBE_ANSWER, SHORTEST_REST
from konnect.proxy.pending import ANSWER_WITHIN
from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from tests.fakes import FakeEnd, FakeLog
from tests.proxy.linking import LinkTestCase

NO_PORT = f"dial tcp: address {PROBE_ADDRESS}: missing port in address"


class HealthTests(LinkTestCase):
    """One agent that does not always answer, and another that does."""

    def setUp(self) -> None:
        super().setUp()
        self.health = self.a.link.health

    def miss(self, times: int = MISSES) -> None:
        """Dials go unanswered; their clients leave."""
        ends = [self.dial(timeout=0.0) for _ in range(times)]
        self.clock.advance(ANSWER_WITHIN)
        self.close(*ends)

    def probes(self) -> list[int]:
        """The randoms of the probes since the last look."""
        return [p[3] for p in self.a.take() if p[:3] == ("DIAL_REQ", "tcp", PROBE_ADDRESS)]

    def probe(self) -> int:
        """The random of the one probe since the last look."""
        (random,) = self.probes()
        return random

    def answer(self, random: int) -> None:
        self.a.says(packets.dial_rsp(random, error=NO_PORT))

    def tearDown(self) -> None:
        self.health.stop()
        super().tearDown()

    def test_out_of_rotation(self) -> None:
        """Unanswered dials in a row make a link suspect; one fewer do not."""
        self.miss(MISSES - 1)
        self.assertFalse(self.a.link.suspect)
        self.miss(1)
        self.assertTrue(self.a.link.suspect)

    def test_others_are_chosen(self) -> None:
        """A suspect link gets no dial while there is another, and some when there is none."""
        self.miss()
        other = self.agent("b")
        for _ in range(20):
            self.assertIs(self.registry.choose("host:80"), other.link)
        other.leaves()
        self.assertIs(self.registry.choose("host:80"), self.a.link)

    def test_back_by_a_probe(self) -> None:
        """It is probed at once, and an answer, whatever it says, puts it back."""
        self.miss()
        self.answer(self.probe())
        self.assertFalse(self.a.link.suspect)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.failures().get("unrecognized_response"), None)

    def test_on_probation(self) -> None:
        """After a probe one more miss is enough, and the next probe comes later."""
        self.miss()
        self.answer(self.probe())
        self.miss(1)
        self.assertTrue(self.a.link.suspect)
        self.clock.advance(SHORTEST_REST / 2)
        self.assertEqual(self.probes(), [])
        self.clock.advance(SHORTEST_REST / 2)
        self.answer(self.probe())
        self.assertFalse(self.a.link.suspect)

    def test_back_by_a_dial(self) -> None:
        """A dial that is answered in time puts it back for good."""
        self.miss()
        self.a.take()
        near = self.dial()
        randoms = [p[3] for p in self.a.take()]
        self.a.says(packets.dial_rsp(randoms[0], error="connection refused"))
        self.assertEqual(near.take()[0][:2], ("failed", Reason.REFUSED))
        self.assertFalse(self.a.link.suspect)
        self.assertEqual(self.clock.getDelayedCalls(), [], "the probe's time is off")
        self.miss(MISSES - 1)
        self.assertFalse(self.a.link.suspect)

    def test_unanswered_probes(self) -> None:
        """Probes go on, ever more rarely down to a bound."""
        self.miss()
        gaps = []
        since = 0.0
        for _ in range(3000):
            self.clock.advance(0.25)
            since += 0.25
            if self.probes():
                gaps.append(since)
                since = 0.0
        self.assertEqual(
            [round(gap - PROBE_ANSWER) for gap in gaps[1:8]],
            [1, 2, 4, 8, 16, 32, int(LONGEST_REST)],
        )
        self.assertLessEqual(max(gaps), PROBE_ANSWER + LONGEST_REST + 0.25)

    def test_a_late_answer(self) -> None:
        """A probe that is answered too late is followed by another at once."""
        self.miss()
        late = self.probe()
        self.clock.advance(PROBE_ANSWER + 0.1)
        self.answer(late)
        self.assertTrue(self.a.link.suspect)
        self.answer(self.probe())
        self.assertFalse(self.a.link.suspect)

    def test_a_probe_that_succeeds(self) -> None:
        """An agent that claims to have dialed a probe is told to close it."""
        self.miss()
        self.a.says(packets.dial_rsp(self.probe(), connect_id=5))
        self.assertFalse(self.a.link.suspect)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 5)])

    def test_invented_answers(self) -> None:
        """Answers to nothing, 0 included, put nothing back."""
        self.miss()
        self.answer(self.probe() + 1)
        self.answer(0)
        self.assertTrue(self.a.link.suspect)

    def test_late(self) -> None:
        """A dial that may be late for its destination is a question, and the answer is all."""
        for _ in range(MISSES + 1):
            self.health.late()
            self.health.late()
            self.answer(self.probe())
            self.assertEqual((self.a.link.suspect, self.health.misses), (False, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_late_and_unanswered(self) -> None:
        """Without the answer the link is taken out, and probed on from then."""
        self.health.late()
        self.probe()
        self.clock.advance(PROBE_ANSWER - 0.1)
        self.assertFalse(self.a.link.suspect)
        self.clock.advance(0.2)
        self.assertTrue(self.a.link.suspect)
        self.clock.advance(0)
        self.health.late()
        self.answer(self.probe())
        self.assertFalse(self.a.link.suspect)

    def test_back_by_a_dial_between_probes(self) -> None:
        """A dial in time puts a link back that no dial was missed by, too, at any time."""
        self.health.late()
        self.clock.advance(PROBE_ANSWER)
        self.clock.advance(0)
        self.clock.advance(PROBE_ANSWER)
        self.assertEqual(len(self.probes()), 2)
        self.assertEqual((self.a.link.suspect, self.health.misses), (True, 0))
        self.dial()
        self.a.refuses("connection refused")
        self.assertFalse(self.a.link.suspect)
        self.assertEqual(self.clock.getDelayedCalls(), [], "the probe's time is off")

    def test_missed_while_asked(self) -> None:
        """Misses take a link out although a question is on its way, whose answer counts."""
        self.health.late()
        for _ in range(MISSES):
            self.health.missed()
        self.assertTrue(self.a.link.suspect)
        self.answer(self.probe())
        self.assertFalse(self.a.link.suspect)
        self.health.missed()
        self.assertTrue(self.a.link.suspect)
        self.clock.advance(SHORTEST_REST / 2)
        self.assertEqual(self.probes(), [], "the second probe waits")

    def test_a_dial_answers_the_question(self) -> None:
        """A dial in time says as much as a probe, whose own answer is then expected still."""
        near = self.dial()
        random = self.a.asked("host:80")
        self.health.late()
        probe = self.probe()
        self.a.says(packets.dial_rsp(random, error="connection refused"))
        self.assertEqual(near.take()[0][:2], ("failed", Reason.REFUSED))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.answer(probe)
        self.assertEqual(self.failures().get("unrecognized_response"), None)

    def test_a_dial_shortens_the_rests(self) -> None:
        """After a dial in time the first probe of the next time comes at once again."""
        self.miss()
        self.clock.pump([PROBE_ANSWER, SHORTEST_REST, PROBE_ANSWER])
        self.health.answered()
        self.probes()
        self.miss()
        self.assertTrue(self.a.link.suspect)
        self.answer(self.probe())

    def test_late_while_it_rests(self) -> None:
        """A link that is out is probed in its own time, whatever dials it gets are late."""
        self.miss()
        self.clock.advance(PROBE_ANSWER)
        self.probes()
        waiting = list(self.clock.getDelayedCalls())
        self.health.late()
        self.assertEqual(self.probes(), [])
        self.assertEqual(self.clock.getDelayedCalls(), waiting)

    def test_an_answer_that_matters_no_more(self) -> None:
        """A probe that is answered when a dial has put the link back leads to no other."""
        self.miss()
        late = self.probe()
        self.clock.advance(PROBE_ANSWER)
        self.health.answered()
        self.answer(late)
        self.assertEqual(self.probes(), [])
        self.assertEqual(self.failures().get("unrecognized_response"), None)

    def test_log(self) -> None:
        """A line tells that a link is out, and why, and another that it is back; no more."""
        log = FakeLog()
        self.patch(health, "log", log)
        link = self.a.link
        for _ in range(2):
            for _ in range(MISSES):
                self.health.missed()
            out = f"{link} does not answer dials ({MISSES} in a row): it gets no dials until it"
            self.assertEqual(log.lines, [out + " answers a probe"])
            self.clock.pump([0, PROBE_ANSWER, SHORTEST_REST])
            self.answer(self.probes()[-1])
            self.health.answered()
            self.assertEqual(log.lines[1:], [f"{link} answers again: it gets dials"])
            log.lines.clear()
        self.health.late()
        self.clock.advance(PROBE_ANSWER)
        out = f"{link} does not answer a probe: it gets no dials until it answers a probe"
        self.assertEqual(log.lines, [out])

    def test_lost(self) -> None:
        """A lost link is probed no more."""
        self.miss()
        self.a.leaves()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_dials_find_their_way(self) -> None:
        """While one agent hangs, dials that met it succeed by the other, and soon none meet it."""
        other = self.agent("b")
        ends = [FakeEnd() for _ in range(40)]
        for end in ends:
            self.switchboard.dial(end, "tcp", "host:80")
        for number, packet in enumerate(other.take()):
            other.says(packets.dial_rsp(packet[3], connect_id=number + 1))
        self.clock.advance(ANSWER_WITHIN)
        for number, packet in enumerate(other.take()):
            other.says(packets.dial_rsp(packet[3], connect_id=100 + number))
        self.assertEqual({end.take()[0] for end in ends}, {("opened",)})
        self.assertTrue(self.a.link.suspect)
        self.a.take()
        for _ in range(20):
            end = FakeEnd()
            self.switchboard.dial(end, "tcp", "host:80")
            ends.append(end)
            other.says(packets.dial_rsp(other.take()[0][3], connect_id=200 + len(ends)))
        self.assertEqual([p for p in self.a.take() if p[2] != PROBE_ADDRESS], [])
        self.close(*ends)
