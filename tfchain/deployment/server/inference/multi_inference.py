"""MultiInference: several Classify and Regress tasks of one model on the same examples, in one run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.signatures import CLASSIFY, REGRESS
from tfchain.deployment.server.inference.classify import (
    Classifications,
    check_classify_signature,
    read_classifications,
)
from tfchain.deployment.server.inference.examples import INPUTS, OnRun, ignore_time, run_examples
from tfchain.deployment.server.inference.regress import check_regress_signature, read_regressions
from tfchain.deployment.server.predict import DEFAULT_SIGNATURE
from tfchain.deployment.server.servables.servable import Servable, Signature, TensorSpec
from tfchain.deployment.server.status import Code, StatusError, invalid_argument


@dataclass(frozen=True, slots=True)
class InferenceTask:
    """One task of a request.

    Args:
        model_name: The model's name.
        signature_name: The signature; empty for `serving_default`.
        method_name: `tensorflow/serving/classify` or `tensorflow/serving/regress`.
    """

    model_name: str
    signature_name: str
    method_name: str


def multi_inference(
    servable: Servable,
    tasks: Sequence[InferenceTask],
    examples: Sequence[bytes],
    *,
    timeout_ms: int | None = None,
    on_run: OnRun = ignore_time,
) -> list[Classifications | np.ndarray]:
    """Runs several tasks on the same examples, with stock TensorFlow Serving's checks in its order.

    All signatures must read the same tensor of the graph, so they come from a graph that was exported as a whole; the
    functions of a `tf.Module` each have an input of their own, and only one of them can be asked.

    Args:
        servable: The model.
        tasks: The tasks.
        examples: Serialized `tf.Example`s.
        timeout_ms: The time limit of the run; None for no limit.
        on_run: Called with the seconds of the run, if it succeeds. Default: nobody is told.

    Returns:
        For each task its classifications, or its regressions, float32 `(examples,)`.

    Raises:
        StatusError: with the code and text of stock TensorFlow Serving.
    """
    if not tasks:  # over gRPC, the missing name of the model is found first
        raise invalid_argument("A MultiInferenceRequest must have at least one task. Received: none.")
    signatures: dict[str, Signature] = {}
    inputs: dict[str, TensorSpec] = {}
    outputs: dict[str, TensorSpec] = {}
    for task in tasks:
        _check_model(task, tasks[0])
        name = task.signature_name or DEFAULT_SIGNATURE
        if name in signatures:
            raise invalid_argument(f"Duplicate evaluation of signature: {name}")
        signatures[name] = signature = _find_signature(servable, name)
        wanted = _check_signature(servable, signature, task.method_name)
        if inputs and inputs[INPUTS].tensor_name != signature.inputs[INPUTS].tensor_name:
            raise invalid_argument("Input tensor must be the same for all Signatures.")
        inputs = dict(signature.inputs)
        outputs |= {signature.outputs[alias].tensor_name: signature.outputs[alias] for alias in wanted}
    # A signature of the tasks' outputs together, whose name no signature of the model has.
    joint = Signature("+".join(["", *signatures]), inputs, dict(sorted(outputs.items())))
    tensors = run_examples(servable, joint, examples, list(joint.outputs), timeout_ms, on_run)
    return [
        (read_classifications if task.method_name == CLASSIFY else read_regressions)(signature, tensors, len(examples))
        for task, signature in zip(tasks, signatures.values(), strict=True)
    ]


def _check_model(task: InferenceTask, first: InferenceTask) -> None:
    if not task.model_name:
        raise invalid_argument("Found ModelSpec with an empty model name.")
    if task.model_name != first.model_name:
        raise invalid_argument("All ModelSpecs in a MultiInferenceRequest must access the same model name.")


def _find_signature(servable: Servable, name: str) -> Signature:
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid_argument(f"Requested signature not found in model graph: {name}")
    return signature


def _check_signature(servable: Servable, signature: Signature, method: str) -> list[str]:
    if method == CLASSIFY:
        return check_classify_signature(servable, signature)
    if method == REGRESS:
        return check_regress_signature(servable, signature)
    raise StatusError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {method}")
