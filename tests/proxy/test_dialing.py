"""Tests of konnect.proxy.dialing: which link is asked, and who is refused before that."""

from __future__ import annotations

from collections import Counter

from konnect.proxy import dialing, link
from konnect.proxy.health import PROBE_ADDRESS, PROBE_ANSWER
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import State
from konnect.wire import packets
from tests.fakes import FakeEnd
from tests.proxy.rig import ADDRESS, ProxyTestCase


class SwitchboardTests(ProxyTestCase):
    """Dials of a frontend."""

    def setUp(self) -> None:
        super().setUp()
        self.near = FakeEnd()

    def dial(self) -> State:
        """Ask for a tunnel; returns its state."""
        self.tunnel = self.switchboard.dial(self.near, "tcp", ADDRESS)
        return self.tunnel.state

    def test_no_agent(self) -> None:
        """Without an agent a dial fails at once, with upstream's text and label."""
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(self.near.take(), [("failed", Reason.NO_AGENT, "No agent available")])
        self.assertEqual(self.failures(), {"no_agent": 1})

    def test_asked(self) -> None:
        """The chosen link is asked, and each dial has a random of its own."""
        agent = self.agent()
        self.assertIs(self.dial(), State.DIALING)
        self.assertEqual(self.tunnel.address, ADDRESS)
        first = agent.asked()
        self.tunnel.close(Reason.CLIENT_LEFT)
        agent.take()
        self.assertIs(self.dial(), State.DIALING)
        self.assertNotEqual(agent.asked(), first)
        self.tunnel.close(Reason.CLIENT_LEFT)

    def test_what_we_do_not_know_is_relayed(self) -> None:
        """Other protocols and fields of a DIAL_REQ reach the agent as they are, with a random of
        the proxy's own."""
        agent = self.agent()
        payload = packets.dial_req("udp", "[::1]:x", 5) + b"\xfa\x01\x03new"
        whole = packets.parse(payload)
        tunnel = self.switchboard.dial(self.near, "udp", "[::1]:x", whole)
        request = agent.take()[0]
        self.assertEqual(request[:3], ("DIAL_REQ", "udp", "[::1]:x"))
        (random,) = agent.link.dials
        self.assertEqual(packets.random_bytes(request[3]), random)
        self.assertNotEqual(request[3], 5)
        tunnel.close(Reason.CLIENT_LEFT)

    def test_closing(self) -> None:
        """A proxy that is going refuses dials and asks nobody."""
        agent = self.agent()
        self.switchboard.closing = True
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(
            self.near.take(), [("failed", Reason.SHUTDOWN, "the proxy is shutting down")]
        )
        self.assertEqual(agent.take(), [])

    def test_overloaded(self) -> None:
        """Above the limit of waiting bytes new dials are refused, at the limit they are not."""
        agent = self.agent()
        self.ledger.buffered = 1 << 20
        self.assertIs(self.dial(), State.DIALING)
        self.tunnel.close(Reason.CLIENT_LEFT)
        self.near.take(), agent.take()
        self.ledger.buffered += 1
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.OVERLOADED))
        self.assertEqual(agent.take(), [])
        self.ledger.buffered = 0

    def test_too_many_dials(self) -> None:
        """A link has room for so many dials; more go to another, or are refused."""
        self.patch(dialing, "PENDING", 2)
        first = self.agent("a")
        tunnels = [self.switchboard.dial(FakeEnd(), "tcp", ADDRESS) for _ in range(2)]
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(
            self.near.take(),
            [("failed", Reason.OVERLOADED, "too many dials are waiting for the agents")],
        )
        second = self.agent("b")
        tunnels += [self.switchboard.dial(FakeEnd(), "tcp", ADDRESS) for _ in range(2)]
        self.assertEqual([len(agent.link.dials) for agent in (first, second)], [2, 2])
        for tunnel in tunnels:
            tunnel.close(Reason.CLIENT_LEFT)

    def test_several_full_links(self) -> None:
        """Dials find the one link that has room, however many have none."""
        self.patch(dialing, "PENDING", 2)
        agents = [self.agent(f"agent-{number}") for number in range(10)]
        tunnels = [self.switchboard.dial(FakeEnd(), "tcp", ADDRESS) for _ in range(20)]
        self.assertEqual([len(agent.link.dials) for agent in agents], [2] * 10)
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.OVERLOADED))
        for tunnel in tunnels:
            tunnel.close(Reason.CLIENT_LEFT)

    def test_a_second_try_among_full_links(self) -> None:
        """What is tried again finds it too."""
        self.patch(dialing, "PENDING", 1)
        agents = [self.agent(f"agent-{number}") for number in range(10)]
        tunnels = [self.switchboard.dial(FakeEnd(), "tcp", ADDRESS) for _ in range(9)]
        (free,) = [agent for agent in agents if not agent.link.dials]
        first = next(agent for agent in agents if agent is not free)
        first.gives_up()
        self.assertEqual(len(free.link.dials), 1)
        self.assertEqual(self.ledger.dials_retried, {"dial_closed": 1})
        for tunnel in tunnels:
            tunnel.close(Reason.CLIENT_LEFT)

    def test_draining(self) -> None:
        """A draining agent is asked only when there is no other."""
        first, second = self.agent("a"), self.agent("b")
        first.says(packets.drain())
        first.says(packets.drain())
        for _ in range(20):
            self.dial()
            self.tunnel.close(Reason.CLIENT_LEFT)
        self.assertEqual(first.take(), [])
        second.leaves()
        self.dial()
        self.assertEqual(len(first.take()), 1)
        self.tunnel.close(Reason.CLIENT_LEFT)


