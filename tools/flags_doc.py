#!/usr/bin/env python3
"""
Write docs/flags.md from the tables of flags that both programs parse their command lines with.

    python tools/flags_doc.py            write the file
    python tools/flags_doc.py --check    exit with 1 and say what to do if it is out of date

It needs konnect's own dependencies, since it asks the programs and not their sources.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "flags.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from konnect.app.agent_options import AgentOptions  # noqa: E402
from konnect.app.flags import Flag, FlagOptions  # noqa: E402
from konnect.app.klog import KLOG_FLAGS  # noqa: E402
from konnect.app.proxy_options import ProxyOptions  # noqa: E402

_UPSTREAM = """
admin-bind-address admin-port admin-server-port agent-bind-address agent-cert agent-id
agent-identifiers agent-key agent-namespace agent-port agent-service-account alpn-proto
authentication-audience backend-dial-timeout ca-cert cipher-suites cluster-ca-cert cluster-cert
cluster-key count-server-leases delete-existing-uds-file enable-contention-profiling
enable-lease-controller enable-profiling frontend-keepalive-time graceful-shutdown-timeout
health-bind-address health-port health-server-host health-server-port keepalive-time
kube-api-content-type kubeconfig kubeconfig-burst kubeconfig-qps lease-label lease-label-selector
lease-namespace mode probe-interval proxy-server-host proxy-server-port proxy-strategies
server-bind-address server-ca-cert server-cert server-count server-count-source server-id server-key
server-port service-account-token-path sync-forever sync-interval sync-interval-cap tls-min-version
uds-name warn-on-channel-limit xfr-channel-size
"""
UPSTREAM = frozenset(_UPSTREAM.split()) | {flag.name for flag in KLOG_FLAGS}
"""What of the tables' rows is upstream's; any other flag is ours."""

_HEAD = """\
# Flags

<!-- Made by tools/flags_doc.py from the programs themselves. Do not edit; run it again. -->

Both programs read their flags as upstream's do (pflag): `--name=value` or `--name value`; a switch
is `--name`, `--name=true` or `--name=false`; durations are Go's, `500ms`, `30s`, `1h30m`. Of a flag
that is given twice the last one counts, unless it may be repeated. `twistd` has flags of its own,
which go before the program's name: `twistd -n --pidfile= konnect-proxy --agent-port=8091`. What
may stand in endpoint strings is in [operations](operations.md#endpoint-strings).

A star marks the flags that are konnect's own. All others have upstream's names, and upstream's
defaults but for `--backend-dial-timeout` ([why](decisions/0006-dial-timeout.md)).
"""


def page() -> str:
    """The whole document."""
    parts = [_HEAD]
    parts += program("konnect-proxy", ProxyOptions)
    parts += program("konnect-agent", AgentOptions)
    return "\n".join(parts)


def program(name: str, options: type[FlagOptions]) -> Iterable[str]:
    """One program's part."""
    flags = sorted(options.flags, key=lambda flag: flag.name)
    yield f"\n## {name}\n\n{options.about}\n"
    yield "| flag | kind | default | |"
    yield "|---|---|---|---|"
    yield from (row(flag) for flag in flags if not (flag.note or flag.deprecated or flag.hidden))
    old = [flag for flag in flags if flag.deprecated]
    if old:
        yield "\nDeprecated, as at upstream:\n"
        yield from (f"- `--{flag.name}`: {flag.deprecated}" for flag in old)
    for note in dict.fromkeys(flag.note for flag in flags if flag.note):
        names = ", ".join(f"`--{flag.name}`" for flag in flags if flag.note == note)
        yield f"\n{note.removesuffix(':')}: {names}."


def row(flag: Flag) -> str:
    """One line of the table."""
    star = "" if flag.name in UPSTREAM else " \\*"
    short = f", `-{flag.short}`" if flag.short else ""
    kind = flag.kind.word or "bool"
    cells = (f"`--{flag.name}`{short}{star}", f"`{kind}`", shown_default(flag), flag.help)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def shown_default(flag: Flag) -> str:
    """A default as a person writes it; nothing for an empty one or one made anew at each start."""
    if flag.make_default:
        return ""
    if flag.kind.bare is not None:
        return f"`{str(flag.default).lower()}`"
    if isinstance(flag.default, int):
        return f"`{flag.default}`"  # the help rounds large ones
    shown = flag.kind.show(flag.default).strip('"')
    if not shown and isinstance(flag.default, float):
        shown = "0"
    return f"`{shown}`" if shown else ""


def main(words: Sequence[str]) -> int:
    """Write the page or compare it; the exit code."""
    if words not in ([], ["--check"]):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    text = page()
    if not words:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/flags.md is not what the flags say: run python tools/flags_doc.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
