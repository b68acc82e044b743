"""A Helm chart: the manifests of the overlay prod, with the values that a user may change taken out of them."""

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tfchain.deployment.targets.artefact import Artefact
from tfchain.deployment.targets.kubernetes.kustomize import make_spread
from tfchain.deployment.targets.kubernetes.manifests import Manifest, make_autoscaler, make_manifests
from tfchain.deployment.targets.kubernetes.plan import ClusterPlan
from tfchain.deployment.targets.yaml_text import to_yaml

RELEASE = "{{ .Release.Name }}"
NAMESPACE = "{{ .Release.Namespace }}"
TEXT, PLAIN, TREE, OPTIONAL, REPLICAS = "text", "plain", "tree", "optional", "replicas"
_POD = ("spec", "template", "spec")
_SERVER = (*_POD, "containers", 0)
_MARK = re.compile(r"^( *)([A-Za-z]+): <(\w+):([\w.]+)>$", re.MULTILINE)


NOTES = """Ask it from a pod of the namespace:

  curl http://{{{{ .Release.Name }}}}.{{{{ .Release.Namespace }}}}:8501/v1/models/{model}
"""


@dataclass(frozen=True)
class Value:
    """A place in a manifest that a chart's user fills.

    Args:
        file: The manifest's name in `make_manifests`.
        path: The place in it.
        name: The value's name in values.yaml, with dots between levels.
        kind: `text`, `plain` (a number or a switch), `tree` (lists and mappings), `optional` (a tree that is left out
            while it is empty), or `replicas` (a number that is left out while the autoscaler says it).
        default: The value, for places that the manifest does not have. Default: what is there.
    """

    file: str
    path: tuple[str | int, ...]
    name: str
    kind: str
    default: Any = None


VALUES = (
    Value("deployment", (*_SERVER, "image"), "image", TEXT),
    Value("deployment", (*_SERVER, "resources"), "resources", TREE),
    Value("deployment", (*_POD, "imagePullSecrets"), "imagePullSecrets", OPTIONAL, []),
    Value("deployment", (*_POD, "nodeSelector"), "nodeSelector", OPTIONAL, {}),
    Value("deployment", (*_POD, "tolerations"), "tolerations", OPTIONAL, []),
    Value("deployment", ("spec", "replicas"), "replicas", REPLICAS, 1),
    Value("autoscaler", ("spec", "minReplicas"), "autoscaling.minReplicas", PLAIN),
    Value("autoscaler", ("spec", "maxReplicas"), "autoscaling.maxReplicas", PLAIN),
    Value("autoscaler", ("spec", "metrics"), "autoscaling.metrics", TREE),
    Value("network-policy", ("spec", "ingress"), "networkPolicy.ingress", TREE),
    Value("service-monitor", ("spec", "endpoints"), "serviceMonitor.endpoints", TREE),
)
# Objects that a user may leave out, by the switch in values.yaml.
SWITCHES = {
    "autoscaler": "autoscaling.enabled",
    "disruption-budget": "disruptionBudget.enabled",
    "network-policy": "networkPolicy.enabled",
    "service-monitor": "serviceMonitor.enabled",
}


def make_chart(plan: ClusterPlan) -> tuple[Artefact, ...]:
    """Makes the chart, whose defaults give the objects of the overlay prod if the release has the version's name.

    Args:
        plan: The plan.

    Returns:
        The files, below `helm/<name>/`.
    """
    folder = f"helm/{plan.name}"
    manifests = make_chart_manifests(replace(plan, name=RELEASE))
    values, templates = take_values(manifests)
    chart = {
        "apiVersion": "v2",
        "name": plan.name,
        "description": f"Serves {plan.model_name}, a model of TensorFlow",
        "type": "application",
        "version": f"{plan.number}.0.0",
        "appVersion": str(plan.number),
        "kubeVersion": ">=1.25.0-0",
    }
    return (
        Artefact(f"{folder}/Chart.yaml", to_yaml(chart)),
        Artefact(f"{folder}/values.yaml", to_yaml(values)),
        Artefact(f"{folder}/values.schema.json", json.dumps(make_schema(values), indent=2) + "\n"),
        Artefact(f"{folder}/templates/NOTES.txt", NOTES.format(model=plan.model_name)),
        *(Artefact(f"{folder}/templates/{name}.yaml", text) for name, text in templates.items()),
    )


