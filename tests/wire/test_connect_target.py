"""The destination named by a CONNECT request."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.connect_target import MAX_TARGET, BadTarget, address_of, is_host_header

HOST = "from.host:1"
PARTS = ["a:80", "@", "[", "]", "::1", "%25", "%0d", "%00", "%41", "/", "?", ".", "\x00", "ö"]


class TargetTests(SynchronousTestCase):
    """What upstream makes of targets."""

    def test_addresses(self) -> None:
        """Targets are passed on as they stand; user information, path and query are cut off."""
        for target, address in {
            "foo": "foo",
            "FOO:80": "FOO:80",
            "foo:": "foo:",
            ":80": ":80",
            "foo:99999": "foo:99999",
            "[::1]:443": "[::1]:443",
            "[::1]": "[::1]",
            "[::ffff:1.2.3.4]:80": "[::ffff:1.2.3.4]:80",
            "[fe80::1%25eth0]:443": "[fe80::1%eth0]:443",
            "user@foo:80": "foo:80",
            "user:p%20w@foo:80": "foo:80",
            "a@b@foo:80": "foo:80",
            "@foo:80": "foo:80",
            "foo:80/x": "foo:80",
            "foo:80?x=1": "foo:80",
            "http://foo:80/x": "http:",
            "*": "*",
            "föö:80": "föö:80",
            "f%C3%B6o:80": "föo:80",
            "f%25o:80": "f%o:80",
            "foo]:80": "foo]:80",
            "f,o;o=a!$&'()*+~_<>\":80": "f,o;o=a!$&'()*+~_<>\":80",
        }.items():
            self.assertEqual(address_of(target.encode(), HOST), address, target)

    def test_host_instead(self) -> None:
        """A target without an authority means the Host header, which may be absent."""
        for target in (b"/", b"/x", b"//foo:80/x", b"", b"?x", b"user@", b"user@/x"):
            self.assertEqual(address_of(target, HOST), HOST, target)
        self.assertEqual(address_of(b"/x", ""), "")

    def test_nonsense(self) -> None:
        """What names no destination is refused."""
        for target in (
            "::1",
            "a:b:c",
            "a:1:2",
            "foo:http",
            "foo:-1",
            "foo:80#x",
            "[::1",
            "[foo]:80",
            "[1.2.3.4]:80",
            "[::1]x:80",
            "[::1]:x",
            "[::1%eth0]:80",
            "[::1%25]:80",
            "[::1%25%0a]:80",
            "[::1%25a%2fb]:80",
            "x[::1]:80",
            "fo%6f:80",
            "fo%20o:80",
            "fo%o:80",
            "fo\\o:80",
            "fo^o:80",
            "fo{o:80",
            "fo|o:80",
            "fo`o:80",
            "us[er@foo:80",
            "user%zz@foo:80",
            "f%ffo:80",
        ):
            self.assertRaises(BadTarget, address_of, target.encode(), HOST)
        self.assertRaises(BadTarget, address_of, b"f\xffo:80", HOST)

    def test_length(self) -> None:
        """A target over the limit is refused, one at the limit is not."""
        self.assertEqual(address_of(b"a" * MAX_TARGET, HOST), "a" * MAX_TARGET)
        self.assertRaises(BadTarget, address_of, b"a" * (MAX_TARGET + 1), HOST)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(PARTS)))
    def test_addresses_are_clean(self, parts: list[str]) -> None:
        """An address never holds a control character, a space, or user information."""
        try:
            address = address_of("".join(parts).encode(), "")
        except BadTarget:
            return
        self.assertFalse(any(c <= " " or c in "\x7f/?@" for c in address), address)


class HostHeaderTests(SynchronousTestCase):
    """Host headers."""

    def test_host_headers(self) -> None:
        """Only what may be in an authority may be in a Host header."""
        for value in ("", "a", "a.b:80", "[::1]:80", "%zz"):
            self.assertTrue(is_host_header(value), value)
        for value in ("a b", "a/b", "a@b", 'a"b', "ö", "a\x00"):
            self.assertFalse(is_host_header(value), value)
