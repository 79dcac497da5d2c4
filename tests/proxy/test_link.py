"""Tests of konnect.proxy.link: dials, and the end of the link."""

from __future__ import annotations

from konnect.tunnel.reasons import Reason
from konnect.wire import packets
from konnect.wire.status import OK, Status
from tests.proxy.linking import LinkTestCase


class DialTests(LinkTestCase):
    """The answers to a dial."""

    def test_accepted(self) -> None:
        """DIAL_RSP opens the tunnel under the agent's connectID."""
        near = self.dial()
        self.a.accepts(9)
        self.assertEqual(near.take(), [("opened",)])
        self.assertEqual(list(self.a.link.ends), [9])
        self.assertEqual(self.a.link.dials, {})
        self.close(near)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 9)])

    def test_refused(self) -> None:
        """The agent's error text reaches the asker word for word, with its reason."""
        near = self.dial()
        text = "dial tcp 127.0.0.1:1: connect: connection refused"
        self.a.refuses(text)
        self.assertEqual(near.take(), [("failed", Reason.REFUSED, text)])
        self.assertEqual(self.failures(), {"error_response": 1})
        self.assertEqual(self.a.take(), [], "a failed dial needs no CLOSE_REQ or DIAL_CLS")

    def test_answers_out_of_order(self) -> None:
        """Each answer finds its own dial by its random."""
        first, second = self.dial(), self.dial()
        randoms = [packet[3] for packet in self.a.take()]
        self.assertNotEqual(*randoms)
        self.a.says(packets.dial_rsp(randoms[1], connect_id=1))
        self.assertEqual((first.take(), second.take()), ([], [("opened",)]))
        self.a.says(packets.dial_rsp(randoms[0], error="no such host"))
        self.assertEqual(first.take()[0][:2], ("failed", Reason.NO_SUCH_HOST))
        self.close(second)

    def test_unknown_random(self) -> None:
        """An invented answer is counted, and its connection closed at the agent."""
        self.a.says(packets.dial_rsp(123, connect_id=4))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 4)])
        self.assertEqual(self.failures(), {"unrecognized_response": 1})
        self.a.says(packets.dial_rsp(123, error="late failure"))
        self.assertEqual(self.a.take(), [], "a failure has no connection to close")

    def test_duplicate_answer(self) -> None:
        """A second DIAL_RSP for a live tunnel does not kill it."""
        near = self.dial()
        random = self.a.accepts(1)
        near.take()
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(self.a.take(), [])
        self.assertEqual(near.take(), [])
        self.a.says(packets.data(1, b"alive"))
        self.assertEqual(near.take(), [("write", b"alive")])
        self.assertEqual(self.failures(), {"unrecognized_response": 1})
        self.close(near)

    def test_another_agents_dial(self) -> None:
        """An agent cannot answer what was asked of another."""
        other = self.agent("b")
        near = self.dial()
        random = self.a.asked()
        other.says(packets.dial_rsp(random, connect_id=3))
        self.assertEqual(near.take(), [])
        self.assertEqual(other.take(), [("CLOSE_REQ", 3)])
        self.a.says(packets.dial_rsp(random, connect_id=1))
        self.assertEqual(near.take(), [("opened",)])
        self.close(near)

    def test_unusable_ids(self) -> None:
        """Success with id 0, or with an id in use, fails the dial and harms no other tunnel."""
        live = self.open(5)
        for connect_id in (0, 5):
            near = self.dial()
            self.a.accepts(connect_id)
            self.assertEqual(near.take()[0][:2], ("failed", Reason.PROTOCOL))
        self.a.says(packets.data(5, b"alive"))
        self.assertEqual(live.take(), [("write", b"alive")])
        self.close(live)

    def test_id_used_again(self) -> None:
        """A connectID may be used again when its tunnel is over."""
        self.close(self.open(1))
        self.a.take()
        near = self.open(1)
        self.a.says(packets.data(1, b"new"))
        self.assertEqual(near.take(), [("write", b"new")])
        self.close(near)
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 1)])

    def test_cancelled(self) -> None:
        """A client that leaves during the dial cancels it: the agent gets DIAL_CLS, once."""
        near = self.dial()
        random = self.a.asked()
        self.close(near)
        self.assertEqual(self.a.take(), [("DIAL_CLS", random)])
        self.assertEqual(self.a.link.dials, {})

    def test_answer_to_a_cancelled_dial(self) -> None:
        """A success that crosses DIAL_CLS is closed at the agent, whose close is then ignored."""
        near = self.dial()
        random = self.a.asked()
        self.close(near)
        near.take(), self.a.take()
        self.a.says(packets.dial_rsp(random, connect_id=2))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 2)])
        self.a.says(packets.data(2, b"greeting"))
        self.a.says(packets.close_rsp(2))
        self.a.says(packets.close_rsp(2, "Unknown connectID"))
        self.assertEqual(self.a.take(), [])
        self.assertEqual(near.take(), [])

    def test_timeout(self) -> None:
        """A dial that is not answered in time fails, and is withdrawn from the agent."""
        near = self.dial(timeout=5.0)
        random = self.a.asked()
        self.wait(4.9)
        self.assertEqual(near.take(), [])
        self.clock.advance(0.2)
        self.assertEqual(
            near.take(),
            [("failed", Reason.BACKEND_TIMEOUT, "timed out waiting for backend dial")],
        )
        self.assertEqual(self.a.answers_probe(), [("DIAL_CLS", random)])
        self.assertEqual(self.failures(), {"backend_dial_timeout": 1})
        self.a.says(packets.dial_rsp(random, connect_id=8))
        self.assertEqual(self.a.take(), [("CLOSE_REQ", 8)])

    def test_answered_in_time(self) -> None:
        """An answer, of either kind, ends the limit."""
        near, other = self.dial(timeout=5.0), self.dial(timeout=5.0)
        first, second = (packet[3] for packet in self.a.take())
        self.a.says(packets.dial_rsp(first, connect_id=1))
        self.a.says(packets.dial_rsp(second, error="no route to host"))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.close(near)
        self.assertEqual(len(other.take()), 1)

    def test_dial_cls(self) -> None:
        """An agent may close the dial: the asker is told; an unknown one is ignored."""
        near = self.dial()
        random = self.a.asked()
        self.a.says(packets.dial_cls(random + 1))
        self.assertEqual(near.take(), [])
        self.a.says(packets.dial_cls(random))
        self.assertEqual(near.take()[0][:2], ("failed", Reason.DIAL_CLOSED))
        self.assertEqual(self.a.take(), [])
        self.assertEqual(self.failures(), {"backend_close": 1})


