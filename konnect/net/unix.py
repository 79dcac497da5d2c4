"""A unix socket's path, made ready before a listener binds it.

Binding itself is Twisted's ``unix:PATH:mode=770:lockfile=0``. Left-over socket files make it fail,
hence this.
"""

from __future__ import annotations

import os
import stat

LONGEST_PATH = 107
"""Bytes: what fits into Linux' sockaddr_un with its final zero."""


class UnixPathError(Exception):
    """A socket cannot be made at this path; the text says why, and what to do."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or '(empty path)'}: {problem}")
        self.path = path


def prepare(path: str, delete_existing: bool) -> None:
    """Make sure that a unix socket can be bound at `path`, as far as that can be known before.

    A socket file that is there is removed if `delete_existing` (also one that somebody listens on,
    as upstream does); a file of any other kind never is. Raises UnixPathError.
    """
    encoded = os.fsencode(path)
    if not encoded or b"\0" in encoded:
        raise UnixPathError(path.replace("\0", "?"), "not a path for a unix socket; give one")
    if len(encoded) > LONGEST_PATH:
        raise UnixPathError(
            path,
            f"too long for a unix socket: {len(encoded)} bytes, at most {LONGEST_PATH};"
            " give a shorter path",
        )
    directory = os.path.dirname(path) or "."
    _check_directory(path, directory)
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnixPathError(
            path,
            f"there is {_kind(mode)} and not a socket, so it is left alone;"
            " move it or give another path",
        )
    if not delete_existing:
        raise UnixPathError(
            path,
            "the socket exists already, and removing it is switched off;"
            " stop what listens there or remove the file",
        )
    try:
        os.unlink(path)
    except OSError as error:
        raise UnixPathError(
            path, f"the socket that is there cannot be removed: {_reason(error)}"
        ) from None


def _check_directory(path: str, directory: str) -> None:
    """Raise UnixPathError unless a file can be made in `directory`."""
    try:
        mode = os.stat(directory).st_mode
    except FileNotFoundError:
        raise UnixPathError(
            path, f"the directory {directory} does not exist; make it first"
        ) from None
    except OSError as error:
        raise UnixPathError(path, f"the directory {directory}: {_reason(error)}") from None
    if not stat.S_ISDIR(mode):
        raise UnixPathError(path, f"{directory} is not a directory")
    if not os.access(
        directory, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids
    ):
        raise UnixPathError(
            path,
            f"the directory {directory} is not writable for user {os.geteuid()};"
            " let it write there or give another path",
        )


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(mode) else "a file"
