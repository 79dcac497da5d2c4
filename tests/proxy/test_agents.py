"""Tests of konnect.proxy.agents: who is admitted, and what both sides learn by it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy.agents import Admission
from konnect.proxy.link import AgentLink
from konnect.tunnel.flow import Flow
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.routing import Registry
from konnect.wire.features import Features
from konnect.wire.status import Status
from tests.fakes import FakeStream


class AdmissionTests(SynchronousTestCase):
    """New `Connect` streams."""

    flow = Flow(features=Features(credit=65536, half_close=True))

    def setUp(self) -> None:
        self.clock = Clock()
        self.ledger = Ledger(self.clock.seconds)
        self.registry: Registry[AgentLink] = Registry()
        self.admission = Admission(
            self.registry,
            self.ledger,
            server_id="s-1",
            server_count=3,
            clock=self.clock,
            flow=self.flow,
        )

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def connect(self, *metadata: tuple[str, str]) -> tuple[FakeStream, AgentLink | None]:
        """Open a stream with this metadata."""
        stream = FakeStream()
        link = self.admission.accept(stream, metadata)
        assert link is None or isinstance(link, AgentLink)
        return stream, link

    def test_admitted(self) -> None:
        """An agent hears at once who the proxy is, and dials may take its link."""
        stream, link = self.connect(("agentid", "a"), ("agentidentifiers", "host=h&ipv4=1.2.3.4"))
        assert link is not None
        self.assertEqual(
            list(stream.metadata or ()),
            [
                ("serverid", "s-1"),
                ("servercount", "3"),
                ("konnect-features", "credit=65536,half-close"),
            ],
        )
        self.assertEqual(self.registry.links(), [link])
        self.assertEqual(link.identifiers.host, ("h",))
        self.assertEqual(self.ledger.grpc_streams, {"Connect": 1})
        self.assertEqual(self.ledger.ready_backends, {"default": 1})
        self.assertIsNone(stream.ending)

    def test_gone(self) -> None:
        """A link that ends leaves the registry and the books."""
        _, first = self.connect(("agentid", "a"))
        _, second = self.connect(("agentid", "a"))
        _, other = self.connect(("agentid", "b"))
        assert first is not None and second is not None and other is not None
        self.assertEqual(self.ledger.ready_backends, {"default": 2})
        first.ended(Status.UNAVAILABLE, "", True)
        self.assertEqual(self.registry.links(), [second, other])
        self.assertEqual(self.ledger.ready_backends, {"default": 2})
        second.half_closed()
        self.assertEqual(self.ledger.ready_backends, {"default": 1})
        other.ended(Status.CANCELLED, "", True)
        self.assertEqual(self.ledger.grpc_streams, {"Connect": 0})
        self.assertEqual(self.ledger.ready_backends, {"default": 0})

    def test_refused(self) -> None:
        """Bad metadata ends the stream with upstream's status and text, without headers."""
        for metadata, text in (
            ((), "expected one agent ID in the context, got []"),
            (
                (("agentid", "x"), ("agentid", "y")),
                "expected one agent ID in the context, got [x y]",
            ),
            (
                (
                    ("agentid", "x"),
                    ("agentidentifiers", "host=a"),
                    ("agentidentifiers", "host=b"),
                ),
                "expected at most one set of agent identifiers in the context, got [host=a host=b]",
            ),
            (
                (("agentid", "x"), ("agentidentifiers", "a;b")),
                "fail to parse url encoded string: invalid semicolon separator in query",
            ),
        ):
            stream, link = self.connect(*metadata)
            self.assertIsNone(link)
            self.assertEqual(stream.ending, (Status.UNKNOWN, text))
            self.assertIsNone(stream.metadata)
        self.assertFalse(self.registry.ready)
        self.assertEqual(self.ledger.grpc_streams, {})

    def test_a_stock_agent(self) -> None:
        """An agent that announces nothing gets no feature."""
        _, link = self.connect(("agentid", "a"))
        assert link is not None
        self.assertEqual((link.send_credit, link.receive_credit, link.half_close), (0, 0, False))

    def test_features(self) -> None:
        """What both have announced is in force; what is not known here is no reason to refuse."""
        _, link = self.connect(
            ("agentid", "a"), ("konnect-features", "credit=20000,half-close,telepathy=9")
        )
        assert link is not None
        self.assertEqual(
            (link.send_credit, link.receive_credit, link.half_close), (20000, 65536, True)
        )
