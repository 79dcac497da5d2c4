"""
What an image holds, made without a container engine: deploy/images/fill, run on this machine.

Slow, and it needs a package index: skipped unless KONNECT_PACKAGING_TESTS=1, as in `tox -e wheel`.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.packaging.test_install import run, workshop

MAX_BYTES = 120 * 1024 * 1024
"""Bound of what is put on top of the base image, the Kubernetes client included."""


@functools.cache
def filled() -> Path:
    """The folder that images run on, made once."""
    sources, folder = workshop().sources, workshop().folder / "image"
    fill = sources / "deploy" / "images" / "fill"
    run("env", f"PYTHON={sys.executable}", fill, folder, cwd=sources)
    return folder


class ImageTests(SynchronousTestCase):
    """The folder that all images run on."""

    def setUp(self) -> None:
        """Skip unless asked for; then fill a folder."""
        if os.environ.get("KONNECT_PACKAGING_TESTS") != "1":
            raise SkipTest("needs a package index and a minute: set KONNECT_PACKAGING_TESTS=1")
        self.sources = workshop().sources
        self.folder = filled()

    def entry(self, name: str, *flags: str) -> str:
        """What an entry prints that sees nothing but the folder and Python itself."""
        return self.bare(self.sources / "deploy" / "images" / name, *flags)

    def python(self, code: str) -> str:
        """What a program prints there."""
        return self.bare("-c", code)

    def bare(self, *words: str | Path) -> str:
        python = ("env", f"PYTHONPATH={self.folder}", sys.executable, "-S", "-B")
        return run(*python, *words, cwd=self.sources.parent)

    def test_files(self) -> None:
        """Everything that runs is there, nobody's tests are, and it is not large."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        names = {str(path.relative_to(self.folder)) for path in files}
        self.assertIn("konnect/app/proxy.py", names)
        self.assertIn("twisted/plugins/konnect_plugin.py", names)
        self.assertIn("twisted/plugins/dropin.cache", names)
        self.assertTrue(any(name.startswith("konnect/__pycache__/") for name in names))
        self.assertFalse([name for name in names if {"test", "tests", "bin"} & {*Path(name).parts}])
        self.assertLess(sum(path.stat().st_size for path in files), MAX_BYTES)

    def test_entries(self) -> None:
        """Each entry runs on the folder alone."""
        self.assertIn("konnect-proxy [flags]", self.entry("proxy-server", "--help"))
        self.assertIn("konnect-agent [flags]", self.entry("proxy-agent", "--help"))
        self.assertIn(
            "V1TokenReview",
            self.python("from kubernetes import client; print(client.V1TokenReview.__name__)"),
        )
        self.assertIn("konnect test-client", self.entry("proxy-test-client", "--help"))
        self.assertIn("konnect test-server", self.entry("http-test-server", "--help"))
