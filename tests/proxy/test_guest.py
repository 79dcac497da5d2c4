"""Tests of konnect.proxy.agents and konnect.proxy.guest where agents show tokens."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy import agents, guest
from konnect.proxy.agents import Admission
from konnect.proxy.guest import Guest
from konnect.proxy.link import AgentLink
from konnect.proxy.reviews import Reviews
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.wire import packets
from konnect.wire.status import Status
from konnect.wire.token_review import ReviewFailed, TokenReview
from tests.fakes import FakeLog, FakeStream
from tests.proxy.reviewing import FakeReviewer
from tests.wire.test_token_review import ACCOUNT, GOOD

TOKEN = ("authorization", "Bearer secret")


class GuestTests(SynchronousTestCase):
    """A proxy that asks for tokens."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.registry: Registry[AgentLink] = Registry()
        self.answers: list[Deferred[TokenReview]] = []
        self.log = FakeLog()
        self.patch(agents, "log", self.log)
        self.admission = Admission(
            self.registry,
            self.ledger,
            server_id="s-1",
            server_count=1,
            clock=self.clock,
            flow=Flow(),
            reviews=Reviews(
                FakeReviewer(self.ask),
                ACCOUNT,
                self.ledger,
                self.clock,
                at_once=1,
                remember=10.0,
            ),
        )

    def tearDown(self) -> None:
        for answer in self.answers:
            if not answer.called:
                answer.callback(GOOD)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.ledger.pending_token_reviews, 0)
        self.assertFalse([line for line in self.log.lines if "secret" in line])

    def ask(self, token: str, audiences: Sequence[str]) -> Deferred[TokenReview]:
        """The API server is asked."""
        self.assertEqual(token, "secret")
        self.answers.append(Deferred())
        return self.answers[-1]

    def connect(self, *metadata: tuple[str, str]) -> FakeStream:
        """An agent opens its stream."""
        stream = FakeStream()
        stream.listener = self.admission.accept(stream, [("agentid", "a"), *metadata])
        return stream

    def test_admitted(self) -> None:
        """An agent hears nothing before its token is found good; then it is an agent like any."""
        stream = self.connect(TOKEN)
        self.assertIsInstance(stream.listener, Guest)
        self.assertIsNone(stream.metadata)
        self.assertEqual(len(self.registry.links()), 0)
        self.answers[0].callback(GOOD)
        self.assertIsInstance(stream.listener, AgentLink)
        self.assertEqual(dict(stream.metadata or ())["serverid"], "s-1")
        self.assertEqual(self.registry.links(), [stream.listener])
        self.assertEqual(self.ledger.grpc_streams, {"Connect": 1})

    def test_admitted_at_once(self) -> None:
        """A token that is remembered admits without a wait."""
        self.connect(TOKEN)
        self.answers[0].callback(GOOD)
        stream = self.connect(TOKEN)
        self.assertIsInstance(stream.listener, AgentLink)
        self.assertEqual(len(self.registry.links()), 2)

    def test_refused(self) -> None:
        """A refused agent is told why, and so is the log."""
        stream = self.connect(TOKEN)
        self.answers[0].callback(TokenReview(authenticated=False))
        text = (
            "Failed to validate authentication token,"
            " err:lookup failed: service account jwt not valid"
        )
        self.assertEqual(stream.ending, (Status.UNAUTHENTICATED, text))
        self.assertIsNone(stream.metadata)
        self.assertEqual(self.log.lines, [f"refused an agent from 192.0.2.7:4321: {text}"])
        self.assertEqual(self.ledger.agents_refused, {"Unauthenticated": 1})
        self.assertEqual(len(self.registry.links()), 0)

    def test_no_answer(self) -> None:
        """An agent that could not be judged is told to try again."""
        stream = self.connect(TOKEN)
        self.answers[0].errback(ReviewFailed("the API server is away"))
        assert stream.ending is not None
        self.assertIs(stream.ending[0], Status.UNAVAILABLE)
        self.assertIn("the API server is away", stream.ending[1])
        self.assertEqual(self.ledger.agents_refused, {"Unavailable": 1})

    def test_no_token(self) -> None:
        """Without exactly one bearer token nobody is asked; bad metadata is told first."""
        for metadata, status, text in (
            ((), Status.UNAUTHENTICATED, "Authentication context was not found in metadata"),
            ((TOKEN, TOKEN), Status.UNAUTHENTICATED, "too many (2) tokens are received"),
            (
                (("authorization", "bearer secret"),),
                Status.UNAUTHENTICATED,
                'received token does not have "Bearer " prefix',
            ),
            (
                (("authorization", "Bearer "),),
                Status.UNAUTHENTICATED,
                "Failed to validate authentication token, err:the token is empty",
            ),
            (
                (("agentid", "b"),),
                Status.UNKNOWN,
                "expected one agent ID in the context, got [a b]",
            ),
        ):
            stream = self.connect(*metadata)
            self.assertIsNone(stream.listener)
            self.assertEqual(stream.ending, (status, text))
        self.assertEqual(self.answers, [])

    def test_left(self) -> None:
        """An agent that leaves while it waits leaves nothing, and becomes no link later."""
        first, second = self.connect(TOKEN), self.connect(TOKEN)
        assert first.listener is not None and second.listener is not None
        first.listener.ended(Status.CANCELLED, "", True)
        second.listener.half_closed()
        self.assertEqual(second.ending, (Status.OK, ""))
        self.answers[0].callback(GOOD)
        self.assertEqual(len(self.registry.links()), 0)
        self.assertIsNone(first.metadata)
        self.assertEqual(self.ledger.agents_refused, {})

    def test_early_packet(self) -> None:
        """What was not admitted has nothing to say: a packet ends its stream, and is paid for."""
        stream = self.connect(TOKEN)
        assert stream.listener is not None
        stream.listener.writable()
        stream.deliver(packets.dial_rsp(1, connect_id=1))
        self.assertEqual(
            stream.ending,
            (Status.FAILED_PRECONDITION, "a packet was sent before the proxy's hello"),
        )
        self.assertEqual(stream.acknowledged, stream.owed)
        self.answers[0].callback(GOOD)
        self.assertEqual(len(self.registry.links()), 0)

    def test_broken(self) -> None:
        """A mistake of ours is logged, and does not leave the agent waiting."""
        self.patch(guest, "log", self.log)
        self.patch(self.admission, "_admit", lambda *_: 1 // 0)
        stream = self.connect(TOKEN)
        self.answers[0].callback(GOOD)
        self.assertEqual(stream.ending, (Status.INTERNAL, "the proxy's admission broke"))
        self.assertIn("an agent's admission broke", self.log.lines)
