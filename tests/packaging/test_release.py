"""Tests of tools/release.py. Building needs a package index: that is for `tox -e wheel`."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

import konnect
from tests.packaging.test_install import NOT_SOURCES, ROOT

CHANGELOG = """# Changelog

## [Unreleased]

### Added

- Something later.

## [0.2.0] - 2026-12-24

### Fixed

- A thing.

## [0.1.0] - 2026-12-01

### Added

- Everything.
"""


def tool() -> ModuleType:
    """tools/release.py, loaded anew so that a test may change what it looks at."""
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ReleaseCase(SynchronousTestCase):
    """A folder for what is made."""

    def setUp(self) -> None:
        self.tool = tool()
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-test-"))
        self.addCleanup(shutil.rmtree, self.folder)


class PartsTests(ReleaseCase):
    """The steps, one by one."""

    def test_versions(self) -> None:
        """Every place has the version of the package, and another version is named by place."""
        self.assertEqual(self.tool.wrong_versions(ROOT, konnect.__version__), [])
        wrong = self.tool.wrong_versions(ROOT, "9.9.9")
        self.assertEqual(len(wrong), len(self.tool.VERSIONS))
        self.assertEqual(
            wrong[0], f"konnect/__init__.py: the version is {konnect.__version__}, not 9.9.9"
        )

    def test_candidate(self) -> None:
        """The chart of a release candidate has a version that Helm takes."""
        for name, _ in self.tool.VERSIONS:
            text = (ROOT / name).read_text(encoding="utf-8")
            text = text.replace(konnect.__version__, "1.2.0rc1")
            text = text.replace("\nversion: 1.2.0rc1\n", "\nversion: 1.2.0-rc1\n")
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text, encoding="utf-8")
        self.assertEqual(self.tool.wrong_versions(self.folder, "1.2.0rc1"), [])

    def test_notes(self) -> None:
        """The notes are what the changelog says of one version."""
        self.assertEqual(self.tool.notes(CHANGELOG, "0.2.0"), "### Fixed\n\n- A thing.\n")
        self.assertEqual(self.tool.notes(CHANGELOG, "0.1.0"), "### Added\n\n- Everything.\n")

    def test_no_notes(self) -> None:
        """A version of which nothing is said, or without its date, is not ready."""
        for text in (
            CHANGELOG,
            "## [0.3.0]\n\n- Undated.\n",
            "## [0.3.0] - 2026-12-25\n\n## [0.2.0]",
        ):
            self.assertRaises(self.tool.NotReady, self.tool.notes, text, "0.3.0")

    def test_chart(self) -> None:
        """The chart's archive has its files below its name, and is the same each time."""
        chart = ROOT / "deploy" / "chart" / "konnect"
        for name in ("one", "two"):
            self.tool.package_chart(chart, self.folder / name)
        self.assertEqual((self.folder / "one").read_bytes(), (self.folder / "two").read_bytes())
        with tarfile.open(self.folder / "one") as archive:
            names = archive.getnames()
        self.assertIn("konnect/Chart.yaml", names)
        self.assertIn("konnect/values.yaml", names)
        self.assertIn("konnect/templates/server.yaml", names)


class CutTests(ReleaseCase):
    """The whole, from a repository with a tag."""

    def setUp(self) -> None:
        super().setUp()
        self.tree = self.folder / "tree"
        shutil.copytree(ROOT, self.tree, ignore=shutil.ignore_patterns(*NOT_SOURCES))
        self.patch(self.tool, "ROOT", self.tree)
        self.git("init", "--quiet")
        self.tag = f"v{konnect.__version__}"

    def git(self, *words: str) -> None:
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "gc.auto=0")
        subprocess.run(["git", *identity, *words], cwd=self.tree, check=True, timeout=60)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=all")
        self.git("tag", self.tag)

    def refused(self, tag: str, *words: str) -> None:
        target = self.folder / "out"
        error = self.assertRaises(self.tool.NotReady, self.tool.cut, tag, target)
        for word in words:
            self.assertIn(word, str(error))
        self.assertFalse(target.exists())

    def test_not_ready(self) -> None:
        """A tag that is none, that is not there, or whose tree is not ready makes nothing."""
        self.refused("0.1.0", "a tag is v and a version")
        self.refused("v7.7.7", "v7.7.7: ")
        self.commit()
        self.git("tag", "v8.8.8")
        self.refused("v8.8.8", "konnect/__init__.py: the version is", "no heading '## [8.8.8]")

    def test_cut(self) -> None:
        """From a tag that is ready come distributions, chart, notes and sums, whatever the working
        tree has become."""
        if os.environ.get("KONNECT_PACKAGING_TESTS") != "1":
            raise SkipTest("needs a package index and a minute: set KONNECT_PACKAGING_TESTS=1")
        version = konnect.__version__
        changes = CHANGELOG.replace("0.1.0", version)
        (self.tree / "CHANGELOG.md").write_text(changes)
        self.commit()
        (self.tree / "konnect" / "__init__.py").unlink()
        files = self.tool.cut(self.tag, self.folder / "out")
        self.assertEqual(
            {path.name for path in files},
            {
                "SHA256SUMS",
                "notes.md",
                f"konnect-{self.tool.chart_version(version)}.tgz",
                f"konnect-{version}.tar.gz",
                f"konnect-{version}-py3-none-any.whl",
                f"konnect_kubernetes-{version}.tar.gz",
                f"konnect_kubernetes-{version}-py3-none-any.whl",
            },
        )
        subprocess.run(
            ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=self.folder / "out", check=True
        )
        self.assertEqual((self.folder / "out" / "notes.md").read_text().count("Everything"), 1)
