"""The images' build file and entries; what an image holds is in tests.packaging."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.deploy.objects import DEPLOY
from tests.interop.pairs import InteropTestCase, agent_flags, arguments, proxy_flags
from tests.interop.processes import Program

IMAGES = DEPLOY / "images"
ENTRIES = ("proxy-server", "proxy-agent", "proxy-test-client", "http-test-server")


class BuildFileTests(SynchronousTestCase):
    """The Dockerfile, read and not run."""

    def test_targets(self) -> None:
        """Each target starts the path that manifests name, with a script that is there."""
        text = (IMAGES / "Dockerfile").read_text()
        stages = dict(re.findall(r"^FROM base AS (\S+)\n((?:(?!FROM).+\n?)+)", text, re.MULTILINE))
        self.assertEqual(tuple(stages), ENTRIES)
        for name, body in stages.items():
            self.assertIn(f"COPY --chmod=755 deploy/images/{name} /{name}\n", body)
            self.assertIn(f'ENTRYPOINT ["/{name}"]', body)
            self.assertTrue(os.access(IMAGES / name, os.X_OK), name)

    def test_platforms(self) -> None:
        """Both stages are of the platform that is built for, and what is built for several
        platforms are all the targets, by the same file."""
        text = (IMAGES / "Dockerfile").read_text()
        self.assertNotIn("--platform", "".join(re.findall(r"^FROM .*\n", text, re.MULTILINE)))
        bake = (IMAGES / "bake.hcl").read_text()
        (targets,) = re.findall(r"^  matrix .*= \{ image = (\[.*\]) \}$", bake, re.MULTILINE)
        self.assertEqual(tuple(json.loads(targets)), ENTRIES)
        self.assertIn('dockerfile = "deploy/images/Dockerfile"\n', bake)
        self.assertIn('default = "linux/amd64,linux/arm64"\n', bake)

    def test_compiled_parts_are_tried(self) -> None:
        """The build tries both programs' modules with the base's own Python, before any target."""
        text = (IMAGES / "Dockerfile").read_text()
        (tried,) = re.findall(r"^RUN (\[.*\])\n\nFROM base AS proxy-server$", text, re.MULTILINE)
        python, *words = json.loads(tried)
        self.assertEqual(python, "/usr/bin/python3")
        subprocess.run([sys.executable, *words], check=True, timeout=60)

    def test_user(self) -> None:
        """Images run as a number that is not root's, which `runAsNonRoot` can check."""
        text = (IMAGES / "Dockerfile").read_text()
        self.assertEqual(re.findall(r"^USER (.*)$", text, re.MULTILINE), ["65532:65532"])

    def test_one_version_of_python(self) -> None:
        """What is compiled for the builder's Python runs on the base's: Debian 12 has 3.11."""
        text = (IMAGES / "Dockerfile").read_text()
        self.assertIn("python:3.11-slim-bookworm", text)
        self.assertIn("python3-debian12", text)


class EntryTests(InteropTestCase):
    """The entries, run as they are by this Python."""

    def run_entry(self, name: str, *flags: str) -> str:
        done = subprocess.run(
            [sys.executable, IMAGES / name, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        return f"{done.returncode} {done.stdout}"

    def test_pair(self) -> None:
        """A proxy and an agent that manifests would start find each other, and end with 0."""
        flags = proxy_flags(self.directory(), "grpc", "uds")
        proxy = self.started("proxy-server", flags)
        agent_options = agent_flags(int(flags["agent-port"])) | {"drain-timeout": "0s"}
        agent = self.started("proxy-agent", agent_options)
        agent.wait_ready(int(agent_options["health-server-port"]), "/readyz")
        self.assertEqual([agent.end(), proxy.end()], [0, 0])

    def started(self, name: str, flags: dict[str, str]) -> Program:
        command = [sys.executable, str(IMAGES / name), *arguments(flags)]
        program = Program(name, command, self.directory())
        self.addCleanup(self._finish, program)
        return program

    def test_bad_flag(self) -> None:
        """A wrong flag ends the container with an error."""
        answer = self.run_entry("proxy-server", "--no-such-flag")
        self.assertTrue(answer.startswith("1 "), answer)
        self.assertIn("no-such-flag", answer)

    def test_trials(self) -> None:
        """The two programs for trials know themselves."""
        for name in ("proxy-test-client", "http-test-server"):
            self.assertTrue(self.run_entry(name, "--help").startswith("0 Usage: konnect"), name)
