"""What the proxy knows of its tunnels when they are over: who asked, by which link, how much."""

from __future__ import annotations

from konnect.tunnel.account import Account, Client
from konnect.wire import packets
from konnect.wire.connect import ESTABLISHED
from tests.proxy.connecting import REQUEST
from tests.proxy.rig import ProxyTestCase


class AccountTests(ProxyTestCase):
    """Accounts of both frontends."""

    dial_timeout = 30.0

    def setUp(self) -> None:
        super().setUp()
        self.accounts: list[Account] = []
        self.ledger.account = self.accounts.append
        self.a = self.agent()

    def test_connect(self) -> None:
        """A CONNECT client is known by its address; early bytes and the answer count, the 200 line
        does not."""
        socket = self.connect()
        socket.deliver(REQUEST + b"early")
        self.a.accepts()
        self.a.says(packets.data(1, b"answer"))
        self.clock.advance(1)
        socket.deliver(b"more")
        self.a.says(packets.close_rsp(1))
        (account,) = self.accounts
        self.assertIsNotNone(account.client)
        assert account.client is not None
        self.assertEqual((account.client.frontend, account.client.user), ("connect", ""))
        self.assertEqual(account.client.peer, self.protocol(socket).peer)
        self.assertEqual((account.link, account.link_peer), ("a", self.a.link.peer))
        self.assertEqual((account.to_destination, account.to_client), (9, 6))
        self.assertEqual(account.reason, "destination_closed")
        self.assertIn(("write", ESTABLISHED), socket.take())

    def test_grpc(self) -> None:
        """A gRPC client is known by its connection's address and certificate."""
        client = self.client()
        client.dials()
        self.a.accepts()
        client.says(packets.data(1, b"hello"))
        self.a.says(packets.data(1, b"hi"))
        client.says(packets.close_req(1))
        (account,) = self.accounts
        self.assertEqual(account.client, Client("grpc", client.stream.peer, "somebody"))
        self.assertEqual((account.to_destination, account.to_client), (5, 2))
        self.assertEqual(account.reason, "client_closed")

    def test_the_link_that_answered(self) -> None:
        """When a second agent was asked, the account names the one that opened the tunnel."""
        client = self.client()
        client.dials()
        self.wait(7)
        b = self.agent("b")
        self.a.leaves()
        b.accepts()
        client.leaves()
        (account,) = self.accounts
        self.assertEqual((account.link, account.opened), ("b", True))

    def test_no_agent(self) -> None:
        """A dial that no link could take names none, and says why it failed."""
        self.a.leaves()
        self.client().dials()
        (account,) = self.accounts
        self.assertEqual((account.link, account.reason), ("", "no_agent"))
        self.assertEqual(account.text, "No agent available")
