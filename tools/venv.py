#!/usr/bin/env python3
"""
Run konnect or its tests from a checkout, with nothing but Python and the checkout.

    python3 tools/venv.py konnect demo       any program that konnect or its tools install
    python3 tools/venv.py tests              the tests; further words are passed to trial
    python3 tools/venv.py tox -e lint        the developers' tools

The first run makes a virtual environment in the checkout (.venv, or $KONNECT_VENV) and installs
the checkout there, editable; later runs do so again only when setup.cfg or pyproject.toml has
changed or more is needed. The system's Python is left alone, so it does not matter that a
distribution refuses pip outside of virtual environments.

Only the standard library is used here, and only what Python 3.11 has.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
VENV = Path(os.environ.get("KONNECT_VENV") or ROOT / ".venv").absolute()
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "konnect-installed.json"

TESTS = ("python", "-m", "twisted.trial")
EXTRAS = {"tests": "test", "coverage": "test", "ruff": "lint", "mypy": "lint", "tox": "dev"}
"""Which of setup.cfg's extras a command needs; all others need none."""


def main(words: list[str]) -> NoReturn:
    """Make the environment good for the command, and become that command."""
    if not words or words[0] in ("-h", "--help"):
        print(__doc__.strip())
        sys.exit(0 if words else 2)
    if sys.version_info < (3, 11):  # noqa: UP036 - that is what is to be found out
        fail(f"konnect needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    command, *arguments = words
    with one_at_a_time():
        prepare(EXTRAS.get(command))
    if command == "tests":
        os.chdir(ROOT)
        command, *arguments = *TESTS, *(arguments or ["tests"])
    program = VENV / "bin" / command
    if not program.exists():
        fail(f"There is no program {command!r} in {VENV}/bin.")
    os.environ["VIRTUAL_ENV"] = str(VENV)
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ.pop("PYTHONHOME", None)
    sys.stdout.flush()
    os.execv(program, [str(program), *arguments])


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait while another run is making or changing the environment."""
    with open(__file__, encoding="utf-8") as myself:
        fcntl.flock(myself, fcntl.LOCK_EX)
        yield


def prepare(extra: str | None) -> None:
    """Make and fill the environment, as far as that has not been done."""
    wanted = {extra} if extra else set[str]()
    installed = read_stamp()
    if installed is not None and wanted <= installed:
        return
    if installed is None and (not is_usable() or pip_for_venv() is None):
        make()
    extras = sorted(wanted | (installed or set()))
    STAMP.unlink(missing_ok=True)
    install(f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT))
    STAMP.write_text(json.dumps({"for": fingerprint(), "extras": extras}), encoding="utf-8")


def fingerprint() -> str:
    """Changes when what has to be installed may have changed."""
    digest = hashlib.sha256(f"{ROOT}\n{sys.version_info[:2]}\n".encode())
    for name in ("setup.cfg", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def read_stamp() -> set[str] | None:
    """The extras that are installed and up to date; None when something has to be done."""
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if stamp["for"] != fingerprint() or not is_usable():
        return None
    return set(stamp["extras"])


def is_usable() -> bool:
    """Whether the environment has a Python of this version that starts."""
    expression = "import sys; print(*sys.version_info[:2])"
    try:
        found = subprocess.run(
            [PYTHON, "-c", expression], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return found.stdout.split() == [str(part) for part in sys.version_info[:2]]


def make() -> None:
    """A new environment, with pip inside where the system's Python can put it there."""
    foreign = not VENV.is_dir() or any(VENV.iterdir())
    if VENV.exists() and foreign and not (VENV / "pyvenv.cfg").exists():
        fail(
            f"{VENV} is in the way: it is not a virtual environment. Move it, or set KONNECT_VENV."
        )
    say(f"Making a virtual environment in {VENV}")
    if not has_ensurepip() and not has_pip():
        install_ensurepip()
    options = ["--clear"] if has_ensurepip() else ["--clear", "--without-pip"]
    run([sys.executable, "-m", "venv", *options, str(VENV)], f"{VENV} could not be made.")


def has_ensurepip() -> bool:
    """Debian and its kin ship this part of Python's library in a package of its own."""
    return works([sys.executable, "-m", "ensurepip", "--version"])


def has_pip() -> bool:
    """Whether the system has a pip that can install into another environment."""
    return works([sys.executable, "-m", "pip", "--python", sys.executable, "--version"])


def pip_for_venv() -> list[str] | None:
    """How to run pip for the environment: its own, or the system's."""
    if works([str(PYTHON), "-m", "pip", "--version"]):
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)] if has_pip() else None


def install_ensurepip() -> None:
    """Get the missing part from the distribution when that is ours to do, or say how to."""
    ours = Path("/usr/bin/python3").resolve() == Path(sys.executable).resolve()
    package = "python3-venv" if ours else f"python3.{sys.version_info[1]}-venv"
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        fail(
            "This Python has neither ensurepip nor pip, and one of them is needed to install"
            f" konnect's dependencies.\nOn Debian and Ubuntu:\n\n    sudo apt-get install {package}"
            "\n\nThen run this again."
        )
    say(f"This Python has neither ensurepip nor pip: installing {package} with apt-get")
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    problem = f"apt-get could not install {package}. Install it by hand, then run this again."
    command = [apt, "install", "--yes", "--quiet", "--no-install-recommends", package]
    first = subprocess.run(command, env=quiet, check=False, stdin=subprocess.DEVNULL)
    if first.returncode != 0:  # a fresh machine knows no packages yet
        run([apt, "update", "--quiet"], problem, quiet)
        run(command, problem, quiet)
    if not has_ensurepip():
        fail(f"{package} is installed, but {sys.executable} still has no ensurepip.")


def install(what: str) -> None:
    """Install into the environment, with its own pip or with the system's."""
    say(f"Installing konnect and its dependencies into {VENV} (only when they change)")
    pip = pip_for_venv()
    if pip is None:
        fail(f"There is no pip in {VENV}, although it was just made. Remove it and try again.")
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--editable"]
    run(
        [*pip, "install", *options, what],
        "The dependencies could not be installed: see above."
        " Is a package index reachable (pip's own settings and variables apply)?",
    )


def works(command: list[str]) -> bool:
    """Whether a command can be started and ends well; what it prints is nobody's business."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def run(command: list[str], problem: str, environ: dict[str, str] | None = None) -> None:
    """Run a command to its end, or end with `problem`; what it prints is shown."""
    try:
        done = subprocess.run(command, env=environ, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        fail(f"{problem} ({error})")
    if done.returncode != 0:
        fail(problem)


def say(text: str) -> None:
    """One line about what takes its time."""
    print(f"tools/venv.py: {text}", file=sys.stderr, flush=True)


def fail(text: str) -> NoReturn:
    """End with a message."""
    print(f"tools/venv.py: {text}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
