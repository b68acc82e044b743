"""Classify and Regress over REST: a body to a call, and the result to a body."""

from tfchain.deployment.server.http.limits import RequestLimits
from tfchain.deployment.server.inference.classify import classify
from tfchain.deployment.server.inference.regress import regress
from tfchain.deployment.server.json.examples import read_examples_request
from tfchain.deployment.server.json.inference import write_classifications, write_regressions
from tfchain.deployment.server.manager import Manager, ModelSpec
from tfchain.deployment.server.metrics.serving import ServingMetrics
from tfchain.deployment.server.servables.deadline import Deadline


def answer_inference(
    manager: Manager,
    spec: ModelSpec,
    verb: str,
    body: bytes,
    deadline: Deadline,
    metrics: ServingMetrics,
    limits: RequestLimits,
) -> bytes:
    """Answers a Classify or Regress request; unlike Predict, the whole body is read before the model is looked up.

    Args:
        manager: The manager of the models.
        spec: The model.
        verb: `classify` or `regress`.
        body: The request's body.
        deadline: When the request must be answered.
        metrics: Counts the run.
        limits: The limits of the request.

    Raises:
        StatusError: with the code and text of stock TensorFlow Serving.
    """

    def count(seconds: float) -> None:
        metrics.count_run(spec.name, verb.capitalize(), seconds)

    request = read_examples_request(body, max_rows=limits.max_rows, max_depth=limits.max_json_depth)
    name, examples = request.signature_name, request.examples
    with manager.lend(spec) as lease:
        timeout_ms = deadline.left_ms()
        if verb == "regress":
            return write_regressions(regress(lease.servable, name, examples, timeout_ms=timeout_ms, on_run=count))
        return write_classifications(classify(lease.servable, name, examples, timeout_ms=timeout_ms, on_run=count))
