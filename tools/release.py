#!/usr/bin/env python3
"""
Cut a release from a tag: everything that is published, in one new folder.

    python3 tools/venv.py tox -e release -- v0.1.0

makes dist/v0.1.0 with the wheels and source distributions of konnect and konnect-kubernetes, the
Helm chart, notes.md (the version's part of CHANGELOG.md) and SHA256SUMS. What counts is the tag:
the working tree is not looked at. Nothing is uploaded; RELEASE.md says what comes after.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

TAG = re.compile(r"v(\d+\.\d+\.\d+(?:rc\d+)?)")

CHART_VERSION = r"^version: (.+)$"

VERSIONS = (
    ("konnect/__init__.py", r'^__version__ = "(.+)"$'),
    ("plugins/kubernetes/konnect_kubernetes/__init__.py", r'^__version__ = "(.+)"$'),
    ("deploy/chart/konnect/Chart.yaml", CHART_VERSION),
    ("deploy/chart/konnect/Chart.yaml", r'^appVersion: "(.+)"$'),
    ("deploy/kind/konnectivity-server.yaml", r"image: konnect/proxy-server:(.+)$"),
    ("deploy/kind/konnectivity-agent.yaml", r"image: konnect/proxy-agent:(.+)$"),
    ("deploy/kind-multinode/quickstart-kind.sh", r"^server_image=konnect/proxy-server:(.+)$"),
    ("deploy/kind-multinode/quickstart-kind.sh", r"^agent_image=konnect/proxy-agent:(.+)$"),
    ("deploy/images/bake.hcl", r'^variable "TAG" \{\n  default = "(.+)"$'),
    ("deploy/README.md", r"-t konnect/proxy-server:(\S+)"),
    ("deploy/README.md", r"-t konnect/proxy-agent:(\S+)"),
    ("deploy/kind/README.md", r"-t konnect/proxy-server:(\S+)"),
    ("deploy/kind/README.md", r"-t konnect/proxy-agent:(\S+)"),
    ("deploy/kind/README.md", r"load docker-image konnect/proxy-server:(\S+)"),
    ("deploy/kind/README.md", r"load docker-image .* konnect/proxy-agent:(\S+)"),
    ("deploy/README.md", r" TAG=(\S+) docker buildx bake"),
    ("deploy/README.md", r"-t registry.example.org/konnect/proxy-server:(\S+)"),
    ("deploy/kind/README.md", r"-t konnect/http-test-server:(\S+)"),
    ("deploy/kind/README.md", r"load docker-image konnect/http-test-server:(\S+)"),
    ("deploy/kind/README.md", r"TEST_SERVER_IMAGE=konnect/http-test-server:(\S+)"),
    ("deploy/static-pods/README.md", r"TEST_SERVER_IMAGE=konnect/http-test-server:(\S+)"),
    ("deploy/static-pods/README.md", r"PROXY_IMAGE=konnect/proxy-server:(\S+)"),
    ("deploy/static-pods/README.md", r"AGENT_IMAGE=konnect/proxy-agent:(\S+)"),
    ("deploy/static-pods/README.md", r"TEST_CLIENT_IMAGE=konnect/proxy-test-client:(\S+)"),
)
"""Every place that holds the version: a file, and how it is found there. The words to build and to
load images are among them: manifests start what they have made."""


class NotReady(Exception):
    """The tag cannot be released; the text says why, a line for each reason."""


def wrong_versions(tree: Path, version: str) -> list[str]:
    """The places of `tree` that hold another version than this one."""
    found = []
    for name, pattern in VERSIONS:
        match = re.search(pattern, (tree / name).read_text(encoding="utf-8"), re.MULTILINE)
        wanted = chart_version(version) if pattern == CHART_VERSION else version
        if match is None:
            found.append(f"{name}: no version is found with {pattern}")
        elif match[1] != wanted:
            found.append(f"{name}: the version is {match[1]}, not {wanted}")
    return found


def chart_version(version: str) -> str:
    """The chart's: Helm wants semantic versions, where Python's `1.2.0rc1` is `1.2.0-rc1`."""
    return version.replace("rc", "-rc")


def notes(changelog: str, version: str) -> str:
    """
    What the changelog says of a version, without its heading.

    Raises NotReady where the version has no part with a date, or nothing is said there.
    """
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$\n(.*?)(?=^## |^\[|\Z)"
    match = re.search(heading, changelog, re.MULTILINE | re.DOTALL)
    if match is None:
        raise NotReady(f"CHANGELOG.md: there is no heading '## [{version}] - YYYY-MM-DD'")
    if not match[1].strip():
        raise NotReady(f"CHANGELOG.md: nothing is said of {version}")
    return match[1].strip() + "\n"


def package_chart(chart: Path, target: Path) -> None:
    """Write what `helm package` would: the chart's folder as a .tgz; the same bytes each time."""
    with (
        open(target, "wb") as file,
        gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(chart.rglob("*")):
            if path.is_file():
                entry = tarfile.TarInfo(f"{chart.name}/{path.relative_to(chart)}")
                entry.size, entry.mode = path.stat().st_size, 0o644
                archive.addfile(entry, io.BytesIO(path.read_bytes()))


def cut(tag: str, target: Path) -> list[Path]:
    """Make the release of `tag` in the new folder `target`; its files. Raises NotReady."""
    match = TAG.fullmatch(tag)
    if match is None:
        raise NotReady(f"{tag}: a tag is v and a version, such as v0.1.0 or v1.2.0rc1")
    if target.exists():
        raise NotReady(f"{target} is there already; remove it to cut the release again")
    version = match[1]
    with tempfile.TemporaryDirectory(prefix="konnect-release-") as folder:
        tree = Path(folder)
        _check_out(tag, tree)
        problems = wrong_versions(tree, version)
        try:
            text = notes((tree / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        except NotReady as error:
            problems.append(str(error))
        if problems:
            raise NotReady("\n".join(problems))
        target.mkdir(parents=True)
        for source in (tree, tree / "plugins" / "kubernetes"):
            subprocess.run([sys.executable, "-m", "build", "--outdir", target, source], check=True)
        chart = tree / "deploy" / "chart" / "konnect"
        package_chart(chart, target / f"konnect-{chart_version(version)}.tgz")
    (target / "notes.md").write_text(text, encoding="utf-8")
    files = sorted(target.iterdir())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
    (target / "SHA256SUMS").write_text("".join(sums), encoding="ascii")
    return sorted(target.iterdir())


def _check_out(tag: str, tree: Path) -> None:
    """Put the files of the tag into `tree`."""
    done = subprocess.run(
        ["git", "-C", ROOT, "archive", "--format=tar", f"refs/tags/{tag}"],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise NotReady(f"{tag}: {done.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        # An argument of this name is unknown before Python 3.11.4.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(tree)


def main() -> int:
    parser = argparse.ArgumentParser(description="Cut a release from a tag.")
    parser.add_argument("tag", help="such as v0.1.0")
    parser.add_argument("--out", type=Path, help="a new folder (default: dist/TAG)")
    arguments = parser.parse_args()
    try:
        files = cut(arguments.tag, arguments.out or ROOT / "dist" / arguments.tag)
    except NotReady as error:
        print(f"release.py: {error}", file=sys.stderr)
        return 1
    for path in files:
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
