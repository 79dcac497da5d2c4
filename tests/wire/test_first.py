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
        stream = server.stream(self.stream)
        self.assertFalse(stream.straight)
        first = server.first(stream, MESSAGE, 0)
        assert first is not None
        self.said(first)
        self.assertIsNone(server.first(stream, MESSAGE, 0))
        self.assertTrue(stream.straight)
        second = server.streams.direct(stream, MESSAGE, 0)
        assert second is not None
        self.said(second)
        self.assertEqual(self.told(), (1, [MESSAGE, MESSAGE]))

    def test_what_waits_goes_before_it(self) -> None:
        """The answer to a PING that has been read."""
        self.pair.client.ping(b"12345678")
        self.pair.server.receive(self.pair.client.output())
        first = self.pair.server.first(self.pair.server.stream(self.stream), MESSAGE, 0)
        assert first is not None
        self.assertIn(b"12345678", first)
        self.said(first)
        self.assertEqual(self.told(), (1, [MESSAGE]))

    def test_without_room(self) -> None:
        """It goes by the queue, behind headers that are sent once."""
        self.pair = Pair(Limits(stream_window=5))
        self.stream = self.pair.open()
        server = self.pair.server
        stream = server.stream(self.stream)
        self.assertIsNone(server.first(stream, MESSAGE, 0))
        self.assertFalse(stream.straight)  # nor may others go before it
        server.send_message(self.stream, MESSAGE)
        self.assertEqual(self.told(), (1, [MESSAGE]))

    def test_not_for_all(self) -> None:
        """A client's message, a stream that is gone or ending, one whose headers are out."""
        client, server = self.pair.client, self.pair.server
        self.assertIsNone(client.first(client.stream(self.stream), MESSAGE, 0))
        self.assertIsNone(server.first(server.stream(self.stream + 2), MESSAGE, 0))
        stream = server.stream(self.stream)
        server.send_headers(self.stream)
        self.assertIsNone(server.first(stream, MESSAGE, 0))
        other = self.pair.open()
        ending = server.stream(other)
        server.end_stream(other)
        self.assertIsNone(server.first(ending, MESSAGE, 0))
        gone = server.stream(self.pair.open())
        server.reset_stream(gone.id)
        self.assertIsNone(server.first(gone, MESSAGE, 0))

    def test_straight_no_more(self) -> None:
        """A stream that is gone sends nothing, however it has ended; one that is asked for then
        has ended too."""
        for end in (self.pair.server.reset_stream, self.pair.server.end_stream):
            stream_id = self.pair.open()
            stream = self.pair.server.stream(stream_id)
            self.assertIsNotNone(self.pair.server.first(stream, MESSAGE, 0))
            self.assertTrue(stream.straight)
            end(stream_id)
            for each in (stream, self.pair.server.stream(stream_id)):
                self.assertEqual((each.straight, each.deaf), (False, True))
        stream = self.pair.server.stream(self.stream)
        self.pair.server.first(stream, MESSAGE, 0)
        self.pair.server.forget()
        self.assertFalse(stream.straight)
