"""The agent's service account token: a file that is read anew for each connection.

Kubernetes replaces the file of a projected token long before the token expires, so what was read at
the start is of no use later. Unlike upstream's, the text is trimmed: editors and `echo` end a file
with a newline, which no header may carry.
"""

from __future__ import annotations

from pathlib import Path

LONGEST = 16384
"""Bytes of a token file. Tokens of service accounts have about a thousand."""


class TokenUnusable(Exception):
    """There is no token to send; the text names the file and says why."""


def read_token(path: str) -> str:
    """
    The token in the file at `path`.

    Raises `TokenUnusable`. The file is read in the reactor's thread: it is small, and lies in
    memory where Kubernetes puts it.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LONGEST + 1).strip()
    except OSError as error:
        raise TokenUnusable(f"the token file {path}: {error.strerror or error}") from None
    if not data:
        raise TokenUnusable(f"the token file {path} is empty")
    if len(data) > LONGEST:
        raise TokenUnusable(f"the token file {path} is longer than {LONGEST} bytes: not a token")
    token = data.decode("latin-1")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise TokenUnusable(f"the token file {path} holds more than one token, or none")
    return token
