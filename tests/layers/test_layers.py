"""
The rules of docs/architecture.md that a machine can check, read from the sources with `ast`.

Imports run one way only; the sans-IO layers know neither Twisted nor clocks nor sockets; nobody
imports the reactor while being imported; files stay small enough to be read.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "konnect"

ALLOWED = {
    "log": set[str](),
    "pb": set[str](),
    "wire": {"pb"},
    "tunnel": {"pb", "wire"},
    "net": {"pb", "wire", "tunnel", "log"},
    "extension": {"wire", "tunnel"},
    "proxy": {"pb", "wire", "tunnel", "net", "log"},
    "agent": {"pb", "wire", "tunnel", "net", "log"},
    "client": {"pb", "wire", "tunnel", "net", "log"},
    "ops": {"tunnel", "net", "log"},
    "app": {"pb", "wire", "tunnel", "net", "extension", "proxy", "agent", "client", "ops", "log"},
}
"""What each part of konnect may import, besides itself."""

SANS_IO = ("wire", "tunnel")
"""Layers that are driven by method calls alone."""

NOT_SANS_IO = {
    "OpenSSL",
    "asyncio",
    "constantly",
    "select",
    "selectors",
    "socket",
    "ssl",
    "threading",
    "time",
    "twisted",
    "txaio",
    "zope",
}

SOFT_LIMIT = 300
HARD_LIMIT = 400
TESTS_LIMIT = 500
LONG: set[str] = set()
"""Files above the soft limit that cannot be cut without harm; tests have a limit of their own."""

GENERATED = {"konnect/pb"}


def sources(*folders: str) -> Iterator[Path]:
    """The Python files below these folders of the project, generated ones left out."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if str(path.parent.relative_to(ROOT)) not in GENERATED:
                yield path


@functools.cache
def parsed(path: Path) -> ast.Module:
    """What a file holds; not to be changed."""
    return ast.parse(path.read_bytes())


def layer_of(module: str) -> str:
    """`konnect.wire.grpc` is in `wire`; the package itself is in no layer."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def module_name(path: Path) -> str:
    """The name that a file of the project is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, absolute name) of everything a module imports, also inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "." * node.level
                continue
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def at_import_time(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported: all but the bodies of functions."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for child in ast.iter_child_nodes(statement):
                if isinstance(child, ast.stmt):
                    waiting.append(child)
                elif isinstance(child, ast.ExceptHandler | ast.match_case):
                    waiting.extend(child.body)


class LayerTests(SynchronousTestCase):
    """Who may import whom."""

    def test_every_part_has_its_rule(self) -> None:
        """Each module or package of konnect is one of the layers."""
        parts = {
            path.stem
            for path in PACKAGE.iterdir()
            if (path.suffix == ".py" and path.stem != "__init__") or (path / "__init__.py").exists()
        }
        self.assertEqual(parts - set(ALLOWED), set())

    def test_imports_run_one_way(self) -> None:
        """A layer imports the layers before it and itself, nothing else of konnect."""
        wrong = []
        for path in sources("konnect"):
            layer = layer_of(module_name(path))
            for line, name in imports(parsed(path)):
                other = layer_of(name) if name.split(".")[0] == "konnect" else ""
                if layer and other in ALLOWED and other not in ALLOWED[layer] | {layer}:
                    wrong.append(f"{path.relative_to(ROOT)}:{line}: {layer} imports {name}")
        self.assertEqual(wrong, [])

    def test_sans_io(self) -> None:
        """The sans-IO layers import no Twisted, no TLS, no clock and no socket."""
        wrong = [
            f"{path.relative_to(ROOT)}:{line}: {name}"
            for layer in SANS_IO
            for path in sources(f"konnect/{layer}")
            for line, name in imports(parsed(path))
            if name.split(".")[0] in NOT_SANS_IO
        ]
        self.assertEqual(wrong, [])

    def test_imports_are_absolute(self) -> None:
        """No import depends on where its file is."""
        wrong = [
            f"{path.relative_to(ROOT)}:{line}"
            for path in sources("konnect", "tests", "twisted", "plugins")
            for line, name in imports(parsed(path))
            if name.startswith(".")
        ]
        self.assertEqual(wrong, [])

    def test_no_reactor_at_import(self) -> None:
        """No module imports the reactor while it is imported: that would choose it for everyone."""
        wrong = [
            f"{path.relative_to(ROOT)}:{line}"
            for path in sources("konnect", "tests", "twisted", "plugins")
            for statement in at_import_time(parsed(path))
            if isinstance(statement, ast.Import | ast.ImportFrom)
            for line, name in imports(statement)
            if name == "twisted.internet.reactor"
        ]
        self.assertEqual(wrong, [])


class FileTests(SynchronousTestCase):
    """What files there are, and how long."""

    def test_length(self) -> None:
        """Files are short; the named exceptions are needed, and not much longer."""
        lengths = {
            str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
            for path in sources("konnect", "tests", "tools", "twisted", "plugins")
        }
        above = {
            name for name, length in lengths.items() if length > SOFT_LIMIT and "tests/" not in name
        }
        for name, length in lengths.items():
            limit = TESTS_LIMIT if "tests/" in name else HARD_LIMIT
            self.assertLessEqual(length, limit, f"{name} is too long to be read")
        listed = {name: lengths[name] for name in above - LONG}
        self.assertEqual(listed, {}, f"more than {SOFT_LIMIT} lines")
        self.assertEqual(LONG - above, set(), "no longer long: take it off the list")

    def test_twisted_stays_whole(self) -> None:
        """There is no __init__.py beside or above our plugins: it would replace Twisted's own."""
        for folder in (
            "twisted",
            "twisted/plugins",
            "plugins/kubernetes/twisted",
            "plugins/kubernetes/twisted/plugins",
        ):
            self.assertFalse((ROOT / folder / "__init__.py").exists(), folder)
            self.assertTrue((ROOT / folder).is_dir(), folder)

    def test_modules_are_explained(self) -> None:
        """Every module that holds anything says in its docstring what it is."""
        wrong = [
            str(path.relative_to(ROOT))
            for path in sources("konnect", "tests", "tools", "twisted", "plugins")
            if (tree := parsed(path)).body and not ast.get_docstring(tree)
        ]
        self.assertEqual(wrong, [])

    def test_tests_are_found(self) -> None:
        """Every directory of tests is a package, or trial would pass it by."""
        wrong = {
            str(path.parent.relative_to(ROOT))
            for path in (*sources("tests"), *sources("plugins/kubernetes/tests"))
            if not (path.parent / "__init__.py").exists()
        }
        self.assertEqual(wrong, set())
