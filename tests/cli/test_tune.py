"""`tfchain tune`: a file becomes a search, its trials a table; several workers share them."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.cli.test_train import folder as folder  # the same files
from tests.cli.test_train import write
from tfchain import Validation
from tfchain.chains.search import NeuralSearchChain
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.jobs.tuning_workers import make_tuning_environments
from tfchain.optimization.tuning.report import TrialReport, TuningReport
from tfchain.training.losses import InBatchSoftmax
from tfchain.training.mining.options import Mining

BASE = "model: model\ndataset: pairs.jsonl\noutput: out\nvalidation: {path: beir, split: dev}\n"
FULL = (
    BASE
    + """\
loss: {name: in_batch_softmax, scale: 5}
mining: {num_negatives: 1}
augment: [{delete_words: {rate: 0.2}}]
hyperparameters: {batch_size: 2, epochs: 3}
checkpoint: not looked at
tuning:
  space:
    learning_rate: {min: 1e-5, max: 1e-3, sampling: log}
    loss.scale: [10, 20.5]
    lora_rank: [null, 2]
  tuner: bayesian
  max_trials: 7
  objective: mrr@10
  max_latency_ms: 5
  seed: 3
  path: kept
"""
)
REPORT = TuningReport(
    trials=(TrialReport(id="0", values={"learning_rate": 1e-3}, metrics={"mrr@10": 0.75}),), objective="mrr@10"
)


@pytest.fixture
def tunes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `tune` was called with; nothing is trained."""
    calls: list[dict[str, Any]] = []

    def tune(chain: NeuralSearchChain, dataset: Any, space: Any, **arguments: Any) -> TuningReport:
        calls.append({"chain": chain, "dataset": dataset, "space": space, **arguments})
        return REPORT

    monkeypatch.setattr(NeuralSearchChain, "tune", tune)
    return calls


