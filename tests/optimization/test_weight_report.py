"""The report on weights tells the truth: zeros by matrix, and files that are smaller only when they are zipped."""

import json
from pathlib import Path

import numpy as np
import pytest

from tfchain import Cluster, Prune, compress
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.compress import compress_best
from tfchain.optimization.measure import measure_files
from tfchain.optimization.report import CompressionReport
from tfchain.optimization.rule import Rule
from tfchain.optimization.weight_report import report_weights


@pytest.fixture(scope="module")
def text_encoder(wide_model_path: Path) -> TextEncoder:
    return TextEncoder.from_pretrained(wide_model_path, engine="tensorflow")


def test_zeros_and_values_are_counted_by_matrix(text_encoder: TextEncoder) -> None:
    made = compress(text_encoder, [Prune(0.75, layers="intermediate"), Cluster(8, layers="output")]).text_encoder
    report = report_weights(made)
    found = {one.path: (one.shape, one.num_zeros, one.num_values) for one in report.matrices}
    assert len(found) == 8
    assert found["layer_0/intermediate"][:2] == ((64, 128), 6144)
    assert 2030 < found["layer_0/intermediate"][2] <= 2049  # zero and 2,048 others, of which few are equal
    assert found["layer_1/attention/output"] == ((64, 64), 0, 8)
    sizes = 2 * 2 * 64 * (3 * 64 + 64 + 128 + 128) / 2  # of two layers
    assert report.sparsity == pytest.approx(2 * 6144 / sizes)
    values = report.to_dict()
    assert values["sparsity_of_all"] == pytest.approx(2 * 6144 / made.encoder.count_params())
    assert values["matrices"]["layer_0/output"] == {"shape": [128, 64], "sparsity": 0, "num_values": 8}
    assert (
        "layer_1/attention/output                64 x 64    0.00% zeros          8 values" in str(report).splitlines()
    )
    assert any(
        line.startswith("layer_0/intermediate ") and " 75.00% zeros " in line for line in str(report).splitlines()
    )
    assert report_weights(made, layers=["layer_0/intermediate"]).sparsity == 0.75


def test_zeros_make_files_smaller_only_when_they_are_zipped(text_encoder: TextEncoder) -> None:
    hardly, strongly = (compress(text_encoder, Prune(share)).text_encoder for share in (0.001, 0.9))
    dense, pruned = report_weights(hardly), report_weights(strongly)
    assert dense.size_bytes == pytest.approx(sum(measure_files(hardly).values()), rel=1e-3)
    assert pruned.size_bytes == pytest.approx(dense.size_bytes, rel=1e-3)
    weights = sum(np.prod(one.shape) for one in dense.matrices)
    assert pruned.zipped_bytes < dense.zipped_bytes - 0.6 * 4 * weights


def test_candidates_are_compared_with_the_zeros_of_the_model_before(text_encoder: TextEncoder, tmp_path: Path) -> None:
    _, report = compress_best(
        text_encoder,
        [[Prune(0.5)]],
        Rule(objective="ndcg@10", max_loss=1.0),
        evaluate=lambda _: {"ndcg@10": 0.5, "recall@100": 1.0},
    )
    heads, before, after = str(report).strip().splitlines()
    assert heads.split()[-4:] == ["zeros", "%", "MB", "zipped"]
    assert [float(row.split()[-2]) for row in (before, after)] == [0.0, 50.0]
    assert float(after.split()[-1]) < float(before.split()[-1])
    read = CompressionReport.load(report.save(tmp_path))
    assert read["prune(0.5 unstructured)"].weights == json.loads(json.dumps(report.candidates[1].weights))
