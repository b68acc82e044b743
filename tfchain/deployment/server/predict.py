"""Predict, independent of the protocol: checks a request against a signature, runs it, and names the outputs."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from tfchain.deployment.server.admission import check_rows
from tfchain.deployment.server.method_names import check_predict_method
from tfchain.deployment.server.servables.servable import Servable, Signature
from tfchain.deployment.server.status import Code, StatusError, invalid_argument

DEFAULT_SIGNATURE = "serving_default"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of a run: the outputs by name, how long the model took, and the inputs that it was given."""

    outputs: Mapping[str, np.ndarray]
    signature_name: str
    run_seconds: float = 0.0
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)


def predict(
    servable: Servable,
    signature_name: str,
    inputs: Mapping[str, T],
    *,
    to_array: Callable[[str, T], np.ndarray],
    output_filter: Sequence[str] = (),
    timeout_ms: int | None = None,
    max_rows: int | None = None,
) -> Prediction:
    """Runs a request on a model, with stock TensorFlow Serving's checks in its order.

    Args:
        servable: The model.
        signature_name: The signature; empty for `serving_default`.
        inputs: The request's inputs by name, in the protocol's own form.
        to_array: A function from `(name, value)` of `inputs` to an array; raises a StatusError if it cannot.
        output_filter: The outputs to return; empty for all.
        timeout_ms: The time limit of the run; None for no limit.
        max_rows: The most strings of an input; numbers are limited by their bytes alone, as one row may have many.
            Default: None, no limit.

    Raises:
        StatusError: with the code and text of stock TensorFlow Serving.
    """
    signature_name = signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(signature_name)
    if signature is None:
        raise StatusError(Code.FAILED_PRECONDITION, f'Serving signature key "{signature_name}" not found.')
    check_predict_method(signature)
    _check_count(signature, inputs)
    arrays = {
        name: to_array(name, inputs[name]) if name in inputs else _default(signature, name, inputs)
        for name in signature.inputs
    }
    _check_unused(signature, inputs)
    if max_rows is not None:
        check_rows(max((array.size for array in arrays.values() if array.dtype.hasobject), default=0), max_rows)
    _check_filter(signature, output_filter)
    outputs = list(output_filter) or list(signature.outputs)
    start = time.perf_counter()
    values = servable.run(signature, arrays, outputs, timeout_ms)
    return Prediction(dict(zip(outputs, values, strict=True)), signature_name, time.perf_counter() - start, arrays)


def _check_count(signature: Signature, names: Collection[str]) -> None:
    if len(names) > len(signature.inputs) or (len(names) < len(signature.inputs) and not signature.defaults):
        extra = set(names) - set(signature.inputs)
        missing = set(signature.inputs) - set(names)
        raise invalid_argument(
            f"input size does not match signature: {len(names)}!={len(signature.inputs)} "
            f"len({_joined(names)}) != len({_joined(signature.inputs)}). "
            f"Sent extra: {_joined(extra)}. Missing but required: {_joined(missing)}."
        )


def _default(signature: Signature, name: str, names: Collection[str]) -> np.ndarray:
    if name in signature.defaults:
        value = signature.defaults[name]
        if value is None:
            raise invalid_argument(f"tensor parsing error: {name}")
        return value
    raise invalid_argument(
        f"Signature input alias: {name}(feed name: {signature.inputs[name].tensor_name}) not found in request and no "
        f"default value provided. Inputs expected to be in the request {_joined(names)}, "
        f"or default input alias set: {','.join(sorted(signature.defaults))}"
    )


def _check_unused(signature: Signature, names: Collection[str]) -> None:
    used = set(names) & set(signature.inputs)
    if len(used) != len(names):
        raise invalid_argument(
            f"Inputs contains invalid name. Used request inputs: {','.join(sorted(used))}, "
            f"request input: {','.join(sorted(names))}"
        )


def _check_filter(signature: Signature, output_filter: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in output_filter:
        if name not in signature.outputs:
            raise invalid_argument(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {_joined(signature.outputs)}."
            )
        if name in seen:
            raise invalid_argument(f"duplicate output tensor alias: {name}")
        seen.add(name)


def _joined(names: Collection[str]) -> str:
    return "{" + ",".join(sorted(names)) + "}"
