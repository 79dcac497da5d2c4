"""Listening on the hub at a path."""

from __future__ import annotations

import os
import socket
import stat
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.python.lockfile import FilesystemLock

from konnect.net.hub.loop import Hub
from konnect.net.hub.ports import Port
from konnect.net.tls import ServerTls


class UnixPort(Port):
    """
    A listener at a path. Between binding and `mode` nobody can connect: it listens only then.

    :param lock: hold a lock file beside the socket, and remove a socket left without its owner.
    """

    def __init__(
        self,
        hub: Hub,
        path: str | bytes,
        factory: Any,
        backlog: int,
        mode: int,
        lock: bool,
        *,
        tls: ServerTls | None = None,
    ) -> None:
        super().__init__(hub, factory, backlog, tls)
        self._path = os.fsencode(path)
        self._has_file = not self._path.startswith(b"\0")  # it may be a name without one
        self._mode = mode
        lock = lock and self._has_file
        self._lock = FilesystemLock(self._path + b".lock") if lock else None
        self._inode = 0

    def _bound(self) -> socket.socket:
        if self._lock is not None:
            if not self._lock.lock():
                raise CannotListenError(None, self._path, "Cannot acquire lock")
            if not self._lock.clean:
                self._remove_left_over()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(self._path)
            if self._has_file:
                os.chmod(self._path, self._mode)
                self._inode = os.stat(self._path).st_ino
        except OSError as error:
            sock.close()
            if self._lock is not None:
                self._lock.unlock()
            raise self._cannot(error) from error
        return sock

    def _remove_left_over(self) -> None:
        try:
            if stat.S_ISSOCK(os.stat(self._path).st_mode):
                os.remove(self._path)
        except OSError:
            pass  # binding will say what is wrong

    def _unbind(self) -> None:
        if not self._has_file:
            return
        try:
            # Not what somebody else has put there since.
            if os.stat(self._path).st_ino == self._inode:
                os.unlink(self._path)
        except OSError:
            pass
        if self._lock is not None:
            self._lock.unlock()

    def _cannot(self, error: OSError) -> CannotListenError:
        return CannotListenError(None, self._path, error)
