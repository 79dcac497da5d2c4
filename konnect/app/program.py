"""What both programs have around their service: log level, signals, and start errors without a
traceback."""

from __future__ import annotations

from typing import Any

from twisted.application.service import IService, MultiService

from konnect.app.listening import CannotListen
from konnect.app.signals import Signals
from konnect.log import level_for_verbosity, make_logger, set_level
from konnect.net.clock import steady

log = make_logger(__name__)


class Program(MultiService):
    """The root service of one process."""

    def __init__(self, service: Any, signals: Signals) -> None:
        super().__init__()
        self.addService(service)
        self._signals = signals
        self._program = service.name
        self._listening = False

    def privilegedStartService(self) -> None:
        """Open the listeners; what cannot be opened ends the process with one line and code 1."""
        self._listening = True
        try:
            super().privilegedStartService()
        except CannotListen as error:
            log.error("{program}: cannot listen: {error}", program=self._program, error=error)
            raise SystemExit(f"{self._program}: cannot listen: {error}") from None

    def startService(self) -> None:
        # twistd calls privilegedStartService first, twist never does.
        if not self._listening:
            self.privilegedStartService()
        super().startService()
        self._signals.install()


def program(service: Any, reactor: Any, verbosity: int, *, hurried_exit_code: int) -> IService:
    """The service that a process runs, on a reactor whose timers the clock's setting spares."""
    steady(reactor)
    set_level(level_for_verbosity(verbosity))
    return Program(service, Signals(reactor, service.hurry, hurried_exit_code))
