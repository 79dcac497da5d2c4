"""An agent and dials with fake near ends, for the tests of the proxy's links."""

from __future__ import annotations

from konnect.proxy.dialing import Switchboard
from konnect.proxy.pending import PendingDial
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from tests.fakes import FakeEnd
from tests.proxy.rig import Agent, ProxyTestCase


class LinkTestCase(ProxyTestCase):
    """An agent, and dials with fake near ends."""

    def setUp(self) -> None:
        super().setUp()
        self.a = self.agent()

    def dial(self, agent: Agent | None = None, timeout: float = 0.0) -> FakeEnd:
        """Ask an agent for a tunnel."""
        near = FakeEnd()
        tunnel = Tunnel(self.ledger, near, "host:80")
        switchboard = self.switchboard
        if timeout:
            switchboard = Switchboard(self.registry, self.ledger, self.clock, dial_timeout=timeout)
        PendingDial(switchboard, tunnel, "tcp").begin((agent or self.a).link)
        return near

    def open(self, connect_id: int = 1) -> FakeEnd:
        """A tunnel that the agent has accepted."""
        near = self.dial()
        self.a.accepts(connect_id)
        near.take()
        return near

    def close(self, *ends: FakeEnd) -> None:
        """The clients leave."""
        for end in ends:
            if end.tunnel is not None:
                end.tunnel.close(Reason.CLIENT_CLOSED)
