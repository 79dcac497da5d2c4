"""The ``konnect`` command: what is needed around a proxy and an agent, one subcommand each.

The proxy and the agent themselves are twistd's ``konnect-proxy`` and ``konnect-agent``. A
subcommand is a module with ``main(argv) -> exit code``, imported only when it is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

import konnect
from konnect.app.lost_output import give_up, is_lost_output

COMMANDS = {
    "demo": (
        "konnect.app.demo",
        "a proxy, an agent and a destination on this machine, and requests through them",
    ),
    "certs": (
        "konnect.app.certs",
        "make the certificates that a proxy, its agents and its clients need",
    ),
    "test-server": ("konnect.app.test_server", "an HTTP destination for trials"),
    "test-client": ("konnect.app.test_client", "send HTTP requests through a proxy"),
}
"""Subcommand: the module that is it, and what it does."""


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the command and return the exit code: 2 for a bad command line, else the command's.

    1 when the output cannot be written; no word about it when whoever read it has had enough
    (`konnect ... | head`).
    """
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            print(end="", flush=True)
    except OSError as error:
        if not is_lost_output(error):
            raise
        return give_up(error)


def _run(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), file=sys.stderr)
        return 2
    word, *rest = arguments
    if word in ("--help", "-h", "help"):
        print(_help())
        return 0
    if word == "--version":
        print(f"konnect {konnect.__version__}")
        return 0
    if word not in COMMANDS:
        near = difflib.get_close_matches(word, COMMANDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        print(f"konnect: there is no command {word!r}.{hint} See konnect --help", file=sys.stderr)
        return 2
    code: int = importlib.import_module(COMMANDS[word][0]).main(rest)
    return code


def _help() -> str:
    lines = [
        "Usage: konnect COMMAND [flags]",
        "",
        "Traffic from where a network cannot be reached, into it, through agents that dial out.",
        "",
        "Commands:",
        *(f"  {name:<12} {what}" for name, (_, what) in COMMANDS.items()),
        "",
        "konnect COMMAND --help shows a command's flags. The proxy and the agent are started by",
        "twistd -n konnect-proxy and twistd -n konnect-agent.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
