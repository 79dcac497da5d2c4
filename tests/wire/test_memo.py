"""With the memo a connection says and tells exactly what it would without, and costs less."""

from __future__ import annotations

import itertools
from random import Random
from typing import Any
from unittest.mock import patch

from hpack import Encoder
from hyperframe.frame import (
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire import memo as memos
from konnect.wire.events import Event, MessageReceived, StreamOpened
from konnect.wire.frames import PREFACE
from konnect.wire.grpc import GrpcConnection, Limits, OpeningMemo, Role
from konnect.wire.headers import request
from konnect.wire.status import Status
from tests.wire.pump import data
from tests.wire.raw_peers import message

LIMITS = Limits(stream_window=3000, connection_window=65535, send_high=3000, send_low=500)
PATH = "/ProxyService/Proxy"


def opening(*metadata: tuple[str, str], encoder: Encoder | None = None, stream: int = 1) -> Frame:
    """The HEADERS of a request."""
    block = (encoder or Encoder()).encode(request(PATH, "localhost", "http", metadata))
    return HeadersFrame(stream, block, flags=["END_HEADERS"])


def bytes_of(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


HELLO = PREFACE + bytes_of(SettingsFrame(0, settings={4: 65535}), WindowUpdateFrame(0, 983041))
ACK = bytes_of(SettingsFrame(0, flags=["ACK"]))


class Server:
    """A server's connection, and everything that it has said and told."""

    def __init__(self, memo: OpeningMemo | None) -> None:
        self.wire = GrpcConnection(Role.SERVER, LIMITS, memo=memo)
        self.wire.start()
        self.log: list[Any] = []
        self.streams: list[int] = []
        self.flush()

    def hear(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.tell(self.wire.receive(piece))
            self.flush()

    def flush(self) -> None:
        self.log.append(self.wire.output())
        self.tell(self.wire.pending())

    def tell(self, events: list[Event]) -> None:
        self.log += events
        for event in events:
            if isinstance(event, StreamOpened):
                self.streams.append(event.stream_id)
            elif isinstance(event, MessageReceived):
                self.wire.acknowledge(event.stream_id, event.cost)

    def serve(self) -> None:
        """What a proxy does with a stream, from its first answer to its end."""
        for stream in self.streams:
            self.wire.send_message(stream, b"answer")
            self.flush()
            self.wire.end_stream(stream)
            self.flush()


class MemoTestCase(SynchronousTestCase):
    """Connections with a memo and without one."""

    def setUp(self) -> None:
        self.memo = OpeningMemo(LIMITS)

    def both(self, *pieces: bytes) -> Server:
        """A connection with the memo, after one without it has shown what is right."""
        plain, server = Server(None), Server(self.memo)
        for one in (plain, server):
            one.hear(*pieces)
            one.serve()
        self.assertEqual(server.log, plain.log)
        return server


class MemoTests(MemoTestCase):
    def test_second_connection(self) -> None:
        """The second connection that says the same has no h2, from its opening to its end."""
        ask = bytes_of(opening(), data(1, message(b"dial")))
        for made in (1, 1, 1):
            server = self.both(HELLO + ask, ACK, bytes_of(RstStreamFrame(1, 8)))
            self.assertEqual(server.streams, [1])
            self.assertEqual(self.memo.made, made)
        self.assertEqual(self.memo.begun, 3)

    def test_pieces(self) -> None:
        """Frames may come in one read or in many."""
        whole = HELLO + bytes_of(opening(), data(1, message(b"dial"))) + ACK
        self.both(whole)
        self.both(HELLO, whole[len(HELLO) :])
        self.assertEqual(self.memo.made, 1)
        # The parts of a frame are not remembered: such a connection goes on with its own h2.
        self.both(*(whole[i : i + 1] for i in range(len(whole))))
        self.assertEqual(self.memo.made, 2)

    def test_another_request(self) -> None:
        """A request that differs in one header is its own, and is remembered as well."""
        for name, made in (("x", 1), ("y", 2), ("x", 2), ("y", 2)):
            server = self.both(HELLO, bytes_of(opening(("who", name))))
            self.assertIn(("who", name), server.log[-4].metadata)
            self.assertEqual(self.memo.made, made)

    def test_windows_and_frames_of_the_peer(self) -> None:
        """What the peer's SETTINGS say holds for a remembered connection too."""
        settings = PREFACE + bytes_of(SettingsFrame(0, settings={4: 7, 5: 20000}))
        for _ in range(2):
            self.both(settings, bytes_of(opening()), bytes_of(WindowUpdateFrame(1, 70000)))
        self.assertEqual(self.memo.made, 1)

    def test_ping(self) -> None:
        """PINGs are answered and asked, whatever they carry, without an h2."""
        for n in range(50):
            server = self.both(HELLO, bytes_of(PingFrame(0, b"%08d" % n)))
            self.assertIn(PingFrame(0, b"%08d" % n, flags=["ACK"]).serialize(), server.log)
            server.wire.ping(b"keepaliv")
            server.flush()
            self.assertEqual(server.log[-1], PingFrame(0, b"keepaliv").serialize())
            server.hear(bytes_of(PingFrame(0, b"keepaliv", flags=["ACK"])))
            self.assertEqual(server.log[-2].payload, b"keepaliv")
            with self.assertRaises(ValueError):
                server.wire.ping(b"short")
        self.assertEqual(self.memo.made, 1)

    def test_a_second_stream(self) -> None:
        """A connection that opens more streams goes on as without the memo."""
        encoder = Encoder()
        frames = [opening(("n", str(n)), encoder=encoder, stream=n) for n in range(1, 99, 2)]
        for _ in range(2):
            server = self.both(HELLO, *map(bytes_of, frames))
            self.assertEqual(len(server.streams), 49)

    def test_answers(self) -> None:
        """Whichever of two streams is answered first, and with what headers, the client is sent
        what it would be sent without the memo; after the first time all of it is known."""
        encoder = Encoder()
        asked = HELLO + bytes_of(*(opening(encoder=encoder, stream=n) for n in (1, 3)))
        for order, own in itertools.product(((1, 3), (3, 1)), (False, True)):
            for time in range(3):
                made = self.memo.made
                plain, server = Server(None), Server(self.memo)
                for one in (plain, server):
                    one.hear(asked)
                    for stream in order:
                        if own:
                            one.wire.send_headers(stream, [("own", "1")])
                        one.wire.send_message(stream, b"answer")
                        one.flush()
                self.assertEqual(server.log, plain.log)
                self.assertEqual(self.memo.made - made, int(not time))

    def test_an_answer_that_was_forgotten(self) -> None:
        """The usual answer is known as long as the state that it belongs to."""
        pieces = HELLO, bytes_of(opening())
        self.both(*pieces)
        with patch.object(memos, "STEPS", 2):
            self.both(*pieces, bytes_of(opening(stream=3)))
        self.both(*pieces)

    def test_what_is_in_use_stays(self) -> None:
        """A client's whole tunnel, however many others come that say something new."""
        pieces = HELLO, bytes_of(opening()), ACK
        self.both(*pieces)
        self.both(*pieces)
        with patch.object(memos, "STEPS", 12):
            for n in range(20):
                self.both(HELLO, bytes_of(opening(("n", str(n)))))
                made = self.memo.made
                self.both(*pieces)
                self.assertEqual(self.memo.made, made)

    def test_what_is_forgotten_is_let_go(self) -> None:
        """A state and the answer to it, which know each other, are not left to the collector."""
        self.both(HELLO, bytes_of(opening()))
        asked = [step for step in self.memo._steps.values() if step.response is not None]
        self.assertEqual(len(asked), 1)
        with patch.object(memos, "STEPS", 10):
            for n in range(20):
                self.both(HELLO, bytes_of(opening(("n", str(n)))))
        self.assertIsNone(asked[0].response)

    def test_malformed(self) -> None:
        """What h2 refuses is refused each time, with the same words."""
        ping_on_a_stream = bytearray(PingFrame(0, b"12345678").serialize())
        ping_on_a_stream[8] = 1
        bad_setting = SettingsFrame(0, settings={2: 9}).serialize()
        for broken in (bad_setting, bytes(ping_on_a_stream), opening().serialize()):
            for _ in range(2):
                self.assertTrue(self.both(HELLO, bytes_of(opening()) + broken).wire.closed)
        for _ in range(2):
            self.assertTrue(self.both(b"GET / HTTP/1.1\r\n\r\n").wire.closed)

    def test_bounds(self) -> None:
        """A client that says ever new things fills the memo up to its bounds, and no more."""
        self.both(HELLO, bytes_of(opening(("n", "0"))))
        for n in range(memos.STEPS):
            Server(self.memo).hear(HELLO, bytes_of(opening(("n", str(n)))), ACK)
            self.assertLessEqual(len(self.memo), memos.STEPS)
        # Others were not forgotten meanwhile, if they came now and then.
        made = self.memo.made
        Server(self.memo).hear(HELLO)
        self.assertEqual(self.memo.made, made)

    def test_large(self) -> None:
        """Large things are not remembered: neither long frames nor blocks that decode to much."""
        known = len(self.memo)
        self.both(HELLO, bytes_of(opening(("n", "x" * memos.LONGEST))))
        before = len(self.memo)
        self.assertGreater(before, known)
        encoder = Encoder()
        again = [("n", "x" * 500)] * 20
        block = opening(*again, encoder=encoder).serialize()
        self.assertLess(len(block), memos.LONGEST)
        self.both(HELLO, block)
        self.assertEqual(len(self.memo), before)


class FuzzTests(SynchronousTestCase):
    """Seeded conversations, with and without the memo, and each of them again."""

    def test_same(self) -> None:
        memo = OpeningMemo(LIMITS)
        for seed in [n % 100 for n in range(300)]:
            plain = self.converse(Random(seed), None)
            self.assertEqual(self.converse(Random(seed), memo), plain, f"seed {seed}")
        self.assertGreater(len(memo), 100)
        self.assertLess(memo.made, 280)

    def converse(self, random: Random, memo: OpeningMemo | None) -> list[Any]:
        """One conversation, the same for the same state of `random`."""
        server, encoder = Server(memo), Encoder()
        server.hear(HELLO)
        for _ in range(random.randrange(1, 25)):
            stream = random.choice((1, 1, 1, 3, 5))
            act = random.randrange(12)
            if act < 8:
                said = bytes_of(self.frame(random, act, stream, encoder))
                if random.random() < 0.05:
                    said = bytearray(said)  # type: ignore[assignment]
                    said[random.randrange(len(said))] ^= 1 << random.randrange(8)  # type: ignore[index]
                cut = random.randrange(len(said)) if random.random() < 0.05 else 0
                server.hear(bytes(said[:cut]), bytes(said[cut:]))
            elif act == 8:
                server.wire.send_message(stream, b"x" * random.choice((5, 5, 5, 9000)))
            elif act == 9:
                server.wire.end_stream(stream, random.choice((Status.OK, Status.INTERNAL)), "why")
            elif act == 10:
                server.wire.reset_stream(stream)
            else:
                server.wire.goaway() if random.random() < 0.2 else server.wire.ping(b"keepaliv")
            server.flush()
        server.tell(server.wire.connection_lost())
        return server.log

    def frame(self, random: Random, kind: int, stream: int, encoder: Encoder) -> Frame:
        if kind < 2:
            name = random.choice(("a", "b"))
            return opening((name, "c"), encoder=encoder, stream=stream)
        if kind == 2:
            flags = random.choice(([], [], ["END_STREAM"]))
            return data(stream, message(b"m" * random.choice((1, 40, 4000))), *flags)
        if kind == 3:
            return SettingsFrame(0, flags=["ACK"])
        if kind == 4:
            code = random.choice((1, 4, 5))
            return SettingsFrame(0, settings={code: random.choice((100, 20000))})
        if kind == 5:
            return RstStreamFrame(stream, 8)
        if kind == 6:
            return PingFrame(0, random.randbytes(8), flags=random.choice(([], ["ACK"])))
        return random.choice((WindowUpdateFrame(stream, 500), PriorityFrame(stream, 0, 15)))
