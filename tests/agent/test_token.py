"""Tests of konnect.agent.token."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.agent.token import LONGEST, TokenUnusable, read_token


class TokenTests(SynchronousTestCase):
    """One file."""

    def setUp(self) -> None:
        self.path = self.mktemp()

    def write(self, data: bytes) -> None:
        """Put this into the file."""
        Path(self.path).write_bytes(data)

    def problem(self) -> str:
        """Why there is no token."""
        with self.assertRaises(TokenUnusable) as caught:
            read_token(self.path)
        text = str(caught.exception)
        self.assertIn(self.path, text)
        return text

    def test_trimmed(self) -> None:
        """The token is the file without the blanks and newlines around it."""
        for data in (b"a.b-c_", b"a.b-c_\n", b"\r\n  a.b-c_\t\r\n"):
            self.write(data)
            self.assertEqual(read_token(self.path), "a.b-c_")

    def test_rotated(self) -> None:
        """A replaced file is another token, also behind Kubernetes' symbolic link."""
        folder = Path(self.mktemp())
        for version in ("one", "two"):
            (folder / version).mkdir(parents=True)
            (folder / version / "token").write_text(version)
        (folder / "..data").symlink_to("one")
        (folder / "token").symlink_to("..data/token")
        self.assertEqual(read_token(str(folder / "token")), "one")
        (folder / "next").symlink_to("two")
        os.replace(folder / "next", folder / "..data")
        self.assertEqual(read_token(str(folder / "token")), "two")

    def test_missing(self) -> None:
        """A file that is not there is named."""
        self.assertIn("No such file or directory", self.problem())

    def test_folder(self) -> None:
        """So is a folder in its place."""
        os.mkdir(self.path)
        self.assertIn("Is a directory", self.problem())

    def test_no_token(self) -> None:
        """What can be no token is not sent, and not repeated either."""
        for data, problem in (
            (b"", "is empty"),
            (b" \n\n", "is empty"),
            (b"secret1 secret2", "holds more than one token, or none"),
            (b"secret1\nsecret2", "holds more than one token, or none"),
            (b"secret\xff", "holds more than one token, or none"),
            (b"secret" * LONGEST, f"is longer than {LONGEST} bytes"),
        ):
            self.write(data)
            text = self.problem()
            self.assertIn(problem, text)
            self.assertNotIn("secret", text)
