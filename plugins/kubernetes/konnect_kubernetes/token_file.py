"""A kubeconfig's `tokenFile`, read anew every minute as client-go does: the official client reads
it once, and a service account's token lasts an hour."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
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

    :param kubeconfig: a path, or several as in $KUBECONFIG, where the first that names a thing
        holds. The client has read it already, so its mistakes are not looked for here.
    """
    paths = [Path(path) for path in kubeconfig.split(os.pathsep) if os.path.exists(path)]
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in paths]
    names = [document.get("current-context") for document in documents]
    context = _named(documents, "context", next(filter(None, names), ""))
    for path, document in zip(paths, documents, strict=True):
        user = _named([document], "user", context.get("user", ""))
        if user:
            file = user.get("tokenFile")
            return path.parent / file if file and not user.get("token") else None
    return None


def _named(documents: Iterable[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The first entry of this kind and name; empty where there is none."""
    for document in documents:
        for entry in document.get(f"{kind}s") or []:
            if entry.get("name") == name and entry.get(kind):
                found: dict[str, Any] = entry[kind]
                return found
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