def make_chart_manifests(plan: ClusterPlan) -> dict[str, Manifest]:
    """Makes the manifests of production, with the namespace of the release."""
    options = plan.options
    manifests = copy.deepcopy(make_manifests(plan))
    manifests["autoscaler"] = make_autoscaler(plan, least=options.replicas, most=options.max_replicas)
    manifests["deployment"]["spec"]["template"]["spec"]["topologySpreadConstraints"] = make_spread(plan)
    for manifest in manifests.values():
        manifest["metadata"] = {"name": manifest["metadata"]["name"], "namespace": NAMESPACE, **manifest["metadata"]}
    return manifests


def take_values(manifests: Mapping[str, Manifest]) -> tuple[dict[str, Any], dict[str, str]]:
    """Takes the values of `VALUES` out of manifests.

    Args:
        manifests: File's name without ending → manifest.

    Returns:
        The content of values.yaml, and the templates: file's name without ending → text.
    """
    manifests = copy.deepcopy(dict(manifests))
    values: dict[str, Any] = {}
    for value in VALUES:
        inner: Any = manifests[value.file]
        for step in value.path[:-1]:
            inner = inner[step]
        last = value.path[-1]
        there = inner.get(last, value.default)
        _put(values, value.name, there)
        inner[last] = f"<{value.kind}:{value.name}>"
    for switch in SWITCHES.values():
        _put(values, switch, True)
    templates = {name: _write_template(manifest, SWITCHES.get(name)) for name, manifest in manifests.items()}
    return values, templates


def make_schema(values: Mapping[str, Any]) -> dict[str, Any]:
    """Makes the JSON schema of values.yaml: a misspelled or wrongly typed value is an error at the install."""
    types = {bool: "boolean", int: "integer", str: "string", list: "array"}
    properties: dict[str, Any] = {}
    for name, value in values.items():
        if not isinstance(value, Mapping):
            properties[name] = {"type": types[type(value)]}
        elif "enabled" in value:
            properties[name] = make_schema(value)
        else:
            properties[name] = {"type": "object"}
    schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return schema if "enabled" in values else {"$schema": "http://json-schema.org/draft-07/schema#", **_global(schema)}


def _global(schema: dict[str, Any]) -> dict[str, Any]:
    """Lets a parent chart pass its global values, which Helm puts beside a chart's own."""
    return {**schema, "properties": {**schema["properties"], "global": {"type": "object"}}}


def _write_template(manifest: Manifest, switch: str | None) -> str:
    text = _MARK.sub(_write_value, to_yaml(manifest))
    return f"{{{{- if .Values.{switch} }}}}\n{text}{{{{- end }}}}\n" if switch else text


def _write_value(match: re.Match[str]) -> str:
    indent, key, kind, name = match.groups()
    depth = len(indent) + 2
    if kind == TEXT:
        return f"{indent}{key}: {{{{ .Values.{name} | quote }}}}"
    if kind == PLAIN:
        return f"{indent}{key}: {{{{ .Values.{name} }}}}"
    if kind == TREE:
        return f"{indent}{key}:\n{' ' * depth}{{{{- toYaml .Values.{name} | nindent {depth} }}}}"
    if kind == REPLICAS:
        value = f"{indent}{key}: {{{{ .Values.{name} }}}}"
        return f"{indent}{{{{- if not .Values.autoscaling.enabled }}}}\n{value}\n{indent}{{{{- end }}}}"
    inner = f"{indent}{key}:\n{' ' * depth}{{{{- toYaml . | nindent {depth} }}}}"
    return f"{indent}{{{{- with .Values.{name} }}}}\n{inner}\n{indent}{{{{- end }}}}"


def _put(values: dict[str, Any], name: str, value: Any) -> None:
    *groups, last = name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
    values[last] = value
