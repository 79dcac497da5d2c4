"""Tests of konnect.app.durations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.app.durations import format_duration, parse_duration


class ParseTests(SynchronousTestCase):
    """Go's duration text to seconds."""

    def test_values(self) -> None:
        """Every form that Go reads gives the same number of seconds here."""
        for text, seconds in (
            ("0", 0.0),
            ("-0", 0.0),
            ("1h", 3600.0),
            ("1h30m", 5400.0),
            ("500ms", 0.5),
            ("1.5s", 1.5),
            (".5s", 0.5),
            ("1.s", 1.0),
            ("+3m", 180.0),
            ("-1s", -1.0),
            ("250us", 0.00025),
            ("250µs", 0.00025),
            ("7ns", 7e-9),
            ("1s1s", 2.0),
        ):
            self.assertEqual(parse_duration(text), seconds, text)

    def test_mistakes(self) -> None:
        """Each mistake is named in Go's words."""
        for text, problem in (
            ("", 'time: invalid duration ""'),
            ("-", 'time: invalid duration "-"'),
            (".s", 'time: invalid duration ".s"'),
            ("s", 'time: invalid duration "s"'),
            ("5", 'time: missing unit in duration "5"'),
            ("1.5", 'time: missing unit in duration "1.5"'),
            ("1h5", 'time: missing unit in duration "1h5"'),
            ("1x", 'time: unknown unit "x" in duration "1x"'),
            ("1h-5m", 'time: unknown unit "h-" in duration "1h-5m"'),
            ("1 s", 'time: unknown unit " s" in duration "1 s"'),
            ("9999999999h", 'time: invalid duration "9999999999h"'),
            ("١s", 'time: invalid duration "١s"'),
        ):
            error = self.assertRaises(ValueError, parse_duration, text)
            self.assertEqual(str(error), problem)


class FormatTests(SynchronousTestCase):
    """Seconds to Go's duration text."""

    def test_values(self) -> None:
        """Seconds are printed as Go prints them."""
        for seconds, text in (
            (0.0, "0s"),
            (1.0, "1s"),
            (1.5, "1.5s"),
            (0.5, "500ms"),
            (0.0000015, "1.5µs"),
            (7e-9, "7ns"),
            (90.0, "1m30s"),
            (3600.0, "1h0m0s"),
            (5400.25, "1h30m0.25s"),
            (-1.0, "-1s"),
        ):
            self.assertEqual(format_duration(seconds), text)

    @given(st.integers(min_value=-(10**15), max_value=10**15))
    def test_there_and_back(self, nanoseconds: int) -> None:
        """What is printed is read as the same duration."""
        seconds = nanoseconds / 10**9
        self.assertAlmostEqual(parse_duration(format_duration(seconds)), seconds, places=9)
