"""Tests of konnect.agent.connector: the token that the agent shows."""

from __future__ import annotations

from pathlib import Path

from tests.agent.connecting import ConnectorTestCase


class TokenTests(ConnectorTestCase):
    """An agent with a token file."""

    def setUp(self) -> None:
        super().setUp()
        self.token_path = self.mktemp()

    def write(self, text: str) -> None:
        """Replace the token."""
        Path(self.token_path).write_text(text, encoding="ascii")

    def test_read_for_each_connection(self) -> None:
        """Each connection shows the token that the file holds then."""
        self.write("first\n")
        proxy = self.proxy()
        self.begin(proxy)
        self.assertIn(("authorization", "Bearer first"), list(proxy.metadata))
        self.write("second\n")
        proxy.wires[0].client.lose()
        self.wait(3)
        self.assertEqual(self.connected, ["s-1"])
        self.assertIn(("authorization", "Bearer second"), list(proxy.metadata))

    def test_none(self) -> None:
        """Without a token nobody is troubled; the file is named, once, and looked for again."""
        proxy = self.proxy()
        self.begin(proxy)
        self.wait(10)
        self.assertEqual(proxy.attempts, 0)
        (line,) = self.lines
        self.assertEqual(
            line,
            f"no link to a proxy: the token file {self.token_path}: No such file or directory",
        )
        self.write("late")
        self.wait(12)
        self.assertEqual(self.connected, ["s-1"])

    def test_refused(self) -> None:
        """A proxy that refuses the token is quoted; the token itself is in no line."""
        self.write("secret")
        proxy = self.proxy()
        proxy.mode = "rejects"
        self.begin(proxy)
        self.wait(3)
        self.assertEqual(
            self.lines, ["no link to a proxy: UNKNOWN: too many (2) tokens are received"]
        )
