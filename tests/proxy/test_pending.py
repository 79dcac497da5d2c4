"""Tests of konnect.proxy.pending: dials whose first link does not answer."""

from __future__ import annotations

from konnect.proxy import pending
from konnect.proxy.health import PROBE_ANSWER
from konnect.proxy.pending import ANSWER_WITHIN, PendingDial
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from konnect.wire import packets
from tests.fakes import FakeEnd, FakeLog
from tests.proxy.rig import ADDRESS, Agent, ProxyTestCase

LIMIT = 30.0


class PendingTestCase(ProxyTestCase):
    """Two agents; the first is asked."""

    dial_timeout = LIMIT

    def setUp(self) -> None:
        super().setUp()
        self.first, self.second = self.agent("a"), self.agent("b")
        self.near = FakeEnd()

    def dial(self, near: FakeEnd | None = None) -> Tunnel:
        """Ask the first agent for a tunnel."""
        tunnel = Tunnel(self.ledger, near or self.near, ADDRESS)
        PendingDial(self.switchboard, tunnel, "tcp").begin(self.first.link)
        return tunnel

    def works(self, agent: Agent) -> None:
        """The near end was told of one success, and its bytes go to `agent`."""
        self.assertEqual(self.near.take(), [("opened",)])
        assert self.near.other is not None and self.near.tunnel is not None
        self.near.other.write(b"hello")
        self.assertIn(("DATA", 1, b"hello"), agent.take())
        self.near.tunnel.close(Reason.CLIENT_CLOSED)


class LostTests(PendingTestCase):
    """A link that ends, or whose agent gives the dial up, before it has answered."""

    def test_lost(self) -> None:
        """The dial of a lost link is tried on another; the client notices nothing."""
        self.dial()
        self.first.leaves()
        self.assertEqual(self.near.take(), [])
        self.second.accepts()
        self.works(self.second)
        self.assertEqual(self.ledger.dials_retried, {"agent_lost": 1})
        self.assertEqual(self.failures(), {})

    def test_given_up(self) -> None:
        """So is one that the agent gives up, as a konnect agent does when it stops."""
        self.dial()
        self.first.gives_up()
        self.second.accepts()
        self.works(self.second)
        self.assertEqual(self.first.take(), [], "it gave up: nothing to withdraw")
        self.assertEqual(self.ledger.dials_retried, {"dial_closed": 1})

    def test_once(self) -> None:
        """The second loss is the dial's end, though there is a third agent."""
        third = self.agent("c")
        self.dial()
        self.first.leaves()
        asked = self.second if self.second.link.dials else third
        asked.leaves()
        self.assertEqual(
            self.near.take(),
            [("failed", Reason.AGENT_LOST, "the agent's connection was lost during the dial")],
        )
        self.assertEqual(self.ledger.dials_retried, {"agent_lost": 1})

    def test_nobody_else(self) -> None:
        """Without another agent the loss is told at once."""
        self.second.leaves()
        self.dial()
        self.first.leaves()
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.AGENT_LOST))
        self.assertEqual(self.ledger.dials_retried, {})

    def test_answered(self) -> None:
        """What the destination refuses is not tried again."""
        self.dial()
        self.first.refuses("connect: connection refused")
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.REFUSED))
        self.assertEqual(self.second.take(), [])

    def test_suspects_are_not_asked(self) -> None:
        """An agent that is known not to answer is no help."""
        self.second.link.suspect = True
        self.dial()
        self.first.leaves()
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.AGENT_LOST))

    def test_stopping(self) -> None:
        """A proxy that is going takes no new dials, but what it has taken is tried again."""
        self.dial()
        self.switchboard.closing = True
        self.first.leaves()
        self.second.accepts()
        self.works(self.second)

    def test_the_limit_stays(self) -> None:
        """A second try has what is left of the dial's time."""
        self.dial()
        self.clock.advance(4.0)
        self.first.leaves()
        self.wait(LIMIT - 4.0 - 0.1)
        self.assertEqual(self.near.take(), [])
        self.wait(0.2)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.BACKEND_TIMEOUT))
        self.assertEqual([p[0] for p in self.second.take()], ["DIAL_REQ", "DIAL_CLS"])

    def test_a_client_that_leaves_with_several_dials(self) -> None:
        """A client may give up its other dials when it is told that one has failed."""
        self.second.leaves()
        others: list[Tunnel] = []

        class Leaving(FakeEnd):
            def failed(self, reason: Reason, text: str) -> None:
                for tunnel in others:
                    tunnel.close(Reason.CLIENT_LEFT)

        self.dial(Leaving())
        others += [self.dial(FakeEnd()) for _ in range(2)]
        self.first.leaves()
        self.assertEqual(self.ledger.failed_by_reason, {"agent_lost": 1, "client_left": 2})


