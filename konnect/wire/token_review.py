"""What an API server says of an agent's token, and whether that admits the agent.

The answer's fields are those of Kubernetes' TokenReview (`authentication.k8s.io/v1`, `status`).
Texts of refusals are upstream's, word for word; the status codes are ours, since upstream's are all
UNKNOWN and tell an agent nothing. Whom to ask, and how often, is not decided here.
"""

from __future__ import annotations

from dataclasses import dataclass

from konnect.wire.status import Status

_ACCOUNT_PREFIX = ["system", "serviceaccount"]

TEXT_LIMIT = 400
"""Characters of somebody else's text that a refusal repeats."""


@dataclass(frozen=True, slots=True)
class TokenReview:
    """The answer to one question about one token."""

    authenticated: bool
    username: str = ""
    audiences: tuple[str, ...] = ()
    """Those of the audiences asked for that the token is meant for."""
    error: str = ""
    """Why the token could not be looked at; empty if it could."""


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """Whose tokens admit an agent."""

    namespace: str
    name: str
    audience: str


class ReviewFailed(Exception):
    """The API server gave no answer; the text says why, and never holds the token."""


class ReviewPutOff(ReviewFailed):
    """The API server wants to be asked again later; the reviewer's turns wait for that."""


class TokenRefused(Exception):
    """An agent's token does not admit it: `status` and the text go out as the stream's end."""

    def __init__(self, status: Status, problem: str) -> None:
        super().__init__(f"Failed to validate authentication token, err:{shortened(problem)}")
        self.status = status


def judge(review: TokenReview, account: ServiceAccount) -> None:
    """
    Raise `TokenRefused` unless `review` is of a token of `account`.

    Upstream's checks in its order, and one that it leaves out: an API server that knows nothing of
    audiences answers "authenticated" whatever the token is meant for, and says so by leaving the
    audience that was asked for out of its answer.
    """
    if review.error:
        raise TokenRefused(Status.UNAUTHENTICATED, f"lookup failed: {review.error}")
    if not review.authenticated:
        raise TokenRefused(Status.UNAUTHENTICATED, "lookup failed: service account jwt not valid")
    if account.audience not in review.audiences:
        meant = ", ".join(review.audiences) or "the API server"
        raise TokenRefused(
            Status.UNAUTHENTICATED,
            f'lookup failed: the token is not meant for audience "{account.audience}"'
            f" but for {meant}",
        )
    parts = review.username.split(":")
    if len(parts) != 4:
        raise TokenRefused(Status.PERMISSION_DENIED, "lookup failed: unexpected username format")
    if parts[:2] != _ACCOUNT_PREFIX:
        raise TokenRefused(
            Status.PERMISSION_DENIED,
            "lookup failed: username returned is not a service account",
        )
    for what, found, expected in (
        ("namespace", parts[2], account.namespace),
        ("service account", parts[3], account.name),
    ):
        if found != expected:
            raise TokenRefused(
                Status.PERMISSION_DENIED,
                f'lookup failed: incoming request from "{found}" {what}. Expected "{expected}"',
            )


def shortened(text: str) -> str:
    """`text` on one line and of bounded length: what others said, fit for a status or a log."""
    text = " ".join(text.split())
    return text if len(text) <= TEXT_LIMIT else f"{text[:TEXT_LIMIT]}..."
