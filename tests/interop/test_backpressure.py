"""A fast side and a side that does not read: the fast one is stopped, and memory stays bounded.

What is measured is how many bytes the fast side could get rid of before it was stopped. That is the
sum of all buffers on the way: kernel sockets, windows, ours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from konnect.wire import packets
from tests.interop.connecting import ConnectClient
from tests.interop.grpcio_streams import PROXY_METHOD, frontend_channel
from tests.interop.pairs import TRANSPORTS, InteropTestCase
from tests.interop.processes import wait_until

BOUND = 64 << 20
"""Bytes on their way. Kernel buffers alone may take some megabytes at each of six sockets."""

STILL = 0.7
"""Seconds without progress that count as being stopped."""


class BackPressureTests(InteropTestCase):
    """Both directions, over every frontend."""

    def flooded(self) -> int:
        return self.destination.counted("flooded")

    def assert_flood_stops(self, begun: int) -> None:
        """The flooding destination gets stuck, before it has sent too much since `begun`."""
        last = begun
        wait_until(lambda: self.flooded() > begun, "the flood begins")
        while True:
            time.sleep(STILL)
            now = self.flooded()
            self.assertLess(now - begun, BOUND)
            if now == last:
                return
            last = now

    def test_connect_client_that_does_not_read(self) -> None:
        """A CONNECT client that stops reading stops the destination, and loses nothing."""
        for transport in TRANSPORTS:
            pair = self.pair("http-connect", transport)
            begun = self.flooded()
            client = ConnectClient(self, pair.proxy, self.destination["flood"])
            client.receive(len(b"HTTP/1.1 200 Connection Established\r\n\r\n"))
            self.assert_flood_stops(begun)
            client.receive(self.flooded() - begun)
            client.close()
            self.assert_released("flood")

    def test_destination_that_does_not_read(self) -> None:
        """A destination that never reads stops the CONNECT client."""
        for transport in TRANSPORTS:
            pair = self.pair("http-connect", transport)
            client = ConnectClient(self, pair.proxy, self.destination["unread"])
            self.assertEqual(client.response().status, 200)
            client.socket.settimeout(STILL * 3)
            sent = 0
            try:
                while sent < BOUND:
                    sent += client.socket.send(bytes(65536))
            except TimeoutError:
                pass
            self.assertLess(sent, BOUND)
            client.close()

    def test_grpc_client_that_does_not_read(self) -> None:
        """A grpcio client that takes no message from its stream stops the destination."""
        for transport in TRANSPORTS:
            pair = self.pair("grpc", transport)
            begun = self.flooded()
            channel = frontend_channel(pair.proxy)
            self.addCleanup(channel.close)
            request = packets.dial_req("tcp", self.destination["flood"], 1)
            hang_up = threading.Event()
            self.addCleanup(hang_up.set)
            call = channel.stream_stream(PROXY_METHOD)(_then_wait(request, hang_up))
            self.addCleanup(call.cancel)
            self.assert_flood_stops(begun)
            call.cancel()
            self.assert_released("flood")


def _then_wait(request: bytes, hang_up: threading.Event) -> Iterator[bytes]:
    """A client's messages: one, and no end of the stream before the event."""
    yield request
    hang_up.wait()
