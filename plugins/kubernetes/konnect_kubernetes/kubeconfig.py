"""The current context of a kubeconfig, for what the official client does not do with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Entry:
    """A user or cluster."""

    value: dict[str, Any]
    """Empty where there is none."""
    folder: Path
    """Of its file: where relative paths begin."""


@dataclass(frozen=True, slots=True)
class Current:
    """Who asks whom."""

    user: Entry
    cluster: Entry


def current(kubeconfig: str) -> Current:
    """
    What the current context leads to.

    :param kubeconfig: a path, or several as in $KUBECONFIG, where the first that names a thing
        holds. The client has read it already, so its mistakes are not looked for here.
    """
    paths = [Path(path) for path in kubeconfig.split(os.pathsep) if os.path.exists(path)]
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) or {} for path in paths]
    names = [document.get("current-context") for document in documents]
    context = _named(documents, "context", next(filter(None, names), ""))

    def entry(kind: str) -> Entry:
        for path, document in zip(paths, documents, strict=True):
            value = _named([document], kind, context.get(kind, ""))
            if value:
                return Entry(value, path.parent)
        return Entry({}, Path())

    return Current(entry("user"), entry("cluster"))


_COMMAND = ("exec", "username", "password")
"""A user's command, and what is only used where there is none."""

_PATHS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def without_command(context: Current) -> dict[str, Any]:
    """A kubeconfig of this context alone, with absolute paths, whose user has no command."""

    def absolute(entry: Entry) -> dict[str, Any]:
        kept = {name: value for name, value in entry.value.items() if name not in _COMMAND}
        for name in _PATHS:
            if kept.get(name):
                kept[name] = os.path.abspath(entry.folder / kept[name])
        return kept

    return {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": absolute(context.cluster)}],
        "users": [{"name": "u", "user": absolute(context.user)}],
    }


def _named(documents: Iterable[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The first entry of this kind and name; empty where there is none."""
    for document in documents:
        for entry in document.get(f"{kind}s") or []:
            if entry.get("name") == name and entry.get(kind):
                found: dict[str, Any] = entry[kind]
                return found
    return {}
