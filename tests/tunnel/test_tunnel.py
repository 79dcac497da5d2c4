"""Tests of konnect.tunnel.tunnel: every cell of its state table."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.tunnel.ends import End
from konnect.tunnel.ledger import Ledger
from konnect.tunnel.reasons import Reason
from konnect.tunnel.tunnel import State, Tunnel
from tests.fakes import FakeDial, FakeEnd


class _Tunnels(SynchronousTestCase):
    """A tunnel with a near end, a dial and a far end that is not joined yet."""

    def setUp(self) -> None:
        self.time = 100.0
        self.ledger = Ledger(lambda: self.time)
        self.near = FakeEnd()
        self.far = FakeEnd()
        self.dial = FakeDial()
        self.tunnel = Tunnel(self.ledger, self.near, "host:80")
        self.tunnel.dial = self.dial

    def open(self) -> None:
        """Let the dial succeed."""
        self.tunnel.opened(self.far)
        self.near.take()

    def books(self) -> tuple[int, int, int]:
        """Pending dials, tunnels ever opened, tunnels ever closed."""
        return self.ledger.pending_dials, self.ledger.opened, self.ledger.closed

    def assert_released(self) -> None:
        """Nothing refers to anything any more."""
        self.assertIs(self.tunnel.state, State.CLOSED)
        self.assertIsNone(self.tunnel.near)
        self.assertIsNone(self.tunnel.far)
        self.assertIsNone(self.tunnel.dial)
        for end in (self.near, self.far):
            self.assertIsNone(end.tunnel)
            self.assertIsNone(end.other)


class DialingTests(_Tunnels):
    """The row DIALING."""

    def test_begins(self) -> None:
        """A new tunnel is a pending dial and belongs to its near end."""
        self.assertIs(self.tunnel.state, State.DIALING)
        self.assertIs(self.near.tunnel, self.tunnel)
        self.assertEqual(self.tunnel.address, "host:80")
        self.assertEqual(self.books(), (1, 0, 0))

    def test_opened(self) -> None:
        """Success joins the ends, lets the dial go uncancelled and tells the near end."""
        self.time = 100.02
        self.tunnel.opened(self.far)
        self.assertIs(self.tunnel.state, State.OPEN)
        self.assertIs(self.near.other, self.far)
        self.assertIs(self.far.other, self.near)
        self.assertIs(self.far.tunnel, self.tunnel)
        self.assertIsNone(self.tunnel.dial)
        self.assertEqual(self.dial.cancelled, 0)
        self.assertEqual(self.near.take(), [("opened",)])
        self.assertEqual(self.far.take(), [])
        self.assertEqual(self.books(), (0, 1, 0))
        self.assertAlmostEqual(self.ledger.dial_seconds.sum, 0.02)

    def test_fail(self) -> None:
        """Failure tells the near end once, with the reason's text if there is no other."""
        self.tunnel.fail(Reason.NO_AGENT)
        self.assertEqual(self.near.take(), [("failed", Reason.NO_AGENT, "No agent available")])
        self.assertIs(self.tunnel.reason, Reason.NO_AGENT)
        self.assertFalse(self.tunnel.can_finish_far)
        self.assert_released()
        self.assertEqual(self.books(), (0, 0, 0))
        self.assertEqual(dict(self.ledger.dial_failures), {"no_agent": 1})
        self.assertEqual(dict(self.ledger.failed_by_reason), {"no_agent": 1})

    def test_fail_with_text(self) -> None:
        """The agent's own text goes before the reason's."""
        self.tunnel.fail(Reason.REFUSED, "dial tcp 1.2.3.4:5: connect: connection refused")
        self.assertEqual(
            self.near.take(),
            [("failed", Reason.REFUSED, "dial tcp 1.2.3.4:5: connect: connection refused")],
        )

    def test_fail_withdraws_the_dial(self) -> None:
        """A dial that is given up before its answer is withdrawn from whoever dials."""
        self.tunnel.fail(Reason.BACKEND_TIMEOUT)
        self.assertEqual(self.dial.cancelled, 1)

    def test_fail_without_a_dial(self) -> None:
        """A tunnel may fail before anybody was asked to dial."""
        self.tunnel.dial = None
        self.tunnel.fail(Reason.NO_AGENT)
        self.assertEqual(len(self.near.take()), 1)
        self.assertEqual(self.books(), (0, 0, 0))

    def test_close(self) -> None:
        """A close during the dial cancels it and tells the near end that it is over, no more."""
        self.tunnel.close(Reason.CLIENT_LEFT)
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_LEFT)])
        self.assertEqual(self.dial.cancelled, 1)
        self.assert_released()
        self.assertEqual(self.books(), (0, 0, 0))
        self.assertEqual(dict(self.ledger.dial_failures), {"frontend_close": 1})

    def test_a_failure_that_upstream_does_not_count(self) -> None:
        """A reason without upstream's label is counted under our own name only."""
        self.tunnel.fail(Reason.PROTOCOL)
        self.assertEqual(dict(self.ledger.dial_failures), {})
        self.assertEqual(dict(self.ledger.failed_by_reason), {"protocol": 1})

    def test_ended_changes_nothing(self) -> None:
        """An end's last byte means nothing while there is no other end."""
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertIs(self.tunnel.state, State.DIALING)
        self.assertEqual(self.near.take(), [])
        self.tunnel.close(Reason.CLIENT_LEFT)


