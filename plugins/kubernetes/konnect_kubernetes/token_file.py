"""
Tokens in files, which are replaced: a service account's lasts an hour. One that is there is shown
with the next request.

The official client reads a kubeconfig's `tokenFile` once and a pod's token every minute; of that
one it sends a line feed along, and a request fails when the file is away. client-go reads both
every minute. Requests are few here, so a look for each costs nothing, and no time passes in which a
token that was taken back is shown.
"""

from __future__ import annotations

from pathlib import Path

from kubernetes.client import Configuration

from konnect_kubernetes.kubeconfig import Entry

LARGEST = 65536
"""Characters that are read of one. Tokens of service accounts have about a thousand."""


def token_file(user: Entry) -> Path | None:
    """The `tokenFile` of a user, if there is one and no `token` beside it."""
    file = user.value.get("tokenFile")
    return user.folder / file if file and not user.value.get("token") else None


def follow(configuration: Configuration, file: Path) -> None:
    """Let the client take its token from this file, without the line feed that it would send. What
    cannot be read, or is no token, leaves the token as it is."""

    def refresh(configuration: Configuration) -> None:
        try:
            with file.open(encoding="ascii") as content:
                token = content.read(LARGEST).strip()
        except (OSError, ValueError):
            return
        if token and token.isprintable():
            # `authorization` in older releases of the client, `BearerToken` in newer ones.
            for name in configuration.api_key:
                configuration.api_key[name] = f"Bearer {token}"

    configuration.refresh_api_key_hook = refresh
