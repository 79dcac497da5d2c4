"""Tests of konnect.app.klog."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from konnect.app.flags import FlagOptions
from konnect.app.klog import IDLE_KLOG_FLAGS, KLOG_FLAGS, LogConfig, read_log


class KlogOptions(FlagOptions):
    """A program that logs."""

    flags = KLOG_FLAGS


class IdleOptions(FlagOptions):
    """A program that prints."""

    flags = IDLE_KLOG_FLAGS


def read(*words: str) -> LogConfig:
    """What a command line asks for."""
    options = KlogOptions({})
    options.parseOptions(words)
    return read_log(options)


class KlogTests(SynchronousTestCase):
    """From klog's flags to what is meant."""

    def test_defaults(self) -> None:
        """Without a flag everything that is information or above goes to stderr, and no file."""
        config = read()
        self.assertEqual(config, LogConfig())
        self.assertEqual((config.level, config.stderr_from, config.to_files), ("info", 0, False))

    def test_a_file_beside_logtostderr(self) -> None:
        """With --logtostderr=true, as the examples have it, --log-file has no effect."""
        self.assertFalse(read("--log-file=/var/log/k.log", "--logtostderr=true").to_files)

    def test_a_file(self) -> None:
        """With --logtostderr=false lines go to the file, and errors to stderr too."""
        config = read("--log-file=k.log", "--logtostderr=false", "--log-file-max-size=2")
        self.assertEqual(
            (config.to_files, config.file, config.max_size, config.stderr_from),
            (True, "k.log", 2 * 1024 * 1024, 2),
        )

    def test_thresholds(self) -> None:
        """What goes to stderr is as upstream's programs have it."""
        files, also = "--logtostderr=false", "--alsologtostderr"
        for words, lowest in (
            (("--stderrthreshold=ERROR",), 0),
            (("--stderrthreshold=ERROR", "--legacy-stderr-threshold-behavior=false"), 2),
            ((files, "--stderrthreshold=3"), 3),
            ((files, "--alsologtostderrthreshold=INFO"), 2),
            ((files, also), 0),
            ((files, also, "--stderrthreshold=ERROR"), 0),
            ((files, also, "--alsologtostderrthreshold=WARNING", "--stderrthreshold=INFO"), 1),
        ):
            self.assertEqual(read(*words).stderr_from, lowest, words)

    def test_levels(self) -> None:
        """-v chooses the level, --vmodule that of some modules; a level of 0 asks for nothing."""
        config = read("-v=5", "--vmodule=connector=8,konnect.proxy.*=5,link=0,")
        self.assertEqual(config.level, "debug")
        self.assertEqual(
            config.rules, (("connector", "trace"), ("konnect.proxy.*", "debug"), ("link", "info"))
        )

    def test_backtrace(self) -> None:
        """A log statement is given by its file and line."""
        self.assertEqual(read("--log-backtrace-at=link.py:12").backtrace_at, ("link.py", 12))
        self.assertIsNone(read("--log-backtrace-at=").backtrace_at)

    def test_every_flag_is_explained(self) -> None:
        """Every flag's help says what it does; a program that does not log says that instead."""
        self.assertEqual([flag.name for flag in KLOG_FLAGS if not flag.help], [])
        text = str(IdleOptions({}))
        self.assertIn("without effect", text)
        for flag in KLOG_FLAGS:
            self.assertIn(f"--{flag.name}", text)
