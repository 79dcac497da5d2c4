"""Running a piece of Python whose output goes where it may not be taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import konnect


def ended(stdout: int, code: str, *words: str) -> tuple[int, str]:
    """Exit code and stderr of `python -c code words` with its output to the descriptor `stdout`."""
    root = str(Path(konnect.__file__).parent.parent)
    # Buffered, as outside of tests: what is told too late is told by the last flush.
    environment = {**os.environ, "PYTHONPATH": root, "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=60,
        text=True,
    )
    return done.returncode, done.stderr
