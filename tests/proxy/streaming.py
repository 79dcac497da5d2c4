"""A gRPC client and an agent, for the tests of the gRPC frontend."""

from __future__ import annotations

from konnect.wire import packets
from tests.proxy.rig import ProxyTestCase


class StreamTestCase(ProxyTestCase):
    """An agent and a client."""

    def setUp(self) -> None:
        super().setUp()
        self.a = self.agent()
        self.c = self.client()

    def open(self, connect_id: int = 1, random: int = 77) -> None:
        """A tunnel that is open and whose client has spoken."""
        self.c.dials(random)
        self.a.accepts(connect_id)
        self.c.says(packets.data(connect_id, b"hello"))
        self.assertEqual(self.a.take(), [("DATA", connect_id, b"hello")])
        self.assertEqual(self.c.take(), [("DIAL_RSP", random, connect_id, "")])
