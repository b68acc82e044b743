import copy
import json
import pickle
import struct
from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.optimization.picture import find_front
from tfchain.optimization.report import CandidateReport, CompressionReport


@pytest.fixture
def report() -> CompressionReport:
    whole = CandidateReport(
        name="float32",
        metrics={"ndcg@10": 0.6451, "recall@100": 0.925},
        files={"saved_model.pb": 1_000_000, "variables/variables.index": 89_500_000},
        index_bytes=7_961_088,
        peak_memory_mb=912.4,
        query_median_ms=7.654,
        query_p95_ms=9.0,
        texts_per_second=52.31,
    )
    small = CandidateReport(
        name="int8",
        recipes=({"recipe": "Quantize", "precision": "int8"},),
        precision="int8",
        metrics={"ndcg@10": 0.6402},
        files={"model.tflite": 23_040_000},
    )
    return CompressionReport(
        candidates=(whole, small), kept="int8", rule={"keep": "smallest", "max_loss": 0.01}, objective="ndcg@10"
    )


def test_the_table_shows_each_figure_and_a_dash_for_what_was_not_measured(report: CompressionReport) -> None:
    head, whole, small = (line.split() for line in str(report).splitlines())
    assert head[:3] == ["candidate", "ndcg@10", "recall@100"]
    assert whole == ["float32", "0.6451", "0.9250", "90.5", "7.96", "912", "7.65", "9.00", "52.3"]
    assert small == ["→", "int8", "0.6402", "–", "23.0", "–", "–", "–", "–", "–"]


def test_the_folder_holds_json_table_and_picture_and_is_read_again(report: CompressionReport, tmp_path: Path) -> None:
    path = report.save(tmp_path / "report")
    values = json.loads((path / "report.json").read_text())
    assert values["kept"] == "int8"
    assert values["candidates"][0]["size_bytes"] == 90_500_000
    assert values["candidates"][1]["files"] == {"model.tflite": 23_040_000}
    assert (path / "report.txt").read_text() == str(report)
    picture = (path / "pareto.png").read_bytes()
    assert picture[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", picture[16:24])
    assert (width, height) == (504, 432)  # one panel: the speed was not measured for all
    assert CompressionReport.load(path).to_dict() == report.to_dict()


def test_without_a_ranking_there_is_no_picture(tmp_path: Path) -> None:
    CompressionReport(candidates=(CandidateReport(name="int8", files={"model.tflite": 5}),)).save(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["report.json", "report.txt"]


def test_a_candidate_is_found_by_its_name(report: CompressionReport) -> None:
    assert report["int8"].size_bytes == 23_040_000
    with pytest.raises(InputError, match="has the candidates float32, int8. Received: 'int4'"):
        report["int4"]


def test_a_damaged_report_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text('{"candidates": [{"nam')
    with pytest.raises(InputError, match="report.json is not a report: JSONDecodeError.* Write one with `save`"):
        CompressionReport.load(tmp_path)
    with pytest.raises(InputError, match="is not a report: FileNotFoundError"):
        CompressionReport.load(tmp_path / "none")


def test_the_front_leaves_out_what_another_point_beats() -> None:
    costs, values = [90.0, 45.0, 23.0, 50.0, 23.0], [0.60, 0.61, 0.59, 0.60, 0.58]
    assert find_front(costs, values) == [2, 1]
    assert find_front([1.0, 1.0], [0.5, 0.5]) == [0, 1]  # equal points both count
    assert find_front([], []) == []


def test_a_report_is_pickled_and_copied_as_it_is(report: CompressionReport) -> None:
    for again in (pickle.loads(pickle.dumps(report)), copy.deepcopy(report)):
        assert again == report
        assert str(again) == str(report)