class FaultTests(PendingTestCase):
    """An agent that answers that it cannot dial."""

    def test_another_is_asked(self) -> None:
        """What is the agent's own fault is no answer; the client notices nothing."""
        for fault, text in (
            ("too_many_files", "dial tcp 10.0.0.1:80: socket: too many open files"),
            ("out_of_resources", "dial tcp 10.0.0.1:80: connect: cannot assign requested address"),
            ("overloaded", "too many dials on their way"),
            ("of another version", "no dials today"),
            ("client_left", "no dials today"),
        ):
            self.near = FakeEnd()
            self.dial()
            self.first.link.health.misses = 1
            self.first.says(packets.dial_rsp(self.first.asked(), error=text, fault=fault))
            self.assertEqual(self.near.take(), [])
            self.assertEqual(self.first.link.health.misses, 0, "it answers")
            self.second.accepts()
            self.works(self.second)
            self.second.says(packets.close_rsp(1))
            self.second.take()
            self.assertEqual(self.first.take(), [], "it has answered: nothing to withdraw")
        self.assertEqual(
            self.ledger.dials_retried,
            {"too_many_files": 1, "out_of_resources": 1, "overloaded": 1, "dial_error": 2},
        )
        self.assertEqual(self.failures(), {})

    def test_stock_agents(self) -> None:
        """A stock agent says it in Go's words, of the socket and of the lookup."""
        socket = "socket: too many open files"
        for text in (
            f"dial tcp 10.0.0.1:80: {socket}",
            f"dial tcp 10.0.0.1:80: {socket} in system",
            f"dial tcp: lookup a on 10.0.0.10:53: dial udp 10.0.0.10:53: {socket}",
            "dial tcp 10.0.0.1:80: socket: no buffer space available",
            "dial tcp 10.0.0.1:80: socket: cannot allocate memory",
        ):
            self.dial()
            self.first.refuses(text)
            self.second.refuses("connection refused")
            self.assertEqual(self.near.take()[0][:2], ("failed", Reason.REFUSED))
        self.assertEqual(self.ledger.dials_retried, {"too_many_files": 3, "out_of_resources": 2})

    def test_words_of_an_address(self) -> None:
        """An address in an error is not what the error is."""
        self.dial()
        self.first.refuses("dial tcp: address socket: too many open files: missing port in address")
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.TOO_MANY_FILES))
        self.assertEqual(self.second.take(), [])

    def test_once(self) -> None:
        """If the other cannot either, its words are told, though there is a third agent."""
        third = self.agent("c")
        self.dial()
        text = "too many dials on their way"
        self.first.says(packets.dial_rsp(self.first.asked(), error=text, fault="overloaded"))
        asked = self.second if self.second.link.dials else third
        asked.refuses("dial tcp 10.0.0.1:80: socket: too many open files")
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.TOO_MANY_FILES))
        self.assertEqual(self.ledger.dials_retried, {"overloaded": 1})

    def test_nobody_else(self) -> None:
        """Without another agent the client is told what this one has said."""
        self.second.leaves()
        self.dial()
        text = "too many dials on their way"
        self.first.says(packets.dial_rsp(self.first.asked(), error=text, fault="overloaded"))
        self.assertEqual(self.near.take(), [("failed", Reason.OVERLOADED, text)])
        self.assertEqual(self.ledger.dials_retried, {})

    def test_while_both_are_asked(self) -> None:
        """Then the other alone decides."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN)
        self.second.says(packets.dial_rsp(self.second.asked(), error="x", fault="overloaded"))
        self.assertEqual(self.near.take(), [])
        self.first.says(packets.dial_rsp(random, connect_id=1))
        self.works(self.first)


class SilentTests(PendingTestCase):
    """A link that does not answer."""

    def test_the_other_answers(self) -> None:
        """After some silence another is asked as well; its answer withdraws the first."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN - 0.1)
        self.assertEqual(self.second.take(), [])
        self.clock.advance(0.2)
        self.second.accepts()
        self.assertEqual(self.first.take(), [("DIAL_CLS", random)])
        self.works(self.second)
        self.assertEqual(self.ledger.dials_retried, {"unanswered": 1})
        self.assertEqual((self.first.link.health.misses, self.second.link.health.misses), (1, 0))

    def test_the_first_answers_after_all(self) -> None:
        """The first may still win, and the other is withdrawn from; it stays in doubt."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN + 0.1)
        self.second.asked()
        self.first.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.second.take(), [("DIAL_CLS", random)])
        self.works(self.first)
        self.assertEqual(self.first.link.health.misses, 1)

    def test_a_late_success_is_closed(self) -> None:
        """The slower one's connection is closed when it comes."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN + 0.1)
        self.second.accepts()
        self.first.take()
        self.first.says(packets.dial_rsp(random, connect_id=9))
        self.assertEqual(self.first.take(), [("CLOSE_REQ", 9)])
        self.works(self.second)

    def test_nothing_is_left_of_the_limit(self) -> None:
        """An answer ends the wait for others, also when some of it had gone by without one."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN)
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        self.first.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.works(self.first)

    def test_a_late_refusal_clears_nothing(self) -> None:
        """An agent that says late that it cannot dial has not answered in time."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN)
        self.first.says(packets.dial_rsp(random, error="x", fault="overloaded"))
        self.assertEqual(self.first.link.health.misses, 1)
        self.second.accepts()
        self.works(self.second)

    def test_nobody_answers(self) -> None:
        """The dial ends at its limit, both links are blamed once, both are withdrawn from, and the
        log names them."""
        log = FakeLog()
        self.patch(pending, "log", log)
        self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN)
        self.assertEqual(self.second.asked(), random)
        self.clock.advance(LIMIT - ANSWER_WITHIN - 0.1)
        self.assertEqual(self.near.take(), [])
        self.clock.advance(0.2)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.BACKEND_TIMEOUT))
        for agent in (self.first, self.second):
            self.assertEqual(agent.take(), [("DIAL_CLS", random)])
            self.assertEqual(agent.link.health.misses, 1)
        asked = f"{self.first.link} and {self.second.link}"
        self.assertEqual(log.lines, [f"no answer to a dial to {ADDRESS} in time from {asked}"])

    def test_the_first_is_lost_while_both_are_asked(self) -> None:
        """Then the other alone decides."""
        self.dial()
        self.clock.advance(ANSWER_WITHIN)
        self.first.leaves()
        self.second.accepts()
        self.works(self.second)

    def test_the_client_leaves(self) -> None:
        """Both are withdrawn from."""
        tunnel = self.dial()
        random = self.first.asked()
        self.clock.advance(ANSWER_WITHIN)
        self.second.asked()
        tunnel.close(Reason.CLIENT_LEFT)
        self.assertEqual(self.first.take(), [("DIAL_CLS", random)])
        self.assertEqual(self.second.take(), [("DIAL_CLS", random)])

    def test_an_answer_in_time_clears(self) -> None:
        """Misses count only in a row."""
        self.first.link.health.misses = 2
        self.dial()
        self.first.accepts()
        self.assertEqual(self.first.link.health.misses, 0)
        self.works(self.first)


