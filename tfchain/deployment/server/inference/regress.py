"""Regress: serialized `tf.Example`s in, one number for each out."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.core.signatures import REGRESS
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
from tfchain.deployment.server.servables.dtypes import DT_FLOAT
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.status import invalid_argument

OUTPUTS = "outputs"


def regress(
    servable: Servable,
    signature_name: str,
    examples: Sequence[bytes],
    *,
    timeout_ms: int | None = None,
    on_run: OnRun = ignore_time,
) -> np.ndarray:
    """Computes a number for each example, with stock TensorFlow Serving's checks in its order.

    Args:
        servable: The model.
        signature_name: The signature; empty for `serving_default`.
        examples: Serialized `tf.Example`s.
        timeout_ms: The time limit of the run; None for no limit.
        on_run: Called with the seconds of the run, if it succeeds. Default: nobody is told.

    Returns:
        The numbers, float32 `(examples,)`.

    Raises:
        StatusError: with the code and text of stock TensorFlow Serving.
    """
    signature = find_signature(servable, signature_name)
    outputs = check_regress_signature(servable, signature)
    tensors = run_examples(servable, signature, examples, outputs, timeout_ms, on_run)
    return read_regressions(signature, tensors, len(examples))


def check_regress_signature(servable: Servable, signature: Signature) -> list[str]:
    """Checks that a signature can regress.

    Returns:
        The outputs to compute.

    Raises:
        StatusError: if inputs or outputs are not those of a regression.
    """
    check_method(signature, REGRESS, "regression")
    if len(signature.inputs) != 1:
        raise invalid_argument("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid_argument("Expected one output Tensor.")
    if INPUTS not in signature.inputs:
        raise invalid_argument(f"No regression inputs found in SignatureDef: {debug_text(servable, signature)}")
    if OUTPUTS not in signature.outputs:
        raise invalid_argument(f"No regression outputs found in SignatureDef: {debug_text(servable, signature)}")
    return [OUTPUTS]


def read_regressions(signature: Signature, tensors: Mapping[str, np.ndarray], num_examples: int) -> np.ndarray:
    """Checks the tensor of a run, and reads the numbers from it.

    Args:
        signature: A signature that can regress.
        tensors: Tensor name in the graph → value.
        num_examples: The number of examples in the request.

    Raises:
        StatusError: if the tensor's shape or data type is not that of a regression.
    """
    array = tensors[signature.outputs[OUTPUTS].tensor_name]
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid_argument(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape_text(array)}"
        )
    if array.shape[0] != num_examples:
        raise invalid_argument(f"Input batch size did not match output batch size: {num_examples} vs. {array.shape[0]}")
    expected, received = dtype_text(DT_FLOAT), dtype_text(array.dtype)
    if expected != received:
        raise invalid_argument(f"Expected output Tensor of {expected}.  Got: {received}")
    return array.reshape(num_examples)
