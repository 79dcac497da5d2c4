"""Output of a command that cannot be written: nobody reads it, or a disk is full."""

from __future__ import annotations

import errno
import os
import sys

_CODES = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO)


def is_lost_output(error: OSError) -> bool:
    """Whether that is what an error means; those of other files have a name."""
    return error.errno in _CODES and error.filename is None


def give_up(error: OSError, command: str = "konnect") -> int:
    """Say why, in the name of `command`, unless the reader has had enough; the exit code."""
    lost = [1]
    if error.errno == errno.EPIPE:
        lost.append(2)  # `2>&1 | head`
    else:
        print(f"{command}: the output cannot be written: {error.strerror}", file=sys.stderr)
    # What is still to be flushed at the interpreter's end goes where it disturbs nobody.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in lost:
        os.dup2(nowhere, descriptor)
    return 1
