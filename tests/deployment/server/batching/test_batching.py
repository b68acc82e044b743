"""Which batching a version gets."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.server.batching.fakes import FakeServable
from tfchain.core.errors import InputError
from tfchain.deployment.server.batching.batching import Batching, BatchingOptions
from tfchain.deployment.server.batching.batching_servable import BatchingServable
from tfchain.deployment.server.batching.parameters import BatchingParameters
from tfchain.deployment.server.batching.text_servable import TextBatchingServable
from tfchain.deployment.server.status import StatusError

TFCHAINS = {"tfchain": "0.1.0", "signatures": ["embed"], "max_length": 256}


def make_version(folder: Path, description: Any = None, parameters: str | None = None) -> Path:
    if description is not None:
        (folder / "assets.extra").mkdir()
        (folder / "assets.extra" / "tfchain.json").write_text(json.dumps(description), encoding="utf-8")
    if parameters is not None:
        (folder / "batching_params.pbtxt").write_text(parameters, encoding="utf-8")
    return folder


def test_texts_of_tfchains_versions_are_batched_by_default(tmp_path: Path) -> None:
    wrapped = Batching(BatchingOptions()).wrap(FakeServable(), make_version(tmp_path, TFCHAINS))
    assert isinstance(wrapped, TextBatchingServable)
    assert wrapped._max_length == 256


@pytest.mark.parametrize("description", [None, {}, [], {"signatures": ["embed"]}, {"tfchain": "0.1.0"}])
def test_versions_of_others_are_not(tmp_path: Path, description: Any) -> None:
    servable = FakeServable()
    assert Batching(BatchingOptions()).wrap(servable, make_version(tmp_path, description)) is servable


def test_a_version_without_signatures_of_texts_is_not(tmp_path: Path) -> None:
    servable = FakeServable()
    servable.signature_defs = {name: servable.signature_defs[name] for name in ("embed_ids", "double", "tokenize")}
    assert Batching(BatchingOptions()).wrap(servable, make_version(tmp_path, TFCHAINS)) is servable


def test_text_batching_can_be_switched_off(tmp_path: Path) -> None:
    servable = FakeServable()
    assert Batching(BatchingOptions(text="off")).wrap(servable, make_version(tmp_path, TFCHAINS)) is servable


def test_an_engine_that_gains_nothing_from_batches_is_left_alone_without_the_flag(tmp_path: Path) -> None:
    servable = FakeServable()
    servable.is_worth_batching = False  # type: ignore[attr-defined]
    version = make_version(tmp_path, TFCHAINS)
    assert Batching(BatchingOptions()).wrap(servable, version) is servable
    assert isinstance(Batching(BatchingOptions(BatchingParameters())).wrap(servable, version), BatchingServable)


def test_serving_parameters_are_for_all_versions(tmp_path: Path) -> None:
    batching = Batching(BatchingOptions(BatchingParameters(max_batch_size=7)))
    wrapped = batching.wrap(FakeServable(), make_version(tmp_path, TFCHAINS))
    assert isinstance(wrapped, BatchingServable)
    assert wrapped._parameters.max_batch_size == 7
    batching.close()


def test_wrong_parameters_fail_the_load(tmp_path: Path) -> None:
    batching = Batching(BatchingOptions(BatchingParameters(8, allowed_batch_sizes=(4,))))
    with pytest.raises(StatusError, match="INVALID_ARGUMENT: Last entry in allowed_batch_sizes must match"):
        batching.wrap(FakeServable(), tmp_path)


def test_a_version_brings_its_own_parameters(tmp_path: Path) -> None:
    options = BatchingOptions(BatchingParameters(max_batch_size=7, num_batch_threads=3), is_per_model=True)
    version = make_version(tmp_path, parameters="max_batch_size { value: 5 } num_batch_threads { value: 99 }")
    wrapped = Batching(options).wrap(FakeServable(), version)
    assert isinstance(wrapped, BatchingServable)
    assert wrapped._parameters.max_batch_size == 5
    assert wrapped._scheduler._num_threads == 3  # the threads are shared


def test_a_version_without_parameters_of_its_own_is_not_batched(tmp_path: Path) -> None:
    servable = FakeServable()
    options = BatchingOptions(BatchingParameters(), is_per_model=True)
    assert Batching(options).wrap(servable, tmp_path) is servable
    assert isinstance(
        Batching(options).wrap(servable, make_version(tmp_path, TFCHAINS)), TextBatchingServable
    )  # which is tfchain's own


def test_a_broken_file_fails_the_load(tmp_path: Path) -> None:
    options = BatchingOptions(BatchingParameters(), is_per_model=True)
    with pytest.raises(StatusError, match=r"INVALID_ARGUMENT: Invalid protobuf file: '.*/batching_params\.pbtxt'"):
        Batching(options).wrap(FakeServable(), make_version(tmp_path, parameters="bogus"))


def test_files_of_versions_are_ignored_without_the_flag(tmp_path: Path) -> None:
    servable = FakeServable()
    version = make_version(tmp_path, parameters="max_batch_size { value: 5 }")
    assert Batching(BatchingOptions(is_per_model=True)).wrap(servable, version) is servable


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"text": "on"}, r"--text_batching must be auto or off\. Received: --text_batching=on"),
        ({"max_tokens": 0}, r"--text_batching_tokens must be at least 1\. Received: --text_batching_tokens=0"),
    ],
)
def test_wrong_options_are_named(values: dict[str, Any], error: str) -> None:
    with pytest.raises(InputError, match=error):
        BatchingOptions(**values)


def test_a_server_without_threads_is_refused() -> None:
    with pytest.raises(StatusError, match="num_batch_threads must be positive; was 0"):
        BatchingOptions(BatchingParameters(num_batch_threads=0))


def test_closing_without_threads_does_nothing() -> None:
    Batching(BatchingOptions()).close()