def test_a_file_becomes_a_search(run: Run, folder: Path, tunes: list[dict[str, Any]]) -> None:
    result = run("tune", write(folder, FULL), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    (call,) = tunes
    chain = call.pop("chain")
    assert (chain.hyperparameters.batch_size, chain.hyperparameters.epochs) == (2, 3)
    options = call.pop("options")
    assert isinstance(options.loss, InBatchSoftmax)
    assert (options.loss.scale, options.mining, options.checkpoint) == (5, Mining(num_negatives=1), None)
    assert options.augment == (DeleteWords(rate=0.2),)
    assert call == {
        "dataset": folder / "pairs.jsonl",
        "space": {
            "learning_rate": {"min": 1e-5, "max": 1e-3, "sampling": "log"},
            "loss.scale": [10, 20.5],
            "lora_rank": [None, 2],
        },
        "validation": Validation(dataset=folder / "beir", split="dev"),
        "path": folder / "kept",
        "refit": True,
        "tuner": "bayesian",
        "max_trials": 7,
        "objective": "mrr@10",
        "max_latency_ms": 5,
        "seed": 3,
    }
    printed = json.loads(result.stdout)
    assert (printed["model"], printed["best"]) == (str((folder / "out").resolve()), "0")
    assert (folder / "out" / "modules.json").is_file()


def test_the_search_lies_beside_the_output_and_a_table_is_shown(
    run: Run, folder: Path, tunes: list[dict[str, Any]]
) -> None:
    result = run("tune", write(folder, BASE + "tuning: {space: {epochs: [1, 2]}}\n"))
    assert tunes[0]["path"] == folder / "out-tuning"
    heads, row, last = result.stdout.splitlines()
    assert heads.split() == ["trial", "mrr@10", "learning_rate", "s"]
    assert row.split() == ["→", "0", "0.7500", "0.001", "0"]
    assert last == f"the report is in {folder / 'out-tuning'}, the model in {(folder / 'out').resolve()}"


@pytest.mark.parametrize(("text", "message"), [
    (BASE, "train.yaml:1: `tuning` is missing: a mapping with `space`"),
    (BASE.replace("validation", "#") + "tuning: {space: {epochs: [1]}}\n", "train.yaml:1: `validation` is missing"),
    (BASE + "tuning: {space: [epochs]}\n", "train.yaml:5: `tuning.space` must be a mapping from names"),
    (BASE + "tuning: {}\n", "train.yaml:5: `tuning.space` is missing"),
    (BASE + "tuning:\n  space: {lr: [1]}\n", "train.yaml:6: `space` must name hyperparameters. Received: 'lr'"),
    (BASE + "tuning:\n  space: {epochs: [1]}\n  tuner: best\n", "train.yaml:7: `tuning.tuner` must be one of random"),
    (BASE + "tuning: {space: {epochs: [1]}, max_trials: 0}\n", "train.yaml:5: `max_trials` must be a whole number of"),
    (BASE + "strategy: multi_worker\ntuning: {space: {epochs: [1]}}\n", "train.yaml:5: `strategy` must be for one"),
    (BASE + "recipes: [{prune: {}}]\ntuning: {space: {epochs: [1]}}\n", "train.yaml:5: `recipes` act in one training"),
])  # fmt: skip
def test_mistakes_are_told_with_their_line(run: Run, folder: Path, text: str, message: str) -> None:
    check_error(run("tune", write(folder, text)), f"error: {folder}/{message}")
    assert not (folder / "out").exists()


def test_the_chief_and_each_worker_know_who_they_are() -> None:
    chief, *workers = make_tuning_environments({"TF_CONFIG": "x", "A": "b", "CUDA_VISIBLE_DEVICES": "4,5"}, 2, 1)
    names = ("KERASTUNER_TUNER_ID", "TFCHAIN_TUNING_WORKERS", "CUDA_VISIBLE_DEVICES", "TF_FORCE_GPU_ALLOW_GROWTH")
    assert [[one[name] for name in names] for one in (chief, *workers)] == [
        ["chief", "2", "4", "true"],  # it trains with the best values when the workers have ended
        ["worker0", "2", "4", "true"],
        ["worker1", "2", "5", "true"],
    ]
    assert {(one["A"], one["KERASTUNER_ORACLE_IP"]) for one in (chief, *workers)} == {("b", "127.0.0.1")}
    assert all("CUDA_VISIBLE_DEVICES" not in one for one in make_tuning_environments({}, 2))
    assert (
        make_tuning_environments({"TF_FORCE_GPU_ALLOW_GROWTH": "false"}, 1)[0]["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
    )
    assert len({one["KERASTUNER_ORACLE_PORT"] for one in (chief, *workers)}) == 1
    assert "TF_CONFIG" not in chief | workers[0]


@pytest.mark.usefixtures("forks")
def test_a_chief_and_two_workers_share_a_search(run: Run, folder: Path) -> None:
    text = BASE + "hyperparameters: {batch_size: 3}\ntuning:\n  space: {learning_rate: [1e-4, 1e-2]}\n  tuner: grid\n"
    result = run("launch", write(folder, text), "--tune", "--workers", 2, "--verbose")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert len(lines) == 4  # heads, two trials, where they lie
    assert all(line.startswith("[chief] ") for line in lines)  # workers print nothing
    report = TuningReport.load(folder / "out-tuning")
    assert [one.values["learning_rate"] for one in report.trials] == [1e-4, 1e-2]
    assert [one.status for one in report.trials] == ["completed", "completed"]
    begun = [line for line in result.stderr.splitlines() if " begins: " in line]
    assert sorted(line.partition("Trial ")[2][:2] for line in begun) == ["00", "01"]
    assert all(line.startswith(("[worker 0] ", "[worker 1] ")) for line in begun)
    assert (folder / "out" / "modules.json").is_file()
    assert "KERASTUNER_ORACLE_IP" not in os.environ
