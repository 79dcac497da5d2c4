"""Tests of konnect.wire.token_review: which answers admit an agent."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.status import Status
from konnect.wire.token_review import (
    TEXT_LIMIT,
    ServiceAccount,
    TokenRefused,
    TokenReview,
    judge,
    shortened,
)

ACCOUNT = ServiceAccount("kube-system", "konnectivity-agent", "system:konnectivity-server")
GOOD = TokenReview(
    authenticated=True,
    username="system:serviceaccount:kube-system:konnectivity-agent",
    audiences=("system:konnectivity-server",),
)


class JudgeTests(SynchronousTestCase):
    """One answer, one account."""

    def test_good(self) -> None:
        """A token of the account, for the audience, admits; further audiences do not matter."""
        judge(GOOD, ACCOUNT)
        judge(replace(GOOD, audiences=("other", "system:konnectivity-server")), ACCOUNT)

    def test_refused(self) -> None:
        """Everything else is refused in upstream's words."""
        name = "system:serviceaccount"
        for review, status, text in (
            (
                TokenReview(authenticated=False, error="[invalid bearer token,\n expired]"),
                Status.UNAUTHENTICATED,
                "[invalid bearer token, expired]",
            ),
            (
                # An API server that could not look is not believed, whatever else it says.
                replace(GOOD, error="etcd is away"),
                Status.UNAUTHENTICATED,
                "etcd is away",
            ),
            (
                replace(GOOD, authenticated=False),
                Status.UNAUTHENTICATED,
                "service account jwt not valid",
            ),
            (
                replace(GOOD, username="admin"),
                Status.PERMISSION_DENIED,
                "unexpected username format",
            ),
            (
                replace(GOOD, username=f"{name}:a:b:c"),
                Status.PERMISSION_DENIED,
                "unexpected username format",
            ),
            (
                replace(GOOD, username="system:node:kube-system:konnectivity-agent"),
                Status.PERMISSION_DENIED,
                "username returned is not a service account",
            ),
            (
                replace(GOOD, username=f"{name}:other:konnectivity-agent"),
                Status.PERMISSION_DENIED,
                'incoming request from "other" namespace. Expected "kube-system"',
            ),
            (
                replace(GOOD, username=f"{name}:kube-system:other"),
                Status.PERMISSION_DENIED,
                'incoming request from "other" service account. Expected "konnectivity-agent"',
            ),
        ):
            with self.assertRaises(TokenRefused) as caught:
                judge(review, ACCOUNT)
            self.assertEqual(
                (str(caught.exception), caught.exception.status),
                (f"Failed to validate authentication token, err:lookup failed: {text}", status),
            )

    def test_audience(self) -> None:
        """A token for another audience is refused, also where the API server only implies it."""
        for audiences, meant in (((), "the API server"), (("a", "b"), "a, b")):
            with self.assertRaises(TokenRefused) as caught:
                judge(replace(GOOD, audiences=audiences), ACCOUNT)
            self.assertIs(caught.exception.status, Status.UNAUTHENTICATED)
            self.assertTrue(
                str(caught.exception).endswith(
                    f'not meant for audience "system:konnectivity-server" but for {meant}'
                ),
                caught.exception,
            )

    def test_long_texts(self) -> None:
        """What the API server says is repeated on one line and cut."""
        self.assertEqual(shortened(" a\n\tb "), "a b")
        error = TokenRefused(Status.UNAUTHENTICATED, "x" * 5000)
        self.assertLess(len(str(error)), TEXT_LIMIT + 100)
