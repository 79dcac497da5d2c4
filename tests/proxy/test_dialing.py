"""Tests of konnect.proxy.dialing: which link is asked, and who is refused before that."""

from __future__ import annotations

from konnect.proxy import dialing
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

    def request(self) -> packets.Packet:
        """A client's DIAL_REQ."""
        return packets.parse(packets.dial_req("tcp", ADDRESS, 5))

    def dial(self) -> State:
        """Ask for a tunnel; returns its state."""
        self.tunnel = self.switchboard.dial(self.near, self.request())
        return self.tunnel.state

    def test_no_agent(self) -> None:
        """Without an agent a dial fails at once, with upstream's text and label."""
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(self.near.take(), [("failed", Reason.NO_AGENT, "No agent available")])
        self.assertEqual(self.failures(), {"no_agent": 1})

    def test_asked(self) -> None:
        """The chosen link is asked with a random of the proxy's own, not the client's."""
        agent = self.agent()
        self.assertIs(self.dial(), State.DIALING)
        self.assertEqual(self.tunnel.address, ADDRESS)
        self.assertNotEqual(agent.asked(), 5)
        self.tunnel.close(Reason.CLIENT_LEFT)

    def test_what_we_do_not_know_is_relayed(self) -> None:
        """Other protocols and fields of a DIAL_REQ reach the agent as they are."""
        agent = self.agent()
        payload = packets.dial_req("udp", "[::1]:x", 5) + b"\xfa\x01\x03new"
        tunnel = self.switchboard.dial(self.near, packets.parse(payload))
        request = agent.take()[0]
        self.assertEqual(request[:3], ("DIAL_REQ", "udp", "[::1]:x"))
        (random,) = agent.link.dials
        self.assertEqual(request[3], random)
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
        tunnels = [self.switchboard.dial(FakeEnd(), self.request()) for _ in range(2)]
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(
            self.near.take(),
            [("failed", Reason.OVERLOADED, "too many dials are waiting for the agents")],
        )
        second = self.agent("b")
        tunnels += [self.switchboard.dial(FakeEnd(), self.request()) for _ in range(2)]
        self.assertEqual([len(agent.link.dials) for agent in (first, second)], [2, 2])
        for tunnel in tunnels:
            tunnel.close(Reason.CLIENT_LEFT)

    def test_several_full_links(self) -> None:
        """Dials find the one link that has room, however many have none."""
        self.patch(dialing, "PENDING", 2)
        agents = [self.agent(f"agent-{number}") for number in range(10)]
        tunnels = [self.switchboard.dial(FakeEnd(), self.request()) for _ in range(20)]
        self.assertEqual([len(agent.link.dials) for agent in agents], [2] * 10)
        self.assertIs(self.dial(), State.CLOSED)
        self.assertEqual(self.near.take()[0][:2], ("failed", Reason.OVERLOADED))
        for tunnel in tunnels:
            tunnel.close(Reason.CLIENT_LEFT)

    def test_a_second_try_among_full_links(self) -> None:
        """What is tried again finds it too."""
        self.patch(dialing, "PENDING", 1)
        agents = [self.agent(f"agent-{number}") for number in range(10)]
        tunnels = [self.switchboard.dial(FakeEnd(), self.request()) for _ in range(9)]
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
