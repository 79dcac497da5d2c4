"""The objects of deploy/'s YAML files, and the rules that they all have to keep."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"

Object = dict[str, Any]

KUBERNETES = ("1.31", "1.34", "1.37")
"""Versions whose schemas the objects are checked with."""

OTHERS = ("kind.x-k8s.io/v1alpha4", "apiserver.k8s.io/v1beta1")
"""Kinds of files that are no objects of a cluster, so that there is no schema of theirs."""


def load(text: str, **values: str) -> list[Object]:
    """The objects of a YAML text, after `${...}` was filled as envsubst does."""
    filled = string.Template(text).safe_substitute(values)
    return [item for item in yaml.safe_load_all(filled) if item is not None]


def check(item: Object) -> None:
    """Validate an object by Kubernetes' own schemas, unknown fields refused."""
    if item["apiVersion"] in OTHERS or (item["apiVersion"], item["kind"]) == ("v1", "Config"):
        return
    for version in KUBERNETES:
        kubernetes_validate.validate(item, version, strict=True)


def pods(items: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """(name, pod spec) of everything that makes pods."""
    for item in items:
        if item["kind"] == "Pod":
            yield item["metadata"]["name"], item["spec"]
        elif "template" in item.get("spec", {}):
            yield item["metadata"]["name"], item["spec"]["template"]["spec"]


def of_kind(items: Sequence[Object], kind: str) -> list[Object]:
    """Those of one kind."""
    return [item for item in items if item["kind"] == kind]


def complaints(items: Sequence[Object]) -> list[str]:
    """What is wrong with objects that are to be applied together, beyond their schemas."""
    found = []
    accounts = {item["metadata"]["name"] for item in of_kind(items, "ServiceAccount")}
    for name, spec in pods(items):
        account = spec.get("serviceAccountName")
        if account is not None and account not in accounts:
            found.append(f"{name}: there is no service account {account}")
        volumes = {volume["name"] for volume in spec.get("volumes", ())}
        for container in spec["containers"]:
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            found += [f"{name}: no volume {mount}" for mount in mounts - volumes]
            found += [f"{name}: volume {volume} is not mounted" for volume in volumes - mounts]
            found += _of_container(name, spec, container)
    for item in items:
        template = item.get("spec", {}).get("template")
        if template is not None:
            wanted = item["spec"]["selector"]["matchLabels"].items()
            if not wanted <= template["metadata"]["labels"].items():
                found.append(f"{item['metadata']['name']}: selects none of its own pods")
    return [*found, *_unselected(items)]


def _of_container(name: str, spec: Object, container: Object) -> Iterator[str]:
    image = container["image"]
    if ":" not in image or image.endswith((":latest", ":master")):
        yield f"{name}: the image {image} has no version"
    security = {**spec.get("securityContext", {}), **container.get("securityContext", {})}
    if security.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: may escalate"
    if security.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{name}: keeps capabilities"
    if security.get("readOnlyRootFilesystem") is not True:
        yield f"{name}: may write to its image"
    if security.get("runAsNonRoot") is not True and security.get("runAsUser") != 0:
        yield f"{name}: does not say who it runs as"
    resources = container.get("resources", {})
    for kind, wanted in (("requests", {"cpu", "memory"}), ("limits", {"memory"})):
        if not wanted <= set(resources.get(kind, {})):
            yield f"{name}: no {kind} of {wanted}"
    ports = {port["containerPort"] for port in container.get("ports", ())}
    for probe in ("livenessProbe", "readinessProbe"):
        port = container.get(probe, {}).get("httpGet", {}).get("port")
        names = {port["name"] for port in container.get("ports", ())}
        if port is not None and port not in ports | names:
            yield f"{name}: {probe} asks port {port}, which is not there"


def _unselected(items: Sequence[Object]) -> Iterator[str]:
    labels = [
        item["spec"]["template"]["metadata"]["labels"].items()
        for item in items
        if "template" in item.get("spec", {})
    ]
    labels += [item["metadata"].get("labels", {}).items() for item in of_kind(items, "Pod")]
    for item in items:
        if item["kind"] == "Service":
            wanted = item["spec"]["selector"]
        elif item["kind"] == "PodDisruptionBudget":
            wanted = item["spec"]["selector"]["matchLabels"]
        else:
            continue
        if not any(wanted.items() <= there for there in labels):
            yield f"{item['kind']} {item['metadata']['name']}: selects no pods"
