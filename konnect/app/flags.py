"""
Command lines in pflag's syntax, on Twisted's `usage.Options`.

Why: a production manifest's argument list has to start konnect unchanged, and Twisted's own
parser (getopt) reads `--flag=false`, `-v=4` or an unknown flag differently. A program declares
its flags as a table; this module parses, shows the help, and keeps the values under the flags'
names. It works as the options class of a ServiceMaker, for twistd and for twist.

What it does not do: judge values together. Subclasses do that in `postOptions`, and turn the
mapping into a frozen config; nobody else should read the mapping.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from twisted.python import usage

import konnect
from konnect.app import kinds
from konnect.app.kinds import Kind
from konnect.app.lost_output import give_up, is_lost_output
from konnect.app.quoting import quote

_PASSWORD = re.compile(r"(//[^@:]*:)\S*@")
"""In a URL, perhaps within an endpoint string (`via=http\\://user\\:password@host`). Rather too
much is taken for a password than too little."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of a program's table of flags."""

    name: str
    kind: Kind
    default: Any
    help: str = ""
    short: str = ""
    env: str = ""
    """An environment variable that gives the default when it is set and not empty."""
    make_default: Callable[[], Any] | None = None
    """Makes the default where it differs from run to run; the help does not show it."""
    deprecated: str = ""
    """What to do instead: using the flag then prints one line with it."""
    hidden: bool = False
    note: str = ""
    """The help lists flags with the same note together, by name only."""
    stores: str = ""
    """The flag whose value this one sets, when it is another name for it."""

    @property
    def label(self) -> str:
        """The flag as error messages name it."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


_OWN_FLAGS = (
    Flag("help", kinds.BOOL, False, "Show this help and exit.", short="h"),
    Flag("version", kinds.BOOL, False, "Show konnect's version and exit."),
)


class FlagOptions(usage.Options):
    """
    Options from a table of flags.

    After `parseOptions`, each flag's value is in the mapping under the flag's name, and `given`
    holds the names that the command line mentioned.
    """

    flags: ClassVar[Sequence[Flag]] = ()
    """The table; a subclass sets it."""
    about: ClassVar[str] = ""
    """One sentence for the top of the help."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        super().__init__()
        self.given: set[str] = set()
        self.settings: list[str] = []
        """What differs from the defaults, as the flags that would ask for it, without passwords:
        for the log."""
        self._warned: set[str] = set()
        self.environ = environ
        self._by_name = {flag.name: flag for flag in (*self.flags, *_OWN_FLAGS)}
        self._by_short = {flag.short: flag for flag in self._by_name.values() if flag.short}
        for flag in self._by_name.values():
            if not flag.stores:
                self[flag.name] = flag.make_default() if flag.make_default else flag.default

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read the command line, then let `postOptions` judge it.

        Raises usage.UsageError. As the sub-command of twistd or twist it instead prints one line
        and exits with 1, since either would put the whole help around the message, and twist
        would choose another exit code than upstream's programs and twistd.
        """
        try:
            self._read_environment()
            self._parse(list(sys.argv[1:] if options is None else options))
            if self["help"]:
                self._show(str(self))
            if self["version"]:
                self._show(f"konnect {konnect.__version__}")
            self._list_settings()
            self.postOptions()
        except usage.UsageError as problem:
            if self.parent is None:
                raise
            exit_with_error(f"{problem}\n{self._command()} --help lists the flags.")

    def _show(self, text: str) -> NoReturn:
        """Print what was asked for and exit; raises OSError where `konnect` sees to that."""
        code = 0
        try:
            print(text, flush=True)
        except OSError as error:
            if self.parent is None or not is_lost_output(error):
                raise
            code = give_up(error, self._command())
        raise SystemExit(code)

    def _read_environment(self) -> None:
        for flag in self._by_name.values():
            text = self.environ.get(flag.env) if flag.env else None
            if text:
                try:
                    self[flag.name] = flag.kind.read(text)
                except ValueError as problem:
                    raise usage.UsageError(
                        f"invalid value {quote(text)} of ${flag.env} for {quote(flag.label)} flag:"
                        f" {problem}"
                    ) from None

    def _list_settings(self) -> None:
        for flag in self.flags:
            if flag.stores or self[flag.name] == flag.default:
                continue
            values = self[flag.name] if flag.kind.many else (self[flag.name],)
            for value in values:
                shown = _PASSWORD.sub(r"\1***@", flag.kind.text(value))
                self.settings.append(f"--{flag.name}={shown}")

    def _parse(self, words: list[str]) -> None:
        words.reverse()  # so that the next word is popped
        while words:
            word = words.pop()
            if word == "--":
                return
            if word.startswith("--"):
                self._parse_long(word, words)
            elif word.startswith("-") and word != "-":
                self._parse_short(word, words)
            # Anything else is a positional argument: upstream ignores those.

    def _parse_long(self, word: str, words: list[str]) -> None:
        name, equals, value = word[2:].partition("=")
        if not name or name.startswith("-"):
            raise usage.UsageError(f"bad flag syntax: {word}")
        flag = self._by_name.get(name)
        if flag is None:
            raise usage.UsageError(f"unknown flag: --{name}{self._nearest(name)}")
        if not equals:
            if flag.kind.bare is not None:
                value = flag.kind.bare
            elif words:
                value = words.pop()
            else:
                raise usage.UsageError(f"flag needs an argument: {word}")
        self._set(flag, value)

    def _parse_short(self, word: str, words: list[str]) -> None:
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = self._by_short.get(letter)
            if flag is None:
                raise usage.UsageError(f"unknown shorthand flag: '{letter}' in {word}")
            if letters.startswith("=") and len(letters) > 1:
                value, letters = letters[1:], ""
            elif flag.kind.bare is not None:
                value = flag.kind.bare
            elif letters:
                value, letters = letters, ""
            elif words:
                value = words.pop()
            else:
                raise usage.UsageError(f"flag needs an argument: '{letter}' in {word}")
            self._set(flag, value)

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = flag.kind.read(text)
        except ValueError as problem:
            raise usage.UsageError(
                f"invalid argument {quote(text)} for {quote(flag.label)} flag: {problem}"
            ) from None
        if flag.deprecated and flag.name not in self._warned:
            self._warned.add(flag.name)
            print(f"Flag --{flag.name} has been deprecated, {flag.deprecated}", file=sys.stderr)
        name = flag.stores or flag.name
        if flag.kind.many and name in self.given:
            value = self[name] + value
        self[name] = value
        self.given.add(name)

    def _nearest(self, name: str) -> str:
        known = [flag.name for flag in self._by_name.values() if not _is_hidden(flag)]
        name = name.replace("_", "-")
        near = _with_words(name, known) or difflib.get_close_matches(name, known, 1, 0.75)
        return f" (did you mean --{near[0]}?)" if near else ""

    def _command(self) -> str:
        """What to type to get here: `twistd konnect-proxy`, or the program's own name."""
        program = os.path.basename(sys.argv[0])
        if self.parent is None:
            return program
        if program == "__main__.py":  # python -m twisted
            program = "twist"
        return f"{program if program[:1].isalpha() else 'twistd'} {self.parent.subCommand}"

    def getSynopsis(self) -> str:
        """The first line of the help."""
        return f"Usage: {self._command()} [flags]"

    def getUsage(self, width: int | None = None) -> str:
        """The help without its first line, `width` columns wide (default: $COLUMNS or 80)."""
        columns = width or _columns(os.environ.get("COLUMNS", ""))
        shown = sorted(
            (flag for flag in self._by_name.values() if not _is_hidden(flag)),
            key=lambda flag: flag.name,
        )
        lines = [*textwrap.wrap(self.about, columns), "", "Flags:"]
        for flag in shown:
            if not flag.note:
                short = f"-{flag.short}, " if flag.short else "    "
                lines.append(f"  {short}--{flag.name} {flag.kind.word}".rstrip())
                lines += _indented(flag.help + _shown_default(flag), columns)
        for note in dict.fromkeys(flag.note for flag in shown if flag.note):
            names = (f"--{flag.name}" for flag in shown if flag.note == note)
            lines += ["", *textwrap.wrap(note, columns), *_indented(" ".join(names), columns)]
        return "\n".join(lines) + "\n"


