"""Reviews of agents' tokens: each token once at a time, few at once, a good one remembered briefly.

When a proxy restarts, all its agents come back in one moment. Without bounds that is as many
questions to the API server at once, and with one token for all agents the same question each time.
So: an agent whose token is being reviewed waits for that review, at most `at_once` reviews are
under way and the others wait their turn, and a token that was found good is good for `remember`
seconds more, which is also how long a revoked one still opens a new link. Only good ones are
remembered, by their SHA-256: an agent that was refused is looked at afresh.

How fast reviews follow each other is the reviewer's part, which gives out turns. The tokens wait
here for them, so that none is asked about whose agents have left. One that the API server has put
off goes back to the head of the queue while somebody waits for it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from konnect.log import make_logger
from konnect.tunnel.ledger import Ledger
from konnect.wire.status import Status
from konnect.wire.token_review import (
    ReviewFailed,
    ReviewPutOff,
    ServiceAccount,
    TokenRefused,
    TokenReview,
    judge,
)

log = make_logger(__name__)

REVIEW_TIMEOUT = 8.0
"""Seconds for one review. An agent gives up after 20, so this and the next leave room."""

WAIT_TIMEOUT = 15.0
"""Seconds that an agent waits in all, for its turn and its review."""

WAITING = 2048
"""Tokens that may wait for their turn."""

REMEMBERED = 16384
"""Good tokens that are remembered; the oldest give way."""

TRIES = 5
"""Times that the API server is asked about one token when it puts that off."""

LONGEST = 16384
"""Characters of a token. Those of service accounts have about a thousand."""


class Reviewer(Protocol):
    """As much of `konnect.extension.tokens.ITokenReviewer` as is used here."""

    def turn(self) -> Deferred[None]: ...

    def review(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]: ...


_NO_ANSWER = "Failed to authenticate request. err:"


@dataclass(slots=True, eq=False)
class _Review:
    """One token, and who waits for its review."""

    digest: bytes
    token: str
    waiting: list[Deferred[None]] = field(default_factory=list)
    tries: int = 0
    put_off: str = ""
    """Why the last try did not count."""


class Reviews:
    """
    Decides who is admitted by a token.

    :param reviewer: asks the API server; this class keeps it to `at_once` at a time.
    :param remember: seconds that a good token is good for without another review; 0: none.
    """

    def __init__(
        self,
        reviewer: Reviewer,
        account: ServiceAccount,
        ledger: Ledger,
        clock: IReactorTime,
        *,
        at_once: int,
        remember: float,
    ) -> None:
        self._reviewer = reviewer
        self._account = account
        self._ledger = ledger
        self._clock = clock
        self._at_once = at_once
        self._remember = remember
        self._turn: OrderedDict[bytes, _Review] = OrderedDict()
        self._asked: dict[bytes, _Review] = {}
        self._beginning = False
        self._pass: Deferred[None] | None = None
        """The reviewer's turn that the first in the queue waits for."""
        self._good_until: OrderedDict[bytes, float] = OrderedDict()

    def admit(self, token: str) -> Deferred[None]:
        """
        Fires when `token` admits an agent, or fails with `TokenRefused`; cancelled when the agent
        waits no more.
        """
        try:
            return self._admit(token)
        except TokenRefused:
            return _failed()

    def _admit(self, token: str) -> Deferred[None]:
        results = self._ledger.token_reviews
        token = token.strip()
        if problem := _unusable(token):
            results["unusable"] += 1
            raise TokenRefused(Status.UNAUTHENTICATED, f"the token {problem}")
        digest = sha256(token.encode("ascii")).digest()
        if self._is_remembered(digest):
            results["remembered"] += 1
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        review = self._asked.get(digest) or self._turn.get(digest)
        if review is None:
            if len(self._turn) >= WAITING:
                results["overload"] += 1
                raise TokenRefused(
                    Status.UNAVAILABLE, f"{_NO_ANSWER}too many tokens wait for their review"
                )
            review = self._turn[digest] = _Review(digest, token)
            self._ledger.pending_token_reviews += 1
        waiting = self._wait_for(review)
        self._go_on()
        return waiting

    def _wait_for(self, review: _Review) -> Deferred[None]:
        def given_up(waiting: Deferred[None]) -> None:
            if waiting in review.waiting:
                review.waiting.remove(waiting)
            # A review that has begun goes on: its answer may serve the agent's next attempt.
            if not review.waiting and self._turn.pop(review.digest, None) is not None:
                self._ledger.pending_token_reviews -= 1
                self._ledger.token_reviews["given_up"] += 1
                if not self._turn and self._pass is not None:
                    self._pass.cancel()

        def too_late(result: object, seconds: float) -> None:
            why = f": {review.put_off}" if review.put_off else ""
            raise TokenRefused(
                Status.UNAVAILABLE, f"{_NO_ANSWER}no review within {seconds:g} seconds{why}"
            )

        waiting: Deferred[None] = Deferred(given_up)
        review.waiting.append(waiting)
        waiting.addTimeout(WAIT_TIMEOUT, self._clock, too_late)
        return waiting

    def _go_on(self) -> None:
        """Begin as many reviews as there may be."""
        if self._beginning:
            return  # an answer that came at once; a call for each that waits would be too deep
        self._beginning = True
        try:
            while self._turn and len(self._asked) < self._at_once and self._pass is None:
                turn = self._pass = maybeDeferred(self._reviewer.turn)
                turn.addBoth(self._first)
        finally:
            self._beginning = False

    def _first(self, turn: Failure | None) -> None:
        """It is the turn of the first in the queue."""
        self._pass = None
        if isinstance(turn, Failure) and turn.check(CancelledError):
            return  # the queue is empty
        digest, review = self._turn.popitem(last=False)
        self._asked[digest] = review
        self._begin(review, turn)
        self._go_on()

    def _begin(self, review: _Review, broken: Failure | None) -> None:
        review.tries += 1
        begun = self._clock.seconds()
        answer: Deferred[TokenReview]
        if broken is None:
            answer = maybeDeferred(self._reviewer.review, review.token, [self._account.audience])
        else:
            answer = fail(broken)
        answer.addTimeout(REVIEW_TIMEOUT, self._clock, _no_answer)
        answer.addCallback(judge, self._account)
        answer.addBoth(self._reviewed, review, begun)
        answer.addErrback(lambda failure: log.failure("a token review broke", failure))

    def _reviewed(self, result: Failure | None, review: _Review, begun: float) -> None:
        del self._asked[review.digest]
        self._ledger.token_review_seconds.observe(self._clock.seconds() - begun)
        if self._is_put_off(result, review):
            self._turn[review.digest] = review
            self._turn.move_to_end(review.digest, last=False)
            self._go_on()
            return
        self._ledger.pending_token_reviews -= 1
        verdict = self._verdict(result)
        if verdict is None:
            self._remember_good(review.digest)
        waiting, review.waiting = review.waiting, []
        for waiter in waiting:
            # One waiter's callbacks may have cancelled another.
            if not waiter.called:
                waiter.callback(None) if verdict is None else waiter.errback(verdict)
        self._go_on()

    def _is_put_off(self, result: Failure | None, review: _Review) -> bool:
        """Whether it is to be begun again; otherwise the result counts."""
        if result is None or not result.check(ReviewPutOff):
            return False
        review.put_off = str(result.value)
        if not review.waiting or review.tries >= TRIES:
            return False
        self._ledger.token_reviews["put_off"] += 1
        return True

    def _verdict(self, result: Failure | None) -> TokenRefused | None:
        """Count a result; what refuses the agent, if it is refused."""
        results = self._ledger.token_reviews
        if result is None:
            results["accepted"] += 1
            return None
        error = result.value
        if isinstance(error, TokenRefused):
            results["refused"] += 1
            return error
        results["failed"] += 1
        text = str(error)
        if not isinstance(error, ReviewFailed):
            log.failure("the token reviewer broke", result)
            text = "the proxy's token reviewer broke; its log says more"
        return TokenRefused(Status.UNAVAILABLE, _NO_ANSWER + text)

    def _is_remembered(self, digest: bytes) -> bool:
        until = self._good_until.get(digest)
        if until is None:
            return False
        if until > self._clock.seconds():
            return True
        del self._good_until[digest]
        return False

    def _remember_good(self, digest: bytes) -> None:
        if not self._remember:
            return
        good = self._good_until
        now = self._clock.seconds()
        good[digest] = now + self._remember
        good.move_to_end(digest)
        # All are remembered equally long, so the first to expire are in front.
        while len(good) > REMEMBERED or next(iter(good.values())) <= now:
            good.popitem(last=False)


def _unusable(token: str) -> str:
    """What is wrong with a token that need not be asked about; empty if nothing is."""
    if not token:
        return "is empty"
    if len(token) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if not token.isascii() or not token.isprintable() or " " in token:
        return "holds characters that no token has"
    return ""


def _no_answer(result: object, seconds: float) -> None:
    raise ReviewFailed(f"the API server gave no answer within {seconds:g} seconds")


def _failed() -> Deferred[None]:
    """A Deferred that has failed with the exception being handled."""
    failed: Deferred[None] = Deferred()
    failed.errback(Failure())
    return failed
