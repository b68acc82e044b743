"""What `kubectl kustomize` makes of a folder, in a few lines: resources, a namespace, strategic merge patches."""

import copy
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml

from tfchain.deployment.targets.artefact import Artefact

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "ports": "containerPort",
}
Manifests = dict[tuple[str, str], dict[str, Any]]


def build(artefacts: Iterable[Artefact], folder: str) -> Manifests:
    """The objects of an overlay or a base, by kind and name."""
    files = {artefact.path: artefact.content for artefact in artefacts}
    return build_folder({name: str(content) for name, content in files.items()}, folder)


def build_folder(files: Mapping[str, str], folder: str) -> Manifests:
    kustomization = yaml.safe_load(files[f"{folder}/kustomization.yaml"])
    assert kustomization.pop("apiVersion") == "kustomize.config.k8s.io/v1beta1"
    assert kustomization.pop("kind") == "Kustomization"
    assert set(kustomization) <= {"namespace", "resources", "patches"}
    found: Manifests = {}
    for resource in kustomization["resources"]:
        path = resolve(folder, resource)
        if path.endswith(".yaml"):
            manifest = yaml.safe_load(files[path])
            found[manifest["kind"], manifest["metadata"]["name"]] = manifest
        else:
            found |= build_folder(files, path)
    for patch in kustomization.get("patches", []):
        change = yaml.safe_load(files[resolve(folder, patch["path"])])
        place = change["kind"], change["metadata"]["name"]
        assert place in found, f"the patch {patch['path']} fits no object"
        if change.get("$patch") == "delete":
            del found[place]
        else:
            found[place] = merge(found[place], change)
    for manifest in found.values():
        if namespace := kustomization.get("namespace"):
            manifest["metadata"]["namespace"] = namespace
    return found


def merge(old: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """A strategic merge: mappings are merged, lists of named things by their names, others are replaced."""
    new = copy.deepcopy(old)
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(new.get(name), dict):
            new[name] = merge(new[name], value)
        elif name in MERGE_KEYS and isinstance(new.get(name), list):
            new[name] = merge_lists(new[name], value, MERGE_KEYS[name])
        else:
            new[name] = copy.deepcopy(value)
    return new


def merge_lists(old: list[dict[str, Any]], changes: list[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    by_key = {item[key]: item for item in changes}
    merged = [merge(item, by_key.pop(item[key], {})) for item in old]
    return [*merged, *by_key.values()]


def resolve(folder: str, path: str) -> str:
    parts: list[str] = []
    for part in (*PurePosixPath(folder).parts, *PurePosixPath(path).parts):
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
