"""Tests of konnect_kubernetes.command: a kubeconfig's command, and what it may take."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.extension import starting
from konnect_kubernetes import command
from konnect_kubernetes.command import Command, CommandFailed, CommandKilled
from konnect_kubernetes.kubeconfig import Current, Entry

VERSION = "client.authentication.k8s.io/v1"


class CommandTests(SynchronousTestCase):
    """Scripts in the place of a credential plugin."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.script = self.folder / "plugin"

    def command(self, script: str = "", **entry: Any) -> Command:
        """A command that is this script of a shell's."""
        self.script.write_text(f"#!/bin/sh\n{script}\n")
        os.chmod(self.script, 0o755)
        given = {"apiVersion": VERSION, "command": str(self.script), **entry}
        cluster = Entry({"server": "https://k", "extensions": EXTENSIONS}, self.folder)
        return Command(Current(Entry({"exec": given}, self.folder), cluster))

    def fails(self, script: str = "", **entry: Any) -> str:
        """What is wrong with it; the text is one line, and names the command."""
        with self.assertRaises(CommandFailed) as caught:
            self.command(script, **entry).run()
        text = str(caught.exception)
        self.assertIn(f"the kubeconfig's command {self.script} ", text)
        self.assertNotIn("\n", text)
        return text

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for another process."""
        for _ in range(1000):
            if condition():
                return
            time.sleep(0.01)
        self.fail("it did not come")

    def processes(self) -> list[Path]:
        """Those that the script has noted in `pids`, and that live."""
        return [
            process
            for number in (self.folder / "pids").read_text().split()
            if (process := Path("/proc", number)).exists()
            and "State:\tZ" not in (process / "status").read_text()
        ]

    def test_answer(self) -> None:
        """It gets its arguments, its environment and what it is asked for; nobody is at stdin."""
        environment = [{"name": "A", "value": "x"}, {"name": "N", "value": 1}]
        self.command(
            'cat; pwd >told; echo "$1 $A $N" >>told; echo "$KUBERNETES_EXEC_INFO" >info; '
            f"echo '{answer(token='t')}'",
            args=["one"],
            env=environment,
            provideClusterInfo=True,
        ).run()
        told = (self.folder / "told").read_text().splitlines()
        self.assertEqual(told, [str(self.folder), "one x 1"])
        info = json.loads((self.folder / "info").read_text())
        self.assertEqual(info["spec"]["interactive"], False)
        self.assertEqual(info["spec"]["cluster"], {"server": "https://k", "config": {"a": 1}})

    def test_hangs(self) -> None:
        """One that does not end is killed, with the processes that it has begun."""
        self.patch(command, "LIMIT", 0.5)
        for script in (
            "echo $$ >pids; sleep 600 & echo $! >>pids; sleep 600",
            # It has closed its outputs, which is not its end.
            "echo $$ >pids; exec >&- 2>&-; exec sleep 600",
            # It has ended, but one that it has begun may still write.
            "sleep 600 & echo $! >pids",
        ):
            with self.assertRaises(CommandKilled) as caught:
                self.command(script).run()
            self.assertIn("it has not ended within 0.5 seconds", str(caught.exception))
            self.assertIn(str(self.script), str(caught.exception))
            self.until(lambda: not self.processes())

    def test_stop(self) -> None:
        """A stop kills one that is running, and the next."""
        running = self.command("echo $$ >pids; exec sleep 600")
        failures: list[CommandFailed] = []

        def run() -> None:
            try:
                running.run()
            except CommandFailed as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        self.until(lambda: (self.folder / "pids").exists())
        running.stop()
        thread.join(10)
        self.assertEqual(self.processes(), [])
        run()
        self.assertIn("the program is stopping", str(failures[0]))
        self.assertEqual(len(failures), 2)

    def test_told_to_end(self) -> None:
        """While the program starts it is the main thread that waits; a signal makes it give up, and
        nothing of the command is left. After a signal none is run."""
        self.addCleanup(starting.tell, False)

        def tell() -> None:
            self.until(lambda: (self.folder / "pids").exists())
            starting.tell(True)

        thread = threading.Thread(target=tell)
        thread.start()
        script = "sleep 600 & echo $! >made; echo $$ >>made; mv made pids; sleep 600"
        self.assertIn("was killed: the program is stopping", self.fails(script))
        thread.join(10)
        self.until(lambda: not self.processes())
        self.assertIn("is not run: the program is stopping", self.fails(f"touch {self.folder}/ran"))
        self.assertFalse((self.folder / "ran").exists())

    def test_says_too_much(self) -> None:
        """One that writes without an end is killed."""
        for way in ">&1", ">&2":
            self.assertIn("it wrote more than", self.fails(f"exec yes {way}"))

    def test_fails(self) -> None:
        """What it says then is told, within bounds."""
        text = self.fails("echo 'no\nway' >&2; exit 3")
        self.assertIn("returned 3: no way", text)
        self.assertTrue(self.fails("kill -9 $$").endswith("returned -9"))
        self.assertLess(len(self.fails("yes no | head -9999 >&2; exit 3")), 1000)

    def test_answers_nonsense(self) -> None:
        """An answer that is none is told, and never repeated: it may hold a secret."""
        other = answer(token="hidden").replace(VERSION, "other/v1")
        for given, text in (
            ("hidden", "no JSON"),
            ('"hidden"', "without a status"),
            ('{"status": "hidden"}', "without a status"),
            (other, f"of apiVersion other/v1, not {VERSION}"),
        ):
            said = self.fails(f"echo '{given}'")
            self.assertIn(text, said)
            self.assertNotIn("hidden", said)

    def test_cannot_be_run(self) -> None:
        """One that is not there, that may not be run, or that nobody could answer."""
        self.assertIn("interactiveMode: Always", self.fails(interactiveMode="Always"))
        for malformed in {"args": 1}, {"env": [1]}, {"env": [{"name": "A"}]}:
            self.assertIn("malformed args or env", self.fails(**malformed))
        run = self.command()
        os.chmod(self.script, 0o644)
        for text in "Permission denied", "No such file":
            with self.assertRaises(CommandFailed) as caught:
                run.run()
            self.assertIn(f"{self.script} cannot be run: {text}", str(caught.exception))
            self.script.unlink(missing_ok=True)
        for missing in "command", "apiVersion":
            with self.assertRaises(CommandFailed) as caught:
                self.command(**{missing: None})
            self.assertIn(f"its exec has no {missing}", str(caught.exception))


EXTENSIONS = [{"name": "client.authentication.k8s.io/exec", "extension": {"a": 1}}]


def answer(**status: str) -> str:
    """What a plugin answers."""
    return json.dumps({"kind": "ExecCredential", "apiVersion": VERSION, "status": status})
