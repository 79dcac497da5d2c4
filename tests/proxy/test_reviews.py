"""Tests of konnect.proxy.reviews: how often the API server is asked, and who waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy import reviews
from konnect.proxy.reviews import REVIEW_TIMEOUT, WAIT_TIMEOUT, Reviews
from konnect.tunnel.ledger import Ledger
from konnect.wire.status import Status
from konnect.wire.token_review import ReviewFailed, TokenRefused, TokenReview
from tests.proxy.reviewing import FakeReviewer
from tests.wire.test_token_review import ACCOUNT, GOOD

BAD = TokenReview(authenticated=False)


class ReviewsTests(SynchronousTestCase):
    """An API server that answers when the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.asked: list[tuple[str, Deferred[TokenReview]]] = []
        self.reviews = self.make()

    def make(self, at_once: int = 2, remember: float = 10.0) -> Reviews:
        """The reviews of one proxy."""
        self.reviewer = FakeReviewer(self.ask)
        return Reviews(
            self.reviewer, ACCOUNT, self.ledger, self.clock, at_once=at_once, remember=remember
        )

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ledger.pending_token_reviews, 0)

    def ask(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """The API server is asked."""
        self.assertEqual(list(audiences), [ACCOUNT.audience])
        answer: Deferred[TokenReview] = Deferred()
        self.asked.append((token, answer))
        return answer

    def test_reviewer_that_breaks(self) -> None:
        """One that raises refuses the agent, holds no place, and is asked again."""
        self.reviews = self.make(at_once=1)
        for broken in "review", "turn":
            setattr(self.reviewer, broken, lambda *_: 1 // 0)
            refused = self.failureResultOf(self.reviews.admit("t"), TokenRefused).value
            self.assertIn("the proxy's token reviewer broke", str(refused))
            self.assertEqual(self.ledger.pending_token_reviews, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_reviewer_that_answers_at_once(self) -> None:
        """However many wait for their turn, each is asked about, and refused in the same way."""
        self.reviews = self.make(at_once=1)
        verdicts = [self.reviews.admit(f"t{number}") for number in range(1000)]
        self.reviewer.review = lambda *_: fail(ReviewFailed("no way"))
        self.asked[0][1].errback(ReviewFailed("no way"))
        why = Status.UNAVAILABLE, "Failed to authenticate request. err:no way"
        self.assertEqual({self.refusal(verdict) for verdict in verdicts}, {why})
        self.assertEqual(self.ledger.token_reviews, {"failed": 1000})
        self.assertEqual(self.flushLoggedErrors(), [])

    @property
    def tokens(self) -> list[str]:
        """The tokens that the API server was asked about."""
        return [token for token, _ in self.asked]

    def answer(self, number: int, review: TokenReview = GOOD) -> None:
        """The API server answers."""
        self.asked[number][1].callback(review)

    def refusal(self, verdict: Deferred[None]) -> tuple[Status, str]:
        """With what an agent is refused."""
        error = self.failureResultOf(verdict, TokenRefused).value
        return error.status, str(error).partition("err:")[2]

    def test_good(self) -> None:
        """A good token admits, and is good for a while without being asked about."""
        first = self.reviews.admit("t")
        self.assertNoResult(first)
        self.clock.advance(0.5)
        self.answer(0)
        self.successResultOf(first)
        self.clock.advance(9.9)
        self.successResultOf(self.reviews.admit("t"))
        self.assertEqual(self.tokens, ["t"])
        self.clock.advance(0.2)
        again = self.reviews.admit("t")
        self.assertEqual(self.tokens, ["t", "t"])
        self.answer(1)
        self.successResultOf(again)
        self.assertEqual(self.ledger.token_reviews, {"accepted": 2, "remembered": 1})
        self.assertEqual(self.ledger.token_review_seconds.sum, 0.5)

    def test_nothing_is_remembered(self) -> None:
        """With a time of 0 each link has its own review."""
        self.reviews = self.make(remember=0.0)
        for number in range(2):
            verdict = self.reviews.admit("t")
            self.answer(number)
            self.successResultOf(verdict)
        self.assertEqual(self.tokens, ["t", "t"])

    def test_bad(self) -> None:
        """A bad token is refused, and looked at afresh the next time."""
        verdict = self.reviews.admit("t")
        self.answer(0, BAD)
        self.assertEqual(
            self.refusal(verdict),
            (Status.UNAUTHENTICATED, "lookup failed: service account jwt not valid"),
        )
        again = self.reviews.admit("t")
        self.answer(1)
        self.successResultOf(again)
        self.assertEqual(self.ledger.token_reviews, {"refused": 1, "accepted": 1})

    def test_unusable(self) -> None:
        """What can be no token is refused without asking."""
        for token, problem in (
            ("", "is empty"),
            (" \t", "is empty"),
            ("a b", "holds characters that no token has"),
            ("caf\xe9", "holds characters that no token has"),
            ("x" * 20000, "is longer than 16384 characters"),
        ):
            self.assertEqual(
                self.refusal(self.reviews.admit(token)),
                (Status.UNAUTHENTICATED, f"the token {problem}"),
            )
        self.assertEqual(self.asked, [])

    def test_trimmed(self) -> None:
        """Blanks around a token do not matter."""
        verdict = self.reviews.admit("t ")
        self.assertEqual(self.tokens, ["t"])
        self.answer(0)
        self.successResultOf(verdict)

    def test_one_review_for_many(self) -> None:
        """Agents with one token share its review, and whoever comes late its memory."""
        verdicts = [self.reviews.admit("t") for _ in range(50)]
        self.assertEqual(self.tokens, ["t"])
        verdicts[7].cancel()
        self.failureResultOf(verdicts.pop(7), CancelledError)
        self.answer(0)
        for verdict in verdicts:
            self.successResultOf(verdict)

    def test_few_at_once(self) -> None:
        """Never more than the cap are under review; others follow in their order."""
        verdicts = [self.reviews.admit(token) for token in "abcde"]
        self.assertEqual(self.tokens, ["a", "b"])
        self.assertEqual(self.ledger.pending_token_reviews, 5)
        self.answer(1)
        self.assertEqual(self.tokens, ["a", "b", "c"])
        self.answer(0, BAD)
        self.answer(2)
        self.answer(3)
        self.answer(4)
        self.assertEqual(self.tokens, list("abcde"))
        self.refusal(verdicts[0])
        for verdict in verdicts[1:]:
            self.successResultOf(verdict)

    def test_cancelled_while_waiting(self) -> None:
        """A token that nobody waits for any more is not asked about."""
        reviews = self.make(at_once=1)
        first, second = reviews.admit("a"), reviews.admit("b")
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.answer(0)
        self.successResultOf(first)
        self.assertEqual(self.tokens, ["a"])
        self.assertEqual(self.ledger.token_reviews, {"accepted": 1, "given_up": 1})

    def test_cancelled_under_review(self) -> None:
        """A review goes on without its agent, and serves the agent's next attempt."""
        verdict = self.reviews.admit("t")
        verdict.cancel()
        self.failureResultOf(verdict, CancelledError)
        self.answer(0)
        self.successResultOf(self.reviews.admit("t"))
        self.assertEqual(self.tokens, ["t"])

    def test_cancelled_by_another(self) -> None:
        """An agent that is admitted may take another's wait with it."""
        first, second = self.reviews.admit("t"), self.reviews.admit("t")
        first.addCallback(lambda _: second.cancel())
        self.answer(0)
        self.failureResultOf(second, CancelledError)

    def test_failed(self) -> None:
        """No answer is not a no: the agent hears what went wrong and may try again."""
        verdict = self.reviews.admit("t")
        self.asked[0][1].errback(ReviewFailed("the API server answered 500: etcd is away"))
        self.assertEqual(
            self.refusal(verdict),
            (
                Status.UNAVAILABLE,
                "Failed to authenticate request. err:the API server answered 500: etcd is away",
            ),
        )
        self.assertEqual(self.ledger.token_reviews, {"failed": 1})

    def test_broken(self) -> None:
        """A plugin that breaks is our trouble, not the agent's to read about."""
        verdict = self.reviews.admit("t")
        self.asked[0][1].errback(ZeroDivisionError("secret"))
        status, text = self.refusal(verdict)
        self.assertIs(status, Status.UNAVAILABLE)
        self.assertNotIn("secret", text)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_slow(self) -> None:
        """A review has its time; then its place is free for the next."""
        reviews = self.make(at_once=1)
        first, second = reviews.admit("a"), reviews.admit("b")
        self.clock.advance(REVIEW_TIMEOUT)
        self.assertEqual(
            self.refusal(first),
            (
                Status.UNAVAILABLE,
                "Failed to authenticate request."
                " err:the API server gave no answer within 8 seconds",
            ),
        )
        self.assertEqual(self.tokens, ["a", "b"])
        self.answer(1)
        self.successResultOf(second)

    def test_late(self) -> None:
        """Who waits too long for its turn is refused, before an agent gives up by itself."""
        reviews = self.make(at_once=1)
        verdicts = [reviews.admit(token) for token in "abc"]
        self.clock.pump([WAIT_TIMEOUT / 2, WAIT_TIMEOUT / 2 + 0.1])
        for verdict in verdicts:
            self.assertIs(self.refusal(verdict)[0], Status.UNAVAILABLE)
        self.clock.advance(REVIEW_TIMEOUT)

    def test_overload(self) -> None:
        """The waiting room has an end."""
        self.patch(reviews, "WAITING", 3)
        verdicts = [self.reviews.admit(str(number)) for number in range(6)]
        self.assertEqual(
            self.refusal(verdicts.pop()),
            (
                Status.UNAVAILABLE,
                "Failed to authenticate request. err:too many tokens wait for their review",
            ),
        )
        for number, verdict in enumerate(verdicts):
            self.answer(number)
            self.successResultOf(verdict)

    def test_memory_is_bounded(self) -> None:
        """The oldest good tokens give way to new ones."""
        self.patch(reviews, "REMEMBERED", 2)
        for number, token in enumerate("abc"):
            verdict = self.reviews.admit(token)
            self.answer(number)
            self.successResultOf(verdict)
        self.successResultOf(self.reviews.admit("c"))
        self.successResultOf(self.reviews.admit("b"))
        self.reviews.admit("a")
        self.assertEqual(self.tokens, ["a", "b", "c", "a"])
        self.answer(3)
