"""Tests of tools/flags_doc.py, and that docs/flags.md is what it makes."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import kinds
from konnect.app.flags import Flag
from tests.app.flags_tool import load


class FlagsDocTests(SynchronousTestCase):
    """The page, its rows and the check."""

    def setUp(self) -> None:
        """Load the tool anew, so that each test may change its page's place."""
        self.tool = load()

    def run_tool(self, *words: str) -> tuple[int, str]:
        """The exit code and what went to stderr."""
        errors = io.StringIO()
        with contextlib.redirect_stderr(errors):
            code = self.tool.main(list(words))
        return code, errors.getvalue()

    def test_page_is_up_to_date(self) -> None:
        """docs/flags.md says what the programs' tables of flags say."""
        self.assertEqual(self.run_tool("--check"), (0, ""))

    def test_check_finds_drift(self) -> None:
        """A page that differs by one word, or is missing, fails the check and stays as it is."""
        page = Path(self.mktemp())
        self.tool.PAGE = page
        code, text = self.run_tool("--check")
        self.assertEqual((code, page.exists()), (1, False))
        self.assertIn("run python tools/flags_doc.py", text)
        changed = self.tool.page().replace("`8091`", "`8901`", 1)
        page.write_text(changed, encoding="utf-8")
        self.assertEqual(self.run_tool("--check")[0], 1)
        self.assertEqual(page.read_text(encoding="utf-8"), changed)

    def test_written_page_passes(self) -> None:
        """What the tool writes is what it then finds to be right."""
        self.tool.PAGE = Path(self.mktemp())
        self.assertEqual(self.run_tool(), (0, ""))
        self.assertEqual(self.run_tool("--check"), (0, ""))

    def test_every_flag_is_on_the_page(self) -> None:
        """No flag of either program is left out, whatever group it is in."""
        page = self.tool.page()
        for options in (self.tool.ProxyOptions, self.tool.AgentOptions):
            missing = [flag.name for flag in options.flags if f"`--{flag.name}`" not in page]
            self.assertEqual(missing, [])

    def test_rows(self) -> None:
        """Own flags have a star, large numbers are whole, bars do not end a cell."""
        own = Flag("own-limit", kinds.INT, 268435456, "One | two.")
        self.assertEqual(
            self.tool.row(own), "| `--own-limit` \\* | `int` | `268435456` | One \\| two. |"
        )
        theirs = Flag("keepalive-time", kinds.DURATION, 0.0, "Wait.", short="k")
        self.assertEqual(
            self.tool.row(theirs), "| `--keepalive-time`, `-k` | `duration` | `0` | Wait. |"
        )
        switch = Flag("sync-forever", kinds.BOOL, False, "On.")
        self.assertEqual(self.tool.row(switch), "| `--sync-forever` | `bool` | `false` | On. |")

    def test_bad_command_line(self) -> None:
        """Anything but --check is answered with the tool's own text and 2."""
        code, text = self.run_tool("--chekc")
        self.assertEqual(code, 2)
        self.assertIn("flags_doc.py --check", text)
