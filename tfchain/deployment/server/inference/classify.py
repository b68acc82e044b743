"""Classify: serialized `tf.Example`s in, labels and scores out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfchain.core.signatures import CLASSIFY
from tfchain.deployment.server.inference.examples import (
    INPUTS,
    OnRun,
    debug_text,
    dtype_text,
    find_signature,
    ignore_time,
    run_examples,
    shape_text,
)
from tfchain.deployment.server.method_names import check_method
from tfchain.deployment.server.servables.dtypes import DT_FLOAT, DT_STRING
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.status import invalid_argument

CLASSES = "classes"
SCORES = "scores"


@dataclass(frozen=True, slots=True)
class Classifications:
    """The classes of each example; one of the two arrays may be missing.

    Args:
        labels: The labels, bytes `(examples, classes)`, or None.
        scores: The scores, float32 `(examples, classes)`, or None.
    """

    labels: np.ndarray | None
    scores: np.ndarray | None

    def rows(self) -> tuple[list[list[bytes]], np.ndarray]:
        """Returns labels and scores, with empty labels or scores of 0 in place of those that are missing."""
        array = self.labels if self.labels is not None else self.scores
        assert array is not None  # a signature has one of them at least
        labels = [[b""] * array.shape[1]] * array.shape[0] if self.labels is None else self.labels.tolist()
        return labels, np.zeros(array.shape, np.float32) if self.scores is None else self.scores


def classify(
    servable: Servable,
    signature_name: str,
    examples: Sequence[bytes],
    *,
    timeout_ms: int | None = None,
    on_run: OnRun = ignore_time,
) -> Classifications:
    """Classifies examples, with stock TensorFlow Serving's checks in its order.

    Args:
        servable: The model.
        signature_name: The signature; empty for `serving_default`.
        examples: Serialized `tf.Example`s.
        timeout_ms: The time limit of the run; None for no limit.
        on_run: Called with the seconds of the run, if it succeeds. Default: nobody is told.

    Raises:
        StatusError: with the code and text of stock TensorFlow Serving.
    """
    signature = find_signature(servable, signature_name)
    outputs = check_classify_signature(servable, signature)
    tensors = run_examples(servable, signature, examples, outputs, timeout_ms, on_run)
    return read_classifications(signature, tensors, len(examples))


def check_classify_signature(servable: Servable, signature: Signature) -> list[str]:
    """Checks that a signature can classify.

    Returns:
        The outputs to compute.

    Raises:
        StatusError: if inputs or outputs are not those of a classification.
    """
    check_method(signature, CLASSIFY, "classification")
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid_argument(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No classification inputs found in SignatureDef: {debug_text(servable, signature)}")
    outputs = [name for name in (CLASSES, SCORES) if name in signature.outputs]
    if not outputs:
        raise invalid_argument(
            f'Expected classification signature outputs to contain at least one of "{CLASSES}" or "{SCORES}". '
            f"Signature was: {debug_text(servable, signature)}"
        )
    return outputs


def read_classifications(signature: Signature, tensors: Mapping[str, np.ndarray], num_examples: int) -> Classifications:
    """Checks the tensors of a run, and reads the classes from them.

    Args:
        signature: A signature that can classify.
        tensors: Tensor name in the graph → value.
        num_examples: The number of examples in the request.

    Raises:
        StatusError: if a tensor's shape or data type is not that of a classification.
    """
    names = {name: spec.tensor_name for name, spec in signature.outputs.items()}
    labels = tensors[names[CLASSES]] if CLASSES in names else None
    # A tensor that is both is read as classes alone, as in the stock server.
    has_scores = SCORES in names and names[SCORES] != names.get(CLASSES)
    scores = tensors[names[SCORES]] if has_scores else None
    for name, array, dtype in ((CLASSES, labels, DT_STRING), (SCORES, scores, DT_FLOAT)):
        if array is not None:
            _check_output(name, array, dtype, num_examples)
    if labels is not None and scores is not None and labels.shape[1] != scores.shape[1]:
        raise invalid_argument(
            f"Tensors class and score should match in dim_size(1). Got {labels.shape[1]} vs. {scores.shape[1]}"
        )
    return Classifications(labels, scores)


def _check_output(name: str, array: np.ndarray, dtype: int, num_examples: int) -> None:
    if array.ndim != 2:
        raise invalid_argument(f"Expected Tensor shape: [batch_size num_classes] but got {shape_text(array)}")
    expected, received = dtype_text(dtype), dtype_text(array.dtype)
    if expected != received:
        raise invalid_argument(f"Expected {name} Tensor of {expected}. Got: {received}")
    if array.shape[0] != num_examples:
        raise invalid_argument(f"Expected {name} output batch size of {num_examples}. Got: {array.shape[0]}")
