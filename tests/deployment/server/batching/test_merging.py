"""Joining and splitting, with a stock server's error texts."""

from typing import Any

import numpy as np
import pytest

from tests.deployment.server.batching.fakes import texts
from tfchain.deployment.server.batching.merging import count_padding, count_rows, join_inputs, split_outputs
from tfchain.deployment.server.status import Code, StatusError


def test_the_rows_of_all_inputs_are_counted() -> None:
    assert count_rows({"x": np.ones((3, 2)), "y": np.ones(3)}) == 3
    assert count_rows({"x": np.ones((0, 2))}) == 0


@pytest.mark.parametrize(
    ("inputs", "error"),
    [
        ({}, "Batching Run() must have at least one input tensor"),
        ({"x": np.ones(2), "y": np.array(1.0)}, "Batching Run() input tensors must have at least one dimension"),
        ({"x": np.ones(2), "y": np.ones(3)}, "Batching Run() input tensors must have equal 0th-dimension size"),
    ],
)
def test_inputs_without_common_rows_are_refused(inputs: Any, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        count_rows(inputs)
    assert str(caught.value) == f"INVALID_ARGUMENT: {error}"


@pytest.mark.parametrize(
    ("num_rows", "allowed", "padding"), [(3, (), 0), (3, (2, 4, 8), 1), (4, (2, 4, 8), 0), (9, (2, 4, 8), 0)]
)
def test_a_batch_is_padded_to_the_next_allowed_size(num_rows: int, allowed: tuple[int, ...], padding: int) -> None:
    assert count_padding(num_rows, allowed) == padding


def test_padding_repeats_the_first_row_of_the_last_request() -> None:
    joined = join_inputs([{"x": np.array([1, 2])}, {"x": np.array([3, 4])}], num_padding_rows=2)
    assert joined["x"].tolist() == [1, 2, 3, 4, 3, 3]
    assert join_inputs([texts("a", "b")], num_padding_rows=1)["text"].tolist() == [b"a", b"b", b"a"]


def test_a_request_alone_is_not_copied() -> None:
    array = np.ones(3)
    assert join_inputs([{"x": array}])["x"] is array


def test_different_shapes_are_an_error_without_padding() -> None:
    with pytest.raises(StatusError) as caught:
        join_inputs([{"x:0": np.ones((1, 2))}, {"x:0": np.ones((1, 3))}])
    assert caught.value.code is Code.FAILED_PRECONDITION
    assert caught.value.message == (
        "Tensors with name 'x:0' from different tasks have different shapes and padding is turned off. Set "
        "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal dimensions "
        "starting with the first dim."
    )


def test_different_shapes_are_padded_with_the_first_value_of_each() -> None:
    joined = join_inputs(
        [{"x": np.array([[1, 2]])}, {"x": np.array([[3, 4, 5], [6, 7, 8]])}], num_padding_rows=1, pads_shapes=True
    )
    assert joined["x"].tolist() == [[1, 2, 1], [3, 4, 5], [6, 7, 8], [3, 4, 5]]


@pytest.mark.parametrize(
    ("shapes", "error"),
    [
        ([(1, 0), (1, 2)], "INVALID_ARGUMENT: Got empty tensor in batch of non-empty tensors."),
        ([(1,) * 7, (1,) * 7], "INVALID_ARGUMENT: Only tensors with rank from 1 to 6 can be padded."),
        ([(1, 2), (1, 2, 2)], "FAILED_PRECONDITION: Tensors with name 'x' from different tasks"),
    ],
)
def test_what_cannot_be_padded_is_an_error(shapes: Any, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        join_inputs([{"x": np.ones(shape)} for shape in shapes], pads_shapes=True)
    assert str(caught.value).startswith(error)


def test_outputs_are_split_by_the_rows_of_the_requests_without_padding() -> None:
    parts = split_outputs([np.arange(6), np.arange(12).reshape(6, 2)], [1, 3], num_padding_rows=2)
    assert [part.tolist() for part in parts[0]] == [[0], [[0, 1]]]
    assert [part.tolist() for part in parts[1]] == [[1, 2, 3], [[2, 3], [4, 5], [6, 7]]]


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (np.array(1.0), "Batched output tensor has 0 dimensions"),
        (
            np.ones(5),
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input "
            "tensors",
        ),
    ],
)
def test_outputs_that_are_no_rows_are_an_error(output: np.ndarray, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        split_outputs([output], [2, 2])
    assert (caught.value.code, caught.value.message) == (Code.FAILED_PRECONDITION, error)
