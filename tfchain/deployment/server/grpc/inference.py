"""Classify, Regress and MultiInference over gRPC: messages to calls, and results to messages."""

from typing import Any

import numpy as np

from tfchain.deployment.server.grpc.requests import decode_examples, decode_tasks, to_model_spec
from tfchain.deployment.server.inference.classify import Classifications, classify
from tfchain.deployment.server.inference.multi_inference import multi_inference
from tfchain.deployment.server.inference.regress import regress
from tfchain.deployment.server.manager import Lease, Manager
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.server.predict import DEFAULT_SIGNATURE
from tfchain.deployment.server.status import Code, StatusError, invalid_argument


def answer_classify(
    manager: Manager, request: Any, timeout_ms: int | None, metrics: ServingMetrics, max_rows: int
) -> Any:
    """Answers a ClassificationRequest."""
    from tensorflow_serving.apis import classification_pb2

    with manager.lend(to_model_spec(request)) as lease:
        name = request.model_spec.signature_name
        result = classify(
            lease.servable,
            name,
            decode_examples(request.input, max_rows),
            timeout_ms=timeout_ms,
            on_run=lambda seconds: metrics.count_run(lease.name, "Classify", seconds),
        )
        response = classification_pb2.ClassificationResponse()
        _fill_spec(response.model_spec, lease, name)
    _fill_classifications(response.result, result)
    return response


def answer_regress(
    manager: Manager, request: Any, timeout_ms: int | None, metrics: ServingMetrics, max_rows: int
) -> Any:
    """Answers a RegressionRequest."""
    from tensorflow_serving.apis import regression_pb2

    with manager.lend(to_model_spec(request)) as lease:
        name = request.model_spec.signature_name
        values = regress(
            lease.servable,
            name,
            decode_examples(request.input, max_rows),
            timeout_ms=timeout_ms,
            on_run=lambda seconds: metrics.count_run(lease.name, "Regress", seconds),
        )
        response = regression_pb2.RegressionResponse()
        _fill_spec(response.model_spec, lease, name)
    _fill_regressions(response.result, values)
    return response


def answer_multi_inference(
    manager: Manager, request: Any, timeout_ms: int | None, metrics: ServingMetrics, max_rows: int
) -> Any:
    """Answers a MultiInferenceRequest; the first task's model spec chooses the version."""
    from tensorflow_serving.apis import inference_pb2

    if not request.tasks or not request.tasks[0].HasField("model_spec"):
        raise invalid_argument("ModelSpec has no name specified.")
    tasks = decode_tasks(request)
    response = inference_pb2.MultiInferenceResponse()
    with manager.lend(to_model_spec(request.tasks[0])) as lease:
        examples = decode_examples(request.input, max_rows)
        results = multi_inference(
            lease.servable,
            tasks,
            examples,
            timeout_ms=timeout_ms,
            on_run=lambda seconds: metrics.count_multi_inference(lease.name, seconds, len(examples)),
        )
        for task, result in zip(tasks, results, strict=True):
            answer = response.results.add()
            _fill_spec(answer.model_spec, lease, task.signature_name)
            if isinstance(result, Classifications):
                _fill_classifications(answer.classification_result, result)
            else:
                _fill_regressions(answer.regression_result, result)
    return response


def _fill_spec(spec: Any, lease: Lease, signature_name: str) -> None:
    spec.name = lease.name
    spec.version.value = lease.version
    spec.signature_name = signature_name or DEFAULT_SIGNATURE


def _fill_classifications(proto: Any, result: Classifications) -> None:
    labels, scores = result.rows()
    for row, numbers in zip(labels, scores.tolist(), strict=True):
        classes = proto.classifications.add().classes
        for label, score in zip(row, numbers, strict=True):
            classes.add(label=_to_text(label), score=score)


def _to_text(label: bytes) -> str:
    """Decodes a label; a message cannot hold other bytes, and clients could not read it."""
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise StatusError(
            Code.INTERNAL, f"A label must be UTF-8 to be sent over gRPC. Received from the model: {label!r}."
        ) from error


def _fill_regressions(proto: Any, values: np.ndarray) -> None:
    for value in values.tolist():
        proto.regressions.add(value=value)