class GivenUpTests(ProxyTestCase):
    """Dials whose clients leave at once."""

    def setUp(self) -> None:
        super().setUp()
        self.patch(dialing, "PENDING", 12)
        self.patch(link, "ASK_AFTER", 4)
        self.first = self.agent("a")

    def given_up(self, times: int) -> int:
        """Dial and give up; how many were refused."""
        refused = 0
        for _ in range(times):
            near = FakeEnd()
            self.switchboard.dial(near, "tcp", ADDRESS).close(Reason.CLIENT_LEFT)
            refused += near.take()[:1] == [
                ("failed", Reason.OVERLOADED, "too many dials are waiting for the agents")
            ]
        return refused

    def test_an_agent_that_answers_nothing(self) -> None:
        """It gets no more than it may have unanswered, in all, and one probe."""
        self.assertEqual(self.given_up(100), 88)
        kinds = Counter(packet[:3] for packet in self.first.take())
        self.assertEqual(kinds[("DIAL_REQ", "tcp", ADDRESS)], 12)
        self.assertEqual(kinds[("DIAL_REQ", "tcp", PROBE_ADDRESS)], 1)
        second = self.agent("b")
        self.assertEqual(self.given_up(4), 0)
        self.assertEqual(self.first.take(), [])
        self.assertEqual(len([p for p in second.take() if p[2:3] == (ADDRESS,)]), 4)
        self.clock.advance(PROBE_ANSWER)
        self.assertTrue(self.first.link.suspect, "and is found out")
        for agent in self.agents:
            agent.link.health.stop()

    def test_an_agent_that_works(self) -> None:
        """Its answer to a probe says that it has read what came before: it is never full."""
        for _ in range(100):
            self.assertEqual(self.given_up(4), 0)
            self.first.answers_probe()
        self.assertEqual(self.first.link.unanswered, 0)
        self.assertFalse(self.first.link.suspect)

    def test_a_slow_one(self) -> None:
        """What was given up behind a probe is not covered by its answer, but by the next one's."""
        self.assertEqual(self.given_up(7), 0)
        self.first.answers_probe()
        self.assertEqual(self.first.link.unanswered, 3)
        self.assertEqual(self.given_up(1), 0)
        self.first.answers_probe()
        self.assertEqual(self.first.link.unanswered, 0)

    def test_a_late_answer(self) -> None:
        """An agent that was stuck has room again by the answer to its last probe, and no sooner."""
        self.given_up(12)
        self.clock.advance(PROBE_ANSWER)
        self.assertTrue(self.first.link.suspect)
        self.clock.advance(PROBE_ANSWER + 1)  # the next one is unanswered too
        probes = [p[3] for p in self.first.take() if p[2:3] == (PROBE_ADDRESS,)]
        self.first.says(packets.dial_rsp(probes[0], error="missing port"))
        self.assertEqual(self.first.link.unanswered, 12)
        self.first.says(packets.dial_rsp(probes[-1], error="missing port"))
        self.assertEqual(self.first.link.unanswered, 0)
        self.first.answers_probe()
        self.assertEqual(self.given_up(3), 0)

    def test_answered_dials(self) -> None:
        """Dials that end with an answer count for nothing behind it."""
        for _ in range(50):
            client = self.client()
            client.dials()
            self.first.refuses("connection refused")
            client.leaves()
        self.assertEqual(self.first.link.unanswered, 0)