def exit_with_error(text: str) -> NoReturn:
    """End the program with exit code 1 and `text` on stderr, as upstream's programs do."""
    print(f"Error: {text}", file=sys.stderr)
    raise SystemExit(1)


def _with_words(name: str, known: Sequence[str]) -> list[str]:
    """The name that has all the words of this one, in their order, and the fewest more; none where
    several have as few."""
    words = name.split("-")
    found: dict[int, list[str]] = {}
    for candidate in known:
        rest = iter(candidate.split("-"))
        if all(word in rest for word in words):
            found.setdefault(candidate.count("-"), []).append(candidate)
    fewest = found[min(found)] if found else []
    return fewest if len(fewest) == 1 else []


def _is_hidden(flag: Flag) -> bool:
    return flag.hidden or bool(flag.deprecated)


def _columns(text: str) -> int:
    """$COLUMNS; a terminal whose size is not known says 0."""
    known = text.isascii() and text.isdigit() and len(text) < 6
    return (int(text) if known else 0) or 80


def _indented(text: str, columns: int) -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        initial_indent=" " * 10,
        subsequent_indent=" " * 10,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _shown_default(flag: Flag) -> str:
    if flag.make_default:
        return ""
    shown = flag.kind.show(flag.default)
    return f" (default {shown})" if shown else ""
