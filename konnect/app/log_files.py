"""
The files that klog's flags ask for: `--log-file`, or one for each severity in `--log-dir`.

Sizes, names and links are klog's; what is written comes from konnect.app.log_output. A file that
cannot be written later on (a full disk) loses lines, and never stops the program.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import stat
import tempfile
import time
from collections.abc import Callable
from typing import Protocol

import konnect
from konnect.app.klog import LogConfig

SEVERITIES = ("INFO", "WARNING", "ERROR", "FATAL")

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


class LogFiles(Protocol):
    """Where lines go that are to be in a file."""

    def write(self, severity: int, text: str) -> None:
        """Write whole lines; raises OSError when they are lost."""

    def close(self) -> None: ...


_HOSTS = {"", "-c", "__main__.py", "trial", "twist", "twistd"}
"""Commands that run many a program, and name none."""


def called(program: str, command: str) -> str:
    """What log files are named after: as klog does, the `command` that was started (an image has
    its own for each program, `/proxy-server`), unless that tells nothing."""
    name = os.path.basename(command)
    return program if name in _HOSTS else name


def open_files(
    config: LogConfig, program: str, seconds: Callable[[], float] = time.time
) -> LogFiles:
    """
    Open what `config` asks for; the files of higher severities are made when they are needed.

    `program` is the name in their names, `seconds` the time of day. Raises OSError.
    """
    header = "" if config.skip_log_headers else _header(program)
    if config.file:
        return OneFile(config.file, header, config.max_size, seconds)
    return SeverityFiles(config, program, header, seconds)


class OneFile:
    """
    One file for all severities. An old one is written on; at its full size it is emptied.

    It is not renamed then, as a log file usually would be: klog does not, and a file that is
    mounted into a container by itself cannot be.
    """

    def __init__(self, path: str, header: str, max_size: int, seconds: Callable[[], float]) -> None:
        self._path, self._header, self._max_size, self._seconds = path, header, max_size, seconds
        self._file = os.open(path, _FLAGS, 0o666)
        # A pipe (/dev/stdout) that nobody reads loses lines, as a full disk does. The flag is of
        # this very opening, and files do not mind it.
        os.set_blocking(self._file, False)
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            self._max_size = 0
        self._size = status.st_size
        with contextlib.suppress(OSError):  # the next line's loss will be told
            self._begin()

    def _begin(self) -> None:
        if self._header:
            self._write(_dated(self._header, self._seconds()))

    def write(self, severity: int, text: str) -> None:
        data = text.encode(errors="backslashreplace")
        if self._max_size and self._size and self._size + len(data) > self._max_size:
            os.ftruncate(self._file, 0)
            self._size = 0
            self._begin()
        self._write(data)

    def _write(self, data: bytes) -> None:
        # Python's buffered files would keep what a full disk does not take, and grow with it.
        while data:
            written = os.write(self._file, data)
            self._size += written
            # What is left of it says why with the next try.
            data = data[written:]

    def close(self) -> None:
        os.close(self._file)


class SeverityFiles:
    """
    A file for each severity, which has that severity's lines and all higher ones.

    Names are PROGRAM.HOST.USER.log.SEVERITY.DATE-TIME.PID, with a link PROGRAM.SEVERITY to the
    newest. A full one is closed, kept, and followed by another.
    """

    def __init__(
        self, config: LogConfig, program: str, header: str, seconds: Callable[[], float]
    ) -> None:
        self._config, self._program, self._header = config, program, header
        self._seconds = seconds
        self._files: dict[int, OneFile] = {}
        self._sizes: dict[int, int] = {}
        temporary = tempfile.gettempdir()
        self.directory = config.directory or temporary
        try:
            self._open(0)
        except OSError:
            # As klog: a folder that is not there does not keep a program from starting.
            if self.directory == temporary:
                raise
            self.directory = temporary
            self._open(0)

    def _open(self, severity: int) -> None:
        name = SEVERITIES[severity]
        moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._seconds()))
        file = f"{self._program}.{_host()}.{_user()}.log.{name}.{moment}.{os.getpid()}"
        opened = OneFile(os.path.join(self.directory, file), self._header, 0, self._seconds)
        if severity in self._files:
            self._files[severity].close()
        self._files[severity] = opened
        self._sizes[severity] = 0
        link = os.path.join(self.directory, f"{self._program}.{name}")
        with contextlib.suppress(OSError):  # a convenience, and not possible everywhere
            if os.path.islink(link):
                os.unlink(link)
            os.symlink(file, link)

    def write(self, severity: int, text: str) -> None:
        lowest = severity if self._config.one_output else 0
        for each in range(lowest, severity + 1):
            limit = self._config.max_size
            if each not in self._files or (limit and self._sizes[each] + len(text) > limit):
                self._open(each)
            self._files[each].write(each, text)
            self._sizes[each] += len(text)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()


def _header(program: str) -> str:
    return (
        "Log file created at: {date}\n"
        f"Running on machine: {_host()}\n"
        f"Binary: {program} of konnect {konnect.__version__}, process {os.getpid()}\n"
    )


def _dated(header: str, seconds: float) -> bytes:
    moment = time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(seconds))
    return header.replace("{date}", moment).encode(errors="backslashreplace")


def _host() -> str:
    return socket.gethostname().partition(".")[0] or "unknownhost"


def _user() -> str:
    try:
        return getpass.getuser().replace("\\", "_").replace("/", "_")
    except (KeyError, OSError):  # a container's user often has no name
        return "unknownuser"
