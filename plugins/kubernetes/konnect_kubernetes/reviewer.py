"""Asks an API server about agents' tokens (`TokenReview` of `authentication.k8s.io/v1`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kubernetes.client import AuthenticationV1Api, V1TokenReview, V1TokenReviewSpec
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from konnect.extension.api import ApiAccess
from konnect.extension.tokens import ITokenReviewer
from konnect.wire.token_review import ReviewFailed, TokenReview
from konnect_kubernetes.access import make_client
from konnect_kubernetes.allowance import Allowance
from konnect_kubernetes.calls import TIMEOUT, Calls
from konnect_kubernetes.failures import ApiFailure


@implementer(ITokenReviewer)
class Reviewer:
    """One API server; the proxy sees to it that few reviews are under way."""

    def __init__(self, api: AuthenticationV1Api, calls: Calls, allowance: Allowance) -> None:
        self._api = api
        self._calls = calls
        self._allowance = allowance
        self._under_way: set[Deferred[TokenReview]] = set()

    def review(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """See `ITokenReviewer`."""
        review = Deferred.fromCoroutine(self._review(token, list(audiences)))
        self._under_way.add(review)
        return review.addBoth(self._settled, review)

    def _settled(self, outcome: Any, review: Deferred[TokenReview]) -> Any:
        self._under_way.discard(review)
        return outcome

    async def _review(self, token: str, audiences: list[str]) -> TokenReview:
        question = V1TokenReview(spec=V1TokenReviewSpec(token=token, audiences=audiences))
        try:
            await self._allowance.turn()
            answer = await self._calls.call(
                self._api.create_token_review, question, _request_timeout=TIMEOUT
            )
        except ApiFailure as failure:
            raise ReviewFailed(str(failure)) from None
        except CancelledError:
            raise ReviewFailed("the review was given up") from None
        status = answer.status
        if status is None:
            raise ReviewFailed("the API server's answer has no status")
        user = status.user
        return TokenReview(
            authenticated=bool(status.authenticated),
            username=(user.username or "") if user is not None else "",
            audiences=tuple(status.audiences or ()),
            error=status.error or "",
        )

    def stop(self) -> Deferred[None]:
        """See `ITokenReviewer`."""
        for review in list(self._under_way):
            review.cancel()
        return self._calls.stop().addCallback(lambda _: self._api.api_client.close())


def make_reviewer(reactor: Any, access: ApiAccess, at_once: int) -> Reviewer:
    """A reviewer for these settings; raises `ValueError` for those that cannot be used."""
    return Reviewer(
        AuthenticationV1Api(make_client(access, at_once)),
        Calls(reactor, at_once, "token reviews"),
        Allowance(reactor, access.qps, access.burst),
    )
