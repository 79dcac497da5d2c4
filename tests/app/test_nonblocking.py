"""Tests of konnect.app.nonblocking, on real pipes, sockets and terminals that nobody reads."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import tty
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import nonblocking
from konnect.app.nonblocking import PIECE, NonblockingWriter
from tests.blocking import bound_waits

LINE = b"x" * 199 + b"\n"


class NonblockingWriterTests(SynchronousTestCase):
    """What is written, and what is not."""

    def setUp(self) -> None:
        """Fail where a write blocks."""
        bound_waits(self)

    def pipe(self) -> tuple[int, int]:
        """Both ends of a pipe of a few pages."""
        read_end, write_end = os.pipe()
        for end in (read_end, write_end):
            self.addCleanup(os.close, end)
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4 * PIECE)
        return read_end, write_end

    def sockets(self, kind: int = socket.SOCK_STREAM) -> tuple[int, int]:
        """Both ends of a connected pair."""
        pair = socket.socketpair(socket.AF_UNIX, kind)
        for end in pair:
            self.addCleanup(end.close)
        return pair[0].fileno(), pair[1].fileno()

    def terminal(self) -> tuple[int, int]:
        """A terminal and the end that programs write to."""
        main, end = pty.openpty()
        tty.setraw(end)
        for each in (main, end):
            self.addCleanup(os.close, each)
        return main, end

    def writer(self, descriptor: int, *, reopen: bool = True) -> NonblockingWriter:
        """Closed at the end of the test."""
        writer = NonblockingWriter(descriptor, reopen=reopen)
        self.addCleanup(writer.close)
        return writer

    def fill(self, writer: NonblockingWriter, piece: bytes = LINE) -> int:
        """Write until no more is taken; how many bytes were."""
        total = 0
        while total < 10_000_000:
            taken = writer.write(piece)
            total += taken
            if taken < len(piece):
                return total
        raise AssertionError("it takes everything")

    def assert_never_waits(self, ends: tuple[int, int], *, reopen: bool = True) -> None:
        """Fill it: no write blocks, what was taken can be read, and then there is room again."""
        read_end, write_end = ends
        writer = self.writer(write_end, reopen=reopen)
        taken = self.fill(writer)
        self.assertGreater(taken, len(LINE))
        self.assertEqual(writer.write(LINE), 0)
        # The others who have this open file are not told not to wait.
        self.assertFalse(fcntl.fcntl(write_end, fcntl.F_GETFL) & os.O_NONBLOCK)
        while taken > 0:
            taken -= len(os.read(read_end, 65536))
        self.assertEqual(taken, 0)
        self.assertEqual(writer.write(LINE), len(LINE))

    def test_pipe(self) -> None:
        """A full pipe takes nothing, whether it could be opened a second time or not."""
        self.assert_never_waits(self.pipe())
        self.assert_never_waits(self.pipe(), reopen=False)

    def test_whole_pieces(self) -> None:
        """A pipe takes as much as a piece is as a whole or not at all."""
        for reopen in (True, False):
            _, write_end = self.pipe()
            writer = self.writer(write_end, reopen=reopen)
            self.assertEqual(writer.write(b"x"), 1)
            self.assertEqual(self.fill(writer, b"x" * PIECE) % PIECE, 0)

    def test_socket(self) -> None:
        """A unix socket, as systemd's journal gives, whatever its kind."""
        self.assert_never_waits(self.sockets())
        self.assert_never_waits(self.sockets(socket.SOCK_SEQPACKET))

    def test_socket_stays_open(self) -> None:
        """The socket is not closed behind the writer, which is made anew for each write."""
        read_end, write_end = self.sockets()
        self.assertEqual(self.writer(write_end).write(b"a\n"), 2)
        self.assertEqual(os.write(write_end, b"b\n"), 2)
        self.assertEqual(os.read(read_end, 10), b"a\nb\n")

    def test_terminal(self) -> None:
        """A terminal that nobody looks at fills up too."""
        self.assert_never_waits(self.terminal())

    def test_no_second_opening(self) -> None:
        """Where /proc does not give it, pipes are written all the same."""
        self.patch(nonblocking, "_FLAGS", os.O_RDWR | os.O_CREAT | os.O_EXCL)
        read_end, write_end = self.pipe()
        writer = self.writer(write_end)
        self.fill(writer)
        self.assertEqual(writer.write(LINE), 0)
        self.assertEqual(os.read(read_end, 3), b"xxx")

    def test_file(self) -> None:
        """A file, and /dev/null, take everything."""
        path = Path(self.mktemp())
        with open(path, "wb") as file, open(os.devnull, "wb") as nowhere:
            for each in (file, nowhere):
                self.assertEqual(self.writer(each.fileno()).write(LINE), len(LINE))
        self.assertEqual(path.read_bytes(), LINE)

    def test_reader_is_gone(self) -> None:
        """That is an error, not a reason to wait."""
        for reopen in (True, False):
            read_end, write_end = os.pipe()
            self.addCleanup(os.close, write_end)
            writer = self.writer(write_end, reopen=reopen)
            self.fill(writer)
            os.close(read_end)
            self.assertRaises(BrokenPipeError, writer.write, LINE)

    def test_another_file(self) -> None:
        """Before a second opening, the descriptor may be given another file (as `twistd` in the
        background does), and it is written to; what was opened a second time is closed."""
        _, write_end = self.pipe()
        descriptor = os.dup(write_end)
        self.addCleanup(os.close, descriptor)
        writer = self.writer(descriptor, reopen=False)
        path = Path(self.mktemp())
        with open(path, "wb") as file:
            os.dup2(file.fileno(), descriptor)
        self.assertEqual(writer.write(LINE), len(LINE))
        self.assertEqual(path.read_bytes(), LINE)
        before = os.listdir("/proc/self/fd")
        NonblockingWriter(write_end).close()
        self.assertEqual(os.listdir("/proc/self/fd"), before)
