"""Dials of names with several addresses: whose turn it is, who wins, whose error is told."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.defer import CancelledError

from konnect.agent.dialing import DialError
from konnect.agent.places import MAX_ADDRESSES
from konnect.tunnel.reasons import Reason
from tests.agent.dialing import DialTestCase


class RaceTests(DialTestCase):
    """Several addresses."""

    def test_turns(self) -> None:
        """Every 300 ms of silence the next address joins in, the families by turns."""
        dial = self.resolved("::1", "::2", "10.0.0.1", "::3", "10.0.0.2")
        self.assertEqual(self.tried, ["::1"])
        self.reactor.pump([0.3] * 4)
        self.assertEqual(self.tried, ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"])
        self.reactor.advance(0.3)
        dial.cancel()
        self.failureResultOf(dial, CancelledError)
        self.assertEqual(self.stopped(), [True] * 5)

    def test_first_come(self) -> None:
        """The first that connects wins, and the others are stopped."""
        dial = self.resolved("::1", "10.0.0.1", "::2")
        self.reactor.advance(0.3)
        transport = self.accept(1)
        self.assertIs(self.successResultOf(dial).transport, transport)  # type: ignore[attr-defined]
        self.assertEqual(self.stopped(), [True, False])
        self.assertEqual(self.tried, ["::1", "10.0.0.1"])

    def test_next_at_once(self) -> None:
        """After a failure nobody waits for the next."""
        dial = self.resolved("::1", "10.0.0.1")
        self.refuse(0)
        self.assertEqual(self.tried, ["::1", "10.0.0.1"])
        self.accept(1)
        self.successResultOf(dial)

    def test_first_error(self) -> None:
        """If all fail, the error of the first address is told, whichever failed last."""
        dial = self.resolved("10.0.0.1", "10.0.0.2")
        self.reactor.advance(0.3)
        self.refuse(1, error.NoRouteError(errno.EHOSTUNREACH, "x"))
        self.assertNoResult(dial)
        self.refuse(0)
        self.assertEqual(
            self.error(dial), ("dial tcp 10.0.0.1:80: connect: connection refused", False)
        )

    def test_error_before_timeout(self) -> None:
        """An address that failed says more than the silence of the others."""
        dial = self.resolved("10.0.0.1", "10.0.0.2")
        self.refuse(0)
        self.reactor.advance(5)
        self.assertEqual(
            self.error(dial), ("dial tcp 10.0.0.1:80: connect: connection refused", False)
        )
        self.assertEqual(self.stopped(), [False, True])

    def test_what_the_agent_lacks(self) -> None:
        """If all fail, and one for what the agent lacks, another agent may reach that one."""
        dial = self.resolved("::1", "10.0.0.1")
        self.refuse(0)
        self.refuse(1, error.ConnectBindError(errno.ENOBUFS, "x"))
        failed: Any = self.failureResultOf(dial, DialError).value
        self.assertEqual(failed.text, "dial tcp 10.0.0.1:80: socket: no buffer space available")
        self.assertIs(failed.reason, Reason.OUT_OF_RESOURCES)

    def test_silence_beside_what_the_agent_lacks(self) -> None:
        """A destination that was silent for all of the time is told, not the agent's lack."""
        dial = self.resolved("10.0.0.1", "10.0.0.2")
        self.refuse(0, error.ConnectBindError(errno.ENOBUFS, "x"))
        self.reactor.advance(5)
        failed: Any = self.failureResultOf(dial, DialError).value
        self.assertEqual(failed.text, "dial tcp 10.0.0.2:80: i/o timeout")
        self.assertIs(failed.reason, Reason.DESTINATION_TIMEOUT)

    def test_silence_of_all(self) -> None:
        """If all are silent, the first is told."""
        dial = self.resolved("10.0.0.1", "10.0.0.2")
        self.reactor.pump([0.3, 4.7])
        self.assertEqual(self.error(dial), ("dial tcp 10.0.0.1:80: i/o timeout", True))

    def test_many_addresses(self) -> None:
        """The number of addresses tried is bounded."""
        dial = self.resolved(*[f"10.0.0.{i}" for i in range(200)])
        for number in range(MAX_ADDRESSES):
            self.refuse(number)
        self.assertIn("10.0.0.0:80", self.error(dial)[0])
        self.assertEqual(len(self.tried), MAX_ADDRESSES)

    def test_attempts_that_fail_at_once(self) -> None:
        """An address that cannot even be tried gives way to the next."""
        connect: Callable[..., Any] = self.reactor.connectTCP

        def picky(host: str, *args: Any, **keywords: Any) -> Any:
            if "%" in host:
                raise OSError(errno.EINVAL, "no such zone")
            return connect(host, *args, **keywords)

        self.reactor.connectTCP = picky  # type: ignore[method-assign]
        dial = self.resolved("fe80::1%9", "fe80::2%9")
        self.assertEqual(
            self.error(dial), ("dial tcp [fe80::1%9]:80: connect: invalid argument", False)
        )
        dial = self.resolved("fe80::1%9", "10.0.0.1")
        self.accept(0)
        self.successResultOf(dial)
