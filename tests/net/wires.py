"""Two protocols joined in memory, by transports whose kernel is the test."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IProtocol

from tests.fakes import FakeSocket


class Wire:
    """A connection. `run` carries bytes and ends; a side that is `held` gets nothing."""

    def __init__(self, client: IProtocol, server: IProtocol, *, limit: int = 1 << 16) -> None:
        self.client = FakeSocket(limit=limit)
        self.server = FakeSocket(limit=limit)
        self.held: set[FakeSocket] = set()
        self.server.connect(server)
        self.client.connect(client)

    def run(self) -> None:
        """Carry everything until both sides are silent."""
        while self._carry(self.client, self.server) | self._carry(self.server, self.client):
            pass

    def _carry(self, source: FakeSocket, target: FakeSocket) -> bool:
        if target in self.held:
            return False
        log = source.take()
        for entry in log:
            if entry[0] == "write":
                if not target.gone:
                    target.protocol.dataReceived(entry[1])
            elif not target.gone:
                aborted = entry == "abort"
                target.lose(ConnectionLost() if aborted else ConnectionDone())
                if not source.gone:
                    source.lose(ConnectionDone())
        if log:
            source.drain()
        return bool(log)
