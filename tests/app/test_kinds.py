"""Tests of konnect.app.kinds and konnect.app.quoting."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import kinds
from konnect.app.kinds import Kind
from konnect.app.quoting import quote


class KindTests(SynchronousTestCase):
    """What each kind of flag takes, and how it words a refusal."""

    def accepts(self, kind: Kind, *cases: tuple[str, Any]) -> None:
        """Each text of `cases` is read as its value."""
        for text, value in cases:
            self.assertEqual(kind.read(text), value, text)

    def refuses(self, kind: Kind, *cases: tuple[str, str]) -> None:
        """Each text of `cases` is refused with its problem."""
        for text, problem in cases:
            error = self.assertRaises(ValueError, kind.read, text)
            self.assertEqual(str(error), problem)

    def test_booleans(self) -> None:
        """Booleans are Go's twelve words and nothing else."""
        self.accepts(
            kinds.BOOL, *((word, True) for word in ("1", "t", "T", "TRUE", "true", "True"))
        )
        self.accepts(
            kinds.BOOL, *((word, False) for word in ("0", "f", "F", "FALSE", "false", "False"))
        )
        self.refuses(
            kinds.BOOL,
            ("", 'strconv.ParseBool: parsing "": invalid syntax'),
            ("yes", 'strconv.ParseBool: parsing "yes": invalid syntax'),
        )
        self.refuses(kinds.KLOG_BOOL, ("maybe", "parse error"))

    def test_integers(self) -> None:
        """Integers may be written as in Go's source, in 64 bits."""
        self.accepts(
            kinds.INT,
            ("0", 0),
            ("+5", 5),
            ("-7", -7),
            ("0x10", 16),
            ("010", 8),
            ("0o10", 8),
            ("0b11", 3),
            ("1_000", 1000),
            ("9223372036854775807", 2**63 - 1),
        )
        self.refuses(
            kinds.INT,
            *(
                (text, f'strconv.ParseInt: parsing "{text}": invalid syntax')
                for text in ("", "x", " 1", "1 ", "1__0", "08", "1.0", "٣", "0x")
            ),
            ("9" * 20, f'strconv.ParseInt: parsing "{"9" * 20}": value out of range'),
        )

    def test_levels(self) -> None:
        """A verbosity is decimal, in 32 bits."""
        self.accepts(kinds.KLOG_LEVEL, ("4", 4), ("010", 10), ("-1", -1))
        self.refuses(
            kinds.KLOG_LEVEL,
            ("0x4", 'strconv.ParseInt: parsing "0x4": invalid syntax'),
            ("99999999999", 'strconv.ParseInt: parsing "99999999999": value out of range'),
        )

    def test_unsigned(self) -> None:
        """klog's file size has no sign and klog's own words."""
        self.accepts(kinds.KLOG_UINT, ("0", 0), ("1800", 1800), (str(2**64 - 1), 2**64 - 1))
        self.refuses(
            kinds.KLOG_UINT,
            ("-1", "parse error"),
            ("x", "parse error"),
            (str(2**64), "value out of range"),
        )

    def test_floats(self) -> None:
        """Floats are decimal and fit into 32 bits."""
        self.accepts(kinds.FLOAT, ("1.5", 1.5), ("2e3", 2000.0), (".5", 0.5))
        self.refuses(
            kinds.FLOAT,
            ("abc", 'strconv.ParseFloat: parsing "abc": invalid syntax'),
            ("1e99", 'strconv.ParseFloat: parsing "1e99": value out of range'),
        )

    def test_lists(self) -> None:
        """A list is one line of comma separated values, with CSV's quotes."""
        self.accepts(
            kinds.LIST, ("", ()), ("a", ("a",)), ("a,b", ("a", "b")), ('"a,b",c', ("a,b", "c"))
        )
        for text in ('"a', '"a"b'):
            error = self.assertRaises(ValueError, kinds.LIST.read, text)
            self.assertIn("parse error in comma separated list", str(error))

    def test_severities(self) -> None:
        """A severity is a name or a number."""
        self.accepts(kinds.KLOG_SEVERITY, ("INFO", 0), ("warning", 1), ("3", 3))
        self.refuses(
            kinds.KLOG_SEVERITY, ("foo", 'strconv.ParseInt: parsing "foo": invalid syntax')
        )

    def test_klog_patterns(self) -> None:
        """klog's two little languages are refused in its words."""
        self.accepts(kinds.KLOG_VMODULE, ("", ""), ("a=1,b*=2", "a=1,b*=2"))
        self.refuses(
            kinds.KLOG_VMODULE,
            ("a", "syntax error: expect comma-separated list of filename=N"),
            ("a=x", "syntax error: expect comma-separated list of filename=N"),
            ("a=-1", "negative value for vmodule level"),
        )
        self.accepts(kinds.KLOG_LOCATION, ("", ""), ("foo.go:3", "foo.go:3"))
        self.refuses(
            kinds.KLOG_LOCATION,
            ("foo", "syntax error: expect file.go:234"),
            ("a:b:c", "syntax error: expect file.go:234"),
            ("foo.go:0", "negative or zero value for level"),
        )

    def test_one_of(self) -> None:
        """One of some words is taken as it is; for all else the words are named."""
        kind = kinds.one_of("colour", ("red", "green"))
        self.accepts(kind, ("red", "red"), ("green", "green"))
        for text in ("blue", "RED", ""):
            self.refuses(kind, (text, "no such colour (there are red, green)"))


class QuoteTests(SynchronousTestCase):
    """Go's %q."""

    def test_quote(self) -> None:
        """Quotes, backslashes and what cannot be printed are escaped; letters are not."""
        for text, quoted in (
            ("plain", '"plain"'),
            ('a"b\\c', '"a\\"b\\\\c"'),
            ("tab\tnew\n", '"tab\\tnew\\n"'),
            ("\x01\x7f", '"\\x01\\x7f"'),
            ("ü", '"ü"'),
            ("\u200b", '"\\u200b"'),
            ("\udcff", '"\\xff"'),
        ):
            self.assertEqual(quote(text), quoted)
