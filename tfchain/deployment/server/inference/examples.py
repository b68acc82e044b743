"""What Classify, Regress and MultiInference share: the signature, the run on serialized examples, words of errors."""

import time
from collections.abc import Callable, Sequence

import numpy as np

from tfchain.deployment.server.predict import DEFAULT_SIGNATURE
from tfchain.deployment.server.servables.dtypes import BY_NUMPY, dtype_name
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.status import invalid_argument

INPUTS = "inputs"  # the only input of these signatures: serialized examples
OnRun = Callable[[float], None]  # is told how many seconds the model took


def ignore_time(_: float) -> None:
    """The `OnRun` of those who do not want to know."""


def find_signature(servable: Servable, signature_name: str) -> Signature:
    """Returns a signature by name; an empty name is `serving_default`.

    Raises:
        StatusError: if the model does not have it.
    """
    name = signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise invalid_argument(f"No signature was found with the name: {name}")
    return signature


def merge_context(context: bytes, examples: Sequence[bytes]) -> list[bytes]:
    """Adds a context's features to each example; a feature of the example wins over one of the same name.

    Of two serialized messages in a row, Protocol Buffers make one, whose later map entries replace the earlier ones.

    Args:
        context: The serialized context.
        examples: The serialized examples.
    """
    return [context + example for example in examples]


def run_examples(
    servable: Servable,
    signature: Signature,
    examples: Sequence[bytes],
    outputs: Sequence[str],
    timeout_ms: int | None,
    on_run: OnRun = ignore_time,
) -> dict[str, np.ndarray]:
    """Runs a signature on examples.

    Args:
        servable: The model.
        signature: A signature with the one input `inputs`.
        examples: Serialized `tf.Example`s.
        outputs: The outputs to compute.
        timeout_ms: The time limit of the run; None for no limit.
        on_run: Called with the seconds of the run, if it succeeds.

    Returns:
        Tensor name in the graph → value.

    Raises:
        StatusError: if there is no example, or the run fails.
    """
    if not len(examples):
        raise invalid_argument("Input is empty.")
    array = np.empty(len(examples), object)
    array[:] = examples
    start = time.perf_counter()
    values = servable.run(signature, {INPUTS: array}, outputs, timeout_ms)
    on_run(time.perf_counter() - start)
    return {signature.outputs[name].tensor_name: value for name, value in zip(outputs, values, strict=True)}


def shape_text(array: np.ndarray) -> str:
    """Returns a tensor's shape as TensorFlow's error texts have it, such as `[2,3]`."""
    return f"[{','.join(map(str, array.shape))}]"


def dtype_text(dtype: int | np.dtype) -> str:
    """Returns a data type, by number or NumPy type, as TensorFlow's enum has it, such as `DT_FLOAT`."""
    if isinstance(dtype, int):
        return f"DT_{dtype_name(dtype).upper()}"
    known = BY_NUMPY.get(dtype)
    return f"DT_{(known.name if known else str(dtype)).upper()}"


def debug_text(servable: Servable, signature: Signature) -> str:
    """Returns a signature as Protocol Buffers print it."""
    from google.protobuf import text_format

    return text_format.MessageToString(servable.signature_defs[signature.name])
