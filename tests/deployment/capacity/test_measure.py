"""A measurement of a server that runs already; `tests/cli/test_plan.py` measures one that is started for it."""

import json
from collections.abc import Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.capacity.fake_server import url_of
from tfchain.core.errors import InputError, ServerError
from tfchain.deployment.capacity.measure import measure_version
from tfchain.deployment.capacity.measurement import Measurement


def make_version(path: Path, description: Mapping[str, Any]) -> Path:
    (path / "assets.extra").mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"x" * 1_000_000)
    (path / "assets.extra" / "tfchain.json").write_text(json.dumps(description))
    return path


@pytest.fixture
def version_path(tmp_path: Path) -> Path:
    return make_version(tmp_path / "1", {"documents": 2, "signatures": ["embed", "serving_default", "tokenize"]})


def test_a_running_server_is_measured(fake_server: ThreadingHTTPServer, version_path: Path) -> None:
    texts = ["one", "one two", "one two three"]

    found = measure_version(version_path, url=url_of(fake_server), texts=texts, seconds=0.6)

    assert [entry.batch_size for entry in found.batch_latencies][:2] == [1, 2]
    assert [entry.clients for entry in found.loads][:2] == [1, 2]
    assert [point.documents for point in found.index_points] == [0, 2]
    assert found.token_lengths == {50: 2, 90: 3, 95: 3, 99: 3, 100: 3}
    assert len(found.service_times_ms) == 201
    assert list(found.service_times_ms) == sorted(found.service_times_ms)
    assert len(found.rested_times_ms) == 201
    assert list(found.rested_times_ms) == sorted(found.rested_times_ms)
    assert found.service_times_ms[100] == pytest.approx(found.batch_latencies[0].latency_ms, abs=0.001)
    assert found.documents == 2
    assert found.size_mb == pytest.approx(1.0, abs=0.001)
    assert found.answer_bytes > 200
    assert found.engine == f"server at {url_of(fake_server)}"
    assert (found.memory_mb, found.start_seconds, found.loads[0].processor_ms) == (0, 0, 0)
    assert Measurement.from_json(found.to_json()) == found


def test_a_version_without_documents_has_no_curve_of_the_index(
    fake_server: ThreadingHTTPServer, tmp_path: Path
) -> None:
    path = make_version(tmp_path / "1", {"signatures": ["serving_default"]})

    found = measure_version(path, url=url_of(fake_server), texts=["a"], seconds=0.1)

    assert found.documents is None
    assert found.index_points == ()


def test_the_answers_of_a_server_that_refuses_are_told(fake_server: ThreadingHTTPServer, version_path: Path) -> None:
    with pytest.raises(ServerError, match="400 Bad Request"):
        measure_version(version_path, url=url_of(fake_server), texts=["broken"], seconds=0.1)


@pytest.mark.parametrize("seconds", [0, -1.0, float("nan"), True, "10"])
def test_the_time_must_be_a_positive_number(seconds: Any, version_path: Path) -> None:
    with pytest.raises(InputError, match="`seconds` must be a positive number"):
        measure_version(version_path, seconds=seconds)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a folder with a saved_model\.pb"):
        measure_version(tmp_path)
