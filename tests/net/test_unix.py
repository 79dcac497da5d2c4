"""Tests of konnect.net.unix, on socket files in a folder of their own."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.net.unix import LONGEST_PATH, UnixPathError, prepare
from tests.unprivileged import unprivileged


class PrepareTests(SynchronousTestCase):
    """prepare."""

    def setUp(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.directory)
        self.path = str(self.directory / "k.sock")

    def bind(self, path: str, *, listening: bool = False) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.bind(path)
        if listening:
            sock.listen()
        return sock

    def refused(self, path: str, *expected: str, delete_existing: bool = True) -> None:
        error = self.assertRaises(UnixPathError, prepare, path, delete_existing)
        self.assertEqual(error.path, path)
        self.assertTrue(str(error).startswith(path), str(error))
        for text in expected:
            self.assertIn(text, str(error))

    def test_nothing_there(self) -> None:
        """A free path is fine, and nothing is made there."""
        for delete_existing in (True, False):
            prepare(self.path, delete_existing)
        self.assertEqual(os.listdir(self.directory), [])

    def test_socket_is_removed(self) -> None:
        """A socket file is removed, so that the path can be bound again."""
        self.bind(self.path).close()
        prepare(self.path, True)
        self.bind(self.path)

    def test_socket_in_use_is_removed(self) -> None:
        """A socket that somebody listens on is removed too, as upstream does."""
        self.bind(self.path, listening=True)
        prepare(self.path, True)
        self.assertFalse(os.path.lexists(self.path))

    def test_socket_is_kept(self) -> None:
        """A socket file stays where removing is switched off, and that is an error."""
        self.bind(self.path)
        self.refused(self.path, "exists already", delete_existing=False)
        self.assertTrue(os.path.lexists(self.path))

    def test_other_files_are_left_alone(self) -> None:
        """Whatever is no socket is never removed."""
        file, folder, link = (str(self.directory / name) for name in ("file", "folder", "link"))
        Path(file).write_text("precious")
        os.mkdir(folder)
        self.bind(self.path)
        os.symlink(self.path, link)
        for path, kind in ((file, "a file"), (folder, "a directory"), (link, "a symbolic link")):
            for delete_existing in (True, False):
                self.refused(
                    path, f"there is {kind} and not a socket", delete_existing=delete_existing
                )
            self.assertTrue(os.path.lexists(path))

    def test_missing_directory(self) -> None:
        """A directory that does not exist is named."""
        missing = str(self.directory / "none")
        self.refused(f"{missing}/k.sock", f"the directory {missing} does not exist")

    def test_directory_that_is_none(self) -> None:
        """A file in the place of the directory is named."""
        file = str(self.directory / "file")
        Path(file).write_text("")
        self.refused(f"{file}/k.sock", f"{file} is not a directory")
        self.refused(f"{file}/deeper/k.sock", "not a directory")

    def test_unwritable_directory(self) -> None:
        """A directory that may not be written is refused with the user who would have to."""
        self.directory.chmod(0o555)
        with unprivileged():
            self.refused(self.path, f"{self.directory} is not writable for user {os.geteuid()}")

    def test_socket_of_somebody_else(self) -> None:
        """A socket that may not be removed, though the directory is writable, is an error."""
        if os.geteuid() != 0:
            self.skipTest("only root can make files of two users")
        self.bind(self.path)
        self.directory.chmod(0o1777)
        with unprivileged():
            self.refused(self.path, "cannot be removed: operation not permitted")

    def test_length(self) -> None:
        """A path is counted in bytes: 107 can be bound, 108 are refused."""
        room = LONGEST_PATH - len(str(self.directory)) - 1
        fits = str(self.directory / ("é" * (room // 2) + "x" * (room % 2)))
        self.assertEqual(len(os.fsencode(fits)), 107)
        prepare(fits, True)
        self.bind(fits)
        self.refused(fits + "x", "108 bytes, at most 107")

    def test_no_path(self) -> None:
        """An empty path and one with a zero byte are no paths."""
        for path in ("", "\0abstract"):
            error = self.assertRaises(UnixPathError, prepare, path, True)
            self.assertIn("not a path for a unix socket", str(error))

    def test_relative_path(self) -> None:
        """A bare name is looked for in the current directory."""
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        self.bind("k.sock").close()
        prepare("k.sock", True)
        self.assertEqual(os.listdir("."), [])
