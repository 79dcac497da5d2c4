"""Tests of konnect.extension.finding."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Attribute, Interface

from konnect.extension.finding import installed

PLUGIN = """
from twisted.plugin import IPlugin
from zope.interface import implementer

from tests.extension.test_finding import IPoint


@implementer(IPlugin, IPoint)
class Point:
    name = "point"
    origin = {origin!r}


Point.__module__ = {module!r}
point = Point()
"""


class IPoint(Interface):
    """An extension point."""

    name = Attribute("A str.")


class InstalledTests(SynchronousTestCase):
    """What is found in the folder of a package."""

    def setUp(self) -> None:
        where = Path(self.mktemp()).absolute()
        name = f"konnect_tests_{where.parent.parent.name}_{where.parent.name}"
        self.folder = where / name
        self.folder.mkdir(parents=True)
        (self.folder / "__init__.py").touch()
        self.patch(sys, "path", [*sys.path, str(where)])
        self.package = importlib.import_module(name)
        self.addCleanup(self.forget, name)

    @staticmethod
    def forget(package: str) -> None:
        """Take out of sys.modules what a test has imported."""
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]

    def write(self, file: str, origin: str, module: str) -> None:
        """Install a plugin."""
        text = PLUGIN.format(origin=origin, module=module)
        (self.folder / file).write_text(text, encoding="utf-8")

    def test_nothing(self) -> None:
        """Where nothing is installed nothing is found."""
        self.assertEqual(installed(IPoint, self.package), {})

    def test_by_name(self) -> None:
        """A plugin is found by its name."""
        self.write("theirs.py", "theirs", "theirs")
        found = installed(IPoint, self.package)
        self.assertEqual(
            {name: plugin.origin for name, plugin in found.items()}, {"point": "theirs"}
        )

    def test_own_ones_stay(self) -> None:
        """Another distribution's plugin does not replace konnect's of the same name."""
        self.write("a_theirs.py", "theirs", "theirs")
        self.write("b_ours.py", "ours", "konnect.somewhere")
        self.write("c_theirs.py", "theirs", "theirs")
        self.assertEqual(installed(IPoint, self.package)["point"].origin, "ours")

    def test_a_broken_file(self) -> None:
        """A file that cannot be imported hides no other."""
        self.write("fine.py", "theirs", "theirs")
        (self.folder / "broken.py").write_text("import there_is_no_such_module\n", encoding="utf-8")
        self.assertEqual(list(installed(IPoint, self.package)), ["point"])
        self.assertEqual(len(self.flushLoggedErrors(ImportError)), 1)
