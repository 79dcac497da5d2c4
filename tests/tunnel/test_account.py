"""Tests of konnect.tunnel.account: what a tunnel's end is told as."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.account import Account, Client
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import Tunnel
from tests.fakes import FakeDial, FakeEnd


class CountingEnd(FakeEnd):
    """An end that counts bytes."""

    def carried(self) -> tuple[int, int]:
        return 3, 4


class Link:
    """What carries tunnels."""

    name, peer = "a", "192.0.2.1:5"


class AccountTests(SynchronousTestCase):
    """One account for each tunnel, and for each dial that led to none."""

    def setUp(self) -> None:
        self.time = 100.0
        self.ledger = Ledger(lambda: self.time)
        self.accounts: list[Account] = []
        self.ledger.account = self.accounts.append
        self.near = FakeEnd()
        self.near.client = Client("grpc", "192.0.2.9:1", "me")
        self.tunnel = Tunnel(self.ledger, self.near, "host:80")
        self.tunnel.dial = FakeDial()
        self.tunnel.via = Link()

    def test_a_tunnel(self) -> None:
        """Who, by which link, whereto, for how long, how much, and why it ended; once."""
        self.time = 100.25
        self.tunnel.opened(CountingEnd())
        self.time = 102.25
        self.tunnel.close(Reason.DESTINATION_LOST)
        self.tunnel.close(Reason.SHUTDOWN)
        self.assertEqual(
            self.accounts,
            [
                Account(
                    Client("grpc", "192.0.2.9:1", "me"),
                    "a",
                    "192.0.2.1:5",
                    "host:80",
                    True,
                    0.25,
                    2.0,
                    3,
                    4,
                    "destination_lost",
                    "",
                )
            ],
        )

    def test_a_half_closed_tunnel(self) -> None:
        """It ends for the reason of the end that came first."""
        far = FakeEnd()
        self.tunnel.opened(far)
        self.tunnel.ended(far, Reason.DESTINATION_CLOSED)
        self.assertEqual(self.accounts, [])
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertEqual([account.reason for account in self.accounts], ["destination_closed"])

    def test_a_failed_dial(self) -> None:
        """A dial that failed says what its asker was told."""
        self.time = 101.0
        self.tunnel.fail(Reason.REFUSED, "connection refused by host")
        (account,) = self.accounts
        self.assertEqual((account.opened, account.dial_seconds, account.seconds), (False, 1.0, 0.0))
        self.assertEqual(account.reason, "refused")
        self.assertEqual(account.text, "connection refused by host")
        self.assertEqual((account.to_destination, account.to_client), (0, 0))

    def test_an_abandoned_dial(self) -> None:
        """A client that left during the dial is told of, though there was nobody to tell."""
        self.tunnel.close(Reason.CLIENT_LEFT)
        (account,) = self.accounts
        self.assertEqual((account.opened, account.reason), (False, "client_left"))
        self.assertEqual(account.text, Reason.CLIENT_LEFT.text)

    def test_without_a_link(self) -> None:
        """Where no link was asked, none is named."""
        self.tunnel.via = None
        self.tunnel.fail(Reason.NO_AGENT)
        (account,) = self.accounts
        self.assertEqual((account.link, account.link_peer), ("", ""))

    def test_the_near_end_counts(self) -> None:
        """At the agent the link's share is the near end: its count is taken."""
        near = CountingEnd()
        tunnel = Tunnel(self.ledger, near, "host:80")
        tunnel.opened(FakeEnd())
        tunnel.close(Reason.CLIENT_CLOSED)
        (account,) = self.accounts
        self.assertEqual((account.client, account.to_destination, account.to_client), (None, 3, 4))
        self.tunnel.close(Reason.CLIENT_LEFT)

    def test_nobody_asks(self) -> None:
        """Without somebody who wants accounts, none is made."""
        self.ledger.account = None
        self.tunnel.opened(FakeEnd())
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.assertEqual(self.accounts, [])
