"""What the documentation says to type is what the programs take."""

from __future__ import annotations

import contextlib
import io
import re
from collections import Counter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from konnect.app import certs
from konnect.app.agent_options import AgentOptions
from konnect.app.demo import DemoOptions
from konnect.app.flags import Flag, FlagOptions
from konnect.app.proxy_options import ProxyOptions
from konnect.app.test_client import TestClientOptions
from konnect.app.test_server import TestServerOptions
from tests.app import documented
from tests.app.manifests import with_files
from tests.app.test_manifests import FILES

OPTIONS: dict[str, type[FlagOptions]] = {
    "konnect-proxy": ProxyOptions,
    "konnect-agent": AgentOptions,
    "demo": DemoOptions,
    "test-client": TestClientOptions,
    "test-server": TestServerOptions,
}
"""All programs but `konnect certs`, which has argparse."""

OTHERS = {
    "twistd": {"pidfile", "logfile", "logger", "syslog", "version"},
    "docker": {"build-arg", "target", "load", "push", "set"},
    "kube-apiserver": {"egress-selector-config-file", "token-auth-file"},
    "quickstart-kind.sh": {
        *("overwrite-cluster", "sideload-images", "server-count-override", "render-only"),
    },
    "bench and tests.soak": {"seconds", "repetitions"},
    "nobody, as examples": {"name", "server-portt"},
}
"""Flags of others that the documentation speaks of."""

FLAGS: dict[str, list[Flag]] = {}
"""Ours, of all programs with a table."""

for _options in OPTIONS.values():
    for _flag in _options.flags:
        FLAGS.setdefault(_flag.name, []).append(_flag)

CERTS = set(re.findall(r"--([a-z-]+)", certs.make_parser().format_help()))


class DocumentedTests(SynchronousTestCase):
    """Code blocks and text of all Markdown files."""

    def setUp(self) -> None:
        """A file that stands for all that exist."""
        file = Path(self.mktemp())
        file.write_text("not looked at\n", encoding="ascii")
        self.files = dict.fromkeys(FILES, str(file))

    def test_commands(self) -> None:
        """Every command line in a code block is accepted by its program, without a warning."""
        for one in documented.commands():
            warned = io.StringIO()
            with contextlib.redirect_stderr(warned):
                try:
                    self.parse(one)
                except BaseException as error:
                    self.fail(f"{one}: {error!r} {warned.getvalue()}")
            self.assertEqual(warned.getvalue(), "", one)

    def parse(self, one: documented.Command) -> None:
        """Let a program's own parser read a command line."""
        if one.program == "certs":
            certs.make_parser().parse_args(one.words)
        else:
            OPTIONS[one.program]({}).parseOptions(with_files(one.words, self.files))

    def test_all_are_found(self) -> None:
        """The README has a command line of every program, so that this looks at what there is."""
        found = Counter(one.program for one in documented.commands() if one.page == "README.md")
        self.assertEqual(set(found), {*OPTIONS, "certs"})
        self.assertGreaterEqual((found["konnect-proxy"], found["test-client"]), (4, 3))

    def test_flags(self) -> None:
        """Every flag that the text names is one of ours, or of those others that are known here."""
        named = {flag for _, flag, _ in documented.mentioned()}
        others = set().union(*OTHERS.values())
        for page, flag, _ in documented.mentioned():
            self.assertTrue(flag in FLAGS or flag in CERTS or flag in others, f"{page}: --{flag}")
        self.assertEqual(others - named, set(), "nobody speaks of these any more")

    def test_values(self) -> None:
        """Every value that the text gives to a flag of ours is one that the flag takes."""
        for page, name, value in documented.mentioned():
            if value is None or name not in FLAGS or not value.strip(".") or value.isupper():
                continue
            self.assertTrue(
                any(takes(flag, value) for flag in FLAGS[name]), f"{page}: {name}={value}"
            )


def takes(flag: Flag, value: str) -> bool:
    """Whether a flag's kind reads it."""
    try:
        flag.kind.read(value)
    except ValueError:
        return False
    return True


class ReadingTests(SynchronousTestCase):
    """How the documentation is read."""

    def found(self, text: str) -> list[documented.Command | None]:
        """What is found in a page."""
        return [
            documented.command("page", words)
            for block in documented.blocks(text)
            for words in documented.lines(block)
        ]

    def test_blocks(self) -> None:
        """Indented and fenced blocks are read, Python's and text are not; lines are joined and
        variables filled; what a shell does with it is nobody's argument."""
        text = (
            "twistd konnect-proxy --text\n\n"
            "    x=certs\n    twistd -n konnect-proxy \\\n      --a=$x/b  # why\n\n"
            "```\nkonnect certs --c | less\n```\n\n"
            "```python\nkonnect demo\n```\n\n"
            "    /opt/bin/twistd konnect-agent --d && true\n    /proxy-server --e\n    kind --f\n"
        )
        self.assertEqual(
            [one and (one.program, *one.words) for one in self.found(text)],
            [
                ("konnect-proxy", "--a=certs/b"),
                ("certs", "--c"),
                ("konnect-agent", "--d"),
                ("konnect-proxy", "--e"),
                None,
            ],
        )
