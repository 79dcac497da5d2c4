"""
The project as users install it: twistd must list both commands, from any directory.

Each way to install has a virtual environment of its own, without pip, filled from one folder of
wheels that is built first. Slow, and it needs a package index: skipped unless
KONNECT_PACKAGING_TESTS=1, as in `tox -e wheel`.
"""

from __future__ import annotations

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
NOT_SOURCES = (".*", "_trial_temp*", "build", "dist", "__pycache__", "*.egg-info", "dropin.cache")
SECONDS = 300.0
"""Bound of each command: a package index may be slow."""


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; fails, with all of that, unless it ends well."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") and name != "VIRTUAL_ENV"
    }
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        words = " ".join(str(word) for word in command)
        raise AssertionError(f"{words}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


class Workshop:
    """A copy of the sources, and wheels of the project and all that it needs."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="konnect-install."))
        self.sources = self.folder / "sources"
        self.wheels = self.folder / "wheels"
        shutil.copytree(ROOT, self.sources, ignore=shutil.ignore_patterns(*NOT_SOURCES))
        pip_wheel = (*self.pip(sys.executable), "wheel", "--quiet", "--wheel-dir", self.wheels)
        run(*pip_wheel, str(self.sources), "setuptools>=77", cwd=self.folder)

    @staticmethod
    def pip(python: str | Path) -> tuple[str | Path, ...]:
        """How to run pip, without asking about its own version."""
        return (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python)

    def environment(self, name: str, *what: str | Path) -> Path:
        """The folder of programs of a new virtual environment in which `what` is installed."""
        place = self.folder / name
        run(sys.executable, "-m", "venv", "--without-pip", place, cwd=self.folder)
        offline = ("--quiet", "--no-index", "--find-links", self.wheels)
        python = place / "bin" / "python"
        run(*self.pip(python), "install", *offline, *what, cwd=self.folder)
        return place / "bin"


@functools.cache
def workshop() -> Workshop:
    """One for all tests of a run, gone at its end."""
    made = Workshop()
    atexit.register(shutil.rmtree, made.folder, ignore_errors=True)
    return made


class InstallTests(SynchronousTestCase):
    """Every way to install konnect gives its programs, its plugins, and leaves Twisted whole."""

    def setUp(self) -> None:
        """Skip unless asked for; then find or make the workshop."""
        if os.environ.get("KONNECT_PACKAGING_TESTS") != "1":
            raise SkipTest("needs a package index and a minute: set KONNECT_PACKAGING_TESTS=1")
        self.workshop = workshop()
        self.elsewhere = self.workshop.folder / "elsewhere"
        self.elsewhere.mkdir(exist_ok=True)

    def check(self, programs: Path) -> None:
        """The installed project does what it should, seen from another directory."""
        listed = run(programs / "twistd", "--help", cwd=self.elsewhere)
        self.assertRegex(listed, r"(?m)^ +konnect-proxy ")
        self.assertRegex(listed, r"(?m)^ +konnect-agent ")
        for program, command in (
            ("twist", "konnect-proxy"),
            ("twist", "konnect-agent"),
            ("twistd", "konnect-proxy"),
            ("twistd", "konnect-agent"),
        ):
            text = run(programs / program, command, "--help", cwd=self.elsewhere)
            self.assertIn(f"Usage: {program} {command} [flags]", text)
        self.assertIn("konnect", run(programs / "konnect", "--help", cwd=self.elsewhere))
        self.assertEqual(
            self.python(
                programs,
                "from twisted.plugin import getPlugins",
                "from twisted.internet import interfaces as i",
                "kinds = (i.IStreamServerEndpointStringParser,"
                " i.IStreamClientEndpointStringParserWithReactor)",
                "print(*sorted(p.prefix for kind in kinds for p in getPlugins(kind)"
                " if 'konnect' in type(p).__module__))",
            ),
            "konnect mtls mtls",
        )
        self.assertIn(
            "Twisted", self.python(programs, "import twisted.plugins as p; print(p.__doc__)")
        )

    def python(self, programs: Path, *lines: str) -> str:
        """What a small program prints."""
        return run(programs / "python", "-c", "\n".join(lines), cwd=self.elsewhere).strip()

    def test_strategy_of_somebody_else(self) -> None:
        """A strategy from a distribution of its own, as docs/strategies.md has it, is chosen by."""
        text = (self.workshop.sources / "docs" / "strategies.md").read_text(encoding="utf-8")
        blocks = re.findall(r"```(?:python|toml)\n(.*?)```", text, re.DOTALL)
        files = ("twisted/plugins/my_strategy.py", "my_package.py", "pyproject.toml")
        theirs = self.workshop.folder / "theirs"
        for name, block in zip(files, blocks, strict=True):
            (theirs / name).parent.mkdir(parents=True, exist_ok=True)
            (theirs / name).write_text(block, encoding="utf-8")
        programs = self.workshop.environment("strategy", self.workshop.sources, theirs)
        self.check(programs)
        chosen = self.python(
            programs,
            "from konnect.app.strategies import make_registry, parse_strategies",
            "registry = make_registry(parse_strategies('evenAgents,default'))",
            "def link(name): return type('Link', (), dict(agent_id=name, identifiers=None,"
            " draining=False, suspect=False, load=0))()",
            "registry.add(link('agent-1'))",
            "print(registry.choose('host:80').agent_id, registry.counts())",
            "registry.add(link('agent-2'))",
            "print(*{registry.choose('host:80').agent_id for _ in range(50)}, registry.counts())",
        )
        self.assertEqual(
            chosen.splitlines(),
            [
                "agent-1 {'evenAgents': 0, 'default': 1}",
                "agent-2 {'evenAgents': 1, 'default': 2}",
            ],
        )

    def test_pip_install(self) -> None:
        """After `pip install .` both commands are there."""
        self.check(self.workshop.environment("plain", self.workshop.sources))

    def test_pip_install_editable(self) -> None:
        """After `pip install -e .` both commands are there."""
        self.check(self.workshop.environment("editable", "--editable", self.workshop.sources))

    def test_kubernetes(self) -> None:
        """konnect finds konnect-kubernetes beside it, before the client is even imported."""
        (wheel,) = self.workshop.wheels.glob("konnect-*.whl")
        pip = self.workshop.pip(sys.executable)
        folder = self.workshop.folder / "kubernetes-wheel"
        source = self.workshop.sources / "plugins" / "kubernetes"
        run(*pip, "wheel", "--quiet", "--no-deps", "-w", folder, source, cwd=self.workshop.folder)
        programs = self.workshop.environment("kubernetes", wheel)
        (theirs,) = folder.glob("*.whl")
        into = self.workshop.pip(programs / "python")
        run(*into, "install", "--quiet", "--no-deps", "--no-index", theirs, cwd=self.elsewhere)
        found = self.python(
            programs,
            "import sys",
            "from importlib.metadata import files",
            "from konnect.extension.finding import installed",
            "from konnect.extension.leases import ILeases",
            "from konnect.extension.tokens import ITokenReviews",
            "print(*installed(ILeases), *installed(ITokenReviews), 'kubernetes' in sys.modules)",
            "print(*(str(name) for name in files('konnect-kubernetes')), sep='\\n')",
        ).splitlines()
        self.assertEqual(found[0], "kubernetes kubernetes False")
        self.assertIn("twisted/plugins/konnect_kubernetes_plugin.py", found)
        self.assertIn("konnect_kubernetes/py.typed", found)
        for name in found:
            self.assertFalse(
                name.startswith("tests/") or name.endswith("plugins/__init__.py"), name
            )

    def test_wheel(self) -> None:
        """After the wheel is installed both commands are there, and it holds what it should."""
        (wheel,) = self.workshop.wheels.glob("konnect-*.whl")
        programs = self.workshop.environment("wheel", wheel)
        self.check(programs)
        names = self.python(
            programs,
            "from importlib.metadata import files",
            "print(*(str(name) for name in files('konnect')), sep='\\n')",
        ).splitlines()
        self.assertIn("twisted/plugins/konnect_plugin.py", names)
        self.assertIn("konnect/py.typed", names)
        self.assertIn("konnect/pb/konnect_pb2.pyi", names)
        for name in names:
            self.assertFalse(name.startswith(("tests/", "tools/", "plugins/")), name)
            self.assertNotIn(name, ("twisted/__init__.py", "twisted/plugins/__init__.py"))
