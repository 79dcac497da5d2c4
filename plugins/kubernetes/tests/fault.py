"""What the tests' API server does wrong when it is told to."""

from __future__ import annotations


class Fault:
    """What the server does in the place of answering."""

    def __init__(
        self,
        code: int = 0,
        *,
        body: bytes | None = None,
        reason: str = "InternalError",
        silent: bool = False,
        drop: bool = False,
        drip: bool = False,
        retry_after: str = "",
    ) -> None:
        self.code = code
        self.body = body
        self.reason = reason
        self.silent = silent
        self.drop = drop
        self.drip = drip
        self.retry_after = retry_after
