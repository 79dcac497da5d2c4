"""Tests of konnect_kubernetes.command_client: what a kubeconfig's command gives, and gives anew."""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from konnect.app.authority import Lifetime
from konnect.extension.api import ApiAccess
from konnect_kubernetes import command, command_client
from konnect_kubernetes.reviewer import make_reviewer
from tests.case import FakeLog
from tests.credentials_case import CredentialsCase
from tests.fault import Fault

VERSION = "client.authentication.k8s.io/v1"


class ExecTests(CredentialsCase):
    """A kubeconfig's command that gives credentials."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.runs = self.folder / "runs"
        self.runs.write_text("")
        self.go = self.folder / "go"
        self.go.touch()
        self.command = self.folder / "command"
        self.command.write_text(
            f"#!/bin/sh\necho run >>{self.runs}\n"
            f"while [ ! -e {self.go} ]; do sleep 0.02; done\n"
            f"cat {self.folder}/answer && exit $(cat {self.folder}/code)\n"
        )
        os.chmod(self.command, 0o755)
        self.now = time.time()
        self.patch(command_client, "wall", lambda: self.now)
        self.user = f"exec: {{apiVersion: {VERSION}, command: {self.command}}}"

    def answers(self, *, minutes: float = 60.0, code: int = 0, **status: str) -> None:
        """What the command gives, and for how long that is good."""
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        status["expirationTimestamp"] = until.strftime("%Y-%m-%dT%H:%M:%SZ")
        answer: dict[str, Any] = {"kind": "ExecCredential", "apiVersion": VERSION, "status": status}
        (self.folder / "answer").write_text(json.dumps(answer))
        (self.folder / "code").write_text(str(code))

    def ran(self) -> int:
        """How often it has run."""
        return len(self.runs.read_text().splitlines())

    def tokens(self) -> list[str]:
        """What the API server was shown."""
        return [headers["authorization"] for headers in self.api.headers]

    async def test_token(self) -> None:
        """A token is shown, and the command not run again while it is good."""
        self.answers(token="one")
        reviewer = self.reviewer(self.user)
        for _ in range(3):
            await self.ask(reviewer)
        self.assertEqual((self.ran(), self.tokens()), (1, ["Bearer one"] * 3))

    async def test_renewed(self) -> None:
        """It is run again when the token's end is near, or has passed."""
        self.answers(token="one", minutes=-1)
        reviewer = self.reviewer(self.user)
        self.answers(token="two", minutes=1)
        await self.ask(reviewer)
        self.answers(token="three")
        for _ in range(2):
            await self.ask(reviewer)
        self.assertEqual(self.tokens(), ["Bearer two", "Bearer three", "Bearer three"])
        self.assertEqual(self.ran(), 3)

    async def test_slow(self) -> None:
        """A command that takes its time holds up nothing else."""
        self.answers(token="one", minutes=-1)
        reviewer = self.reviewer(self.user)
        self.go.unlink()
        self.answers(token="two")
        review = Deferred.fromCoroutine(self.ask(reviewer))
        await self.until(lambda: self.ran() == 2)
        self.assertFalse(review.called)
        self.go.touch()
        await review
        self.assertEqual(self.tokens(), ["Bearer two"])

    async def test_renewal_fails(self) -> None:
        """One that fails later leaves the token as it is; it is run for the next request again."""
        self.answers(token="one", minutes=-1)
        reviewer = self.reviewer(self.user)
        self.answers(token="none", code=3)
        await self.ask(reviewer)
        self.answers(token="two")
        await self.ask(reviewer)
        self.assertEqual(self.tokens(), ["Bearer one", "Bearer two"])

    def assert_no_start(self, *words: str) -> None:
        """The kubeconfig cannot be used, and the text says why."""
        access: ApiAccess = self.access_as(self.user)
        with self.assertRaises(ValueError) as caught:
            make_reviewer(self.reactor, access, 1)
        for word in (access.kubeconfig, *words):
            self.assertIn(word, str(caught.exception))

    def test_fails(self) -> None:
        """Without anything to show nothing starts: it would never be asked for again."""
        self.answers(token="none", code=3)
        self.assert_no_start("returned 3", str(self.command))
        self.answers()
        self.assert_no_start("neither token nor clientCertificateData")
        self.command.unlink()
        self.assert_no_start("No such file", str(self.command))

    async def test_certificate(self) -> None:
        """A certificate is shown, and another one when its end is near; the files of the first are
        gone with the client."""
        self.certified("first", minutes=10)
        reviewer = self.reviewer(self.user, self.guarded)
        folder = Path(reviewer._api.api_client.configuration.cert_file).parent
        await self.ask(reviewer)
        self.certified("second", minutes=60)
        await self.ask(reviewer)
        self.now += 6 * 60
        for _ in range(2):
            await self.ask(reviewer)
        self.assertEqual(self.api.users, ["first", "first", "second", "second"])
        self.assertEqual((self.ran(), folder.exists()), (2, True))
        await reviewer.stop()
        self.assertFalse(folder.exists())

    async def test_certificate_renewal_fails(self) -> None:
        """A command that fails, or gives none, leaves the certificate as it is."""
        log = FakeLog()
        self.patch(command_client, "log", log)
        self.certified("first", minutes=1)
        reviewer = self.reviewer(self.user, self.guarded)
        self.answers(token="x", code=3)
        await self.ask(reviewer)
        self.answers()
        await self.ask(reviewer)
        self.answers(clientCertificateData="x", clientKeyData="y")
        await self.ask(reviewer)
        self.certified("second")
        await self.ask(reviewer)
        self.assertEqual(self.api.users, ["first", "first", "first", "second"])
        self.assertEqual(log.about("the kubeconfig's command"), 3)
        for text in ("returned 3", "neither token", "a certificate that is none"):
            self.assertEqual(log.about(text), 1)

    async def test_hangs(self) -> None:
        """One that hangs when it is run again is killed, and told of; the token goes on being
        shown, and for a while nothing is run."""
        log = FakeLog()
        self.patch(command_client, "log", log)
        self.answers(token="one", minutes=-1)
        reviewer = self.reviewer(self.user)
        self.patch(command, "LIMIT", 0.2)
        self.go.unlink()
        for _ in range(2):
            await self.ask(reviewer)
        self.assertEqual((self.ran(), self.tokens()), (2, ["Bearer one"] * 2))
        self.assertEqual(log.about(f"{self.command} was killed: it has not ended within 0.2"), 1)
        self.go.touch()
        self.answers(token="two")
        self.now += command_client.LIMIT
        await self.ask(reviewer)
        self.assertEqual(self.tokens()[2:], ["Bearer two"])

    def test_hangs_at_the_start(self) -> None:
        """One that hangs at once ends the start."""
        self.patch(command, "LIMIT", 0.2)
        self.go.unlink()
        self.assert_no_start(str(self.command), "was killed: it has not ended within 0.2 seconds")

    async def test_good_meanwhile(self) -> None:
        """While the old token is good, only one request waits for the command."""
        self.answers(token="one", minutes=1)
        reviewer = self.reviewer(self.user)
        self.go.unlink()
        self.answers(token="two")
        first = Deferred.fromCoroutine(self.ask(reviewer))
        await self.until(lambda: self.ran() == 2)
        await self.ask(reviewer)
        self.assertFalse(first.called)
        self.go.touch()
        await first
        self.assertEqual(self.tokens(), ["Bearer one", "Bearer two"])

    async def test_stopped(self) -> None:
        """A stop kills the command, and no thread is left."""
        self.answers(token="one", minutes=-1)
        reviewer = self.reviewer(self.user)
        self.go.unlink()
        review = Deferred.fromCoroutine(self.refused(reviewer))
        await self.until(lambda: self.ran() == 2)
        await reviewer.stop()
        self.assertIn("given up", await review)
        self.assertEqual(reviewer._calls._busy, 0)

    async def test_unauthorized(self) -> None:
        """A token that the API server does not take any more is replaced, whatever its end."""
        self.answers(token="one")
        reviewer = self.reviewer(self.user)
        self.answers(token="two")
        self.api.faults.append(("POST", Fault(401)))
        await self.refused(reviewer)
        await self.ask(reviewer)
        self.assertEqual(self.tokens(), ["Bearer one", "Bearer two"])

    async def test_preferred(self) -> None:
        """A token in the kubeconfig itself is preferred, and the command not run."""
        self.answers(token="other")
        await self.ask(self.reviewer(f"token: own, {self.user}"))
        self.assertEqual((self.ran(), self.tokens()), (0, ["Bearer own"]))

    def test_no_certificate(self) -> None:
        """What is no certificate at the start is told."""
        self.answers(clientCertificateData="x", clientKeyData="y")
        self.assert_no_start("gave a certificate that is none", str(self.command))

    def certified(self, name: str, minutes: float = 60.0) -> None:
        """The command gives a certificate."""
        now = datetime.now(UTC)
        life = Lifetime(now - timedelta(minutes=5), now + timedelta(minutes=minutes))
        pair = self.clients.issue_client(name, life)
        self.answers(
            minutes=minutes,
            clientCertificateData=pair.certificate.decode(),
            clientKeyData=pair.key.decode(),
        )
