"""Tests of konnect.app.cli."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

import konnect
from konnect.app import cli
from konnect.app.demo_stage import Ports
from tests.app.unwritten import ended
from tests.ports import free_port, free_ports


def run(*argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of ``konnect argv``."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli.main(argv)
    return code, out.getvalue(), err.getvalue()


class CommandTests(SynchronousTestCase):
    """The ``konnect`` command."""

    def test_help(self) -> None:
        """--help and its friends list every command on stdout."""
        for word in ("--help", "-h", "help"):
            code, out, err = run(word)
            self.assertEqual((code, err), (0, ""))
            for name in cli.COMMANDS:
                self.assertRegex(out, rf"(?m)^  {name} ")

    def test_nothing(self) -> None:
        """Without a command, the help goes to stderr and the exit code is 2."""
        code, out, err = run()
        self.assertEqual((code, out), (2, ""))
        self.assertIn("Commands:", err)

    def test_version(self) -> None:
        """--version says which konnect this is."""
        self.assertEqual(run("--version"), (0, f"konnect {konnect.__version__}\n", ""))

    def test_unknown_command(self) -> None:
        """An unknown command is named in one line, with the nearest one, and exits 2."""
        for word, hint in (("test-serve", " Did you mean test-server?"), ("xyz", "")):
            code, out, err = run(word, "--flag")
            self.assertEqual((code, out), (2, ""))
            self.assertEqual(
                err, f"konnect: there is no command {word!r}.{hint} See konnect --help\n"
            )

    def test_a_command_gets_its_arguments_and_gives_the_exit_code(self) -> None:
        """What follows the command's name is passed on untouched."""
        given: list[list[str]] = []

        def command(argv: list[str]) -> int:
            given.append(argv)
            return 7

        def find(name: str) -> SimpleNamespace:
            self.assertEqual(name, "konnect.app.certs")
            return SimpleNamespace(main=command)

        self.patch(importlib, "import_module", find)
        self.assertEqual(run("certs", "--help", "--", "x")[0], 7)
        self.assertEqual(given, [["--help", "--", "x"]])

    def test_every_command_is_there(self) -> None:
        """Every command that the help lists has its module, with a main."""
        for module, _ in cli.COMMANDS.values():
            self.assertTrue(callable(importlib.import_module(module).main), module)

    def test_a_reader_that_has_had_enough(self) -> None:
        """Whose output nobody reads any more ends with exit code 1 and says nothing about it."""
        server = ["test-server", f"--server-port={free_port()}"]
        for argv in (["--help"], ["certs", "--help"], ["test-client", "--help"], server):
            with self.subTest(argv=argv):
                self.assertEqual(self.unread(f"cli.main({argv})"), (1, ""))

    def test_a_reader_of_errors_that_has_had_enough(self) -> None:
        """So does one whose complaints are not read either (2>&1 | head)."""
        call = "os.dup2(1, 2) and cli.main(['test-client', '--mode=none'])"
        self.assertEqual(self.unread(call), (1, ""))

    def test_full_disk(self) -> None:
        """Output for a disk that is full ends with exit code 1 and one line."""
        text = "konnect: the output cannot be written: No space left on device\n"
        demo = ["demo", "--once", f"--port-base={free_ports(Ports.COUNT)}"]
        for argv in (["--help"], ["certs", "--help"], ["test-client", "--help"], demo):
            with self.subTest(argv=argv), open("/dev/full", "wb") as full:
                self.assertEqual(self.output_to(full.fileno(), f"cli.main({argv})"), (1, text))

    def unread(self, call: str) -> tuple[int, str]:
        """Exit code and stderr of a program whose stdout was closed by its reader."""
        reader, writer = os.pipe()
        os.close(reader)
        try:
            return self.output_to(writer, call)
        finally:
            os.close(writer)

    def output_to(self, stdout: int, call: str) -> tuple[int, str]:
        """Exit code and stderr of a program."""
        return ended(stdout, f"import os, sys; from konnect.app import cli; sys.exit({call})")

    def test_commands_are_imported_lazily(self) -> None:
        """The command itself starts without Twisted, and no command installs a reactor."""
        for statement, absent in (
            ("import konnect.app.cli", "twisted"),
            ("import konnect.app.test_server, konnect.app.certs", "twisted.internet.reactor"),
        ):
            code = f"{statement}; import sys; sys.exit({absent!r} in sys.modules)"
            root = str(Path(konnect.__file__).parent.parent)
            environment = {**os.environ, "PYTHONPATH": root}
            done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60)
            self.assertEqual(done.returncode, 0, absent)
