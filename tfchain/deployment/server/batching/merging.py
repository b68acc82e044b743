"""Joins the inputs of several requests and splits the outputs, with the rules and error texts of a stock server."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfchain.deployment.server.status import Code, StatusError, invalid_argument

_MOST_DIMENSIONS = 6  # that stock can pad


def count_rows(inputs: Mapping[str, np.ndarray]) -> int:
    """Returns the number of rows of a request's inputs.

    Raises:
        StatusError: if an input has no rows, or they differ in number.
    """
    if not inputs:
        raise invalid_argument("Batching Run() must have at least one input tensor")
    num_rows = -1
    for array in inputs.values():
        if not array.ndim:
            raise invalid_argument("Batching Run() input tensors must have at least one dimension")
        num_rows = len(array) if num_rows < 0 else num_rows
        if len(array) != num_rows:
            raise invalid_argument("Batching Run() input tensors must have equal 0th-dimension size")
    return num_rows


def count_padding(num_rows: int, allowed_sizes: Sequence[int]) -> int:
    """Returns the number of rows to add for the next allowed size; 0 if no size is large enough."""
    return next((size - num_rows for size in allowed_sizes if size >= num_rows), 0)


def join_inputs(
    tasks: Sequence[Mapping[str, np.ndarray]], *, num_padding_rows: int = 0, pads_shapes: bool = False
) -> dict[str, np.ndarray]:
    """Joins the inputs of the requests of a batch along the first dimension.

    Args:
        tasks: The inputs of each request, by the tensors' names.
        num_padding_rows: Copies of the last request's first row to add at the end, a row that is known to be valid, as
            a stock server does. Default: none.
        pads_shapes: Whether arrays of different shapes are padded at the end of their dimensions, with the first value
            of each. Default: False.

    Raises:
        StatusError: FAILED_PRECONDITION if the shapes differ and are not padded.
    """
    joined = {}
    for name in tasks[0]:
        arrays = [task[name] for task in tasks]
        if pads_shapes:
            arrays = _pad_shapes(arrays, name)
        elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
            raise _different_shapes(name)
        arrays += [arrays[-1][:1]] * num_padding_rows
        joined[name] = np.concatenate(arrays) if len(arrays) > 1 else arrays[0]
    return joined


def split_outputs(
    outputs: Sequence[np.ndarray], sizes: Sequence[int], num_padding_rows: int = 0
) -> list[list[np.ndarray]]:
    """Splits the outputs of a batch into those of each request, without the rows that were added.

    Args:
        outputs: The outputs of the batch.
        sizes: The number of rows of each request.
        num_padding_rows: The number of rows that were added. Default: 0.

    Returns:
        The outputs of each request.

    Raises:
        StatusError: FAILED_PRECONDITION if an output does not have a row for each row of the inputs.
    """
    ends = np.cumsum(sizes)
    for output in outputs:
        if not output.ndim:
            raise StatusError(Code.FAILED_PRECONDITION, "Batched output tensor has 0 dimensions")
        if len(output) != ends[-1] + num_padding_rows:
            raise StatusError(
                Code.FAILED_PRECONDITION,
                "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
                "tensors",
            )
    parts = [np.split(output[: ends[-1]], ends[:-1]) for output in outputs]
    return [list(rows) for rows in zip(*parts, strict=True)]


def _pad_shapes(arrays: Sequence[np.ndarray], name: str) -> list[np.ndarray]:
    ranks = {array.ndim for array in arrays}
    if len(ranks) > 1:  # a stock server does not check this, and crashes
        raise _different_shapes(name)
    if max(ranks) > _MOST_DIMENSIONS:
        raise invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
    largest = np.max([array.shape[1:] for array in arrays], axis=0, initial=0)
    return [_pad(array, largest) for array in arrays]


def _pad(array: np.ndarray, largest: np.ndarray) -> np.ndarray:
    widths = [(0, 0), *((0, int(size) - now) for size, now in zip(largest, array.shape[1:], strict=True))]
    if not any(after for _, after in widths):
        return array
    if not array.size:
        raise invalid_argument("Got empty tensor in batch of non-empty tensors.")
    padded = np.empty((len(array), *map(int, largest)), array.dtype)
    padded[...] = array.flat[0]
    padded[tuple(slice(0, size) for size in array.shape)] = array
    return padded


def _different_shapes(name: str) -> StatusError:
    return StatusError(
        Code.FAILED_PRECONDITION,
        f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. "
        "Set pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
        "starting with the first dim.",
    )
