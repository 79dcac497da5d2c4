"""Tests of konnect.app.flags and konnect.app.klog."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from unittest import mock

from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from konnect import __version__
from konnect.app import kinds
from konnect.app.agent_options import AgentOptions
from konnect.app.flags import Flag, FlagOptions
from konnect.app.klog import KLOG_FLAGS
from konnect.app.proxy_options import ProxyOptions


class SampleOptions(FlagOptions):
    """One flag of each sort that matters to the syntax."""

    about = "A program to test with."
    flags = (
        Flag("name", kinds.TEXT, "nobody", "A name.", env="SAMPLE_NAME"),
        Flag("port", kinds.INT, 8090, "A port."),
        Flag("wait", kinds.DURATION, 3600.0, "A time.", env="SAMPLE_WAIT"),
        Flag("fast", kinds.BOOL, False, "A switch."),
        Flag("safe", kinds.BOOL, True, "A switch that is on."),
        Flag("item", kinds.LIST, ("first",), "Comma separated."),
        Flag("place", kinds.EACH, (), "Repeated."),
        Flag("token", kinds.TEXT, "", "Made.", make_default=lambda: "of-this-run"),
        Flag("label", kinds.TEXT, "", "A label."),
        Flag("old-label", kinds.TEXT, "", stores="label", deprecated="Use --label instead"),
        Flag("secret", kinds.TEXT, "", "Not shown.", hidden=True),
        *KLOG_FLAGS,
    )


class RefusingOptions(SampleOptions):
    """Options whose values never go together."""

    def postOptions(self) -> None:
        """Refuse."""
        raise usage.UsageError("these do not go together")


class ProgramOptions(usage.Options):
    """What twistd is to our options: the owner of a sub-command."""

    subCommands = [
        ["sample", None, SampleOptions, "A program."],
        ["refusing", None, RefusingOptions, "Another."],
    ]


def parse(*words: str, **environ: str) -> SampleOptions:
    """The options of a command line."""
    options = SampleOptions(environ)
    options.parseOptions(words)
    return options


class SyntaxTests(SynchronousTestCase):
    """The command line as pflag reads it."""

    def refuses(self, problem: str, *words: str) -> None:
        """The command line is refused with exactly this message."""
        error = self.assertRaises(usage.UsageError, parse, *words)
        self.assertEqual(str(error), problem)

    def test_defaults(self) -> None:
        """Without a word every flag has its default, and none was given."""
        options = parse()
        self.assertEqual(options["port"], 8090)
        self.assertEqual(options["v"], 4)
        self.assertIs(options["safe"], True)
        self.assertEqual(options["item"], ("first",))
        self.assertEqual(options["token"], "of-this-run")
        self.assertEqual(options.given, set())

    def test_value_after_equals_sign(self) -> None:
        """`--flag=value` takes everything after the first equals sign, nothing included."""
        self.assertEqual(parse("--name=a=b")["name"], "a=b")
        self.assertEqual(parse("--name=")["name"], "")

    def test_value_in_next_word(self) -> None:
        """`--flag value` takes the next word, whatever it looks like."""
        self.assertEqual(parse("--name", "x")["name"], "x")
        self.assertEqual(parse("--name", "--fast")["name"], "--fast")

    def test_booleans(self) -> None:
        """A boolean stands alone or has its value after an equals sign, never in the next word."""
        self.assertIs(parse("--fast")["fast"], True)
        self.assertIs(parse("--safe=false")["safe"], False)
        self.assertIs(parse("--fast", "false")["fast"], True)
        self.refuses(
            'invalid argument "maybe" for "--fast" flag:'
            ' strconv.ParseBool: parsing "maybe": invalid syntax',
            "--fast=maybe",
        )

    def test_short_flags(self) -> None:
        """A short flag's value is the rest of its word, with or without `=`, or the next word."""
        for words in (["-v", "7"], ["-v7"], ["-v=7"], ["--v=7"], ["--v", "7"]):
            self.assertEqual(parse(*words)["v"], 7, words)

    def test_later_wins(self) -> None:
        """Of a flag that is given twice, the later value counts."""
        self.assertEqual(parse("--port=1", "--port=2")["port"], 2)

    def test_lists_add_up(self) -> None:
        """The first use of a list replaces its default; further uses add to it."""
        self.assertEqual(parse("--item=a,b", "--item", "c")["item"], ("a", "b", "c"))
        self.assertEqual(parse("--place=a,b", "--place=c")["place"], ("a,b", "c"))

    def test_positional_arguments(self) -> None:
        """Words that are no flags are ignored, and so is everything after `--`."""
        options = parse("one", "-", "--port=1", "two", "--", "--port=2", "--nonsense")
        self.assertEqual(options["port"], 1)

    def test_given(self) -> None:
        """`given` has the names of the flags on the command line, however they were written."""
        self.assertEqual(parse("--fast", "-v4").given, {"fast", "v"})

    def test_unknown_flags(self) -> None:
        """An unknown flag is named, with the nearest known name if there is one."""
        self.refuses("unknown flag: --prot (did you mean --port?)", "--prot=3")
        self.refuses("unknown flag: --nonsense", "--nonsense")
        self.refuses("unknown shorthand flag: 'x' in -x", "-x")
        self.refuses("unknown shorthand flag: '4' in -42", "-42")

    def test_words_left_out(self) -> None:
        """A name with some words of another's is that one's, if it is nobody else's."""
        for options, name, meant in (
            (AgentOptions, "admin-port", "admin-server-port"),
            (AgentOptions, "token-path", "service-account-token-path"),
            (AgentOptions, "proxy-host", "proxy-server-host"),
            (ProxyOptions, "uds", "uds-name"),
            (ProxyOptions, "server-ca", "server-ca-cert"),
            (ProxyOptions, "audience", "authentication-audience"),
        ):
            with self.assertRaises(usage.UsageError) as caught:
                options().parseOptions([f"--{name}=1"])
            text = f"unknown flag: --{name} (did you mean --{meant}?)"
            self.assertIn(text, str(caught.exception))
        with self.assertRaises(usage.UsageError) as caught:
            ProxyOptions().parseOptions(["--port=1"])
        self.assertNotIn("did you mean", str(caught.exception))

    def test_underscores(self) -> None:
        """Names have hyphens only."""
        self.refuses("unknown flag: --log_dir (did you mean --log-dir?)", "--log_dir=x")

    def test_abbreviations(self) -> None:
        """A name is not guessed from its beginning."""
        self.refuses("unknown flag: --por (did you mean --port?)", "--por=3")

    def test_hidden_names_are_not_suggested(self) -> None:
        """Deprecated and hidden flags are not proposed."""
        self.refuses("unknown flag: --secre", "--secre")

    def test_bad_syntax(self) -> None:
        """Words that cannot be flags are refused as pflag refuses them."""
        self.refuses("bad flag syntax: --=3", "--=3")
        self.refuses("bad flag syntax: ---a", "---a")

    def test_missing_value(self) -> None:
        """A flag at the end of the line without its value is refused."""
        self.refuses("flag needs an argument: --port", "--port")
        self.refuses("flag needs an argument: 'v' in -v", "-v")

    def test_bad_values(self) -> None:
        """A value of the wrong kind is refused with the flag's label and Go's reason."""
        self.refuses(
            'invalid argument "x" for "--port" flag: strconv.ParseInt: parsing "x": invalid syntax',
            "--port=x",
        )
        self.refuses(
            'invalid argument "5" for "--wait" flag: time: missing unit in duration "5"',
            "--wait=5",
        )
        self.refuses(
            'invalid argument "v" for "-v, --v" flag:'
            ' strconv.ParseInt: parsing "v": invalid syntax',
            "-vv",
        )

    def test_environment(self) -> None:
        """A flag's variable gives its default unless it is empty; the flag itself wins."""
        self.assertEqual(parse(SAMPLE_NAME="env")["name"], "env")
        self.assertEqual(parse(SAMPLE_NAME="")["name"], "nobody")
        self.assertEqual(parse("--name=flag", SAMPLE_NAME="env")["name"], "flag")
        self.assertEqual(parse("--name=", SAMPLE_NAME="env")["name"], "")

    def test_bad_environment(self) -> None:
        """A variable with a value of the wrong kind is refused like the flag, by its own name."""
        error = self.assertRaises(usage.UsageError, parse, SAMPLE_WAIT="soon")
        self.assertEqual(
            str(error),
            'invalid value "soon" of $SAMPLE_WAIT for "--wait" flag: time: invalid duration "soon"',
        )

    def test_settings(self) -> None:
        """What differs from the defaults is listed as flags, whoever asked for it."""
        options = parse(
            "--port=8090",
            "--safe=false",
            "--fast",
            "--wait=90m",
            "--place=a",
            "--place=b,c",
            "--old-label=x",
            "-v5",
            SAMPLE_NAME="env",
        )
        self.assertEqual(
            options.settings,
            [
                "--name=env",
                "--wait=1h30m0s",
                "--fast=true",
                "--safe=false",
                "--place=a",
                "--place=b,c",
                "--token=of-this-run",
                "--label=x",
                "--v=5",
            ],
        )

    def test_settings_hold_no_password(self) -> None:
        """A password within an endpoint string does not reach the log; all else does."""
        for password in ("secret", r"se:cr\\:et", "secret@secret"):
            place = rf"mtls:far:443:via=http\://user\:{password}@corp\:3128:ca=a.crt"
            (shown,) = (
                text for text in parse(f"--place={place}").settings if text.startswith("--place")
            )
            self.assertEqual(
                shown, r"--place=mtls:far:443:via=http\://user\:***@corp\:3128:ca=a.crt"
            )

    def test_deprecated(self) -> None:
        """A deprecated flag works, and one line on stderr says what to use instead."""
        stderr = io.StringIO()
        with contextlib.redirect_stderr(stderr):
            options = parse("--old-label=a", "--old-label=b")
        self.assertEqual(options["label"], "b")
        self.assertEqual(
            stderr.getvalue(), "Flag --old-label has been deprecated, Use --label instead\n"
        )

    def test_klog_flags(self) -> None:
        """klog's flags are accepted as production manifests write them."""
        options = parse(
            "--logtostderr=true",
            "--log-file=/var/log/konnectivity-server.log",
            "--log-file-max-size=0",
            "--alsologtostderr",
            "--stderrthreshold=INFO",
            "--vmodule=a=1",
            "--v=2",
        )
        self.assertEqual(options["v"], 2)


