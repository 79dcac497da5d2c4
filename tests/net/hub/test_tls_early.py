"""What is written to a TLS connection before its handshake is over."""

from __future__ import annotations

from tests.functional.waiting import until
from tests.net.hub.peers import Counting, TlsRecorder
from tests.net.hub.test_tls_streams import TlsCase


class Early(TlsRecorder):
    """Writes, with a producer of its own, as soon as it has a transport."""

    said = bytes(100_000)

    def connectionMade(self) -> None:
        super().connectionMade()
        self.producer = Counting()
        self.wire.registerProducer(self.producer, True)
        self.begin()

    def begin(self) -> None:
        """The connection is made."""
        self.wire.write(self.said)


class Eager(Early):
    """Writes in the moment when the handshake is over."""

    def begin(self) -> None:
        """It waits."""

    def handshakeCompleted(self) -> None:
        super().handshakeCompleted()
        self.wire.write(self.said)


class EarlyTests(TlsCase):
    """More than a transport holds without stopping its producer."""

    async def goes_on(self, make: type[Early]) -> None:
        """All of it leaves, and the producer is told so."""
        protocol, remote = await self.secured(make)
        self.assertEqual(await remote.hear(len(Early.said)), Early.said)
        await until(lambda: len(protocol.producer.calls) > 1, "the producer's turn")
        self.assertEqual(protocol.producer.calls, ["pause", "resume"])

    async def test_before(self) -> None:
        """From before the handshake."""
        await self.goes_on(Early)

    async def test_in_the_moment(self) -> None:
        """Within `handshakeCompleted`, as a client does that had many dials waiting."""
        await self.goes_on(Eager)