class LostTests(LinkTestCase):
    """The end of the link."""

    def test_dials_and_tunnels(self) -> None:
        """A lost agent fails its dials and ends its tunnels at once, and nobody else's."""
        live, pending = self.open(1), self.dial()
        other = self.agent("b")
        theirs = self.dial(other)
        self.switchboard.another = lambda tunnel, tried, cause: None  # type: ignore[method-assign]
        self.a.leaves()
        self.assertEqual(live.take(), [("close", Reason.AGENT_LOST)])
        self.assertEqual(
            pending.take(),
            [
                (
                    "failed",
                    Reason.AGENT_LOST,
                    "the agent's connection was lost during the dial",
                )
            ],
        )
        self.assertEqual(theirs.take(), [])
        self.assertEqual(self.failures(), {"backend_close": 1})
        self.assertEqual(self.registry.links(), [other.link])
        self.assertEqual(
            dict(self.ledger.stream_errors), {("from_agent", "Canceled", "Unknown"): 1}
        )
        self.close(theirs)

    def test_nothing_is_sent(self) -> None:
        """A lost link is sent and counted nothing more."""
        live, pending = self.open(1), self.dial()
        self.a.take()
        before = dict(self.ledger.packets)
        self.a.leaves()
        self.close(live, pending)
        self.assertEqual(self.a.take(), [])
        self.assertEqual(dict(self.ledger.packets), before)

    def test_packets_that_cannot_be_sent(self) -> None:
        """What is sent while the connection is being closed here is counted as an error of its
        type."""
        live, pending = self.open(1), self.dial()
        self.a.stream.is_closing = True
        assert live.other is not None
        live.other.write(b"x")
        self.assertEqual(live.take(), [("pause",)])
        self.close(live, pending)
        self.assertEqual(
            dict(self.ledger.stream_errors),
            {
                ("to_agent", "Unavailable", "DATA"): 1,
                ("to_agent", "Unavailable", "CLOSE_REQ"): 1,
                ("to_agent", "Unavailable", "DIAL_CLS"): 1,
            },
        )

    def test_half_closed(self) -> None:
        """An agent that ends its side of the stream is answered OK and is gone."""
        live = self.open(1)
        self.a.link.half_closed()
        self.assertEqual(self.a.stream.ending, (OK, ""))
        self.assertEqual(live.take(), [("close", Reason.AGENT_LOST)])
        self.assertEqual(self.registry.links(), [])

    def test_name(self) -> None:
        """Log lines name the agent by its id and where it comes from."""
        self.assertEqual(str(self.a.link), "agent a at 192.0.2.7:4321")

    def test_text_is_optional(self) -> None:
        """A stream that ends without a text is named by its status."""
        self.a.link.ended(Status.INTERNAL, "", False)
        self.assertEqual(
            dict(self.ledger.stream_errors), {("from_agent", "Internal", "Unknown"): 1}
        )


class ShutdownTests(LinkTestCase):
    """The proxy is going."""

    def test_shut_down(self) -> None:
        """Dials are withdrawn and tunnels closed while the agent can be told."""
        live, pending = self.open(1), self.dial(timeout=60.0)
        random = self.a.asked()
        self.a.link.shut_down()
        self.assertEqual(live.take(), [("close", Reason.SHUTDOWN)])
        self.assertEqual(
            pending.take(), [("failed", Reason.SHUTDOWN, "the proxy is shutting down")]
        )
        self.assertEqual(self.a.take(), [("DIAL_CLS", random), ("CLOSE_REQ", 1)])
        self.a.link.shut_down()
        self.assertEqual(self.a.take(), [])
