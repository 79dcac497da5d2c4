"""Tests of konnect.wire.status."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.status import (
    ErrorCode,
    Status,
    code_name,
    decode_message,
    encode_message,
    from_http,
    from_reset,
    from_text,
)


class MappingTests(SynchronousTestCase):
    def test_resets(self) -> None:
        """RST_STREAM codes map as gRPC lays down; what it does not name is INTERNAL."""
        self.assertEqual(from_reset(ErrorCode.CANCEL), Status.CANCELLED)
        self.assertEqual(from_reset(ErrorCode.REFUSED_STREAM), Status.UNAVAILABLE)
        self.assertEqual(from_reset(ErrorCode.ENHANCE_YOUR_CALM), Status.RESOURCE_EXHAUSTED)
        self.assertEqual(from_reset(ErrorCode.INADEQUATE_SECURITY), Status.PERMISSION_DENIED)
        self.assertEqual(from_reset(ErrorCode.NO_ERROR), Status.INTERNAL)
        self.assertEqual(from_reset(0xBEEF), Status.INTERNAL)

    def test_http(self) -> None:
        """HTTP statuses map as gRPC lays down; what it does not name is UNKNOWN."""
        self.assertEqual(from_http(404), Status.UNIMPLEMENTED)
        self.assertEqual(from_http(503), Status.UNAVAILABLE)
        self.assertEqual(from_http(418), Status.UNKNOWN)

    def test_text(self) -> None:
        """Only the codes themselves are codes."""
        self.assertEqual(from_text("0"), Status.OK)
        self.assertEqual(from_text("16"), Status.UNAUTHENTICATED)
        for text in ("", "17", "-1", "+1", " 1", "1x", "٣", "9" * 5000):
            self.assertEqual(from_text(text), Status.UNKNOWN, text)

    def test_code_names(self) -> None:
        """Known codes have names, others are written as numbers."""
        self.assertEqual(code_name(8), "CANCEL")
        self.assertEqual(code_name(99), "99")


class MessageTests(SynchronousTestCase):
    @given(st.text())
    def test_round_trip(self, text: str) -> None:
        """Any text survives, and its encoding is a legal header value."""
        encoded = encode_message(text)
        self.assertTrue(re.fullmatch(rb"([!-~]([ -~]*[!-~])?)?", encoded), encoded)
        self.assertEqual(
            decode_message(encoded.decode("ascii")), text.encode("utf-8", "replace").decode()
        )

    def test_plain_text_stays_readable(self) -> None:
        """Only the percent sign and what is not printable ASCII is encoded."""
        self.assertEqual(encode_message('100% "ok"\n'), b'100%25 "ok"%0A')

    def test_spaces_at_the_ends(self) -> None:
        """A header value neither begins nor ends with a space, so those are encoded."""
        self.assertEqual(encode_message(" a b "), b"%20a b%20")
        self.assertEqual(encode_message(" "), b"%20")

    def test_bad_encoding_is_kept(self) -> None:
        """A message that is badly encoded is shown as it came."""
        self.assertEqual(decode_message("50% of %zz and %"), "50% of %zz and %")
        self.assertEqual(decode_message("%FF"), "\N{REPLACEMENT CHARACTER}")
