"""Tests of konnect.app.log_format: one event in each format."""

from __future__ import annotations

import io
import json
from typing import Any

from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.klog import LogConfig
from konnect.app.log_flags import LOG_FLAGS
from konnect.app.log_format import event_format
from konnect.app.log_output import LogOutput
from konnect.ops.tunnel_log import Accounts
from tests.ops.test_account_lines import DIAL, TUNNEL


class FormatTests(SynchronousTestCase):
    """What is written for an event."""

    def setUp(self) -> None:
        self.out = io.StringIO()

    def logger(self, **settings: Any) -> Logger:
        """A logger with these settings."""
        config = LogConfig(**settings)
        output = LogOutput(config, self.out, None, event_format(config))
        return Logger("here", observer=LogPublisher(output))

    def lines(self) -> list[str]:
        """What was written."""
        text = self.out.getvalue()
        self.assertTrue(text.endswith("\n"))
        return text[:-1].split("\n")

    def test_text(self) -> None:
        """Text is Twisted's, with its header or without."""
        self.logger().info("{n} links", n=2)
        self.logger(skip_headers=True).info("{n} links", n=2)
        first, second = self.lines()
        self.assertRegex(first, r"^[0-9T:+-]+ \[here#info\] 2 links$")
        self.assertEqual(second, "2 links")

    def test_accounts_as_text(self) -> None:
        """Each account is a line of its own, with a header of its own or without."""
        accounts = Accounts("agent", [(1.0, TUNNEL), (2.0, DIAL)])
        self.logger().info("{accounts}", accounts=accounts)
        self.logger(skip_headers=True).info("{accounts}", accounts=accounts)
        lines = self.lines()
        self.assertRegex(lines[0], r"^[0-9T:+-]+ \[konnect.tunnels#info\] tunnel ended: client=")
        self.assertRegex(lines[1], r"^[0-9T:+-]+ \[konnect.tunnels#info\] dial failed: client=")
        self.assertTrue(lines[2].startswith("tunnel ended: "))
        self.assertTrue(lines[3].startswith("dial failed: "))

    def test_json(self) -> None:
        """An object a line: when, how grave, by whom, what."""
        logger = self.logger(format="json")
        logger.info("{n} links", n=2)
        logger.error("two\nlines and \x1b")
        first, second = map(json.loads, self.lines())
        self.assertRegex(first.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual(first, {"level": "info", "logger": "here", "message": "2 links"})
        self.assertEqual((second["level"], second["message"]), ("error", "two\nlines and \x1b"))

    def test_accounts_as_json(self) -> None:
        """Accounts are objects of their own."""
        accounts = Accounts("proxy", [(1.0, TUNNEL), (2.0, DIAL)])
        self.logger(format="json").info("{accounts}", accounts=accounts)
        first, second = map(json.loads, self.lines())
        self.assertEqual((first["proxy"], first["message"]), ("node-a", "tunnel ended"))
        self.assertEqual(
            (second["time"], second["message"]), ("1970-01-01T00:00:02.000000Z", "dial failed")
        )

    def test_traceback(self) -> None:
        """Our own mistakes come with a traceback in a field of its own: still one line."""
        try:
            raise KeyError("lost")
        except KeyError:
            self.logger(format="json").failure("it broke", Failure())
        (fields,) = map(json.loads, self.lines())
        self.assertEqual((fields["level"], fields["message"]), ("critical", "it broke"))
        self.assertIn("KeyError: 'lost'", fields["traceback"])

    def test_silent_events(self) -> None:
        """An event without a text makes no line."""
        self.logger(format="json").info("")
        self.assertEqual(self.out.getvalue(), "")

    def test_old_events(self) -> None:
        """What Twisted's old log says is an object like the others."""
        config = LogConfig(format="json")
        output = LogOutput(config, self.out, None, event_format(config))
        output(
            {
                "log_time": 1.0,
                "log_format": "{log_text}",
                "log_text": "old",
                "log_system": "-",
                "isError": 0,
            }
        )
        (fields,) = map(json.loads, self.lines())
        self.assertEqual(fields["message"], "old")
        self.assertEqual((fields["level"], fields["logger"]), ("info", "-"))


class FlagTests(SynchronousTestCase):
    """The flags."""

    def test_unknown_format(self) -> None:
        """A format that is not there is refused with those that are."""
        (flag,) = [flag for flag in LOG_FLAGS if flag.name == "log-format"]
        error = self.assertRaises(ValueError, flag.kind.read, "yaml")
        self.assertEqual(str(error), "no such format (there are text, json)")
