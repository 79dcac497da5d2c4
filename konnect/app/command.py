"""A subcommand of ``konnect`` that needs the reactor: from its arguments to its exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.task import react
from twisted.python import usage

from konnect.app.flags import FlagOptions
from konnect.app.lost_output import is_lost_output

Options = TypeVar("Options", bound=FlagOptions)


def run_command(
    work: Callable[[Any, Options], Coroutine[Any, Any, None]],
    options: Options,
    argv: Sequence[str],
) -> int:
    """
    Run `work(reactor, options)` with the flags of `argv`, until it ends or a signal comes.

    Returns 1 for a bad flag, which is told in a line, and what `work` raised as SystemExit; 0 when
    it ended by itself, or was told to by a signal. Raises OSError as `work` did when its output
    cannot be written.
    """
    broken: list[OSError] = []

    async def watched(reactor: Any) -> None:
        try:
            await work(reactor, options)
        except OSError as error:
            if not is_lost_output(error):
                raise
            # Kept from the reactor, which would log it as a mistake of ours.
            broken.append(error)

    try:
        options.parseOptions(list(argv))
        react(watched)
    except usage.UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except SystemExit as end:
        if broken:
            raise broken[0] from None
        return int(end.code or 0)