class ShortLimitTests(PendingTestCase):
    """A limit below what an agent may take."""

    dial_timeout = 2.0

    def test_half_of_it(self) -> None:
        """Half of the time is the first link's alone."""
        self.dial()
        random = self.first.asked()
        self.clock.advance(0.9)
        self.assertEqual(self.second.take(), [])
        self.clock.advance(0.2)
        self.second.accepts()
        self.assertEqual(self.first.answers_probe(), [("DIAL_CLS", random)])
        self.works(self.second)

    def test_a_dead_destination(self) -> None:
        """However many dials of it expire, agents that answer when asked keep their place."""
        for _ in range(20):
            self.near = FakeEnd()
            self.dial()
            self.clock.advance(1.0)
            self.first.answers_probe()
            self.clock.advance(1.0)
            self.assertEqual(self.near.take()[0][:2], ("failed", Reason.BACKEND_TIMEOUT))
            self.first.answers_probe(), self.second.answers_probe()
            for agent in (self.first, self.second):
                self.assertEqual((agent.link.suspect, agent.link.health.misses), (False, 0))
        self.assertEqual(self.failures(), {"backend_dial_timeout": 20})

    def test_a_dead_agent(self) -> None:
        """One that leaves the question unanswered loses its place, after one dial."""
        self.dial()
        self.clock.advance(1.0)
        self.second.accepts()
        self.works(self.second)
        self.clock.advance(PROBE_ANSWER)
        self.assertTrue(self.first.link.suspect)
        self.assertFalse(self.second.link.suspect)
        self.first.leaves()


