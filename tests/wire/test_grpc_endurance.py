"""Tests of konnect.wire.grpc: what a connection that has done much leaves behind."""

from __future__ import annotations

import gc
import tracemalloc

from h2.stream import H2Stream
from twisted.trial.unittest import SynchronousTestCase

from konnect.wire.grpc import GrpcConnection
from konnect.wire.status import Status
from tests.wire.pump import Pair


def live_streams() -> int:
    """h2's streams in this process."""
    return sum(isinstance(thing, H2Stream) for thing in gc.get_objects())


class EnduranceTests(SynchronousTestCase):
    def test_thousands_of_streams_leave_nothing(self) -> None:
        """A connection that has carried thousands of streams is no larger than a fresh one."""
        pair = Pair()
        self.cycle(pair, 100)
        gc.collect()
        before = live_streams()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        self.cycle(pair, 1500)
        gc.collect()
        grown, _ = tracemalloc.get_traced_memory()
        # What h2 notes of each closed stream (up to a bound) is some 200 bytes a side.
        self.assertLess(grown, 1500 * 800)
        self.assertLess(live_streams() - before, 20)

    def cycle(self, pair: Pair, times: int) -> None:
        """Streams that end in each of the possible ways."""
        for n in range(times):
            stream_id = pair.open()
            pair.client.send_message(stream_id, b"x" * 100)
            if n % 3 == 0:
                pair.client.end_stream(stream_id)
                pair.run()
                pair.server.end_stream(stream_id)
            elif n % 3 == 1:
                pair.server.end_stream(stream_id, Status.ABORTED)
            else:
                pair.client.reset_stream(stream_id)
            pair.run()
            pair.client_events.clear()
            pair.server_events.clear()
        self.assertEqual((pair.client.live_streams, pair.server.live_streams), (0, 0))

    def test_no_cycles(self) -> None:
        """A connection that is dropped is freed at once, without the garbage collector."""
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        pair = Pair()
        pair.open()
        before = sum(isinstance(o, GrpcConnection) for o in gc.get_objects())
        del pair
        after = sum(isinstance(o, GrpcConnection) for o in gc.get_objects())
        self.assertEqual(before - after, 2)
