"""A kubeconfig's `tokenFile`, read anew every minute as client-go does: the official client reads
it once, and a service account's token lasts an hour."""

from __future__ import annotations

import time
from pathlib import Path

from kubernetes.client import Configuration

from konnect_kubernetes.kubeconfig import Entry

EVERY = 60.0
"""Seconds between two readings."""

monotonic = time.monotonic


def token_file(user: Entry) -> Path | None:
    """The `tokenFile` of a user, if there is one and no `token` beside it."""
    file = user.value.get("tokenFile")
    return user.folder / file if file and not user.value.get("token") else None


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
            # `authorization` in older releases of the client, `BearerToken` in newer ones.
            for name in configuration.api_key:
                configuration.api_key[name] = f"Bearer {token}"

    configuration.refresh_api_key_hook = refresh
