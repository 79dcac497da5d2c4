"""The one override of the HTTP/2 packages: h2 formats every frame for a log that nobody reads.

`H2Connection._receive_frame` calls `logger.trace("...", repr(frame))` before it asks whether anyone
listens, and hyperframe's repr of a DATA frame writes out its whole body in hexadecimal: more than
half of the cost of receiving 16 KiB, and nine tenths at 64 KiB. There is no setting for it (h2 4.4,
hyperframe 6.1).

Nothing else of h2 is touched, and this file goes away when `tests/wire/test_quiet.py` says that h2
does so no longer, or when DATA frames no longer pass through h2.
"""

from __future__ import annotations

from hyperframe.frame import DataFrame


def install() -> None:
    """Give DATA frames a repr that does not look at their body.

    Idempotent; holds for the process.
    """
    DataFrame._body_repr = _body_repr  # type: ignore[assignment,method-assign]


def _body_repr(frame: DataFrame) -> str:
    return f"data=<{len(frame.data)} bytes>"
