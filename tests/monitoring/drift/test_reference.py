"""References are written whole, read as they were, and refused where they cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.drift.config import DriftConfig
from tfchain.monitoring.drift.reference import (
    REFERENCE_FILE,
    Reference,
    Sample,
    make_reference,
    read_reference,
    write_reference,
)

CONFIG = DriftConfig(window=20, stride=20, horizon=100, num_runs=30, most_vectors=30)


def make_sample(size: int = 40) -> Sample:
    generator = np.random.default_rng(0)
    return Sample(generator.normal(size=(size, 3)), {"length": np.arange(size)}, origin="documents")


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    reference = make_reference(make_sample(), config=CONFIG, fingerprint="f00")
    (tmp_path / "1").mkdir()

    path = write_reference(tmp_path / "1", reference)
    read = read_reference(tmp_path / "1")

    assert path == tmp_path / "1" / REFERENCE_FILE
    assert (read.config, read.fingerprint, read.documents) == (CONFIG, "f00", None)
    assert read.queries is not None
    assert reference.queries is not None
    assert (read.queries.origin, read.queries.bandwidth) == ("documents", reference.queries.bandwidth)
    assert read.queries.thresholds == reference.queries.thresholds
    assert np.array_equal(read.queries.vectors, np.float32(reference.queries.vectors))
    assert np.array_equal(read.queries.scalars["length"], reference.queries.scalars["length"])
    assert len(read.queries) == 30  # no more than are compared


def test_a_sample_of_scalars_alone_is_enough(tmp_path: Path) -> None:
    sample = Sample(None, {"length": np.arange(50)})

    read = read_reference(write_reference(tmp_path / "r.npz", make_reference(sample, config=CONFIG)))

    assert read.queries is not None
    assert read.queries.vectors is None
    assert set(read.queries.thresholds) == {"length"}


def test_bursts_are_kept_together() -> None:
    sample = Sample(None, {"length": np.arange(100)}).calibrate(
        DriftConfig(window=20, stride=20, horizon=100, num_runs=30, most_vectors=20, burst=5)
    )

    rows = sample.scalars["length"].reshape(4, 5)
    assert (np.diff(rows, axis=1) == 1).all()


def test_another_configuration_finds_other_thresholds() -> None:
    reference = make_reference(make_sample(), config=CONFIG)

    changed = reference.with_config(DriftConfig(window=30, stride=30, horizon=300, num_runs=30, most_vectors=30))

    assert changed.config.window == 30
    assert changed.queries is not None
    assert reference.queries is not None
    assert changed.queries.thresholds != reference.queries.thresholds


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (None, "A reference needs queries or documents. Received: neither."),
        (make_sample(19), "A reference needs at least 20 items, better some hundred. Received: 19."),
        (Sample(np.zeros((30, 2)), {"length": np.zeros(29)}), "The scalar 'length' must have one finite number for"),
        (Sample(np.full((30, 2), np.inf)), "`vectors` must be finite."),
    ],
)
def test_what_is_no_reference_is_refused(sample: Sample | None, message: str) -> None:
    with pytest.raises(InputError) as raised:
        make_reference(sample, config=CONFIG)
    assert message in str(raised.value)


def test_a_missing_a_damaged_and_a_newer_file_say_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no reference of queries and documents at .*r.npz"):
        read_reference(tmp_path / "r.npz")
    (tmp_path / "r.npz").write_bytes(b"PK\x03\x04 not a file of arrays")
    with pytest.raises(InputError, match="r.npz cannot be read: .* Make it again with"):
        read_reference(tmp_path / "r.npz")
    described = {"format": 2, "config": CONFIG.to_dict(), "fingerprint": ""}
    np.savez(tmp_path / "r.npz", description=np.frombuffer(json.dumps(described).encode(), np.uint8))
    with pytest.raises(InputError, match="has the format 2, and this tfchain reads 1"):
        read_reference(tmp_path / "r.npz")
    described = {"format": 1, "config": {**CONFIG.to_dict(), "speed": 3}, "fingerprint": ""}
    np.savez(tmp_path / "r.npz", description=np.frombuffer(json.dumps(described).encode(), np.uint8))
    with pytest.raises(InputError, match="does not know these settings.*'speed'"):
        read_reference(tmp_path / "r.npz")


def test_no_code_in_a_file_runs(tmp_path: Path) -> None:
    np.savez(tmp_path / "r.npz", description=np.array([{"a": 1}], dtype=object))  # a pickle

    with pytest.raises(InputError, match="cannot be read"):
        read_reference(tmp_path / "r.npz")


def test_a_reference_of_nothing_has_no_streams() -> None:
    assert Reference().queries is None
