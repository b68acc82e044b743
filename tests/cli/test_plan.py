"""`tfchain plan`: from a version to replicas, with the measurement kept; and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.deployment.capacity.measurements import make_measurement
from tfchain.cli.plan import find_measurement
from tfchain.core.errors import InputError
from tfchain.deployment.capacity import measure
from tfchain.deployment.capacity.measurement import IndexPoint, read_measurement, write_measurement


@pytest.fixture
def measured_path(tmp_path: Path) -> Path:
    """A version with a measurement that was written by hand."""
    path = tmp_path / "docs" / "1"
    path.mkdir(parents=True)
    (path / "saved_model.pb").write_bytes(b"")
    write_measurement(path, make_measurement())
    return path


@pytest.mark.usefixtures("forks")
def test_a_version_is_measured_once_and_planned_for(run: Run, version_path: Path) -> None:
    result = run("plan", version_path, "--qps", 5, "--p99-ms", 20_000, "--seconds", 0.5, "--json")

    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    measurement = read_measurement(version_path)
    assert measurement is not None
    assert measurement.documents == 3
    assert [point.documents for point in measurement.index_points] == [0, 3]
    assert measurement.memory_mb > 100
    assert measurement.loads[0].processor_ms > 0
    assert measurement.token_lengths[100] > 0
    assert values["replicas"] >= 2
    assert values["max_qps_per_replica"] == pytest.approx(max(entry.per_second for entry in measurement.loads), rel=0.5)
    assert run("plan", version_path, "--qps", 5, "--p99-ms", 20_000, "--json").stdout == result.stdout
    assert read_measurement(version_path) == measurement


@pytest.mark.parametrize(("engine", "is_measured"), [("auto", False), ("native", False), ("tensorflow", True)])
def test_a_measurement_of_another_engine_is_not_planned_with(
    engine: str, is_measured: bool, measured_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_measurement(memory_mb=1.0)
    monkeypatch.setattr(
        measure, "measure_version", lambda *_, **options: other if options["engine"] == engine else None
    )

    found = find_measurement(measured_path, is_new=False, url=None, engine=engine)

    assert (found == other) == is_measured
    assert read_measurement(measured_path) == found


def test_a_plan_is_printed_for_people(run: Run, measured_path: Path) -> None:
    result = run("plan", measured_path, "--qps", 500, "--p99-ms", 50, "--price-per-core-hour", 0.04)

    assert result.exit_code == 0, result.stderr
    lines = " ".join(result.stdout.split())
    assert "(5 needed, 1 may fail)" in lines
    assert "saturates first cores, at" in lines
    assert "price 0.48 an hour, 350 a month" in lines


def test_the_size_of_an_index_may_be_written_with_an_exponent(run: Run, measured_path: Path) -> None:
    write_measurement(measured_path, make_measurement(index_mb=1.0))

    result = run("plan", measured_path, "--qps", 10, "--p99-ms", 50, "--documents", "2e3", "--json")

    assert json.loads(result.stdout)["goal"]["documents"] == 2000


def test_a_larger_version_is_the_second_point_of_the_curve(run: Run, measured_path: Path, tmp_path: Path) -> None:
    """From 300 MB with 1,000 documents to 340 with 5,000: a document takes 10,000 bytes."""
    larger = tmp_path / "docs" / "2"
    larger.mkdir()
    (larger / "saved_model.pb").write_bytes(b"")
    write_measurement(
        larger, make_measurement(documents=5000, index_points=(IndexPoint(5000, 18.0, 18.0, 100.0, 18.5, 340.0),))
    )
    words = ["plan", measured_path, "--qps", 10, "--p99-ms", 80, "--documents", "10e3", "--larger", larger, "--json"]

    assert json.loads(run(*words).stdout)["memory"]["document_bytes"] == pytest.approx(10_000)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--qps", 0, "--p99-ms", 50], "`qps` must be a positive number. Received: qps=0.0"),
        (["--qps", "nan", "--p99-ms", 50], "`qps` must be a positive number. Received: qps=nan"),
        (["--qps", 10, "--p99-ms", 5], "take up to 12 ms on a server that does nothing else"),
        (["--qps", 10, "--p99-ms", 50, "--documents", "20e6"], "at most 20,0"),
        (["--qps", 10, "--p99-ms", 50, "--burst", 20], "A burst's `factor` must be at least 1"),
        (["--qps", 10, "--p99-ms", 50, "--price-per-core-hour", -1], "`price_per_core_hour` must be a positive number"),
        (["--qps", 10, "--p99-ms", 50, "--machine-memory-gb", 0.1], "more than a machine has"),
        (["--qps", 10, "--p99-ms", 50, "--measure", "--url", "localhost:8501"], "must be a model's REST address"),
    ],
)
def test_an_impossible_goal_is_one_clear_error(words: list[Any], message: str, run: Run, measured_path: Path) -> None:
    if "--url" in words:
        (measured_path.parent / "texts.txt").write_text("a cat\n")
        words = [*words, "--texts", measured_path.parent / "texts.txt"]

    check_error(run("plan", measured_path, *words), message)


@pytest.mark.parametrize("documents", ["0", "many", "1.5", "-3", "inf"])
def test_documents_must_be_a_whole_number(documents: str, run: Run, measured_path: Path) -> None:
    result = run("plan", measured_path, "--qps", 1, "--p99-ms", 50, "--documents", documents)

    assert result.exit_code == 2
    assert "is not a whole number of at least 1, such as 5000 or 20e6" in result.stderr


def test_another_folder_is_named_for_what_it_is(run: Run, measured_path: Path, index_path: Path) -> None:
    goal = ["--qps", 1, "--p99-ms", 50]

    check_error(run("plan", measured_path.parent, *goal), "a base path. Name one of its versions")
    check_error(run("plan", index_path, *goal), "a saved chain. Export it first")
    check_error(run("plan", measured_path / "assets.extra", *goal), "which is without a saved_model.pb")
    check_error(run("plan", measured_path / "gone", *goal), "which is not there")


def test_a_damaged_measurement_is_named(run: Run, measured_path: Path) -> None:
    (measured_path / "assets.extra" / "measurement.json").write_text("{")

    check_error(run("plan", measured_path, "--qps", 1, "--p99-ms", 50), "measurement.json is not JSON", "Delete it")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("texts.jsonl", '{"text": "a"}\n{\n', "texts.jsonl, line 2, must be JSON"),
        ("texts.txt", "\n \n", "`texts` must have at least one text"),
        ("texts.jsonl", "5\n", "Each text must be a text, or a dict with the inputs' values. Received: 5"),
    ],
)
def test_texts_that_cannot_be_asked_are_refused(
    name: str, content: str, message: str, run: Run, measured_path: Path
) -> None:
    (measured_path.parent / name).write_text(content)

    check_error(run("plan", measured_path, "--qps", 1, "--p99-ms", 50, "--texts", measured_path.parent / name), message)
    assert read_measurement(measured_path) == make_measurement()


def test_a_line_of_text_is_a_question(tmp_path: Path) -> None:
    from tfchain.cli.plan import read_texts

    (tmp_path / "texts.txt").write_text("how\n\nwhat\n")
    (tmp_path / "texts.jsonl").write_text('{"text": "q", "text_pair": "d"}\n"a"\n')
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")

    assert read_texts(tmp_path / "texts.txt") == ["how", "what"]
    assert read_texts(tmp_path / "texts.jsonl") == [{"text": "q", "text_pair": "d"}, "a"]
    assert read_texts(None) is None
    with pytest.raises(InputError, match=r"latin\.txt must be UTF-8"):
        read_texts(tmp_path / "latin.txt")
