#!/usr/bin/env python3
"""
Check that links within the documentation lead somewhere: to a file that exists and, behind a
`#`, to one of its headings. Links to other hosts are not followed, so it needs no network.

    python3 tools/check_links.py

prints one line for each broken link and exits with 1 if there are any.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("docs", "proto", "certs", "bench", "deploy", "plugins")

_FENCE = re.compile(r"^(`{3,}|~{3,}).*?^\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)>\s]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*\s*$", re.MULTILINE)
_OUTSIDE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")


def documents() -> Iterator[Path]:
    """Every Markdown file of the project."""
    yield from sorted(ROOT.glob("*.md"))
    for folder in FOLDERS:
        yield from sorted((ROOT / folder).rglob("*.md"))


def anchors(path: Path) -> set[str]:
    """What a `#` can point at in a document: its headings, as code hosts name them."""
    names: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8"))):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", text.lower()).strip().replace(" ", "-")
        number = sum(1 for other in names if re.fullmatch(re.escape(name) + r"(-\d+)?", other))
        names.add(f"{name}-{number}" if number else name)
    return names


def broken(path: Path) -> Iterator[str]:
    """A line for each link of a document that leads nowhere."""
    text = _CODE.sub("", _FENCE.sub("", path.read_text(encoding="utf-8")))
    for inline, reference in _LINK.findall(text):
        link = inline or reference
        if _OUTSIDE.match(link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (path.parent / place).resolve() if place else path
        if not target.exists():
            yield f"{path.relative_to(ROOT)}: {link}: there is no such file"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target):
            yield f"{path.relative_to(ROOT)}: {link}: there is no such heading"


def main() -> int:
    """Check everything; the exit code."""
    problems = [problem for path in documents() for problem in broken(path)]
    print("\n".join(problems) or "all links lead somewhere")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