class HelpTests(SynchronousTestCase):
    """The help, and how a sub-command of twistd ends."""

    def setUp(self) -> None:
        """Catch what is printed."""
        self.stdout = io.StringIO()
        self.stderr = io.StringIO()
        self.patch(sys, "stdout", self.stdout)
        self.patch(sys, "stderr", self.stderr)
        self.patch(sys, "argv", ["/usr/bin/twistd"])

    def exits(self, options: usage.Options, *words: str) -> object:
        """The exit code with which the command line ends the program."""
        return self.assertRaises(SystemExit, options.parseOptions, words).code

    def test_help(self) -> None:
        """`--help` and `-h` print every flag with its default to stdout and exit with 0."""
        for word in ("--help", "-h", "--help=true"):
            self.stdout.truncate(0)
            self.assertEqual(self.exits(SampleOptions(), word), 0)
            text = self.stdout.getvalue()
            self.assertIn("Usage: twistd [flags]", text)
            self.assertIn("A program to test with.", text)
            self.assertIn('--name string\n          A name. (default "nobody")', text)
            self.assertIn("--wait duration\n          A time. (default 1h0m0s)", text)
            self.assertIn("  -v, --v Level", text)
            self.assertNotIn("of-this-run", text)
            self.assertNotIn("secret", text)
            self.assertNotIn("old-label", text)
        self.assertEqual(self.stderr.getvalue(), "")

    def test_help_width(self) -> None:
        """The help keeps within the width that it is asked for."""
        lines = SampleOptions().getUsage(width=60).splitlines()
        self.assertLessEqual(max(len(line) for line in lines), 60)

    def test_help_without_a_width(self) -> None:
        """A terminal that says nothing of use about its width gets the help for 80 columns."""
        usual = SampleOptions().getUsage(width=80)
        for text in ("", "0", "-1", "wide", "9" * 5000):
            with mock.patch.dict(os.environ, COLUMNS=text):
                self.assertEqual(SampleOptions().getUsage(), usual, text[:10])

    def test_help_not_wanted(self) -> None:
        """`--help=false` is a flag like any other."""
        self.assertIs(parse("--help=false", "--port=3")["help"], False)

    def test_help_after_a_mistake(self) -> None:
        """A mistake anywhere on the line is reported although help is asked for."""
        self.assertRaises(usage.UsageError, parse, "--help", "--port=x")

    def test_version(self) -> None:
        """`--version` prints konnect's version and exits with 0."""
        self.assertEqual(self.exits(SampleOptions(), "--version"), 0)
        self.assertEqual(self.stdout.getvalue(), f"konnect {__version__}\n")

    def test_sub_command(self) -> None:
        """As a sub-command the options are parsed, and their help names the whole command."""
        program = ProgramOptions()
        program.parseOptions(["sample", "--port=3"])
        options = program.subOptions
        self.assertEqual(options["port"], 3)
        self.assertEqual(self.exits(ProgramOptions(), "sample", "--help"), 0)
        self.assertIn("Usage: twistd sample [flags]", self.stdout.getvalue())

    def test_sub_command_mistakes(self) -> None:
        """As a sub-command a mistake is one line on stderr, where to look, and exit code 1."""
        self.assertEqual(self.exits(ProgramOptions(), "sample", "--prot=3"), 1)
        self.assertEqual(
            self.stderr.getvalue(),
            "Error: unknown flag: --prot (did you mean --port?)\n"
            "twistd sample --help lists the flags.\n",
        )
        self.assertEqual(self.stdout.getvalue(), "")

    def test_sub_command_refusal(self) -> None:
        """What postOptions refuses ends a sub-command in the same way."""
        self.assertEqual(self.exits(ProgramOptions(), "refusing"), 1)
        self.assertIn("Error: these do not go together\n", self.stderr.getvalue())
