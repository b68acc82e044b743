"""Checks of manifests: Kubernetes' own schemas of several releases, and the published fields of four custom resources.

Of the custom resources only the part that tfchain writes is written down, as JSON schema, each with its source. An
unknown field fails everywhere, so a field that a target begins to write must be added here, from its source.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

RELEASES = ("1.25", "1.31", "1.37")  # the oldest that kubernetes-validate has, one between, and the newest
NEWEST = "1.37"
Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}
DURATION: Schema = {"type": "string", "pattern": r"^(0|([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?)$"}


def fields(*needed: str, **properties: Schema) -> Schema:
    """An object with these fields alone; `_` at the end of a name is left out."""
    named = {name.rstrip("_"): schema for name, schema in properties.items()}
    return {"type": "object", "additionalProperties": False, "properties": named, "required": list(needed)}


def many(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def texts() -> Schema:
    return {"type": "object", "additionalProperties": TEXT}


METADATA = fields("name", name=TEXT, namespace=TEXT, labels=texts(), annotations=texts())
SECRET_KEY = fields("key", name=TEXT, key=TEXT, optional={"type": "boolean"})

# https://github.com/prometheus-operator/prometheus-operator, release 0.84.1:
# example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
SERVICE_MONITOR = fields(
    "spec",
    "metadata",
    apiVersion={"const": "monitoring.coreos.com/v1"},
    kind={"const": "ServiceMonitor"},
    metadata=METADATA,
    spec=fields(
        "endpoints",
        "selector",
        endpoints=many(
            fields(
                port=TEXT,
                path=TEXT,
                scheme={"enum": ["http", "https", "HTTP", "HTTPS"]},
                interval=DURATION,
                scrapeTimeout=DURATION,
                authorization=fields(type=TEXT, credentials=SECRET_KEY),
            )
        ),
        selector=fields(matchLabels=texts()),
        podTargetLabels=many(TEXT),
    ),
)

# https://github.com/kserve/kserve, the models of its Python package kserve 0.21.0: V1beta1InferenceServiceSpec,
# V1beta1PredictorSpec, V1beta1ModelSpec, V1beta1ModelFormat. A predictor has a pod's fields, a model a container's.
INFERENCE_SERVICE_MODEL = {
    "modelFormat": fields("name", name=TEXT, version=TEXT),
    "protocolVersion": TEXT,
    "runtime": TEXT,
    "runtimeVersion": TEXT,
    "storageUri": TEXT,
}
INFERENCE_SERVICE_PREDICTOR = {
    "canaryTrafficPercent": NUMBER,
    "containerConcurrency": NUMBER,
    "labels": texts(),
    "maxReplicas": NUMBER,
    "minReplicas": NUMBER,
    "scaleMetric": {"enum": ["cpu", "memory", "concurrency", "rps"]},
    "scaleTarget": NUMBER,
    "timeout": NUMBER,
}

# https://github.com/knative/serving: config/core/300-resources/service.yaml. Cloud Run takes the same, with annotations
# of its own: https://cloud.google.com/run/docs/reference/yaml/v1
KNATIVE_REVISION = {"containerConcurrency": NUMBER, "timeoutSeconds": NUMBER}
KNATIVE_TRAFFIC = fields(
    "percent", percent=NUMBER, revisionName=TEXT, latestRevision={"type": "boolean"}, tag=TEXT, configurationName=TEXT
)


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Fails if a manifest has a field or a type that its published API does not have, in any of the releases."""
    api = str(manifest["apiVersion"])
    if api.startswith("monitoring.coreos.com/"):
        jsonschema.validate(manifest, SERVICE_MONITOR)
    elif api.startswith("serving.kserve.io/"):
        check_with_pods(manifest, inference_service_schema())
    elif api.startswith("serving.knative.dev/"):
        check_with_pods(manifest, knative_service_schema())
    else:
        for release in RELEASES:
            make_validator(release, api, str(manifest["kind"])).validate(manifest)


def inference_service_schema() -> Schema:
    model = with_own_fields("Container", INFERENCE_SERVICE_MODEL, needed=("modelFormat",))
    predictor = with_own_fields("PodSpec", {**INFERENCE_SERVICE_PREDICTOR, "model": model}, needed=("model",))
    return fields(
        "spec",
        "metadata",
        apiVersion={"const": "serving.kserve.io/v1beta1"},
        kind={"const": "InferenceService"},
        metadata=METADATA,
        spec=fields("predictor", predictor=predictor),
    )


def knative_service_schema() -> Schema:
    revision = with_own_fields("PodSpec", KNATIVE_REVISION, needed=("containers",))
    template = fields("spec", metadata=fields(name=TEXT, labels=texts(), annotations=texts()), spec=revision)
    return fields(
        "spec",
        "metadata",
        apiVersion={"const": "serving.knative.dev/v1"},
        kind={"const": "Service"},
        metadata=METADATA,
        spec=fields("template", template=template, traffic=many(KNATIVE_TRAFFIC)),
    )


def with_own_fields(kind: str, own: Mapping[str, Schema], *, needed: tuple[str, ...]) -> Schema:
    """A Kubernetes type with further fields, and with other ones needed."""
    properties = definitions()["$defs"][f"io.k8s.api.core.v1.{kind}"]["properties"]
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, **own},
        "required": list(needed),
    }


def check_with_pods(manifest: Mapping[str, Any], schema: Schema) -> None:
    whole = {"$defs": definitions()["$defs"], **schema}
    jsonschema.Draft202012Validator(whole).validate(manifest)


@cache
def make_validator(release: str, api: str, kind: str) -> jsonschema.Draft202012Validator:
    """What `kubernetes_validate.validate(…, strict=True)` makes anew for each manifest: 15 ms, mostly of reading."""
    group, _, number = api.rpartition("/")
    name = "-".join(part for part in (kind.lower(), group.partition(".")[0], number) if part)
    return jsonschema.Draft202012Validator(read_schema(release, name), registry=read_registry(release))


@cache
def read_registry(release: str) -> Registry[Any]:
    return Resource.from_contents(read_schema(release, "_definitions")) @ Registry()


def read_schema(release: str, name: str) -> dict[str, Any]:
    return dict(schema_contents(f"kubernetes-json-schema/v{release}.0-local-strict/{name}.json", release))


@cache
def definitions() -> dict[str, Any]:
    return read_schema(NEWEST, "_definitions")
