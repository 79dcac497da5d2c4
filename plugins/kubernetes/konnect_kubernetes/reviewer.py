"""Asks an API server about agents' tokens (`TokenReview` of `authentication.k8s.io/v1`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kubernetes.client import AuthenticationV1Api, V1TokenReview, V1TokenReviewSpec
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from konnect.extension.api import ApiAccess
from konnect.extension.tokens import ITokenReviewer
from konnect.wire.token_review import ReviewFailed, ReviewPutOff, TokenReview
from konnect_kubernetes.access import make_client
from konnect_kubernetes.allowance import Allowance
from konnect_kubernetes.calls import TIMEOUT, Calls, read_answer
from konnect_kubernetes.failures import ApiFailure


@implementer(ITokenReviewer)
class Reviewer:
    """One API server; the proxy sees to it that few reviews are under way."""

    def __init__(self, api: AuthenticationV1Api, calls: Calls, allowance: Allowance) -> None:
        # The client's types do not know that an answer may be left unread.
        self._api: Any = api
        self._calls = calls
        self._allowance = allowance
        self._under_way: set[Deferred[TokenReview]] = set()

    def turn(self) -> Deferred[None]:
        """See `ITokenReviewer`."""
        return self._allowance.turn()

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
            return await self._calls.call(self._ask, question)
        except ApiFailure as failure:
            if failure.wait:
                self._allowance.hold(failure.wait)
                raise ReviewPutOff(str(failure)) from None
            raise ReviewFailed(str(failure)) from None
        except CancelledError:
            raise ReviewFailed("the review was given up") from None

    def _ask(self, question: V1TokenReview) -> TokenReview:
        """In a thread."""
        response = self._api.create_token_review(
            question, _preload_content=False, _request_timeout=TIMEOUT
        )
        return _read(read_answer(response))

    def stop(self) -> Deferred[None]:
        """See `ITokenReviewer`."""
        for review in list(self._under_way):
            review.cancel()
        self._api.api_client.close()  # first: a thread may be waiting for a kubeconfig's command
        stopped = self._calls.stop()
        self._allowance.lift()  # after that: nothing is begun in these turns
        return stopped


def _read(body: bytes) -> TokenReview:
    """
    What a TokenReview says. Read here and not by the client, of which not every version sees to the
    types that it declares: this decides who is let in.
    """
    answer = json.loads(body)
    status = answer.get("status") if isinstance(answer, dict) else None
    user = status.get("user") or {} if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(user, dict):
        raise ApiFailure("the API server's answer is no TokenReview")
    authenticated = status.get("authenticated") or False
    username, error = user.get("username") or "", status.get("error") or ""
    audiences = status.get("audiences") or []
    if (
        not isinstance(authenticated, bool)
        or not isinstance(audiences, list)
        or not all(isinstance(text, str) for text in (username, error, *audiences))
    ):
        raise ApiFailure("the API server's answer is no TokenReview")
    return TokenReview(
        authenticated=authenticated,
        username=username,
        audiences=tuple(audiences),
        error=error,
    )


def make_reviewer(reactor: Any, access: ApiAccess, at_once: int) -> Reviewer:
    """A reviewer for these settings; raises `ValueError` for those that cannot be used."""
    return Reviewer(
        AuthenticationV1Api(make_client(access, at_once)),
        Calls(reactor, at_once, "token reviews"),
        Allowance(reactor, access.qps, access.burst),
    )
