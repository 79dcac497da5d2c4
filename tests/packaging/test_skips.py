"""Tests of tools/skips.py, with reports as trial writes them."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.reporter import TreeReporter
from twisted.trial.unittest import SynchronousTestCase

TOOL = Path(__file__).parents[2] / "tools" / "skips.py"

PACKAGING = "needs a package index and a minute: set KONNECT_PACKAGING_TESTS=1"


def load() -> Any:
    """The tool as a module; tools/ is no package."""
    spec = importlib.util.spec_from_file_location("konnect_skips", TOOL)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


class Named:
    """What trial's reporter asks of a test."""

    def __init__(self, name: str) -> None:
        self.name = name

    def id(self) -> str:
        """Its name."""
        return self.name

    shortDescription = id


def report(*skips: tuple[str, str]) -> str:
    """What trial prints of tests, (name, reason) of each, that were skipped, and a good one."""
    stream = io.StringIO()
    reporter: Any = TreeReporter(stream)
    for name, reason in (*skips, ("tests.a.test_b.CTests.test_good", "")):
        test: Any = Named(name)
        reporter.startTest(test)
        if reason:
            reporter.addSkip(test, reason)
        else:
            reporter.addSuccess(test)
        reporter.stopTest(test)
    reporter.done()
    return stream.getvalue()


class SkipsTests(SynchronousTestCase):
    """Allowed and other skips."""

    def setUp(self) -> None:
        """The tool, where there is a checkout."""
        if not TOOL.exists():
            raise SkipTest("this is no checkout")
        self.tool = load()

    def judge(self, section: str, log: str) -> tuple[int, str]:
        """The exit code and what is said about a log."""
        with tempfile.NamedTemporaryFile("w", suffix=".log") as file:
            file.write(log)
            file.flush()
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = self.tool.main([section, file.name])
        return code, said.getvalue()

    def test_none(self) -> None:
        """A run that skips nothing is good in every section, and nothing is said of it."""
        for section in self.tool.SECTIONS:
            self.assertEqual(self.judge(section, report()), (0, ""))

    def test_allowed(self) -> None:
        """What is in the list is good, and said with its number."""
        skipped = [f"tests.packaging.test_image.ImageTests.test_{name}" for name in "ab"]
        code, said = self.judge("tests", report(*((name, PACKAGING) for name in skipped)))
        self.assertEqual(code, 0, said)
        self.assertTrue(said.startswith(f"skipped 2: {PACKAGING}: that is allowed"), said)

    def test_elsewhere(self) -> None:
        """What one section may skip, the section that is to run it may not."""
        name = "tests.packaging.test_image.ImageTests.test_files"
        code, said = self.judge("wheel", report((name, PACKAGING)))
        self.assertEqual(code, 1)
        self.assertIn(f"may not be here: {name}: {PACKAGING}", said)

    def test_unknown(self) -> None:
        """A test or a reason that is not in the list is bad, beside all that are, and so is one
        with several lines."""
        good = ("tests.packaging.test_install.InstallTests.test_wheel", PACKAGING)
        for bad in (
            ("tests.functional.test_dials.DialTests.test_one", PACKAGING),
            ("tests.packaging.test_install.InstallTests.test_wheel", "not today"),
            ("tests.wire.test_grpc.GrpcTests.test_one", "it is\n\nslow"),
        ):
            code, said = self.judge("tests", report(good, bad))
            self.assertEqual(code, 1)
            self.assertIn(f"may not be here: {bad[0]}: {bad[1]}", said)
            self.assertNotIn(f"may not be here: {good[0]}: {good[1]}", said)

    def test_program(self) -> None:
        """For want of a program tests may be skipped where it is wanting, and only there."""
        log = report(
            ("tests.interop.test_go_client.GrpcTests.test_one", "no `go` on this machine"),
            (
                "tests.interop.test_go_client.GrpcTests.test_two",
                "the Go client is not tested: no `go` on this machine",
            ),
            ("tests.interop.test_curl.CurlTests.test_one", "no `curl` on this machine"),
            ("tests.net.test_tls_openssl.T.test_one", "no openssl command on this machine"),
            ("tests.deploy.test_systemd.T.test_one", "no systemd-analyze on this machine"),
        )
        for found, wanted in ((None, 0), ("/usr/bin/it", 1)):
            self.patch(self.tool.shutil, "which", lambda name, found=found: found)
            code, said = self.judge("tests", log)
            self.assertEqual(code, wanted, said)
            self.assertEqual(said.count("may not be here"), 5 * wanted)

    def test_unfinished(self) -> None:
        """A log without trial's summary, with two of them, or with another number of skips is that
        of no run that can be judged."""
        log = report(("tests.a.test_b.CTests.test_d", "no"))
        for wrong in (
            "",
            log.replace("PASSED (", "("),
            log + log,
            log.replace("skips=1", "skips=2"),
        ):
            code, said = self.judge("tests", wrong)
            self.assertEqual(code, 1)
            self.assertIn("the tests' log cannot be judged", said)

    def test_words(self) -> None:
        """A wrong command line says what is right."""
        for words in ([], ["tests"], ["nonsense", "log"]):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertEqual(self.tool.main(words), 2)
            self.assertIn("usage:", said.getvalue())

    def test_run(self) -> None:
        """.ci/run has the skips of each of its test runs judged, by a name that is known."""
        text = (TOOL.parents[1] / ".ci" / "run").read_text()
        lines = [line for line in text.splitlines() if "in_venv tests" in line]
        lines += [
            line for line in text.splitlines() if "-e kubernetes" in line or "-e wheel" in line
        ]
        self.assertEqual(len(lines), len(self.tool.SECTIONS))
        for line in lines:
            self.assertRegex(line, rf"tested ({'|'.join(self.tool.SECTIONS)}) in_venv ")
