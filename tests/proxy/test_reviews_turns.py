"""Tests of konnect.proxy.reviews: reviews that wait for the reviewer's turns, or are put off."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy import reviews
from konnect.proxy.reviews import TRIES, WAIT_TIMEOUT, Reviews
from konnect.tunnel.ledger import Ledger
from konnect.wire.status import Status
from konnect.wire.token_review import ReviewPutOff, TokenRefused, TokenReview
from tests.proxy.reviewing import FakeReviewer
from tests.wire.test_token_review import ACCOUNT, GOOD

BUSY = ReviewPutOff("the API server answered 429: too many requests")


class TurnsTests(SynchronousTestCase):
    """A reviewer that gives a turn, and an answer, when the test says so."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.turns: list[Deferred[None]] = []
        self.asked: list[tuple[str, Deferred[TokenReview]]] = []
        self.reviewer = FakeReviewer(self.ask)
        self.reviewer.turn = self.turn
        self.reviews = Reviews(
            self.reviewer, ACCOUNT, self.ledger, self.clock, at_once=2, remember=10.0
        )

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ledger.pending_token_reviews, 0)
        self.assertTrue(all(turn.called for turn in self.turns))

    def turn(self) -> Deferred[None]:
        """Somebody asks for a turn, one at a time."""
        self.assertTrue(all(turn.called for turn in self.turns))
        self.turns.append(Deferred())
        return self.turns[-1]

    def ask(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """The API server is asked."""
        self.asked.append((token, Deferred()))
        return self.asked[-1][1]

    @property
    def tokens(self) -> str:
        """The tokens that the API server was asked about."""
        return "".join(token for token, _ in self.asked)

    def go(self) -> None:
        """The next turn has come."""
        self.turns[-1].callback(None)

    def refusal(self, verdict: Deferred[None]) -> str:
        """With what an agent is refused, after the common words."""
        error = self.failureResultOf(verdict, TokenRefused).value
        self.assertIs(error.status, Status.UNAVAILABLE)
        return str(error).rpartition("err:")[2]

    def test_order(self) -> None:
        """Each review has a turn of its own, in the order of the agents, and none is asked for
        while as many as may be are under way."""
        verdicts = [self.reviews.admit(token) for token in "abcd"]
        self.assertEqual((self.tokens, len(self.turns)), ("", 1))
        self.go()
        self.go()
        self.assertEqual((self.tokens, len(self.turns)), ("ab", 2))
        self.asked[0][1].callback(GOOD)
        self.assertEqual((self.tokens, len(self.turns)), ("ab", 3))
        self.go()
        for number in 1, 2:
            self.asked[number][1].callback(GOOD)
        self.go()
        self.asked[3][1].callback(GOOD)
        self.assertEqual(self.tokens, "abcd")
        for verdict in verdicts:
            self.successResultOf(verdict)

    def test_left(self) -> None:
        """Whoever leaves before its turn is not asked about; when all have left the turn is given
        back, and another is asked for when somebody comes."""
        verdicts = [self.reviews.admit(token) for token in "abc"]
        verdicts[0].cancel()
        self.go()
        self.assertEqual(self.tokens, "b")
        verdicts[2].cancel()
        self.assertTrue(self.turns[-1].called)
        self.reviews.admit("d").addErrback(lambda _: None)
        self.go()
        self.assertEqual(self.tokens, "bd")
        self.asked[0][1].callback(GOOD)
        self.asked[1][1].callback(GOOD)
        self.successResultOf(verdicts[1])
        for number in 0, 2:
            self.failureResultOf(verdicts[number], CancelledError)
        self.assertEqual(self.ledger.token_reviews["given_up"], 2)

    def test_put_off(self) -> None:
        """A review that is put off has the next turn, and the agent hears nothing of it."""
        verdicts = [self.reviews.admit(token) for token in "ab"]
        self.go()
        self.asked[0][1].errback(BUSY)
        self.assertNoResult(verdicts[0])
        shared = self.reviews.admit("a")
        self.go()
        self.go()
        self.assertEqual(self.tokens, "aab")
        for number in 1, 2:
            self.asked[number][1].callback(GOOD)
        for verdict in (*verdicts, shared):
            self.successResultOf(verdict)
        self.assertEqual(self.ledger.token_reviews, {"put_off": 1, "accepted": 2})

    def test_put_off_for_nobody(self) -> None:
        """One whose agent has left, before or after that, is not begun again."""
        first, second = self.reviews.admit("a"), self.reviews.admit("b")
        self.go()
        first.cancel()
        self.asked[0][1].errback(BUSY)
        self.go()
        self.asked[1][1].errback(BUSY)
        second.cancel()
        self.assertEqual(self.tokens, "ab")
        for verdict in first, second:
            self.failureResultOf(verdict, CancelledError)

    def test_put_off_for_long(self) -> None:
        """An agent is not kept waiting for longer than any, and hears what the API server says."""
        verdict = self.reviews.admit("a")
        self.go()
        self.asked[0][1].errback(BUSY)
        self.clock.advance(WAIT_TIMEOUT)
        said = self.refusal(verdict)
        self.assertEqual(
            said, "no review within 15 seconds: the API server answered 429: too many requests"
        )

    def test_put_off_again_and_again(self) -> None:
        """After a few tries that is the answer."""
        verdict = self.reviews.admit("a")
        for number in range(TRIES):
            self.assertNoResult(verdict)
            self.go()
            self.asked[number][1].errback(BUSY)
        self.assertEqual(self.refusal(verdict), "the API server answered 429: too many requests")
        self.assertEqual(self.ledger.token_reviews, {"put_off": TRIES - 1, "failed": 1})

    def test_crowd(self) -> None:
        """Of 500 agents that come at once with tokens of their own, two are under review, as many
        as there is room for wait, and the others are told. Nobody who has left is asked about."""
        self.patch(reviews, "WAITING", 300)
        verdicts = [self.reviews.admit(f"t{number}") for number in range(500)]
        refused = Counter(self.refusal(verdict) for verdict in verdicts if verdict.called)
        self.assertEqual(refused, {"too many tokens wait for their review": 200})
        under_way = 0
        for _ in range(10):
            self.go()
            under_way = max(under_way, sum(not answer.called for _, answer in self.asked))
            if under_way == 2:
                next(answer for _, answer in self.asked if not answer.called).callback(GOOD)
        self.assertEqual((under_way, len(self.asked)), (2, 10))
        waiting = [verdict for verdict in verdicts if not verdict.called]
        for verdict in waiting:
            verdict.cancel()
            self.failureResultOf(verdict, CancelledError)
        for _, answer in self.asked:
            if not answer.called:
                answer.callback(GOOD)
        self.assertEqual((len(self.asked), self.ledger.token_reviews["given_up"]), (10, 290))
