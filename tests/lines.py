"""Log lines as tests read them."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer


@implementer(ILogObserver)
class Lines:
    """The lines of one logger while one test runs."""

    def __init__(self, test: SynchronousTestCase, namespace: str) -> None:
        self.texts: list[str] = []
        self._namespace = namespace
        globalLogPublisher.addObserver(self)
        test.addCleanup(globalLogPublisher.removeObserver, self)

    def __call__(self, event: LogEvent) -> None:
        if event.get("log_namespace") == self._namespace:
            self.texts.append(formatEvent(event))
