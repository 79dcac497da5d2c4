"""Request heads in pieces, and large ones: the outcome is that of the bytes, not of their split."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.connect import MAX_HEAD, ConnectRequest, HeadReader, Refused
from tests.wire.test_connect import Outcome, read


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` in pieces."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def request(data: bytes) -> ConnectRequest:
    """`data` is a request."""
    outcome = read(data)
    assert isinstance(outcome, ConnectRequest), outcome
    return outcome


class SplitTests(SynchronousTestCase):
    """The same bytes give the same outcome, however they are split."""

    INPUTS = (
        b"CONNECT foo:80 HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n c\r\n\r\nearly \r\n\r\n bytes",
        b"CONNECT foo:80 HTTP/1.1\n\r\nearly",
        b"CONNECT foo:80 HTTP/1.0\n\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        b"CONNECT foo:80 HTTP/1.1\r\nbad\r\n\r\n",
        b"CONNECT foo:80 HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\n\n",
        b"hello\n\n",
        b"\r\n\r\n",
        b"CONNECT foo:80 HTTP/1.1\r\nHost",
    )

    def check(self, data: bytes, pieces: list[bytes]) -> None:
        """Pieces and whole agree; early bytes and rest count together with what was not given."""
        whole, reader, given_bytes = read(data), HeadReader(), 0
        outcome: Outcome = None
        for piece in pieces:
            given_bytes += len(piece)
            outcome = reader.receive(piece)
            if outcome is not None:
                break
        left = data[given_bytes:]
        if isinstance(outcome, ConnectRequest) and isinstance(whole, ConnectRequest):
            self.assertEqual(outcome.early + left, whole.early)
            self.assertEqual(
                (outcome.address, outcome.headers, outcome.user_agent, outcome.version),
                (whole.address, whole.headers, whole.user_agent, whole.version),
            )
        elif isinstance(outcome, Refused) and isinstance(whole, Refused):
            self.assertEqual(
                (outcome.response, outcome.keep_alive, outcome.why),
                (whole.response, whole.keep_alive, whole.why),
            )
            self.assertEqual(outcome.rest + left if outcome.keep_alive else b"", whole.rest)
        else:
            self.assertIs(outcome, None)
            self.assertIs(whole, None)

    def test_byte_by_byte(self) -> None:
        """One byte at a time."""
        for data in self.INPUTS:
            self.check(data, [bytes([byte]) for byte in data])

    def test_two_pieces(self) -> None:
        """Every split in two."""
        for data in self.INPUTS:
            for cut in range(len(data) + 1):
                self.check(data, [data[:cut], data[cut:]])

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_any_split(self, data: st.DataObject) -> None:
        """Any split, of good and of damaged heads."""
        message = bytearray(data.draw(st.sampled_from(self.INPUTS)))
        for place, byte in data.draw(
            st.lists(
                st.tuples(st.integers(0, 500), st.sampled_from(b"\r\n :\x00\x16a")), max_size=3
            )
        ):
            message.insert(place % (len(message) + 1), byte)
        cuts = data.draw(st.lists(st.integers(0, 1000), max_size=6))
        self.check(bytes(message), split_at(bytes(message), cuts))


class LimitTests(SynchronousTestCase):
    """Large heads."""

    def check_431(self, data: bytes) -> None:
        """`data` is refused for its size."""
        outcome = read(data)
        assert isinstance(outcome, Refused), outcome
        self.assertTrue(outcome.response.startswith(b"HTTP/1.1 431 "), outcome)

    START = b"CONNECT foo:80 HTTP/1.1\r\nA: "

    def test_largest(self) -> None:
        """A head of exactly MAX_HEAD bytes is served, in one piece and in many."""
        filler = b"a" * (MAX_HEAD - len(self.START) - 4)
        data = self.START + filler + b"\r\n\r\n" + b"early"
        self.assertEqual(request(data).early, b"early")
        pieces = [data[i : i + 65536] for i in range(0, len(data), 65536)]
        self.assertIsInstance(read(*pieces), ConnectRequest)

    def test_too_large(self) -> None:
        """One byte more is 431, whether or not the head would have ended there."""
        filler = b"a" * (MAX_HEAD - len(self.START) - 3)
        data = self.START + filler + b"\r\n\r\n"
        self.check_431(data)
        self.check_431(self.START + b"a" * MAX_HEAD)
        self.assertIs(read(data[:MAX_HEAD]), None)
        outcome = read(data[:MAX_HEAD], data[MAX_HEAD:])
        assert isinstance(outcome, Refused)
        self.assertEqual(outcome.why, f"the head is longer than {MAX_HEAD} bytes")

    def test_endless_first_line(self) -> None:
        """A first line that never ends is 431 too."""
        self.check_431(b"CONNECT " + b"a" * MAX_HEAD)
        self.check_431(b"a" * MAX_HEAD + b" nonsense\n")

    def test_too_many_headers(self) -> None:
        """A thousand header lines are served, more are 431."""
        line = b"CONNECT foo:80 HTTP/1.1\r\n"
        self.assertEqual(len(request(line + b"a:\n" * 1000 + b"\n").headers), 1000)
        self.check_431(line + b"a:\n" * 1001 + b"\n")

    def test_received(self) -> None:
        """The reader says how much of a head it holds, for whoever gives up waiting."""
        reader = HeadReader()
        reader.receive(b"CONN")
        self.assertEqual(reader.received, 4)
