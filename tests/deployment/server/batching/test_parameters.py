"""Batching parameters: the text format, and what is wrong with them."""

from pathlib import Path
from typing import Any

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.server.batching.parameters import BatchingParameters, read_parameters
from tfchain.deployment.server.status import StatusError

ALL = b"""
max_batch_size { value: 128 }  # a comment
batch_timeout_micros { value: 0 }
max_enqueued_batches { value: 1000000 }
num_batch_threads { value: 8 }
thread_pool_name { value: "own" }
allowed_batch_sizes: 64
allowed_batch_sizes: 128
pad_variable_length_inputs: true
enable_large_batch_splitting { value: true }
max_execution_batch_size: { value: 32 }
"""


def parse(folder: Path, text: bytes) -> BatchingParameters:
    (folder / "some.pbtxt").write_bytes(text)
    return read_parameters(folder / "some.pbtxt")


def test_all_fields_are_read(tmp_path: Path) -> None:
    assert parse(tmp_path, ALL) == BatchingParameters(128, 0, 1000000, 8, "own", (64, 128), True, True, 32)


def test_an_empty_file_means_stocks_defaults(tmp_path: Path) -> None:
    found = parse(tmp_path, b"")
    assert found == BatchingParameters()
    assert (found.max_batch_size, found.batch_timeout_micros, found.max_enqueued_batches) == (1000, 0, 10)
    assert found.num_threads >= 1


def test_a_list_may_stand_in_brackets(tmp_path: Path) -> None:
    assert parse(tmp_path, b"allowed_batch_sizes: [1, 2, 4]").allowed_batch_sizes == (1, 2, 4)


@pytest.mark.parametrize("text", [b"bogus: 1", b"max_batch_size: 4", b"max_batch_size { value: x }", b"\xff", b"{"])
def test_a_file_of_something_else_is_named(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InputError, match=r"^Invalid protobuf file: '.*/some\.pbtxt'"):
        parse(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/none\.pbtxt cannot be read: No such file or directory"):
        read_parameters(tmp_path / "none.pbtxt")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (
            {"max_batch_size": 8, "allowed_batch_sizes": (2, 4)},
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            {"allowed_batch_sizes": (4,)},
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4",
        ),
        ({"max_batch_size": 0}, "input_batch_size_limit must be positive; was 0"),
        ({"batch_timeout_micros": -1}, "batch_timeout_micros must be non-negative; was -1"),
        (
            {"max_enqueued_batches": 0, "enable_large_batch_splitting": True},
            "max_enqueued_batches must be positive; was 0",
        ),
        (
            {"max_batch_size": 4, "enable_large_batch_splitting": True, "max_execution_batch_size": 8},
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to",
        ),
        (
            {"enable_large_batch_splitting": True, "max_execution_batch_size": 0},
            "max_execution_batch_size must be positive; was 0",
        ),
    ],
)
def test_parameters_that_no_version_can_have(values: dict[str, Any], error: str) -> None:
    with pytest.raises(StatusError) as caught:
        BatchingParameters(**values).check_queue()
    assert str(caught.value).startswith(f"INVALID_ARGUMENT: {error}")


def test_parameters_that_a_version_can_have() -> None:
    BatchingParameters().check_queue()
    BatchingParameters(8, allowed_batch_sizes=(2, 8)).check_queue()
    BatchingParameters(max_enqueued_batches=0).check_queue()
    assert BatchingParameters(max_enqueued_batches=0).largest_queue == 1  # as stock corrects it


def test_a_batch_is_as_large_as_a_request_unless_requests_are_split() -> None:
    assert BatchingParameters(64, max_execution_batch_size=8).largest_batch == 64
    assert BatchingParameters(64, max_execution_batch_size=8, enable_large_batch_splitting=True).largest_batch == 8
    assert BatchingParameters(64, enable_large_batch_splitting=True).largest_batch == 64


@pytest.mark.parametrize("number", [0, -1])
def test_there_must_be_a_thread(number: int) -> None:
    with pytest.raises(StatusError, match=f"INVALID_ARGUMENT: num_batch_threads must be positive; was {number}"):
        BatchingParameters(num_batch_threads=number).check_threads()
