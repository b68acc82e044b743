"""The measurement of a version: from and to JSON, and its file."""

import json
from pathlib import Path

import pytest

from tests.deployment.capacity.measurements import make_measurement
from tfchain.core.errors import InputError
from tfchain.deployment.capacity.measurement import (
    MEASUREMENT,
    BatchLatency,
    Load,
    Measurement,
    read_measurement,
    write_measurement,
)


def test_a_measurement_comes_back_as_it_was_written(tmp_path: Path) -> None:
    measurement = make_measurement()

    path = write_measurement(tmp_path, measurement)

    assert path == tmp_path / "assets.extra" / "measurement.json"
    assert read_measurement(tmp_path) == measurement
    assert json.loads(path.read_text())["token_lengths"] == {"50": 12, "99": 40, "100": 64}


def test_a_version_without_a_measurement_has_none(tmp_path: Path) -> None:
    assert read_measurement(tmp_path) is None
    assert read_measurement(tmp_path / "gone") is None


def test_texts_a_second_follow_from_the_latency() -> None:
    assert BatchLatency(4, 20.0, 30.0, 15.0).texts_per_second == 200.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "must have format 1"),
        ('{"format": 2}', "must have format 1"),
        ('{"format": 1, "colour": 3}', "does not know these settings, so a newer version wrote them: 'colour'"),
        (json.dumps({**make_measurement().to_json(), "size_mb": "large"}), "`size_mb` must be a number of at least 0"),
        ('{"format": 1, "cores": 2}', "lacks a value, or has a wrong one: 'token_lengths'"),
    ],
)
def test_a_damaged_file_is_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / MEASUREMENT
    path.parent.mkdir()
    path.write_text(content)

    with pytest.raises(InputError, match=message) as caught:
        read_measurement(tmp_path)

    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_latencies": ()}, "`batch_latencies` must have at least one entry"),
        ({"cores": 0}, "`cores` must be a whole number of at least 1"),
        ({"memory_mb": -1.0}, "`memory_mb` must be a number of at least 0"),
        ({"engine": 3}, "`engine` must be a text. Received: engine=3"),
        ({"loads": (Load(1, float("inf"), 1.0, 1.0, 1.0),)}, "`per_second` must be a number of at least 0"),
        ({"size_mb": None}, "`size_mb` must be a number of at least 0. Received: size_mb=None"),
        ({"cores": True}, "`cores` must be a whole number of at least 1"),
        ({"token_lengths": {50: -1}}, "`token_lengths` must be a number of at least 0"),
        ({"service_times_ms": (1.0, float("nan"))}, "`service_times_ms` must be a number of at least 0"),
        ({"batch_latencies": (BatchLatency(1, -2.0, 1.0, 1.0),)}, "`latency_ms` must be a number of at least 0"),
    ],
)
def test_impossible_values_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_measurement(**changes)


def test_plain_values_need_no_optional_field() -> None:
    values = make_measurement().to_json()
    for name in (
        "service_times_ms",
        "rested_times_ms",
        "loads",
        "index_points",
        "answer_bytes",
        "machine_load",
        "signature",
    ):
        del values[name]

    measurement = Measurement.from_json(values)

    assert measurement.loads == ()
    assert measurement.signature == "serving_default"
