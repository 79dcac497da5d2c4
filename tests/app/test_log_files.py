"""Tests of konnect.app.log_files."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.klog import LogConfig
from konnect.app.log_files import LogFiles, called, open_files
from tests.blocking import bound_waits

INFO, WARNING, ERROR = 0, 1, 2


class LogFilesCase(SynchronousTestCase):
    """A folder, and a clock that tells the time of day."""

    def setUp(self) -> None:
        """Make the folder."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.now = 1_000_000_000.0

    def open(self, **settings: object) -> LogFiles:
        """The files of a program called `prog`."""
        config = LogConfig(to_files=True, **settings)  # type: ignore[arg-type]
        files = open_files(config, "prog", lambda: self.now)
        self.addCleanup(files.close)
        return files


class NameTests(SynchronousTestCase):
    """After what files are named."""

    def test_called(self) -> None:
        """As the command is called, unless that is the way to run any program."""
        for command, name in (
            ("/proxy-server", "proxy-server"),
            ("/usr/bin/twistd", "konnect-proxy"),
            ("twist", "konnect-proxy"),
            ("-c", "konnect-proxy"),
            ("", "konnect-proxy"),
        ):
            self.assertEqual(called("konnect-proxy", command), name)


class OneFileTests(LogFilesCase):
    """`--log-file`."""

    def setUp(self) -> None:
        """Name the file."""
        super().setUp()
        self.path = self.folder / "k.log"

    def test_header(self) -> None:
        """The file begins with when, where and by what it was made, unless that is skipped."""
        self.open(file=str(self.path)).write(INFO, "one\n")
        lines = self.path.read_text().splitlines()
        self.assertTrue(lines[0].startswith("Log file created at: 2001/09/"), lines)
        self.assertIn("prog of konnect", lines[2])
        self.assertEqual(lines[3:], ["one"])

    def test_appends(self) -> None:
        """A file that is there is written on, with lines of every severity."""
        self.path.write_text("old\n")
        files = self.open(file=str(self.path), skip_log_headers=True)
        files.write(INFO, "one\n")
        files.write(ERROR, "two\n")
        self.assertEqual(self.path.read_text(), "old\none\ntwo\n")

    def test_full(self) -> None:
        """A line that does not fit empties the file first; it stays the same file."""
        self.path.write_text("old\n")
        inode = self.path.stat().st_ino
        files = self.open(file=str(self.path), skip_log_headers=True, max_size=12)
        files.write(INFO, "12345678\n")
        self.assertEqual(self.path.read_text(), "12345678\n")
        files.write(INFO, "ab\n")
        self.assertEqual(self.path.read_text(), "12345678\nab\n")
        files.write(INFO, "c\n")
        self.assertEqual(self.path.read_text(), "c\n")
        self.assertEqual(self.path.stat().st_ino, inode)

    def test_longer_than_the_limit(self) -> None:
        """A line that is longer than a whole file is written nevertheless."""
        files = self.open(file=str(self.path), skip_log_headers=True, max_size=4)
        files.write(INFO, "123456789\n")
        self.assertEqual(self.path.read_text(), "123456789\n")

    def test_unread_pipe(self) -> None:
        """A pipe that nobody reads keeps nobody waiting; read again, it is written on, for ever."""
        bound_waits(self)
        os.mkfifo(self.path)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        files = self.open(file=str(self.path), skip_log_headers=True, max_size=4096)

        def fill() -> None:
            for _ in range(10_000):
                files.write(INFO, "x" * 999 + "\n")

        for _ in range(2):
            self.assertRaises(BlockingIOError, fill)
            self.assertEqual(len(os.read(reader, 5000)), 5000)
        # Also where a part of it is taken.
        os.read(reader, 1_000_000)
        self.assertRaises(BlockingIOError, files.write, INFO, "x" * 999_999 + "\n")

    def test_cannot_be_opened(self) -> None:
        """A file in a folder that is not there is an error at once."""
        self.assertRaises(OSError, self.open, file=str(self.folder / "no" / "k.log"))

    def test_full_disk(self) -> None:
        """A disk that is full does not keep a program from starting; the lines are lost."""
        files = self.open(file="/dev/full")
        self.assertRaises(OSError, files.write, INFO, "one\n")


class SeverityFilesTests(LogFilesCase):
    """`--log-dir`."""

    def read(self, severity: str) -> str:
        """The newest file of a severity, by its link."""
        return (self.folder / f"prog.{severity}").read_text()

    def test_names(self) -> None:
        """Names tell program, severity and process; files of higher severities are made late."""
        self.open(directory=str(self.folder))
        (file,) = [path for path in self.folder.iterdir() if not path.is_symlink()]
        self.assertRegex(
            file.name, rf"^prog\.[^.]*\.[^.]+\.log\.INFO\.200109\d\d-\d{{6}}\.{os.getpid()}$"
        )

    def test_lower_severities(self) -> None:
        """A line is in the file of its severity and in those of lower ones."""
        files = self.open(directory=str(self.folder), skip_log_headers=True)
        files.write(INFO, "i\n")
        files.write(ERROR, "e\n")
        self.assertEqual(
            [self.read(name) for name in ("INFO", "WARNING", "ERROR")], ["i\ne\n", "e\n", "e\n"]
        )

    def test_one_output(self) -> None:
        """With --one-output a line is in one file."""
        files = self.open(directory=str(self.folder), skip_log_headers=True, one_output=True)
        files.write(WARNING, "w\n")
        self.assertEqual([self.read(name) for name in ("INFO", "WARNING")], ["", "w\n"])

    def test_full(self) -> None:
        """A full file is kept, and the link leads to the next one."""
        files = self.open(directory=str(self.folder), skip_log_headers=True, max_size=4)
        files.write(INFO, "one\n")
        self.now += 1
        files.write(INFO, "two\n")
        self.assertEqual(self.read("INFO"), "two\n")
        texts = {path.read_text() for path in self.folder.iterdir() if not path.is_symlink()}
        self.assertEqual(texts, {"one\n", "two\n"})

    def test_folder_is_not_there(self) -> None:
        """As with klog, the folder for temporary files is taken for one that cannot be used."""
        self.patch(tempfile, "tempdir", str(self.folder))
        for directory in (str(self.folder / "missing"), ""):
            self.open(directory=directory).write(INFO, "here\n")
            self.assertIn("here\n", self.read("INFO"))
