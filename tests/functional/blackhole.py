"""An address on loopback that never answers a connection attempt: a full listener."""

from __future__ import annotations

import select
import socket


class Blackhole:
    """
    Connecting to `address` hangs until `close()`.

    Linux drops the SYN of a connection that a listener has no room for, so a few unaccepted
    connections make a hole. That it is one is checked.
    """

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._fillers: list[socket.socket] = []
        while self._fill():
            assert len(self._fillers) < 64, "this kernel's listeners never fill up"

    def _fill(self) -> bool:
        """Whether one more connection found room."""
        filler = socket.socket()
        self._fillers.append(filler)
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", self.port))
        _, connected, _ = select.select([], [filler], [], 0.05)
        return bool(connected)

    def close(self) -> None:
        """Let everyone who hangs there go."""
        for filler in self._fillers:
            filler.close()
        self._listener.close()
