"""A kubeconfig's `tokenFile`, read anew every minute as client-go does: the official client reads
it once, and a service account's token lasts an hour."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes.client import Configuration

EVERY = 60.0
"""Seconds between two readings."""

monotonic = time.monotonic


def token_file(kubeconfig: str) -> Path | None:
    """
    The `tokenFile` of the current context's user, if there is one and no `token` beside it.

    :param kubeconfig: a path, or several as in $KUBECONFIG, of which the first word holds. It has
        been loaded already, so that what it lacks is not looked for here.
    """
    current = user = ""
    for path in kubeconfig.split(os.pathsep):
        if os.path.exists(path):
            current = current or _read(path).get("current-context") or ""
    for path in kubeconfig.split(os.pathsep):
        if os.path.exists(path):
            user = user or _named(_read(path), "context", current).get("user") or ""
    for path in kubeconfig.split(os.pathsep):
        found = _named(_read(path), "user", user) if os.path.exists(path) else {}
        if found:
            file = found.get("tokenFile")
            return Path(path).parent / file if file and not found.get("token") else None
    return None


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file) or {}


def _named(document: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    for entry in document.get(f"{kind}s") or []:
        if entry.get("name") == name:
            return entry.get(kind) or {}
    return {}


def follow(configuration: Configuration, file: Path) -> None:
    """Let the client take its token from this file, without the line feed that it would send. One
    that cannot be read, or is empty, leaves the token as it is."""
    due = monotonic()

    def refresh(configuration: Configuration) -> None:
        nonlocal due
        if monotonic() < due:
            return
        due = monotonic() + EVERY
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return
        if token:
            configuration.api_key["BearerToken"] = f"Bearer {token}"

    configuration.refresh_api_key_hook = refresh
