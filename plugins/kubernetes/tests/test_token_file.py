"""Tests of konnect_kubernetes.token_file: a kubeconfig's token that is in a file, and changes."""

from __future__ import annotations

import os
from pathlib import Path

from kubernetes.client import Configuration

from konnect_kubernetes import token_file
from konnect_kubernetes.kubeconfig import current
from konnect_kubernetes.reviewer import make_reviewer
from tests.api_server import Object
from tests.case import ApiCase

GOOD: Object = {"authenticated": True, "audiences": ["a"], "user": {"username": "u"}}


class TokenFileTests(ApiCase):
    def setUp(self) -> None:
        super().setUp()
        self.api.review = GOOD
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.token = self.folder / "token"
        self.token.write_text("first\n", encoding="ascii")

    def kubeconfig_of(self, user: str) -> str:
        """A kubeconfig beside the token's file, with this as its user."""
        path = Path(self.write_kubeconfig(f"http://127.0.0.1:{self.port}"))
        moved = self.folder / "config"
        moved.write_text(path.read_text().replace("token: proxy-token", user), encoding="ascii")
        return str(moved)

    async def test_followed(self) -> None:
        """A token that is replaced is shown with the next request; what cannot be read, or is none,
        changes nothing."""
        access = self.access_to(self.kubeconfig_of("tokenFile: token"))
        reviewer = make_reviewer(self.reactor, access, 1)
        self.addCleanup(reviewer.stop)
        for token in "first", "second":
            self.token.write_text(f"{token}\n", encoding="ascii")
            await reviewer.review("t", ["a"])
            self.assertEqual(self.api.headers[-1]["authorization"], f"Bearer {token}")
        for odd in b"", b"\xff", b"two\nlines":
            self.token.write_bytes(odd)
            await reviewer.review("t", ["a"])
            self.assertEqual(self.api.headers[-1]["authorization"], "Bearer second")
        self.token.unlink()
        await reviewer.review("t", ["a"])
        self.assertEqual(self.api.headers[-1]["authorization"], "Bearer second")
        self.token.write_text("third", encoding="ascii")
        await reviewer.review("t", ["a"])
        self.assertEqual(self.api.headers[-1]["authorization"], "Bearer third")

    def test_older_clients(self) -> None:
        """The token has another name in older releases of the client."""
        configuration = Configuration()
        configuration.api_key = {"authorization": "Bearer first\n"}
        token_file.follow(configuration, self.token)
        self.assertEqual(configuration.get_api_key_with_prefix("authorization"), "Bearer first")
        self.assertEqual(configuration.api_key, {"authorization": "Bearer first"})

    def found(self, kubeconfig: str) -> Path | None:
        """The file that a kubeconfig leads to."""
        return token_file.token_file(current(kubeconfig).user)

    def test_found(self) -> None:
        """Relative to its kubeconfig; a token that is in the kubeconfig goes before it, as it does
        for the client."""
        self.assertEqual(self.found(self.kubeconfig_of("tokenFile: token")), self.token)
        self.assertEqual(
            self.found(self.kubeconfig_of("tokenFile: /run/token")), Path("/run/token")
        )
        for user in "token: x, tokenFile: token", "token: x", "username: a, password: b":
            self.assertIsNone(self.found(self.kubeconfig_of(user)))

    def test_several_kubeconfigs(self) -> None:
        """The first that says something decides, as in $KUBECONFIG."""
        mine = self.kubeconfig_of("tokenFile: token")
        other = self.write_kubeconfig("http://127.0.0.1:1")
        missing = str(self.folder / "missing")
        together = os.pathsep.join
        self.assertEqual(self.found(together([missing, mine, other])), self.token)
        self.assertIsNone(self.found(together([other, mine])))
