"""Tests of konnect.wire.quiet."""

from __future__ import annotations

from hyperframe.frame import DataFrame
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import quiet
from konnect.wire.grpc import Role
from tests.wire.pump import RawPeer, data


class QuietTests(SynchronousTestCase):
    def test_repr_does_not_look_at_the_body(self) -> None:
        """The repr of a DATA frame says how long its body is."""
        quiet.install()
        text = repr(DataFrame(1, data=b"secret"))
        self.assertIn("<6 bytes>", text)
        self.assertNotIn(b"secret".hex(), text)

    def test_still_needed(self) -> None:
        """h2 formats received DATA frames. When this fails, delete konnect/wire/quiet.py."""
        formatted: list[DataFrame] = []

        def spy(frame: DataFrame) -> str:
            formatted.append(frame)
            return ""

        self.patch(DataFrame, "_body_repr", spy)
        peer = RawPeer(Role.SERVER)
        peer.send(peer.headers(1), data(1, b"\0\0\0\0\1x"))
        self.assertEqual(len(formatted), 1)
