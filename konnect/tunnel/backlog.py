"""Bytes that wait for a slow reader, in the order they came; counted in the ledger."""

from __future__ import annotations

from collections import deque
from typing import cast

from konnect.tunnel.ends import Bytes
from konnect.tunnel.ledger import Ledger


class Backlog:
    """A queue of bytes whose size is part of `Ledger.buffered` as long as it holds them."""

    __slots__ = ("_ledger", "_pieces", "size")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # Made when it is needed: an empty deque takes 760 bytes, and most tunnels never have a
        # backlog.
        self._pieces: deque[Bytes] | None = None
        self.size = 0
        """Bytes held."""

    def put(self, data: Bytes) -> None:
        """Hold `data` behind the rest; a view is copied."""
        if self._pieces is None:
            self._pieces = deque()
        self._pieces.append(bytes(data))
        self.size += len(data)
        ledger = self._ledger
        ledger.buffered += len(data)
        if ledger.buffered > ledger.crowd:
            ledger.crowded()

    def take(self, most: int) -> Bytes:
        """Remove and return the next bytes: at most `most`, at most one piece; empty when none
        are held. A part of a piece is a view."""
        if not self._pieces:
            return b""
        piece = self._pieces[0]
        if len(piece) > most:
            view = memoryview(piece)
            rest = view[most:]
            # A view keeps the whole alive, so what is held is at most twice what is counted.
            self._pieces[0] = rest if 2 * len(rest) > len(cast(bytes, view.obj)) else bytes(rest)
            piece = view[:most]
        else:
            self._pieces.popleft()
        self.size -= len(piece)
        self._ledger.buffered -= len(piece)
        return piece

    def drop(self) -> None:
        """Forget everything."""
        self._ledger.buffered -= self.size
        self._pieces = None
        self.size = 0