class OpenTests(_Tunnels):
    """The row OPEN."""

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_fail_changes_nothing(self) -> None:
        """A dial that has succeeded cannot fail any more."""
        self.tunnel.fail(Reason.BACKEND_TIMEOUT)
        self.assertIs(self.tunnel.state, State.OPEN)
        self.assertEqual(self.near.take() + self.far.take(), [])
        self.assertEqual(dict(self.ledger.dial_failures), {})
        self.tunnel.close(Reason.SHUTDOWN)

    def test_close(self) -> None:
        """A close reaches both ends once, and is counted once with its reason."""
        self.time = 107.0
        self.tunnel.close(Reason.CLIENT_LOST)
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_LOST)])
        self.assertEqual(self.far.take(), [("close", Reason.CLIENT_LOST)])
        self.assert_released()
        self.assertIs(self.tunnel.reason, Reason.CLIENT_LOST)
        self.assertEqual(self.books(), (0, 1, 1))
        self.assertEqual(dict(self.ledger.closed_by_reason), {"client_lost": 1})
        self.assertAlmostEqual(self.ledger.connection_seconds.sum, 7.0)

    def test_first_end(self) -> None:
        """One end's last byte finishes the other and leaves the tunnel open."""
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertIs(self.tunnel.state, State.OPEN)
        self.assertIs(self.tunnel.first, self.near)
        self.assertEqual(self.far.take(), [("finish",)])
        self.assertEqual(self.near.take(), [])
        self.tunnel.close(Reason.SHUTDOWN)

    def test_far_end_first(self) -> None:
        """The far end's last byte finishes the near one in the same way."""
        self.tunnel.ended(self.far, Reason.DESTINATION_CLOSED)
        self.assertIs(self.tunnel.first, self.far)
        self.assertEqual(self.near.take(), [("finish",)])
        self.assertEqual(self.far.take(), [])
        self.tunnel.close(Reason.SHUTDOWN)

    def test_the_same_end_again(self) -> None:
        """An end that says it twice is heard once."""
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assertEqual(self.far.take(), [("finish",)])
        self.assertIs(self.tunnel.state, State.OPEN)
        self.tunnel.close(Reason.SHUTDOWN)

    def test_both_ends(self) -> None:
        """The second end's last byte closes, for the reason of the first."""
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.tunnel.ended(self.far, Reason.DESTINATION_CLOSED)
        self.assertEqual(self.near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.far.take(), [("finish",), ("close", Reason.CLIENT_CLOSED)])
        self.assert_released()
        self.assertEqual(self.books(), (0, 1, 1))

    def test_a_close_after_one_end(self) -> None:
        """A close after one end's last byte is the reason that counts."""
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.tunnel.close(Reason.AGENT_LOST)
        self.assertEqual(dict(self.ledger.closed_by_reason), {"agent_lost": 1})


