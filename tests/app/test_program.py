"""Tests of konnect.app.program."""

from __future__ import annotations

from types import SimpleNamespace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from txaio import tx

from konnect import log
from konnect.app.klog import LogConfig
from konnect.app.program import program
from konnect.app.proxy_options import ProxyOptions


class ProgramTests(SynchronousTestCase):
    def test_steady(self) -> None:
        """The reactor that a program was given keeps timers' length when the clock is set."""
        self.addCleanup(log.set_level, tx._log_level)
        reactor = Clock()
        service = SimpleNamespace(name="konnect-proxy", hurry=None, reread=None)
        program(service, reactor, LogConfig(), ProxyOptions(), hurried_exit_code=1)
        before = reactor.seconds()
        reactor.advance(-3600)
        self.assertGreaterEqual(reactor.seconds(), before)
