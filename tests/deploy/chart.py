"""Renders the Helm chart: by a small Go program with Go's own template engine, built once a run."""

from __future__ import annotations

import copy
import functools
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from twisted.trial.unittest import SkipTest

from tests.deploy.objects import DEPLOY, Object, load
from tests.interop.processes import temporary_directory

CHART = DEPLOY / "chart" / "konnect"
NAMESPACE = "konnect-test"


class Refused(Exception):
    """The chart cannot be rendered with these values; the text says why."""


@functools.cache
def renderer() -> Path:
    """The program, built; without Go the test is skipped."""
    go = shutil.which("go")
    if go is None:
        raise SkipTest("no `go` on this machine")
    program = temporary_directory() / "render"
    source = Path(__file__).with_name("render") / "main.go"
    subprocess.run([go, "build", "-o", program, source], check=True, timeout=240)
    return program


def meta() -> Object:
    """Chart.yaml."""
    return load((CHART / "Chart.yaml").read_text())[0]


def render(values: Mapping[str, Any] | None = None) -> list[Object]:
    """The chart's objects, with `values` over its own. Raises Refused."""
    merged = _over(load((CHART / "values.yaml").read_text())[0], values or {})
    chart = meta()
    context = {
        "Values": merged,
        "Chart": {"AppVersion": chart["appVersion"], "Version": chart["version"]},
        "Release": {"Name": "trial", "Namespace": NAMESPACE},
    }
    done = subprocess.run(
        [renderer(), *sorted((CHART / "templates").iterdir())],
        input=json.dumps(context),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        raise Refused(done.stderr)
    return [item for item in yaml.safe_load_all(done.stdout) if item is not None]


def _over(values: Object, more: Mapping[str, Any]) -> Object:
    merged = copy.deepcopy(values)
    for name, value in more.items():
        inner = isinstance(value, Mapping) and isinstance(merged.get(name), dict)
        merged[name] = _over(merged[name], value) if inner else value
    return merged
