"""Every tunnel is accounted for at both programs, whichever way its client came."""

from __future__ import annotations

from konnect.tunnel.account import Account
from tests.functional.peers import arrived, echo
from tests.functional.rig import CONNECT_TLS, CONNECT_UNIX, GRPC_TLS, GRPC_UNIX, FunctionalTestCase
from tests.functional.waiting import until

SAYS = b"x" * 200_000


class TunnelLogTests(FunctionalTestCase):
    """Accounts of tunnels over real sockets."""

    async def _account(self, way: str) -> tuple[Account, Account, str]:
        """The proxy's and the agent's account of an echoed tunnel, and the destination."""
        proxy, agent = await self.pair()
        accounts: list[list[Account]] = [[], []]
        proxy.ledger.account = accounts[0].append
        agent.ledger.account = accounts[1].append
        destination = self.destination(echo)
        client, _ = await self.tunnel(proxy, way, destination)
        client.transport.write(SAYS)
        await arrived(len(SAYS), client)
        client.transport.loseConnection()
        await until(lambda: all(accounts), "both have an account")
        (at_proxy,), (at_agent,) = accounts
        return at_proxy, at_agent, f"127.0.0.1:{destination.port}"

    async def _check(self, way: str, frontend: str, user: str) -> None:
        at_proxy, at_agent, where = await self._account(way)
        for account in (at_proxy, at_agent):
            self.assertEqual((account.opened, account.destination), (True, where))
            self.assertEqual(account.to_destination, len(SAYS))
            self.assertEqual(account.to_client, len(SAYS))
        assert at_proxy.client is not None
        self.assertEqual((at_proxy.client.frontend, at_proxy.client.user), (frontend, user))
        self.assertIsNone(at_agent.client)
        self.assertEqual((at_proxy.link, at_agent.link), ("agent1", "proxy1"))

    async def test_connect_tls(self) -> None:
        """CONNECT over mutual TLS: the client's certificate names it."""
        await self._check(CONNECT_TLS, "connect", "proxy-client")

    async def test_grpc_tls(self) -> None:
        """gRPC over mutual TLS."""
        await self._check(GRPC_TLS, "grpc", "proxy-client")

    async def test_connect_unix(self) -> None:
        """CONNECT over a unix socket: nobody has proved anything."""
        await self._check(CONNECT_UNIX, "connect", "")

    async def test_grpc_unix(self) -> None:
        """gRPC over a unix socket."""
        await self._check(GRPC_UNIX, "grpc", "")
