"""Tests of konnect.app.program."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from types import SimpleNamespace

from twisted.application.service import Service
from twisted.internet.task import Clock
from twisted.logger import Logger, LoggingFile
from twisted.trial.unittest import SynchronousTestCase
from txaio import tx

from konnect import log
from konnect.app import allocator, collector
from konnect.app.extensions import CannotStart
from konnect.app.klog import LogConfig
from konnect.app.listening import CannotListen
from konnect.app.program import Program, program
from konnect.app.proxy_options import ProxyOptions
from konnect.app.signals import ENDING, Signals
from konnect.extension import starting
from konnect.net import lookups
from konnect.tunnel.ledger import Ledger
from tests.lines import Lines


class Starting(Clock):
    """A reactor that has not begun to run."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[Callable[[], object]] = []
        self.stop: Callable[[], object] = lambda: None

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        self.first.append(call)


class ProgramTests(SynchronousTestCase):
    def test_steady(self) -> None:
        """The reactor that a program was given keeps timers' length when the clock is set, and
        makes no lookup that nobody waits for; when it runs, it settles and gives back what the
        start left."""
        improved: list[object] = []
        self.patch(lookups, "install", improved.append)
        self.addCleanup(log.set_level, tx._log_level)
        reactor = Starting()
        service = SimpleNamespace(
            name="konnect-proxy", hurry=None, reread=None, ledger=Ledger(reactor.seconds)
        )
        program(service, reactor, LogConfig(), ProxyOptions(), hurried_exit_code=1)
        self.assertEqual(improved, [reactor])
        self.assertEqual(reactor.first, [collector.settle, allocator.give_back])
        before = reactor.seconds()
        reactor.advance(-3600)
        self.assertGreaterEqual(reactor.seconds(), before)


class StartTests(SynchronousTestCase):
    """What cannot be done at the start ends the program with one line."""

    def end(self, error: Exception, *signals: signal.Signals) -> tuple[object, list[str]]:
        """The exit's code or text, and the log lines, of a program that this happens to; the
        signals come before."""

        class Fails(Service):
            name = "konnect-agent"

            def privilegedStartService(self) -> None:
                for number in signals:
                    signal.raise_signal(number)
                    told.append(starting.told_to_end())
                raise error

        told: list[bool] = []
        lines = Lines(self, "konnect.app.program")
        end = self.assertRaises(
            SystemExit, Program(Fails(), self.signals(Starting())).privilegedStartService
        )
        self.assertEqual(told, [True] * len(signals))
        self.assertFalse(starting.told_to_end())
        return end.code, lines.texts

    def signals(self, reactor: Starting) -> Signals:
        """Those of a program."""
        self.reread: list[bool] = []
        return Signals(reactor, lambda: None, lambda: self.reread.append(True), 1)

    def test_reason(self) -> None:
        """The log and stderr say what it is."""
        self.patch(sys, "stderr", io.StringIO())
        for error, text in (
            (CannotListen("port 1: taken"), "konnect-agent: cannot listen: port 1: taken"),
            (CannotStart("no plugin"), "konnect-agent: cannot start: no plugin"),
        ):
            self.assertEqual(self.end(error), (text, [text]))

    def test_once(self) -> None:
        """Where stderr is the log, as under twistd, it is said once."""
        self.patch(sys, "stderr", LoggingFile(Logger()))
        for error in (CannotListen("x"), CannotStart("x")):
            code, lines = self.end(error)
            self.assertEqual((code, len(lines)), (1, 1))

    def test_signal(self) -> None:
        """A start that a signal made give up is an orderly end; signals do afterwards what they
        did."""
        before = [signal.getsignal(number) for number in ENDING]
        for number in ENDING:
            code, lines = self.end(CannotStart("it was stopped"), number, *ENDING)
            text = f"{number.name}: stopping before the start was over: it was stopped"
            self.assertEqual((code, lines), (0, [text]))
        self.assertEqual([signal.getsignal(number) for number in ENDING], before)

    def test_signal_kept(self) -> None:
        """One that the start did not hear of stops the program as soon as it runs."""

        class Starts(Service):
            name = "konnect-agent"

            def privilegedStartService(self) -> None:
                signal.raise_signal(signal.SIGHUP)
                told.append(starting.told_to_end())
                signal.raise_signal(signal.SIGTERM)
                told.append(starting.told_to_end())

        for number in (*ENDING, signal.SIGHUP):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        stopped: list[bool] = []
        told: list[bool] = []
        reactor = Starting()
        reactor.stop = lambda: stopped.append(True)
        program = Program(Starts(), self.signals(reactor))
        program.privilegedStartService()
        program.startService()
        self.assertEqual((stopped, self.reread, told), ([], [], [False, True]))
        (run,) = reactor.first
        run()
        self.assertEqual((stopped, self.reread), ([True], [True]))
