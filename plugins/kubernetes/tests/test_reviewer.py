"""Tests of konnect_kubernetes.reviewer: TokenReviews over real HTTP."""

from __future__ import annotations

from unittest import mock

from twisted.internet.defer import CancelledError

from konnect.extension.api import ApiAccess
from konnect.wire.token_review import ReviewFailed, ReviewPutOff, TokenReview
from konnect_kubernetes import allowance, calls, reviewer
from konnect_kubernetes.reviewer import Reviewer, make_reviewer
from tests.api_server import REVIEWS
from tests.case import ApiCase
from tests.fault import Fault

GOOD = {
    "authenticated": True,
    "audiences": ["a"],
    "user": {
        "username": "system:serviceaccount:kube-system:konnectivity-agent",
        "uid": "1",
        "groups": ["system:serviceaccounts"],
        "extra": {"authentication.kubernetes.io/pod-name": ["p"]},
    },
}


class ReviewerTests(ApiCase):
    """An API server that knows tokens."""

    def make(self, at_once: int = 4, access: ApiAccess | None = None) -> Reviewer:
        """A reviewer that is stopped at the end."""
        made = make_reviewer(self.reactor, access or self.access, at_once)
        self.addCleanup(made.stop)
        return made

    async def failure(self, made: Reviewer, token: str = "secret-token") -> str:
        """Why a review fails; never with the token in it."""
        try:
            await made.review(token, ["a"])
        except ReviewFailed as error:
            self.assertNotIn("secret", str(error))
            return str(error)
        raise AssertionError("the review did not fail")

    async def test_good(self) -> None:
        """The question names token and audiences; the answer is what the API server says."""
        self.api.review = GOOD
        answer = await self.make().review("secret-token", ["a", "b"])
        self.assertEqual(
            answer,
            TokenReview(
                authenticated=True,
                username="system:serviceaccount:kube-system:konnectivity-agent",
                audiences=("a",),
            ),
        )
        self.assertEqual(self.api.reviewed, [{"token": "secret-token", "audiences": ["a", "b"]}])
        self.assertEqual(self.api.requests, [("POST", REVIEWS)])
        (headers,) = self.api.headers
        self.assertEqual(headers["authorization"], "Bearer proxy-token")
        self.assertTrue(headers["user-agent"].startswith("konnect-kubernetes/"))

    async def test_bad(self) -> None:
        """A token that is not good is an answer too."""
        made = self.make()
        self.api.review = {"authenticated": False, "error": "[invalid bearer token]"}
        answer = await made.review("t", ["a"])
        self.assertEqual(answer, TokenReview(authenticated=False, error="[invalid bearer token]"))
        self.api.review = {}
        self.assertEqual(await made.review("t", ["a"]), TokenReview(authenticated=False))

    async def test_several(self) -> None:
        """Reviews run beside each other, over connections that stay."""
        self.api.review = GOOD
        made = self.make()
        for _ in range(3):
            reviews = [made.review(str(number), ["a"]) for number in range(4)]
            for review in reviews:
                self.assertTrue((await review).authenticated)
        self.assertEqual(len(self.api.reviewed), 12)

    async def test_refused(self) -> None:
        """What the API server says against the question is passed on; it is not asked twice."""
        made = self.make()
        for code, body, text in (
            (
                403,
                b'{"reason": "Forbidden", "message": "tokenreviews is\\nforbidden"}',
                "the API server answered 403: tokenreviews is forbidden",
            ),
            (500, b"oh no secret", "the API server answered 500: without a reason"),
            (429, b'{"reason": "TooManyRequests"}', "answered 429: TooManyRequests"),
            (503, b"[]", "answered 503: without a reason"),
        ):
            self.api.faults.append(("POST", Fault(code, body=body)))
            self.assertIn(text, await self.failure(made))
        self.assertEqual(len(self.api.requests), 4)

    async def test_nonsense(self) -> None:
        """An answer that is none fails without being quoted."""
        made = self.make()
        for body in (
            b"",
            b"<html>secret-token</html>",
            b'{"status": "secret-token"}',
            b'{"spec": {"token": "secret-token"}, "status": {"authenticated": {"x": 1}}}',
            b'{"status": {"authenticated": "yes"}}',
            b'{"status": {"authenticated": true, "user": {"username": 7}}}',
            b'{"status": {"authenticated": true, "audiences": "secret-token"}}',
            b'{"status": {"authenticated": true, "audiences": [7]}}',
            b"[1, 2]",
            b"\xff\xfe",
        ):
            self.api.faults.append(("POST", Fault(body=body)))
            self.assertTrue(await self.failure(made), body)

    async def test_dropped(self) -> None:
        """A connection that breaks fails the review; the next has a new connection."""
        self.api.review = GOOD
        made = self.make()
        self.api.faults.append(("POST", Fault(drop=True)))
        self.assertIn("no answer from the API server", await self.failure(made))
        self.assertTrue((await made.review("t", ["a"])).authenticated)

    async def test_nobody_there(self) -> None:
        """An API server that is down is said to be."""
        made = self.make(
            access=ApiAccess(kubeconfig=self.write_kubeconfig("http://127.0.0.1:1"), qps=-1.0)
        )
        self.assertEqual(
            await self.failure(made), "no answer from the API server: Connection refused"
        )

    async def test_silent(self) -> None:
        """A server that says nothing, or stops halfway, is not waited for."""
        self.patch(reviewer, "TIMEOUT", (0.2, 0.1))
        made = self.make()
        for fault in (Fault(silent=True), Fault(drip=True)):
            self.api.faults.append(("POST", fault))
            self.assertIn("in time", await self.failure(made))

    async def test_endless(self) -> None:
        """An answer that is larger than any, or that comes byte by byte, is given up."""
        self.api.review = GOOD
        made = self.make()
        with mock.patch.object(calls, "LARGEST", 10):
            self.assertIn("larger than 10 bytes", await self.failure(made))
        with mock.patch.object(calls, "WITHIN", -1.0):
            self.assertIn("no whole answer", await self.failure(made))
        self.assertTrue((await made.review("t", ["a"])).authenticated)

    async def test_too_many(self) -> None:
        """More reviews than there are threads fail at once; there is no queue to fill up."""
        made = self.make(at_once=2)
        self.api.always["POST"] = Fault(silent=True)
        held = [made.review("t", ["a"]) for _ in range(2)]
        await self.api.until(lambda: len(self.api.held) == 2)
        self.assertIn("all its threads are busy", await self.failure(made))
        self.api.close()
        for review in held:
            self.assertIsInstance(await review.addErrback(lambda f: f.value), ReviewFailed)

    async def test_given_up(self) -> None:
        """A review that is cancelled is over for its caller; its thread is free when it is done."""
        made = self.make(at_once=1)
        self.api.faults.append(("POST", Fault(silent=True)))
        review = made.review("t", ["a"])
        await self.api.until(lambda: len(self.api.held) == 1)
        review.cancel()
        self.assertIsInstance(await review.addErrback(lambda f: f.value), ReviewFailed)
        self.assertIn("threads are busy", await self.failure(made))
        self.api.close()
        self.api.review = GOOD
        await self.until(lambda: made._calls._busy == 0)
        self.assertTrue((await made.review("t", ["a"])).authenticated)

    async def test_stopped(self) -> None:
        """A stop gives up what is under way, does not wait for long, and nothing is asked after."""
        self.patch(calls, "STOP_WITHIN", 0.05)
        made = self.make()
        self.api.faults.append(("POST", Fault(silent=True)))
        review = made.review("t", ["a"])
        await self.api.until(lambda: len(self.api.held) == 1)
        await made.stop()
        self.assertIsInstance(await review.addErrback(lambda f: f.value), ReviewFailed)
        self.assertIn("the program is stopping", await self.failure(made))
        self.api.close()

    async def test_rate(self) -> None:
        """Turns keep to the rate: what is above it waits, and can be given up."""
        made = self.make(access=ApiAccess(kubeconfig=self.kubeconfig, qps=0.001, burst=1))
        await made.turn()
        for _ in range(2):
            waiting = made.turn()
            self.assertNoResult(waiting)
            waiting.cancel()
            self.failureResultOf(waiting, CancelledError)

    async def test_put_off(self) -> None:
        """An API server that asks for a pause is given one: there is no turn before."""
        self.patch(allowance, "LONGEST_HOLD", 0.2)
        made = self.make()
        for code in 429, 503, 500:
            self.api.faults.append(("POST", Fault(code, retry_after="3600")))
            error = await made.review("t", ["a"]).addErrback(lambda failure: failure.value)
            self.assertIsInstance(error, ReviewPutOff)
            self.assertIn(f"answered {code}", str(error))
            turn = made.turn()
            self.assertNoResult(turn)
            await turn

    async def test_not_put_off(self) -> None:
        """What is no such request, or does not say for how long, is an answer."""
        made = self.make()
        for code, wait in (429, ""), (429, "0"), (403, "5"), (503, "soon"), (503, "-1"), (503, "²"):
            self.api.faults.append(("POST", Fault(code, retry_after=wait)))
            error = await made.review("t", ["a"]).addErrback(lambda failure: failure.value)
            self.assertIs(type(error), ReviewFailed)
            self.assertTrue(made.turn().called)

    async def test_stopped_in_a_pause(self) -> None:
        """A stop does not wait for its end, and nothing is asked."""
        made = self.make()
        self.api.faults.append(("POST", Fault(429, retry_after="3600")))
        await self.failure(made)
        turn = made.turn()
        reviews = turn.addCallback(lambda _: made.review("t", ["a"]))
        await made.stop()
        error = await reviews.addErrback(lambda failure: failure.value)
        self.assertIn("the program is stopping", str(error))
        self.assertEqual(len(self.api.requests), 1)
