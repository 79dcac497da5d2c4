"""A server's first message may go past the queue, and takes the response headers with it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.events import HeadersReceived
from konnect.wire.grpc import Limits
from tests.wire.pump import Pair, only, payloads

MESSAGE = b"a message"


class FirstTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pair = Pair()
        self.stream = self.pair.open()

    def said(self, data: bytes) -> None:
        """The client is sent what goes before the message, and the message."""
        self.pair.client_events += self.pair.client.receive(data)

    def told(self) -> tuple[int, list[bytes]]:
        """How often the client was told of headers, and its messages."""
        self.pair.run()
        events = self.pair.client_events
        return len(only(events, HeadersReceived)), payloads(events, self.stream)

    def test_headers_go_before_it(self) -> None:
        """In one piece; what follows is direct."""
        server = self.pair.server
        self.assertIsNone(server.direct(self.stream, MESSAGE, 0))
        first = server.first(self.stream, MESSAGE, 0)
        assert first is not None
        self.said(first)
        self.assertIsNone(server.first(self.stream, MESSAGE, 0))
        second = server.direct(self.stream, MESSAGE, 0)
        assert second is not None
        self.said(second)
        self.assertEqual(self.told(), (1, [MESSAGE, MESSAGE]))

    def test_what_waits_goes_before_it(self) -> None:
        """The answer to a PING that has been read."""
        self.pair.client.ping(b"12345678")
        self.pair.server.receive(self.pair.client.output())
        first = self.pair.server.first(self.stream, MESSAGE, 0)
        assert first is not None
        self.assertIn(b"12345678", first)
        self.said(first)
        self.assertEqual(self.told(), (1, [MESSAGE]))

    def test_without_room(self) -> None:
        """It goes by the queue, behind headers that are sent once."""
        self.pair = Pair(Limits(stream_window=5))
        self.stream = self.pair.open()
        server = self.pair.server
        self.assertIsNone(server.first(self.stream, MESSAGE, 0))
        self.assertIsNone(server.direct(self.stream, b"", 0))  # nor may others go before it
        server.send_message(self.stream, MESSAGE)
        self.assertEqual(self.told(), (1, [MESSAGE]))

    def test_not_for_all(self) -> None:
        """A client's message, a stream that is gone or ending, one whose headers are out."""
        server = self.pair.server
        self.assertIsNone(self.pair.client.first(self.stream, MESSAGE, 0))
        self.assertIsNone(server.first(self.stream + 2, MESSAGE, 0))
        server.send_headers(self.stream)
        self.assertIsNone(server.first(self.stream, MESSAGE, 0))
        other = self.pair.open()
        server.end_stream(other)
        self.assertIsNone(server.first(other, MESSAGE, 0))
