"""What both programs have around their service: logging, signals, and start errors without a
traceback."""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.logger import ILogObserver, LoggingFile
from twisted.python.components import Componentized

import konnect
from konnect.app import allocator, collector, open_files
from konnect.app.extensions import CannotStart
from konnect.app.flags import FlagOptions, exit_with_error
from konnect.app.klog import LogConfig
from konnect.app.listening import CannotListen
from konnect.app.log_format import event_format
from konnect.app.log_output import LogOutput, make_output
from konnect.app.signals import Signals
from konnect.log import make_logger, set_level
from konnect.net import lookups
from konnect.net.clock import steady

log = make_logger(__name__)


class Program(MultiService):
    """
    The root service of one process.

    :param output: what twistd is to log to in the place of its own observer.
    """

    def __init__(self, service: Any, signals: Signals, output: LogOutput | None = None) -> None:
        super().__init__()
        self.addService(service)
        self._signals = signals
        self._output = output
        self._program = service.name
        self._listening = False

    def setServiceParent(self, parent: Any) -> None:
        if self._output is not None and isinstance(parent, Componentized):
            # twistd asks the application for this before it begins to log.
            parent.setComponent(ILogObserver, self._output)
        super().setServiceParent(parent)

    def privilegedStartService(self) -> None:
        """Open the listeners; what cannot be opened ends the process with one line and code 1, a
        signal that made the start give up with code 0."""
        self._listening = True
        try:
            with self._signals.starting():
                super().privilegedStartService()
        except (CannotListen, CannotStart) as error:
            if self._signals.early:
                log.info(
                    "{name}: stopping before the start was over: {error}",
                    name=self._signals.early,
                    error=error,
                )
                raise SystemExit(0) from None
            cannot = "cannot listen" if isinstance(error, CannotListen) else "cannot start"
            text = f"{self._program}: {cannot}: {error}"
            log.error("{text}", text=text)
            if isinstance(sys.stderr, LoggingFile):  # the log has it, and stderr ends there too
                raise SystemExit(1) from None
            raise SystemExit(text) from None

    def startService(self) -> None:
        # twistd calls privilegedStartService first, twist never does.
        if not self._listening:
            self.privilegedStartService()
        super().startService()
        self._signals.install()


def program(
    service: Any,
    reactor: Any,
    logging: LogConfig,
    options: FlagOptions,
    *,
    hurried_exit_code: int,
) -> IService:
    """
    The service that a process runs, on a reactor whose timers the clock's setting spares.

    `options` are those that its config was made of.
    """
    steady(reactor)
    lookups.install(reactor)
    open_files.take_all()
    allocator.keep_more()
    reactor.callWhenRunning(collector.settle)
    reactor.callWhenRunning(allocator.give_back)
    set_level(logging.level, logging.rules)
    try:
        # The parent's options are what twistd or twist were given.
        output = make_output(
            logging,
            service.name,
            options.parent,
            event_format(logging),
            service.ledger.log_lines_lost,
            reactor,
        )
    except OSError as error:
        exit_with_error(f"cannot open the log file {error.filename}: {error.strerror}")
    log.info("{name} of konnect {version}", name=service.name, version=konnect.__version__)
    if logging.format != "text" and output is None and not logging.to_files:
        log.warn("--log-format has no effect: twistd's own options say where its lines go")
    for setting in options.settings:
        log.info("{setting}", setting=setting)
    return Program(
        service, Signals(reactor, service.hurry, service.reread, hurried_exit_code), output
    )
