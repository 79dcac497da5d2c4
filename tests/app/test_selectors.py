"""Tests of konnect.app.selectors. Accepted and refused are as at upstream's agent."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.selectors import read_selector

PREFIX = "unable to parse requirement: "
VALUES = "expected: ',', ')' or identifier"


class SelectorTests(SynchronousTestCase):
    """What is a label selector."""

    def test_accepted(self) -> None:
        """Selectors are taken as they are; an empty one is everything."""
        for text in (
            "",
            "k8s-app=konnectivity-server",
            "a",
            "!a",
            "a,b",
            "a==b",
            "a != b",
            "a=",
            "a=,b",
            "a>1,b<2",
            "x.y/z=1",
            "a in (b,c),d notin (e)",
            "a in(b,c)",
            "a in ()",
            "a in (b,)",
            "in",
            "a=in",
        ):
            self.assertEqual(read_selector(text), text)

    def test_refused(self) -> None:
        """What is none is refused in the words of Kubernetes' library."""
        for text, problem in (
            ("a in", PREFIX + "found '' expected: '('"),
            ("a in b", PREFIX + "found 'b' expected: '('"),
            ("a in (", PREFIX + "found '', " + VALUES),
            ("a in (b", PREFIX + "found '', expected: ',' or ')'"),
            ("a in (b c)", PREFIX + "found 'c', expected: ',' or ')'"),
            ("a in (b,", PREFIX + "found '', " + VALUES),
            ("!", PREFIX + "found '', expected: identifier"),
            ("!!a", PREFIX + "found '!', expected: identifier"),
            ("a b", PREFIX + "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a=(b)", PREFIX + "found '(', expected: identifier"),
            ("a=>b", PREFIX + "found '>', expected: identifier"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a=b!=c", "found '!=', expected: ',' or 'end of string'"),
            ("a=b,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("()", "found '(', expected: !, identifier, or 'end of string'"),
        ):
            error = self.assertRaises(ValueError, read_selector, text)
            self.assertEqual(str(error), problem, text)

    def test_bad_names(self) -> None:
        """Keys and values have to be such that a label can have them."""
        for text in ("-x=y", "x/y/z=1", "X.y/z", "a=-b", "a in (b,-c)", "a>x", "a=" + "b" * 64):
            error = self.assertRaises(ValueError, read_selector, text)
            self.assertIn("Invalid value: ", str(error))
