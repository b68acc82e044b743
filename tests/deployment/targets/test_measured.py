"""What targets take from measurements: the values by hand."""

from pathlib import Path

from tests.deployment.targets.measurements import make_measurement, measure_by_hand
from tests.deployment.targets.small_versions import write_small_version
from tfchain.deployment.capacity.batch_settings import BatchSettings
from tfchain.deployment.targets.measured import find_batch_tokens, find_batching, list_unbatched
from tfchain.deployment.targets.served_version import read_version

EIGHT = BatchSettings(8, 0, 1, 4, (1, 2, 4, 8), 100.0)


def test_batches_are_within_the_time_and_of_measured_sizes(tmp_path: Path) -> None:
    path = write_small_version(tmp_path / "docs" / "1")
    assert find_batching(read_version(path)) is None
    measure_by_hand(path)
    version = read_version(path)

    batching = find_batching(version)  # within 200 ms, ten times the 20 ms that one text takes
    assert batching is not None
    assert (batching.max_batch_size, batching.allowed_batch_sizes) == (8, (1, 4, 8))
    assert find_batching(version, 30.0) is None  # a batch of four takes up to 32 ms


def test_tokens_of_a_batch_are_those_of_a_full_one_and_of_the_longest_text() -> None:
    for lengths, expected in (
        ({50: 12, 90: 30, 99: 100}, 8 * 30),
        ({50: 12, 95: 40, 99: 100}, 8 * 40),
        ({50: 5, 90: 8, 100: 512}, 512),
        ({50: 5}, 8 * 5),
        ({}, None),
    ):
        assert find_batch_tokens(EIGHT, make_measurement(token_lengths=lengths)) == expected


def test_what_batching_breaks_is_said(tmp_path: Path) -> None:
    signatures = {"serving_default": ["MatMul"], "search_filtered": ["MatMul"]}
    version = read_version(write_small_version(tmp_path / "docs" / "1", signatures=signatures))

    assert [line.split()[0] for line in list_unbatched(version)] == ["search_filtered"]
