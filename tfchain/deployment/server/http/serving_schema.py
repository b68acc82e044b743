"""Describes TensorFlow Serving's REST API, and the endpoints that watch the server, for the OpenAPI document."""

from typing import Any

from tfchain.deployment.server.http.openapi import ApiDocument, Schema, array, operation, path_parameter, record, ref

_SERVING, _SERVER = "TensorFlow Serving", "Server"
_TEXT = {"type": "string"}
_MODEL = path_parameter("model", _TEXT)
_VERSIONS: dict[str, tuple[str, tuple[Schema, ...]]] = {
    "": ("", (_MODEL,)),
    "Version": ("/versions/{version}", (_MODEL, path_parameter("version", {"type": "integer", "minimum": 0}))),
    "Label": ("/labels/{label}", (_MODEL, path_parameter("label", _TEXT))),
}
_VERBS = {"predict": "Predict", "classify": "Example", "regress": "Example"}
_ERRORS = {
    400: "The request is malformed, or does not fit the model's signature.",
    404: "No such model or version is served.",
    413: "The body is too large.",
    429: "Too many requests are running or waiting; the header Retry-After says when to try again.",
    501: "This server does not support the request yet.",
    504: "The request waited and ran for longer than the time limit.",
}
_ANY = {"description": 'A JSON value: a number, a string, `{"b64": …}`, or nested arrays of these.'}

SERVING_SCHEMAS: dict[str, Schema] = {
    "ServingError": record({"error": _TEXT}),
    "PredictRequest": {
        "type": "object",
        "properties": {
            "signature_name": {"type": "string", "default": "serving_default"},
            "instances": array(_ANY, minItems=1),
            "inputs": _ANY,
        },
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "PredictAnswer": {
        "type": "object",
        "properties": {"predictions": array(_ANY), "outputs": _ANY},
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    },
    "ExampleRequest": record(
        {"examples": array({"type": "object"}, minItems=1)}, {"signature_name": _TEXT, "context": {"type": "object"}}
    ),
    "ExampleAnswer": record({"results": array({})}),
    "ModelStatus": record(
        {
            "model_version_status": array(
                record(
                    {
                        "version": {"type": "string", "pattern": "^[0-9]+$"},
                        "state": {"enum": ["START", "LOADING", "AVAILABLE", "UNLOADING", "END"]},
                        "status": record({"error_code": _TEXT, "error_message": _TEXT}),
                    }
                )
            )
        }
    ),
    "ModelMetadata": record({"model_spec": {"type": "object"}, "metadata": {"type": "object"}}),
    "Readiness": record(
        {
            "status": {"enum": ["ready", "loading", "stopping"]},
            "models": {"type": "object", "additionalProperties": {"type": "boolean"}},
        }
    ),
}


def describe_serving(document: ApiDocument, prometheus_path: str | None = None) -> None:
    """Adds TensorFlow Serving's paths, and those that watch the server.

    Args:
        document: The document to add to.
        prometheus_path: The path of TensorFlow Serving's metrics. Default: none.
    """
    paths: dict[str, dict[str, Any]] = {}
    for suffix, (part, parameters) in _VERSIONS.items():
        base = f"/v1/models/{{model}}{part}"
        paths[base] = {
            "get": operation(
                f"status{suffix}",
                "The states of a model's versions.",
                tag=_SERVING,
                answer=ref("ModelStatus"),
                errors={400: _ERRORS[400], 404: _ERRORS[404]},
                parameters=parameters,
            )
        }
        paths[f"{base}/metadata"] = {
            "get": operation(
                f"metadata{suffix}",
                "The signatures of a version.",
                tag=_SERVING,
                answer=ref("ModelMetadata"),
                errors={400: _ERRORS[400], 404: _ERRORS[404]},
                parameters=parameters,
            )
        }
        for verb, schema in _VERBS.items():
            paths[f"{base}:{verb}"] = {
                "post": operation(
                    f"{verb}{suffix}",
                    f"Runs a signature: {verb}.",
                    tag=_SERVING,
                    body=ref(f"{schema}Request"),
                    answer=ref(f"{schema}Answer"),
                    errors=_ERRORS,
                    parameters=parameters,
                )
            }
    document.add({**paths, **_describe_monitoring(prometheus_path)}, SERVING_SCHEMAS)


def _describe_monitoring(prometheus_path: str | None) -> dict[str, dict[str, Any]]:
    live = operation(
        "live", "Whether the process answers.", tag=_SERVER, answer=_TEXT, media_type="text/plain", is_public=True
    )
    ready = operation("ready", "Whether every model answers.", tag=_SERVER, answer=ref("Readiness"), is_public=True)
    ready["responses"]["503"] = {**ready["responses"]["200"], "description": "A model does not answer."}
    metrics = {"/metrics": "All metrics, for Prometheus."}
    if prometheus_path is not None:
        metrics[prometheus_path] = "TensorFlow Serving's metrics, for Prometheus."
    return {
        "/live": {"get": live},
        "/ready": {"get": ready},
        **{
            path: {"get": operation(f"metrics{number or ''}", text, tag=_SERVER, answer=_TEXT, media_type="text/plain")}
            for number, (path, text) in enumerate(metrics.items())
        },
    }
