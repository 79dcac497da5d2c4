"""Agents that are connected and answer nothing, beside one that is well: a stopped process, and
some that take every dial and do nothing with it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from typing import Any

from konnect.proxy.health import PROBE_ADDRESS
from konnect.wire import packets
from konnect.wire.packets import PacketType
from tests.interop.connecting import ConnectClient
from tests.interop.pairs import InteropTestCase
from tests.interop.processes import http_get, wait_until
from tests.interop.wire_agents import WireAgent

MANY = 200
"""Bound of dials at random among few agents until all have been chosen."""

SILENT = "does not answer a probe: it gets no dials until it answers"
NO_PORT = "address konnect-probe: missing port in address"

RETRIED = 'konnect_dials_retried_total{cause="unanswered"} '


class HalfDeadTests(InteropTestCase):
    """Clients whose dials go to agents by chance. None of them may notice, but for a wait."""

    def setUp(self) -> None:
        super().setUp()
        self.server = self.proxy("http-connect", dial_answer_timeout="1s")
        self.well = self.agent(self.server.agent_port, agent_id="well")

    def hung(self, name: str) -> WireAgent:
        """An agent that takes dials and never answers."""
        agent = WireAgent(self.server, name)
        self.addCleanup(agent.close)
        return agent

    def retried(self) -> int:
        """Dials for which a second agent was asked, since the first said nothing."""
        _, page = http_get(self.server.health_port, "/metrics")
        return sum(
            int(float(line.removeprefix(RETRIED)))
            for line in page.splitlines()
            if line.startswith(RETRIED)
        )

    def dial(self) -> None:
        """One tunnel, which works."""
        client = ConnectClient(self, self.server, self.destination["echo"])
        self.assertEqual(client.response().status, 200)
        client.send(b"well?")
        self.assertEqual(client.receive(5), b"well?")
        client.close()

    def dial_until(self, seen: Callable[[], object], what: str) -> None:
        """One tunnel after the other; each waits for a second agent once at most."""
        for _ in range(MANY):
            before = self.retried()
            self.dial()
            self.assertIn(self.retried() - before, (0, 1))
            if seen():
                return
        self.fail(f"not within {MANY} dials: {what}")

    def assert_left_alone(self, count: int = 30) -> None:
        """Dials go to who is well alone, at once."""
        before = self.retried()
        for _ in range(count):
            self.dial()
        self.assertEqual(self.retried(), before)

    def says(self, *words: str, since: int = 0) -> bool:
        """Whether a line of the proxy's log holds this."""
        lines = self.server.program.log(since).splitlines()
        return any(all(word in line for word in words) for line in lines)

    def test_stopped_process(self) -> None:
        """A dial finds it silent, it is probed, and gets no more; when it goes on, it does."""
        agent = self.agent(self.server.agent_port, agent_id="stopped")
        self.addCleanup(agent.program.signal, signal.SIGCONT)
        wait_until(lambda: self.says("agent stopped", "is connected"), "both are linked")
        before = self.destination.live("echo")
        agent.program.signal(signal.SIGSTOP)
        self.dial_until(lambda: self.says("agent stopped", SILENT), "dials find it silent")
        self.assertGreaterEqual(self.retried(), 1)
        self.assert_left_alone()
        since, before_it = self.server.program.log_size(), self.retried()
        agent.program.signal(signal.SIGCONT)
        self.server.program.wait_for_line("agent stopped", "answers again", since=since)
        self.dial_until(
            lambda: self.says("tunnel ended:", "agent=stopped", since=since), "it gets dials again"
        )
        self.assertEqual(self.retried(), before_it)
        # What it was asked for while it was stopped, it was told to forget.
        self.assert_released("echo", before)

    def test_silent_dials(self) -> None:
        """One that reads, and never answers: it is asked for each dial once, and told to forget it.
        It is probed all the while, and the answer puts it back."""
        agent = self.hung("silent")
        self.dial_until(lambda: self.says("agent silent", SILENT), "dials find it silent")
        told = self.drain(agent)
        asked = [packet.dialRequest for packet in told if packet.type == PacketType.DIAL_REQ]
        forgotten = [p.closeDial.random for p in told if p.type == PacketType.DIAL_CLS]
        probes = [request for request in asked if request.address == PROBE_ADDRESS]
        dials = [request for request in asked if request not in probes]
        self.assertEqual(forgotten, [request.random for request in dials])
        self.assertEqual({r.address for r in dials}, {self.destination["echo"]})
        self.assertIn(len(probes), (1, 2), "one in rotation, and one when it is out")
        self.assert_left_alone()
        self.assertFalse(self.says("agent silent", "answers again"))
        agent.send(packets.dial_rsp(probes[-1].random, error=NO_PORT))
        wait_until(lambda: self.probed(agent), "an answer puts it back", 30)
        retried = self.retried()
        self.dial_until(lambda: self.retried() > retried, "it gets dials again")

    def drain(self, agent: WireAgent) -> list[Any]:
        """What an agent was told so far."""
        told: list[Any] = []
        with contextlib.suppress(AssertionError):
            while True:
                told.append(agent.receive(seconds=0.5))
        return told

    def probed(self, agent: WireAgent) -> bool:
        """Whether it is back; answers a probe that has come since the last one's time passed."""
        if self.says("agent silent", "answers again"):
            return True
        with contextlib.suppress(AssertionError):
            probe = agent.receive(PacketType.DIAL_REQ, 0.1).dialRequest
            agent.send(packets.dial_rsp(probe.random, error=NO_PORT))
        return False

    def test_most_are_silent(self) -> None:
        """Of three, two are silent: a dial that meets both fails with its second try, and none does
        when both are out of rotation."""
        self.server = self.proxy(
            "http-connect", dial_answer_timeout="1s", backend_dial_timeout="3s"
        )
        self.agent(self.server.agent_port, agent_id="well")
        agents = [self.hung(name) for name in ("one", "two")]
        failed = 0
        for _ in range(MANY):
            client = ConnectClient(self, self.server, self.destination["echo"])
            status = client.response().status
            self.assertIn(status, (200, 504))
            failed += status == 504
            client.close()
            out = [self.says(f"agent {name}", SILENT) for name in ("one", "two")]
            if all(out):
                break
        else:
            self.fail(f"not out of rotation after {MANY} dials")
        self.assert_left_alone()
        self.assertLessEqual(failed, 6)  # each of them takes three seconds
        for agent in agents:
            self.assertIn("DIAL_CLS", agent.seen)
