"""Clients by chance: what they say is valid HTTP/2 and gRPC, and every choice is the seed's.

`hostile` makes one thing wrong in it.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from konnect.wire.frames import HEAD_SIZE, PREFACE
from konnect.wire.framing import prefix
from tests.wire.pump import RawPeer, data

WINDOWS = (0, 1, 16384, 65535, 65536, 2**31 - 1 - 65535, 2**31 - 65535, 2**31 - 2, 2**31 - 1)
"""Increments around every limit."""


def as_bytes(frames: list[Frame | bytes]) -> bytes:
    """The client's bytes, preface included."""
    return PREFACE + b"".join(f if isinstance(f, bytes) else f.serialize() for f in frames)


class Script:
    """One client. `frames` is what it says after the preface."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.encoder = Encoder()
        self.next = 1
        self.open: list[int] = []
        self.frames: list[Frame | bytes] = [SettingsFrame(0)]
        self.sent: dict[int, bytes] = {}
        """The messages with their prefixes, of each stream that has any."""
        choices: list[Callable[[], None]] = [
            self._open,
            self._message,
            self._message,
            self._message,
            self._half_close,
            self._reset,
            self._ping,
            self._widen,
            self._setting,
            self._unimportant,
        ]
        self._open()
        for _ in range(self.chance.randrange(3, 18)):
            self.chance.choice(choices)()

    def _open(self) -> None:
        block = self.encoder.encode([*RawPeer.REQUEST, (b"x-%d" % self.next, b"y" * 20)])
        flags = ["END_STREAM"] if self.chance.random() < 0.1 else []
        cuts = sorted(self.chance.randrange(len(block)) for _ in range(self.chance.randrange(3)))
        parts = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
        frames: list[Frame] = [HeadersFrame(self.next, data=parts[0], flags=flags)]
        frames += [ContinuationFrame(self.next, data=part) for part in parts[1:]]
        frames[-1].flags.add("END_HEADERS")
        self.frames += frames
        if not flags:
            self.open.append(self.next)
        self.next += 2 * self.chance.randrange(1, 3)

    def _message(self) -> None:
        if not self.open:
            return
        stream = self.chance.choice(self.open)
        sizes = [self.chance.choice((0, 1, 60, 3000)) for _ in range(self.chance.randrange(1, 3))]
        body = b"".join(prefix(size) + b"m" * size for size in sizes)
        self.sent[stream] = self.sent.get(stream, b"") + body
        while body:
            size = self.chance.randrange(1, len(body) + 1)
            pad = self.chance.choice((0, 0, 0, 7, 255))
            self.frames.append(data(stream, body[:size], pad=pad))
            body = body[size:]

    def _half_close(self) -> None:
        if self.open:
            stream = self.open.pop(self.chance.randrange(len(self.open)))
            body = self.chance.choice((b"", prefix(1) + b"z"))
            if body:
                self.sent[stream] = self.sent.get(stream, b"") + body
            self.frames.append(data(stream, body, "END_STREAM"))

    def _reset(self) -> None:
        if self.open:
            stream = self.open.pop(self.chance.randrange(len(self.open)))
            self.frames.append(RstStreamFrame(stream, error_code=self.chance.randrange(14)))

    def _ping(self) -> None:
        self.frames.append(PingFrame(0, opaque_data=self.chance.randbytes(8)))

    def _widen(self) -> None:
        stream = self.chance.choice([0, *self.open])
        self.frames.append(
            WindowUpdateFrame(stream, window_increment=self.chance.randrange(1, 9999))
        )

    def _setting(self) -> None:
        frame = SettingsFrame(0)
        frame.settings = {SettingsFrame.INITIAL_WINDOW_SIZE: self.chance.randrange(100_000)}
        self.frames.append(frame)

    def _unimportant(self) -> None:
        stream = self.chance.choice([self.next + 100, *self.open])
        self.frames.append(
            self.chance.choice(
                (
                    PriorityFrame(stream, depends_on=0, stream_weight=3),
                    _frame(0xFA, 0, stream, b"of no known kind"),
                )
            )
        )

    def cut(self, whole: bytes) -> list[bytes]:
        """The bytes in pieces, cut anywhere."""
        cuts = sorted(self.chance.randrange(len(whole)) for _ in range(self.chance.randrange(12)))
        return [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]

    def hostile(self) -> bytes:
        """The bytes with one wrong thing among them."""
        frames = list(self.frames)
        place = self.chance.randrange(1, len(frames) + 1)
        wrong = self.chance.randrange(4)
        stream = self.chance.choice((0, 1, 2, 3, self.next, *self.open))
        if wrong == 0:
            reserved = self.chance.choice((0, 1 << 31))
            frames.insert(place, _window(stream, reserved | self.chance.choice(WINDOWS)))
        elif wrong == 1:
            value = self.chance.choice((*WINDOWS, 2**31, 2**32 - 1))
            kind = self.chance.choice((1, 2, 3, 4, 5, 6))
            body = kind.to_bytes(2) + value.to_bytes(4)
            frames.insert(place, _frame(4, 0, 0, body))
        elif wrong == 2:
            body = self.chance.randbytes(self.chance.choice((0, 1, 4, 5, 8, 20)))
            kind, flags = self.chance.randrange(11), self.chance.choice((0, 1, 4, 5, 8, 9, 0x20))
            frames.insert(place, _frame(kind, flags, stream, body))
        else:
            place = min(place, len(frames) - 1)
            frame = frames[place]
            raw = bytearray(frame if isinstance(frame, bytes) else frame.serialize())
            raw[self.chance.randrange(HEAD_SIZE)] ^= 1 << self.chance.randrange(8)
            frames[place] = bytes(raw)
        return as_bytes(frames)


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


def _window(stream: int, increment: int) -> bytes:
    return _frame(8, 0, stream, increment.to_bytes(4))