class NoLimitTests(PendingTestCase):
    """`--backend-dial-timeout=0`."""

    dial_timeout = 0.0

    def test_waits(self) -> None:
        """Two links are asked and blamed, and then the dial waits as long as its client does."""
        tunnel = self.dial()
        self.clock.advance(ANSWER_WITHIN)
        self.clock.advance(ANSWER_WITHIN)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.near.take(), [])
        self.assertEqual((self.first.link.health.misses, self.second.link.health.misses), (1, 1))
        tunnel.close(Reason.CLIENT_LEFT)


class PatienceTests(PendingTestCase):
    """A proxy that is told how long an answer may take."""

    answer_timeout = 1.5

    def test_another_patience(self) -> None:
        """How long the silence may be is said by whoever runs the proxy."""
        self.dial()
        self.clock.advance(1.4)
        self.assertEqual(self.second.take(), [])
        self.clock.advance(0.2)
        self.second.accepts()
        self.first.take()
        self.works(self.second)
        self.first.leaves()


class ShortPatienceTests(PendingTestCase):
    """A proxy that asks another agent soon, and gives dials long."""

    answer_timeout = 1.5
    dial_timeout = LIMIT

    def test_late_but_not_too_late(self) -> None:
        """An agent that takes its five seconds has answered in time."""
        self.first.link.health.misses = 2
        self.dial()
        random = self.first.asked()
        self.clock.advance(1.5)
        self.first.take()
        self.second.asked()
        self.clock.advance(3.5)
        self.first.says(packets.dial_rsp(random, error="i/o timeout"))
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.DESTINATION_TIMEOUT))
        health = self.first.link.health
        self.assertEqual((health.misses, health.waiting), (0, False))

    def test_too_late(self) -> None:
        """One that says nothing for all of the dial's time is blamed, answered probe or not."""
        self.dial()
        self.clock.advance(1.5)
        self.first.answers_probe()
        self.clock.advance(LIMIT)
        self.assertEqual(self.first.link.health.misses, 1)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.BACKEND_TIMEOUT))


class SecondTryTests(PendingTestCase):
    """The link that was asked second."""

    def test_asked_a_moment_ago(self) -> None:
        """It is asked when the dial is late, though it had half of the usual time, and no more
        than asked."""
        self.dial()
        self.clock.advance(ANSWER_WITHIN / 2 - 0.1)
        self.first.leaves()
        random = self.second.asked()
        self.clock.advance(ANSWER_WITHIN / 2 + 0.1)
        self.second.answers_probe()
        self.assertEqual(self.second.link.health.misses, 0)
        self.second.says(packets.dial_rsp(random, connect_id=1))
        self.works(self.second)
