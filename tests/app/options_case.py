"""The test case of both programs' command lines."""

from __future__ import annotations

import os
from typing import Any

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase


class OptionsCase(SynchronousTestCase):
    """A directory with a file that exists; its content is nobody's business here."""

    def setUp(self) -> None:
        """Make the file."""
        directory = self.mktemp()
        os.makedirs(directory)
        self.file = os.path.join(directory, "file.pem")
        with open(self.file, "w", encoding="ascii") as file:
            file.write("not looked at\n")
        self.missing = os.path.join(directory, "missing.pem")

    def parse(self, *words: str, **environ: str) -> Any:
        """The config for a command line."""
        raise NotImplementedError

    def refuses(self, problem: str, *words: str) -> None:
        """The command line is refused with exactly this message."""
        error = self.assertRaises(usage.UsageError, self.parse, *words)
        self.assertEqual(str(error), problem)
