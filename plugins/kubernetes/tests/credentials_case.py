"""What tests of a kubeconfig's credentials have in common."""

from __future__ import annotations

from konnect.app.authority import Authority, Pair
from konnect.wire.token_review import ReviewFailed
from konnect_kubernetes.reviewer import Reviewer, make_reviewer
from tests.tls_case import TlsCase


class CredentialsCase(TlsCase):
    """An API server that may demand certificates."""

    def setUp(self) -> None:
        super().setUp()
        self.clients = Authority.create("clients", self.life)
        self.guarded = self.listen(self.clients)

    def pair(self, name: str, authority: Authority | None = None) -> Pair:
        """A client's certificate."""
        return (authority or self.clients).issue_client(name, self.life)

    def reviewer(self, user: str, port: int | None = None) -> Reviewer:
        """What asks as this user of a kubeconfig."""
        reviewer = make_reviewer(self.reactor, self.access_as(user, port), 2)
        self.addCleanup(reviewer.stop)
        return reviewer

    async def ask(self, reviewer: Reviewer) -> None:
        """One review, which succeeds."""
        self.assertTrue((await reviewer.review("t", ["a"])).authenticated)

    async def refused(self, reviewer: Reviewer) -> str:
        """One review, which fails; says why."""
        error = await reviewer.review("t", ["a"]).addErrback(lambda failure: failure.value)
        self.assertIsInstance(error, ReviewFailed)
        return str(error)
