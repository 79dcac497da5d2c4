"""Tests of konnect.log."""

from __future__ import annotations

from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from txaio import tx
from zope.interface import provider

from konnect import log


class LoggerTests(SynchronousTestCase):
    """What is logged at which level."""

    def setUp(self) -> None:
        """Collect this module's lines, and put the level back afterwards."""
        self.lines: list[str] = []
        lines = self.lines

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_namespace"] == "tests.test_log":
                lines.append(event["log_format"].format(**event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.addCleanup(log.set_level, tx._log_level)

    def test_levels(self) -> None:
        """A line is made when its level is the chosen one or above; loggers follow the choice."""
        logger = log.make_logger("tests.test_log")
        for level, made in (
            ("error", ["e 1"]),
            ("info", ["e 1", "w 1", "i 1"]),
            ("debug", ["e 1", "w 1", "i 1", "d 1"]),
        ):
            log.set_level(level)
            self.lines.clear()
            logger.error("e {n}", n=1)
            logger.warn("w {n}", n=1)
            logger.info("i {n}", n=1)
            logger.debug("d {n}", n=1)
            self.assertEqual(self.lines, made, level)

    def test_namespace(self) -> None:
        """A logger is named after the module that makes it."""
        log.set_level("info")
        log.make_logger().info("here")
        self.assertEqual(self.lines, ["here"])

    def test_later_loggers(self) -> None:
        """A logger that is made after the choice of a level keeps to it."""
        log.set_level("error")
        log.make_logger("tests.test_log").info("not made")
        self.assertEqual(self.lines, [])

    def test_unknown_level(self) -> None:
        """A level that does not exist is refused."""
        self.assertRaises(ValueError, log.set_level, "loud")
        self.assertRaises(ValueError, log.set_level, "info", [("link", "loud")])

    def test_rules(self) -> None:
        """A module that matches a pattern, by its last name or its whole, may say more."""
        earlier = log.make_logger("tests.test_log")
        for pattern, more in (
            ("test_log", True),
            ("test_*", True),
            ("tests.test_log", True),
            ("tests.*", True),
            ("test", False),
            ("log", False),
        ):
            log.set_level("info", [(pattern, "debug")])
            for logger in (earlier, log.make_logger("tests.test_log")):
                self.lines.clear()
                logger.debug("d")
                self.assertEqual(bool(self.lines), more, pattern)

    def test_rules_only_add(self) -> None:
        """The first match counts, no rule takes lines away, and the next choice forgets them."""
        logger = log.make_logger("tests.test_log")
        log.set_level("debug", [("test_log", "error")])
        logger.debug("still here")
        log.set_level("info", [("test_*", "info"), ("test_log", "debug")])
        logger.debug("not made")
        log.set_level("info", [("test_log", "debug")])
        log.set_level("info")
        logger.debug("not made")
        self.assertEqual(self.lines, ["still here"])

    def test_verbosity(self) -> None:
        """klog's numbers fall into three levels; upstream's default is info."""
        for verbosity, level in (
            (-1, "info"),
            (0, "info"),
            (4, "info"),
            (5, "debug"),
            (7, "debug"),
            (8, "trace"),
        ):
            self.assertEqual(log.level_for_verbosity(verbosity), level)
