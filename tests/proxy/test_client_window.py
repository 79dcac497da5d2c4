"""Tests of konnect.proxy.client_window, by itself and at a stream."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from konnect.proxy.client_window import (
    ENOUGH,
    FAST,
    INITIAL,
    LARGEST,
    LASTING,
    PART,
    SLOW,
    SMALLEST,
    ClientWindow,
    ClientWindows,
)
from konnect.tunnel.pressure import WHOLE
from konnect.wire import packets
from tests.proxy.streaming import StreamTestCase

LIMIT = 8 * LARGEST


class WindowTests(SynchronousTestCase):
    """What goes back, by how fast it moves and how much waits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.windows = ClientWindows(self.clock.seconds, LIMIT)

    def window(self, parts: int = 0) -> ClientWindow:
        """A stream's window, of which so many parts have moved at once."""
        window = ClientWindow(self.windows)
        self.move(window, parts)
        return window

    def move(self, window: ClientWindow, parts: int) -> None:
        """So many parts move at once."""
        for _ in range(parts):
            window.give_back(window.part)

    def lasting(self) -> ClientWindow:
        """The window of a stream that has moved much, and as large as it can be."""
        window = ClientWindow(self.windows)
        window.give_back(LASTING)
        self.move(window, 99)
        return window

    def test_first(self) -> None:
        """The first part says nothing of how fast a stream is."""
        window = self.window(1)
        self.assertEqual(window.size, INITIAL)

    def test_fast(self) -> None:
        """A window doubles each time that its worth has moved fast, until it is as large as can
        be; what is granted is what has moved and by how much it grew."""
        window = self.window(1)
        granted, moved, before = INITIAL, 0, INITIAL // PART
        while window.size < LARGEST:
            self.clock.advance(FAST / PART * 0.9)
            part = window.part
            granted += window.give_back(part)
            moved += part
            self.assertEqual(granted - moved, window.size)
            self.assertLess(moved, LASTING + 2 * LARGEST)
            self.assertLessEqual(window.size, LARGEST if before + moved >= LASTING else ENOUGH)
        self.assertEqual(window.give_back(window.part), window.part)
        self.assertEqual(window.size, LARGEST)

    def test_in_between(self) -> None:
        """One that is neither fast nor slow stays as it is."""
        window = self.window(9)
        size = window.size
        for _ in range(9):
            self.clock.advance(1.1 * FAST / PART)
            self.assertEqual(window.give_back(window.part), window.part)
            self.clock.advance(0.9 * SLOW / PART)
            self.assertEqual(window.give_back(window.part), window.part)
        self.assertEqual(window.size, size)

    def test_slow(self) -> None:
        """One that has become slow is as small as at the beginning, and not smaller."""
        window = self.lasting()
        self.assertEqual(window.size, LARGEST)
        for _ in range(30):
            self.clock.advance(1.1 * SLOW)
            window.give_back(window.part)
        self.assertEqual(window.size, INITIAL)
        self.assertEqual(self.windows.room, LIMIT // 4)

    def test_room(self) -> None:
        """However many are fast, all of them grow by no more than there is room for; who ends
        leaves it to others."""
        windows = [self.lasting() for _ in range(11)]
        grown = sum(window.size - INITIAL for window in windows)
        self.assertEqual((grown, self.windows.room), (LIMIT // 4, 0))
        self.assertEqual(windows[-1].size, INITIAL)
        self.assertEqual(windows[-1].give_back(1000), 1000)
        windows[0].end()
        grown = self.lasting().size - INITIAL
        self.assertEqual(grown, LARGEST - INITIAL - self.windows.kept)
        for window in windows[1:]:
            window.end()
            window.end()
        self.assertEqual(self.windows.room, LIMIT // 4 - grown)

    def test_late(self) -> None:
        """However large the first ones have become, those that come later become large enough."""
        for _ in range(2):
            self.lasting()
        self.assertEqual(self.windows.room, self.windows.kept)
        self.assertEqual({self.lasting().size for _ in range(8)}, {ENOUGH})
        self.assertEqual(self.windows.room, 0)

    def test_soon_over(self) -> None:
        """However fast, one that may stop soon is no larger than is enough."""
        window = self.window(99)
        self.assertEqual(window.size, ENOUGH)
        self.assertEqual(self.windows.room, LIMIT // 4 - (ENOUGH - INITIAL))
        self.move(window, LASTING // window.part)
        self.assertEqual(window.size, LARGEST)

    def test_no_bound(self) -> None:
        """Without a limit every fast stream grows."""
        self.windows = ClientWindows(self.clock.seconds, 0)
        self.assertEqual({self.lasting().size for _ in range(99)}, {LARGEST})

    def test_crowded(self) -> None:
        """While much waits, none grows, and each shrinks to its share as it is used."""
        window, small = self.lasting(), self.window(1)
        self.windows.resize(100_000)
        self.assertEqual(window.give_back(LARGEST), 100_000)
        self.assertEqual(window.size, 100_000)
        self.assertEqual(small.give_back(5000), 5000)
        self.assertEqual(small.size, INITIAL)

    def test_smallest(self) -> None:
        """A share may be smaller than a window that HTTP/2 can be told of."""
        window = self.lasting()
        self.windows.resize(4096)
        for _ in range(99):
            window.give_back(window.part)
        self.assertEqual(window.size, SMALLEST)
        self.assertGreater(SMALLEST - window.part, INITIAL // PART, "else a client waits for ever")

    def test_no_longer_crowded(self) -> None:
        """When less waits, fast streams grow again, also where there is no room for larger ones
        than at the beginning."""
        window = self.lasting()
        self.windows.resize(4096)
        for _ in range(99):
            window.give_back(window.part)
        self.assertEqual(self.windows.room, LIMIT // 4)
        self.windows.room = 0
        self.windows.resize(WHOLE)
        for _ in range(99):
            window.give_back(window.part)
        self.assertEqual(window.size, INITIAL)
        self.windows.room = LIMIT // 4
        for _ in range(99):
            window.give_back(window.part)
        self.assertEqual(window.size, LARGEST)


class StreamTests(StreamTestCase):
    """A stream's window is made of what goes back."""

    buffer_limit = LIMIT

    @property
    def granted(self) -> int:
        """Bytes that the client may have on its way."""
        return INITIAL + self.c.stream.acknowledged - self.c.stream.owed

    def say(self, times: int, seconds: float = 0.005) -> None:
        """Messages of 16 KiB."""
        for _ in range(times):
            self.c.says(packets.data(1, bytes(16384)))
            self.clock.advance(seconds)

    def test_fast(self) -> None:
        """A lone upload gets a large window, and leaves it."""
        self.open()
        self.say(LASTING // 16384 + 200)
        self.assertGreater(self.granted, LARGEST // 2)
        self.assertLessEqual(self.granted, LARGEST)
        self.assertEqual(self.windows.room, LIMIT // 4 - (LARGEST - INITIAL))
        self.c.leaves()
        self.assertEqual(self.windows.room, LIMIT // 4)

    def test_slow(self) -> None:
        """One of 16 KiB a second does not."""
        self.open()
        self.say(100, 1.0)
        self.assertLessEqual(self.granted, INITIAL)
        self.assertGreaterEqual(self.granted, INITIAL - INITIAL // PART)

    def test_crowded(self) -> None:
        """What was large before becomes small when it is used."""
        self.open()
        self.say(LASTING // 16384 + 200)
        self.windows.resize(4096)
        self.say(100)
        self.assertLessEqual(self.granted, SMALLEST)
        self.assertGreaterEqual(self.granted, SMALLEST - SMALLEST // PART)

    def test_a_slow_destination(self) -> None:
        """A window that was shut for long is a smaller one when it opens."""
        self.open()
        self.say(100)
        self.a.stream.room = False
        self.say(64)
        held = self.granted
        self.clock.advance(9 * SLOW)
        self.a.stream.room = True
        self.a.link.writable()
        self.assertGreaterEqual(self.granted, held)
        self.assertLessEqual(self.granted, INITIAL)
