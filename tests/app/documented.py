"""Command lines in the documentation's code blocks, and flags in its text."""

from __future__ import annotations

import re
import shlex
import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PROGRAMS = ("konnect-proxy", "konnect-agent")
"""twistd's."""

COMMANDS = ("demo", "certs", "test-server", "test-client")
"""konnect's own."""

IMAGES = {
    "/proxy-server": "konnect-proxy",
    "/proxy-agent": "konnect-agent",
    "/proxy-test-client": "test-client",
    "/http-test-server": "test-server",
}
"""What an image starts, and which program that is."""

_ENDS = frozenset(("|", "||", "&&", "&", ";", ">", ">>", "<", "2>&1"))
"""Words of a shell that no program gets, nor any after them."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command line of ours."""

    page: str
    program: str
    """One of PROGRAMS or COMMANDS."""
    words: tuple[str, ...]
    """Its arguments."""


def pages() -> list[Path]:
    """All Markdown files of the project."""
    kept = (ROOT, ROOT / "docs", ROOT / "deploy", ROOT / "plugins", ROOT / "certs")
    found = {path for folder in kept[1:] for path in folder.rglob("*.md")}
    return sorted(found | set(ROOT.glob("*.md")))


def blocks(text: str) -> Iterator[list[str]]:
    """The lines of each code block, indented or fenced. Python's are none of a shell."""
    block: list[str] = []
    fence = False
    python = False
    for line in [*text.splitlines(), ""]:
        if line.lstrip().startswith("```"):
            if block and not python:
                yield block
            fence, python, block = not fence, "python" in line, []
        elif fence or line.startswith("    "):
            block.append(line)
        elif block and line.strip():
            yield block
            block = []
    if block and not fence:
        yield block


def lines(block: list[str]) -> Iterator[list[str]]:
    """The words of each command, lines that go on joined and the block's own variables filled."""
    variables: dict[str, str] = {}
    for line in "\n".join(block).replace("\\\n", " ").split("\n"):
        filled = string.Template(line).safe_substitute(variables)
        try:
            words = shlex.split(filled, comments=True)
        except ValueError:  # a drawing or what a program printed
            continue
        assigned = re.fullmatch(r"([a-z]\w*)=(.*)", words[0]) if len(words) == 1 else None
        if assigned:
            variables[assigned[1]] = assigned[2]
        elif words:
            yield words


def command(page: str, words: list[str]) -> Command | None:
    """What of ours a line starts, if anything."""
    for number, word in enumerate(words):
        before = Path(words[number - 1]).name if number else ""
        rest = words[number + 1 :]
        twistd = any(Path(one).name == "twistd" for one in words[:number])
        if (word in PROGRAMS and twistd) or (word in COMMANDS and before == "konnect"):
            program = word
        elif word in IMAGES and number == 0:
            program = IMAGES[word]
        else:
            continue
        end = next((at for at, one in enumerate(rest) if one in _ENDS), len(rest))
        return Command(page, program, tuple(rest[:end]))
    return None


def commands() -> Iterator[Command]:
    """All of the documentation."""
    for path in pages():
        for block in blocks(path.read_text(encoding="utf-8")):
            for words in lines(block):
                found = command(str(path.relative_to(ROOT)), words)
                if found is not None:
                    yield found


def mentioned() -> Iterator[tuple[str, str, str | None]]:
    """(page, flag, value if there is one) of all flags within backticks, and of lines in code
    blocks that begin with one."""
    for path in pages():
        text = path.read_text(encoding="utf-8")
        codes = re.findall(r"`([^`\n]+)`", text)
        codes += [line.strip() for line in text.splitlines() if line.startswith("    --")]
        for code in codes:
            for flag, value in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)(=\S*)?", code):
                yield str(path.relative_to(ROOT)), flag, value[1:] if value else None
