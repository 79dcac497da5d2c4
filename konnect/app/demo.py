"""``konnect demo``: a proxy, an agent and a destination in one process, and requests through them.

It shows each of the four ways into the proxy at work, then stays up with lines to paste. It proves
that konnect works on this machine; it is no benchmark (everything shares one process) and no way to
run konnect for others (it listens on 127.0.0.1 only).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python import usage

from konnect.app import kinds
from konnect.app.command import run_command
from konnect.app.demo_stage import Ports, Stage, StageError
from konnect.app.demo_ways import Outcome, Way, lines_to_paste, try_way, ways_of
from konnect.app.flags import Flag, FlagOptions
from konnect.app.test_server import HOST
from konnect.log import set_level

DEFAULT_PORT_BASE = 28090


class DemoOptions(FlagOptions):
    """The command line of ``konnect demo``."""

    about = (
        "Starts a proxy, an agent and an HTTP destination on this machine, and sends a request"
        " through each way into the proxy."
    )
    flags = (
        Flag("once", kinds.BOOL, False, "End after the requests: with 0 if all came through."),
        Flag(
            "port-base",
            kinds.INT,
            DEFAULT_PORT_BASE,
            f"The first of the {Ports.COUNT} ports on {HOST} to use.",
        ),
        Flag("log", kinds.BOOL, False, "Show what the proxy and the agent log."),
    )

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return "Usage: konnect demo [flags]"

    def postOptions(self) -> None:
        """Refuse ports that do not exist."""
        highest = 65536 - Ports.COUNT
        if not 1024 <= self["port-base"] <= highest:
            raise usage.UsageError(f"--port-base must be between 1024 and {highest}")


class Demo:
    """One run."""

    def __init__(self, reactor: Any, options: DemoOptions) -> None:
        self._reactor = reactor
        self._once = options["once"]
        self._stage = Stage(reactor, Ports(options["port-base"]))

    async def run(self) -> bool:
        """Set the stage and send the requests; whether all came through. Raises StageError."""
        await self._stage.build()
        ways = ways_of(self._stage)
        print(drawing(ways, self._stage.ports))
        print(f"GET http://{HOST}:{self._stage.ports.destination}/success, once by each way:\n")
        good = True
        for way in ways:
            outcome = await try_way(self._reactor, self._stage, way)
            good = good and outcome.good
            print(result_line(way, outcome), flush=True)
        if not self._once:
            self._invite()
        return good

    def stop(self) -> Deferred[None]:
        """End everything; for the reactor's shutdown."""
        return Deferred.fromCoroutine(self._stage.strike())

    def _invite(self) -> None:
        print("\nNow it is your turn. In another terminal:")
        for title, line in lines_to_paste(self._stage):
            print(f"\n# {title}\n{line}")
        print("\nIt stays up until you press Ctrl-C.", flush=True)


def drawing(ways: Sequence[Way], ports: Ports) -> str:
    """The path of a request."""
    left = [f"{way.protocol:<7} over {way.carrier}  {way.address:<15}" for way in ways]
    tails = (
        "--+",
        "--+-> proxy <==mTLS== agent --> destination",
        f"--+         :{ports.agents:<19}:{ports.destination}",
        "--+",
    )
    body = [f"  {start} {tail}" for start, tail in zip(left, tails, strict=True)]
    return "\n".join(["", "  client", *body, ""])


def result_line(way: Way, outcome: Outcome) -> str:
    """One way's outcome: status, bytes, milliseconds, or what went wrong."""
    name = f"  {way.protocol:<7} over {way.carrier}"
    if outcome.problem:
        return f"{name}   failed: {outcome.problem}"
    return f"{name}   {outcome.status}   {outcome.size} bytes   {outcome.milliseconds:6.1f} ms"


def begin_logging(level: str) -> None:
    """Log lines of `level` and above to stderr, instead of none."""
    set_level(level)
    predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.lookupByName(level))
    # Whose factories tell when they start and stop.
    predicate.setLogLevelForNamespace("twisted.web.client", LogLevel.error)
    observer = FilteringLogObserver(textFileLogObserver(sys.stderr), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)


async def _run(reactor: Any, options: DemoOptions) -> None:
    begin_logging("info" if options["log"] else "error")
    demo = Demo(reactor, options)
    reactor.addSystemEventTrigger("before", "shutdown", demo.stop)
    try:
        good = await demo.run()
    except StageError as problem:
        print(f"konnect demo: {problem}", file=sys.stderr)
        raise SystemExit(1) from None
    if options["once"]:
        raise SystemExit(0 if good else 1)
    await Deferred()  # until the reactor is stopped


def main(argv: Sequence[str]) -> int:
    """Run the demo. Exit code 0, or 1 for a bad flag, a taken port or a request that failed."""
    return run_command(_run, DemoOptions(), argv)
