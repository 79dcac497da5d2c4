"""Peers by chance that send packets on several streams: DATA in all the ways in which frames can
hold it. Every choice is the seed's.
"""

from __future__ import annotations

import itertools
import random

from hpack import Encoder
from hyperframe.frame import (
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from konnect.wire import data_packet, packets
from konnect.wire.frames import PREFACE
from konnect.wire.framing import prefix
from konnect.wire.grpc import Role
from tests.wire.cut_through import ENDS, LAST, PEER_STREAMS
from tests.wire.pump import RawPeer, data
from tests.wire.test_inlet import framed, odd

SIZES = (1, 1, 2, 5, 90, 118, 119, 130, 2047, 2048, 2049, 4900)
IDS = (1, 2, 2, 127, 128, 300, 2**14, 2**21, 2**40)


class PacketScript:
    """What one peer says to a connection in `role`."""

    def __init__(self, seed: int, role: Role) -> None:
        self.chance = random.Random(seed)
        self.role = role
        self.encoder = Encoder()
        self.open: list[int] = []
        self.frames: list[Frame] = [SettingsFrame(0)]
        self.waiting: dict[int, list[Frame]] = {}
        """Frames of each stream that may come between those of others."""
        self.next = iter(PEER_STREAMS)
        choices = [self._open, *[self._messages] * 6, *[self._some] * 6, self._end, self._other]
        self._open()
        for _ in range(self.chance.randrange(5, 40)):
            self.chance.choice(choices)()
        for stream in list(self.waiting):
            self._flush(stream)

    def whole(self) -> bytes:
        """The peer's bytes."""
        preface = PREFACE if self.role is Role.SERVER else b""
        whole = preface
        for frame in self.frames:
            raw = frame.serialize()
            if len(whole) + len(raw) > LAST:
                break
            whole += raw
        return whole

    def damaged(self) -> bytes:
        """The same with some bits changed."""
        raw = bytearray(self.whole())
        for _ in range(self.chance.randrange(1, 4)):
            raw[self.chance.randrange(24, len(raw))] ^= 1 << self.chance.randrange(8)
        return bytes(raw)

    def _open(self) -> None:
        stream = next(self.next, None)
        if stream is not None:
            block = RawPeer.REQUEST if self.role is Role.SERVER else RawPeer.RESPONSE
            self._headers(stream, block)
            self.open.append(stream)

    def _headers(self, stream: int, block: tuple[tuple[bytes, bytes], ...], *flags: str) -> None:
        encoded = self.encoder.encode(block)
        self.frames.append(HeadersFrame(stream, data=encoded, flags=["END_HEADERS", *flags]))

    def _message(self) -> bytes:
        connect_id, size = self.chance.choice(IDS), self.chance.choice(SIZES)
        kind = self.chance.randrange(20)
        if kind == 0:
            return framed(odd(connect_id, b"o" * size))
        if kind == 1:
            return framed(packets.close_rsp(connect_id, "e" * (size % 100)))
        if kind == 2:
            return framed(self.chance.randbytes(size % 30))
        if kind == 3 and self.chance.random() < 0.5:
            return self.chance.choice((framed(ENDS), b"\1" + framed(b"z")[1:], prefix(5001)))
        payload = self.chance.randbytes(1) * size
        if kind == 4:  # no frame, though it looks like one
            inner = framed(data_packet.build(connect_id, b"forged"))
            payload += data(self.chance.choice(PEER_STREAMS), inner).serialize() * 2
        return framed(data_packet.build(connect_id, payload[:4900]))

    def _messages(self) -> None:
        """Some messages: each in a frame of its own, or cut and joined."""
        if not self.open:
            return
        stream = self.chance.choice(self.open)
        bodies = [self._message() for _ in range(self.chance.randrange(1, 6))]
        if self.chance.random() < 0.5:
            whole = b"".join(bodies)
            cuts = {self.chance.randrange(len(whole)) for _ in range(self.chance.randrange(5))}
            ends = sorted({0, *cuts, len(whole)})
            bodies = [whole[a:b] for a, b in itertools.pairwise(ends)]
        for body in bodies:
            pad = self.chance.choice((0,) * 19 + (9,))
            self.waiting.setdefault(stream, []).append(data(stream, body, pad=pad))

    def _some(self) -> None:
        """Some of the frames that wait."""
        if self.waiting:
            stream = self.chance.choice(list(self.waiting))
            for _ in range(self.chance.randrange(1, 4)):
                if self.waiting[stream]:
                    self.frames.append(self.waiting[stream].pop(0))

    def _flush(self, stream: int) -> None:
        self.frames += self.waiting.pop(stream, [])

    def _end(self) -> None:
        if not self.open:
            return
        stream = self.open.pop(self.chance.randrange(len(self.open)))
        if self.chance.random() < 0.3:
            self.frames.append(RstStreamFrame(stream, error_code=self.chance.randrange(14)))
            self.waiting.pop(stream, None)
            return
        self._flush(stream)
        if self.role is Role.SERVER:
            self.frames.append(data(stream, self.chance.choice((b"", framed(b""))), "END_STREAM"))
        else:
            self._headers(stream, ((b"grpc-status", b"0"),), "END_STREAM")

    def _other(self) -> None:
        stream = self.chance.choice([0, *self.open])
        size = self.chance.choice((1, 5000, 5000, 5000, 2**31 - 1 if stream else 7))
        settings = {SettingsFrame.INITIAL_WINDOW_SIZE: self.chance.randrange(100_000)}
        self.frames.append(
            self.chance.choice(
                (
                    PingFrame(0, opaque_data=self.chance.randbytes(8)),
                    WindowUpdateFrame(stream, window_increment=size),
                    SettingsFrame(0, settings),
                    data(stream or 1, b""),
                )
            )
        )
