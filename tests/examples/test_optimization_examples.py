"""The examples of optimization run, and print what they promise."""

from pathlib import Path

import numpy as np
import pytest

from tests.examples.test_examples import run_example
from tests.examples.test_training_examples import write_small_beir
from tfchain import NeuralSearchChain

pytestmark = pytest.mark.usefixtures("forks")  # an import of TensorFlow takes seconds

WORDS = ("cat", "dog", "stock", "monday", "run", "sleep", "fell", "who")


def test_quantize_int8_compares_and_keeps_the_smallest(
    thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_small_beir(tmp_path)
    saved = tmp_path / "saved"
    run_example(*("quantize_int8.py", tmp_path, "--model", thin_model_path, "--max-ndcg-loss", 1.0, "--save", saved))

    heads, *rows, kept, last = capsys.readouterr().out.strip().splitlines()
    rows = [row.split() for row in rows if row.strip()]
    assert heads.split()[:3] == ["candidate", "ndcg@10", "recall@100"]
    assert [row[-9] for row in rows] == ["float32", "int8", "float16"]
    sizes = {row[-9]: float(row[-6]) for row in rows}
    assert kept == f"kept: {rows[[row[0] for row in rows].index('→')][1]}"
    assert sizes[kept.removeprefix("kept: ")] == min(sizes.values())
    assert last == f"saved: {saved}"
    assert {path.name for path in (saved / "report").iterdir()} == {"report.json", "report.txt", "pareto.png"}
    assert NeuralSearchChain.load(saved / "chain").text_encoder.precision == kept.removeprefix("kept: ")


def test_distill_brings_the_small_model_near_the_large_one(
    tiny_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, saved = tmp_path / "texts.txt", tmp_path / "saved"
    texts.write_text("\n\n".join(f"the {one} does {other} on monday" for one in WORDS for other in WORDS))
    values = {"texts": texts, "model": tiny_model_path, "layers": 1, "intermediate-dim": 8, "epochs": 8, "save": saved}
    run_example("distill.py", *(word for name, value in values.items() for word in (f"--{name}", value)))

    shrunk, distilled, last = capsys.readouterr().out.strip().splitlines()
    assert shrunk.startswith("shrink(layers=1, intermediate_dim=8): ")
    assert distilled.startswith("shrink(layers=1, intermediate_dim=8) + distill: ")
    assert float(shrunk.split()[-1]) < float(distilled.split()[-1]) <= 1
    assert last == f"saved: {saved}"
    assert NeuralSearchChain.load(saved).model.config.transformer.num_layers == 1


def test_a_static_encoder_is_made_and_saved(
    thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts, saved = tmp_path / "texts.txt", tmp_path / "saved"
    texts.write_text("\n\n".join(f"the {one} does {other} on monday" for one in WORDS for other in WORDS))
    values = {"texts": texts, "model": thin_model_path, "dim": 8, "epochs": 1, "save": saved}
    run_example("static_encoder.py", *(word for name, value in values.items() for word in (f"--{name}", value)))

    model, static, same, last = capsys.readouterr().out.strip().splitlines()
    assert model.startswith("model: ")
    assert static.startswith("static: ")
    assert same.startswith("the same first hit for ")
    assert last == f"saved: {saved}"
    assert NeuralSearchChain.load(saved).model.config.transformer.is_static


def test_tune_compares_trials_and_trains_with_the_best(
    thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_example("tune.py", "--model", thin_model_path, "--trials", 2, "--path", tmp_path / "search")

    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[:2] + lines[-2:]] == ["before"] * 2 + ["after"] * 2
    heads, *rows = (line.split() for line in lines[2:5])
    assert heads == ["trial", "ndcg@10", "learning_rate", "epochs", "loss.scale", "s"]
    scores = {row[-6]: row[-5] for row in rows}
    assert sorted(scores) == ["0", "1"]
    (best,) = (row for row in rows if row[0] == "→")
    assert best[-5] == max(scores.values())
    counts, ranked = (next(line for line in lines if line.startswith(start)) for start in ("what matters:", "nDCG@10:"))
    assert counts.count(",") == 2
    assert f", {best[-5]} with {{'learning_rate': " in ranked
    assert (tmp_path / "search" / "tuning.png").is_file()


@pytest.mark.usefixtures("eager")
def test_prune_2_4_leaves_two_zeros_in_each_four(
    thin_model_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_small_beir(tmp_path)
    saved = tmp_path / "saved"
    run_example(*("prune_2_4.py", tmp_path, "--model", thin_model_path, "--save", saved))

    dense, pruned, *matrices, zeros, files, last = capsys.readouterr().out.strip().splitlines()
    assert dense.startswith("dense: nDCG@10 ")
    assert pruned.startswith("2:4:   nDCG@10 ")
    assert len(matrices) == 4
    assert all(" 50.00% zeros " in row for row in matrices)
    assert zeros.startswith("zeros: 50.00% of these matrices, ")
    assert " MB on disk, " in files
    assert last == f"saved: {saved}"
    for weight in NeuralSearchChain.load(saved).model.weights:
        if weight.path.endswith("kernel"):
            kernel = np.array(weight)
            np.testing.assert_array_equal(np.sum(kernel.reshape(-1, 4, kernel.shape[1]) == 0, axis=1), 2)