class ClosedTests(_Tunnels):
    """The row CLOSED: nothing changes anything."""

    def everything(self) -> None:
        """All that may still be told to a tunnel."""
        self.tunnel.close(Reason.SHUTDOWN)
        self.tunnel.fail(Reason.BACKEND_TIMEOUT)
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.tunnel.ended(self.far, Reason.CLIENT_CLOSED)

    def test_after_a_close(self) -> None:
        """A closed tunnel is deaf, and its books stay as they are."""
        self.open()
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.near.take(), self.far.take()
        self.everything()
        self.assertEqual(self.near.take() + self.far.take(), [])
        self.assertEqual(self.books(), (0, 1, 1))
        self.assertIs(self.tunnel.reason, Reason.CLIENT_CLOSED)

    def test_after_a_failure(self) -> None:
        """A failed tunnel is deaf, its failure is counted once and its dial cancelled once."""
        self.tunnel.fail(Reason.AGENT_LOST)
        self.near.take()
        self.everything()
        self.assertEqual(self.near.take(), [])
        self.assertEqual(self.books(), (0, 0, 0))
        self.assertEqual(dict(self.ledger.dial_failures), {"backend_close": 1})
        self.assertEqual(self.dial.cancelled, 1)

    def test_no_second_success(self) -> None:
        """A dial cannot succeed after its end: the caller must have forgotten it."""
        self.tunnel.close(Reason.CLIENT_LEFT)
        self.assertRaises(AssertionError, self.tunnel.opened, self.far)


class ReentryTests(_Tunnels):
    """Ends that answer a call with another call."""

    def test_closed_while_opening(self) -> None:
        """A near end may close the tunnel when it hears of the success."""
        self.near.opened = lambda: self.tunnel.close(Reason.CLIENT_LEFT)  # type: ignore[method-assign]
        self.tunnel.opened(self.far)
        self.assert_released()
        self.assertEqual(self.books(), (0, 1, 1))

    def test_closed_while_finishing(self) -> None:
        """An end that cannot finish one direction alone closes the tunnel instead."""
        self.open()
        self.far.finish = lambda: self.tunnel.close(Reason.CLIENT_CLOSED)  # type: ignore[method-assign]
        self.tunnel.ended(self.near, Reason.CLIENT_CLOSED)
        self.assert_released()
        self.assertEqual(self.books(), (0, 1, 1))

    def test_closed_while_closing(self) -> None:
        """An end that closes the tunnel from its own close changes nothing."""
        self.open()
        tunnel = self.tunnel

        class Stubborn(FakeEnd):
            def close(self, reason: Reason) -> None:
                super().close(reason)
                tunnel.close(Reason.SHUTDOWN)

        near = Stubborn()
        near.tunnel, near.other = tunnel, self.far
        self.tunnel.near = near
        self.far.other = near
        self.tunnel.close(Reason.CLIENT_CLOSED)
        self.assertEqual(near.take(), [("close", Reason.CLIENT_CLOSED)])
        self.assertEqual(self.books(), (0, 1, 1))


class EndTests(SynchronousTestCase):
    """What an end must say for itself."""

    def test_the_interface_is_abstract(self) -> None:
        """Every call that moves or ends something has to be defined; only `opened` may be idle."""
        end = End()
        self.assertIsNone(end.tunnel)
        self.assertIsNone(end.other)
        end.opened()
        self.assertRaises(NotImplementedError, end.write, b"x")
        self.assertRaises(NotImplementedError, end.finish)
        self.assertRaises(NotImplementedError, end.pause)
        self.assertRaises(NotImplementedError, end.resume)
        self.assertRaises(NotImplementedError, end.failed, Reason.REFUSED, "")
        self.assertRaises(NotImplementedError, end.close, Reason.REFUSED)
