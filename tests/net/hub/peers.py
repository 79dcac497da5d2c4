"""Plain sockets and what tests ask of them, without threads: every wait polls and is bounded."""

from __future__ import annotations

import socket
import ssl
import struct
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.functional.waiting import until

_BUSY = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Remote:
    """The other end of a connection: a plain Python socket, or one with Python's own TLS."""

    def __init__(self, sock: Any) -> None:
        sock.setblocking(False)
        self.sock = sock

    async def secure(self, context: ssl.SSLContext, *, server: bool, name: str = "") -> None:
        """Put TLS on the socket and shake hands."""
        self.sock = context.wrap_socket(
            self.sock,
            server_side=server,
            server_hostname=None if server else name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
        )
        await until(lambda: self._attempt(self.sock.do_handshake) is not _BUSY, "a handshake")

    @staticmethod
    def _attempt(call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except _BUSY:
            return _BUSY

    async def say(self, data: bytes) -> None:
        """Send all of it."""
        view = memoryview(data)

        def sent() -> bool:
            nonlocal view
            count = self._attempt(self.sock.send, view)
            if count is not _BUSY:
                view = view[count:]
            return not view

        await until(sent, "everything is sent")

    async def hear(self, count: int) -> bytes:
        """The next `count` bytes, fewer if the stream ends before."""
        heard = bytearray()

        def enough() -> bool:
            while len(heard) < count:
                data = self._attempt(self.sock.recv, min(65536, count - len(heard)))
                if data is _BUSY:
                    return False
                if not data:
                    return True
                heard.extend(data)
            return True

        await until(enough, f"{count} bytes")
        return bytes(heard)

    async def end(self) -> str:
        """How the stream ends, with nothing left to read: "end", "reset" or "truncated"."""

        def seen() -> str:
            try:
                data = self._attempt(self.sock.recv, 65536)
            except ConnectionResetError:
                return "reset"
            except ssl.SSLEOFError:
                return "truncated"
            if data is _BUSY:
                return ""
            assert not data, f"more bytes: {data[:80]!r}"
            return "end"

        return await until(seen, "the stream's end")

    def silent(self) -> bool:
        """Whether there is nothing to read, not even an end."""
        return self._attempt(self.sock.recv, 1) is _BUSY

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


class Recorder(Protocol):
    """Notes what its transport tells it."""

    def __init__(self) -> None:
        self.made = 0
        self.received = bytearray()
        self.calls: list[str] = []
        self.reasons: list[Failure] = []

    def connectionMade(self) -> None:
        self.made += 1

    def dataReceived(self, data: bytes) -> None:
        assert type(data) is bytes
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.calls.append("connectionLost")
        self.reasons.append(reason)

    @property
    def lost(self) -> bool:
        return bool(self.reasons)

    @property
    def wire(self) -> Any:
        """The transport."""
        return self.transport


@implementer(IHalfCloseableProtocol)
class HalfRecorder(Recorder):
    """A recorder that knows half-close."""

    def readConnectionLost(self) -> None:
        self.calls.append("readConnectionLost")

    def writeConnectionLost(self) -> None:
        self.calls.append("writeConnectionLost")


@implementer(IHandshakeListener)
class TlsRecorder(Recorder):
    """A recorder that is told of TLS handshakes."""

    def handshakeCompleted(self) -> None:
        self.calls.append("handshakeCompleted")


@implementer(IHalfCloseableProtocol)
class HalfTlsRecorder(TlsRecorder):
    """Both."""

    def readConnectionLost(self) -> None:
        self.calls.append("readConnectionLost")

    def writeConnectionLost(self) -> None:
        self.calls.append("writeConnectionLost")


class Keeping(Factory):
    """Makes protocols of one kind and keeps them."""

    noisy = False

    def __init__(self, make: Any = Recorder) -> None:
        self.make = make
        self.made: list[Any] = []
        self.started = self.stopped = 0

    def startFactory(self) -> None:
        self.started += 1

    def stopFactory(self) -> None:
        self.stopped += 1

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self.make()
        self.made.append(protocol)
        return protocol


class Counting:
    """A producer that notes what it is told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.on_resume: Any = None

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        if self.on_resume is not None:
            self.on_resume()

    def stopProducing(self) -> None:
        self.calls.append("stop")
