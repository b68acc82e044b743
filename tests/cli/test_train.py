"""`tfchain train`: a file becomes a training, its results a table, its mistakes one line each."""

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.test_import import find_heavy_imports
from tests.tiny_model import SPECIAL, WORDS
from tfchain.chains.search import NeuralSearchChain
from tfchain.data.pairs.reading import Pairs
from tfchain.data.shards.pair_shards import PairShards, write_tfrecords
from tfchain.jobs.config import read_plan
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.recipes import Cluster, Prune, QuantizeAware
from tfchain.training.losses import InBatchSoftmax, Triplet
from tfchain.training.mining.options import Mining

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "train.yaml"
PAIRS = (
    '{"query": "who sleeps", "positive": "the cat sleeps"}\n'
    '{"query": "who runs", "positive": "the dog runs"}\n'
    '{"query": "what fell", "positive": "the stock fell"}\n'
)


@pytest.fixture
def folder(tmp_path: Path, thin_model_path: Path) -> Path:
    """A folder with pairs, judged documents, a vocabulary and, as a link, the small model."""
    (tmp_path / "model").symlink_to(thin_model_path)
    (tmp_path / "pairs.jsonl").write_text(PAIRS)
    (tmp_path / "vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    (tmp_path / "beir" / "qrels").mkdir(parents=True)
    (tmp_path / "beir" / "corpus.jsonl").write_text('{"_id": "a", "text": "the cat"}\n{"_id": "b", "text": "a dog"}\n')
    (tmp_path / "beir" / "queries.jsonl").write_text('{"_id": "q", "text": "dog"}\n')
    (tmp_path / "beir" / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq\tb\t1\n")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "train.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SMALL = "model: model\ndataset: pairs.jsonl\noutput: out\n"


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `fit` was called with; it trains nothing, and tells of three epochs, the second of them not evaluated."""
    calls: list[dict[str, Any]] = []

    def fit(chain: NeuralSearchChain, dataset: Any, **arguments: Any) -> Any:
        calls.append({"chain": chain, "dataset": dataset, **arguments})
        return SimpleNamespace(history={"loss": [1.5, 0.75, np.float32(0.5)], "ndcg@10": [0.25, 0.5]})

    monkeypatch.setattr(NeuralSearchChain, "fit", fit)
    return calls


@pytest.fixture
def no_tf_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes back what the command writes to the environment."""
    monkeypatch.setenv("TF_CONFIG", "")


def test_a_training_runs_and_leaves_a_model_that_has_learned(run: Run, folder: Path, thin_model_path: Path) -> None:
    values = "{batch_size: 3, epochs: 3, learning_rate: 0.003, warmup: 0, dropout: 0}"
    path = write(folder, SMALL + f"hyperparameters: {values}\nrecipes:\n  - prune: {{pattern: 2:4}}\n")
    result = run("train", path, "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    assert values["model"] == str((folder / "out").resolve())
    first, _, third = values["history"]["loss"]
    assert third < first
    trained = TextEncoder.from_pretrained(folder / "out", engine="tensorflow")
    before = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    assert trained.fingerprint != before.fingerprint
    assert trained.tokenizer.max_length == before.tokenizer.max_length
    kernel = np.array(trained.encoder.get_layer("layer_0").intermediate.kernel)
    assert (np.sum(kernel.reshape(-1, 4, kernel.shape[1]) == 0, axis=1) == 2).all()  # of each four


def test_the_file_reaches_fit(run: Run, folder: Path, fits: list[dict[str, Any]]) -> None:
    text = """\
model: model
max_length: 12
passages: truncate
dataset:
  pairs: {path: pairs.jsonl}
  judged: {path: beir, split: dev, loss: {name: triplet, margin: 0.5}}
mixing: proportional
loss: in_batch_softmax
guide: model
mining: {num_negatives: 1, relative_margin: 0.05, every: 2, corpus: beir}
validation: {path: beir, split: dev, every: 5, metrics: [mrr@10], patience: 2}
hyperparameters: {learning_rate: 2e-4, batch_size: 8, epochs: 3, freeze: [embeddings]}
strategy: one
checkpoint: work/checkpoint
checkpoint_every: 7
log_path: work/logs
length_groups: 2
recipes:
  - prune: {pattern: 2:4, end: 0.5, layers: [layer_0]}
  - quantize_aware: {activation_bits: null}
  - cluster: {num_clusters: 8, begin: 0.5}
output: work/model
"""
    assert run("train", write(folder, text)).exit_code == 0

    (call,) = fits
    assert call["chain"].text_encoder.tokenizer.max_length == 12
    assert call["chain"].passages.mode == "truncate"
    assert call["dataset"]["pairs"] == folder / "pairs.jsonl"
    judged = call["dataset"]["judged"]  # not the usual split, so that its rows are read
    assert isinstance(judged, Pairs)
    assert [list(column) for column in judged.columns] == [["dog"], ["a dog"]]
    hyperparameters = {"learning_rate": 2e-4, "batch_size": 8, "epochs": 3, "freeze": ["embeddings"]}
    assert {name: call[name] for name in hyperparameters} == hyperparameters
    validation = call["validation"]
    assert (validation.dataset, validation.split, validation.every) == (folder / "beir", "dev", 5)
    assert (validation.metrics, validation.patience, validation.restore_best) == (["mrr@10"], 2, True)
    options = call["options"]
    assert isinstance(options.loss["pairs"], InBatchSoftmax)
    assert isinstance(options.loss["judged"], Triplet)
    assert options.loss["judged"].margin == 0.5
    assert (options.strategy, options.mixing, options.checkpoint_every) == ("one", "proportional", 7)
    assert (options.checkpoint, options.log_path) == (folder / "work" / "checkpoint", folder / "work" / "logs")
    assert options.mining == Mining(num_negatives=1, relative_margin=0.05, every=2, corpus=folder / "beir")
    assert (options.length_groups, options.data_service) == (2, None)
    prune = Prune(pattern="2:4", end=0.5, layers=["layer_0"])
    assert call["recipes"] == (prune, QuantizeAware(activation_bits=None), Cluster(8, begin=0.5))
    assert options.guide.fingerprint == TextEncoder.from_pretrained(folder / "model").fingerprint


def test_shards_reach_fit(run: Run, folder: Path, fits: list[dict[str, Any]]) -> None:
    write_tfrecords([("who sleeps", "the cat"), ("who runs", "a dog")], folder / "shards", shards=2)
    shards = "{shards: shards, shuffle_rows: 50, uneven: drop}"
    text = SMALL.replace("pairs.jsonl", shards) + "loss: in_batch_softmax\ndata_service: grpc://localhost:5050\n"
    assert run("train", write(folder, text)).exit_code == 0

    (call,) = fits
    dataset = call["dataset"]
    assert isinstance(dataset, PairShards)
    assert (dataset.paths, dataset.shuffle_rows, dataset.uneven) == (folder / "shards", 50, "drop")
    assert isinstance(call["options"].loss, InBatchSoftmax)
    assert call["options"].data_service == "grpc://localhost:5050"


def test_a_training_on_shards_leaves_a_model(run: Run, folder: Path) -> None:
    write_tfrecords(folder / "pairs.jsonl", folder / "shards", shards=1)
    values = "{batch_size: 3, epochs: 2, learning_rate: 0.003, warmup: 0, dropout: 0}"
    text = SMALL.replace("pairs.jsonl", "{shards: shards}") + f"length_groups: 1\nhyperparameters: {values}\n"
    result = run("train", write(folder, text), "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    first, second = json.loads(result.stdout)["history"]["loss"]
    assert second < first
    assert (folder / "out" / "model.safetensors").is_file()


def test_negatives_are_mined_out_of_the_files_corpus(run: Run, folder: Path) -> None:
    corpus = ["the cat fell", "a dog sleeps", "who"]
    (folder / "corpus.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in corpus))
    mining = "mining: {num_negatives: 1, corpus: corpus.jsonl}\n"
    more = mining + "length_groups: 1\ncheckpoint: work\nhyperparameters: {batch_size: 3, epochs: 1}\n"
    result = run("train", write(folder, SMALL + more))

    assert (result.exit_code, result.stderr) == (0, "")
    (negatives,) = folder.glob("work/*/negatives.json")
    (dataset,) = json.loads(negatives.read_text())["datasets"]
    assert dataset["columns"][0] == ["who sleeps", "who runs", "what fell"]
    assert set(dataset["columns"][2]) <= set(corpus)


def test_what_the_file_leaves_out_is_left_to_fit(run: Run, folder: Path, fits: list[dict[str, Any]]) -> None:
    assert run("train", write(folder, SMALL)).exit_code == 0

    (call,) = fits
    assert call.pop("dataset") == folder / "pairs.jsonl"
    assert (call.pop("validation"), call["options"].loss, call.pop("recipes")) == (None, None, ())
    assert set(call) == {"chain", "options"}


@pytest.mark.usefixtures("fits")
def test_the_end_is_a_table_and_the_models_place(run: Run, folder: Path) -> None:
    result = run("train", write(folder, SMALL))

    assert [line.split() for line in result.stdout.splitlines()] == [
        ["epoch", "loss", "ndcg@10"],
        ["1", "1.5000", "0.2500"],
        ["2", "0.7500", "0.5000"],
        ["3", "0.5000"],
        ["the", "model", "is", "in", str((folder / "out").resolve())],
    ]
    assert (folder / "out" / "model.safetensors").is_file()


def test_a_new_model_has_the_vocabularys_size_and_the_seeds_weights(
    run: Run, folder: Path, fits: list[dict[str, Any]]
) -> None:
    text = """\
new_model:
  vocabulary: vocab.txt
  transformer: {hidden_dim: 8, num_layers: 1, num_heads: 2, intermediate_dim: 16, max_positions: 20}
dataset: pairs.jsonl
hyperparameters: {seed: SEED}
output: out-NUMBER
"""
    for number, seed in enumerate((3, 3, 4)):
        path = write(folder, text.replace("SEED", str(seed)).replace("NUMBER", str(number)))
        assert run("train", path).exit_code == 0

    first, same, other = (call["chain"].text_encoder for call in fits)
    assert first.encoder.config.transformer.vocabulary_size == len(SPECIAL) + len(WORDS)
    assert first.tokenizer.max_length == 20
    assert first.tokenizer(["The cat sleeps"]) == [[2, 5, 7, 9, 10, 3]]  # [CLS] the cat sleep ##s [SEP]
    assert first.fingerprint == same.fingerprint != other.fingerprint
    assert TextEncoder.from_pretrained(folder / "out-0").fingerprint == first.fingerprint


@pytest.mark.usefixtures("no_tf_config")
def test_the_options_of_a_worker_become_its_tf_config(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfchain.cli.train.run_training", lambda plan: None)
    result = run("train", write(folder, SMALL), "--worker-hosts", "a:2222,b:2222", "--worker-index", 1)

    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert json.loads(os.environ["TF_CONFIG"]) == {
        "cluster": {"worker": ["a:2222", "b:2222"]},
        "task": {"type": "worker", "index": 1},
    }


def test_only_the_chief_saves_and_reports(
    run: Run, folder: Path, fits: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfchain.training.distributed.strategies.find_task", lambda strategy: (1, 2))
    result = run("train", write(folder, SMALL))

    assert (result.exit_code, result.stdout, len(fits)) == (0, "", 1)
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("more", "line", "words"),
    [
        ("colour: x\n", 4, "There is no key `colour`"),
        ("loss: triplett\n", 4, "triplett"),
        ("loss:\n  name: triplet\n  marign: 1\n", 4, "marign"),
        (
            "validation:\n  path: beir\n  metrics: [mrr@10]\n  monitor: ndcg@10\n",
            4,
            "`monitor` must be one of the metrics",
        ),
        ("mining: {relative_margin: 2}\n", 4, "`relative_margin` must be a finite number in [0, 1]"),
        ("data_service: localhost:5050\n", 4, "`data_service` reads shards."),
        ("split: dev\ndataset: beir\n", 5, "`dataset` appears twice, first in line 2"),
        ("recipes: {prune: {}}\n", 4, "`recipes` must be a list of recipes, each a name with its arguments, such as"),
        ("recipes: [prune]\n", 4, "such as [{prune: {sparsity: 0.5}}]. Received: 'prune'."),
        ("recipes:\n  - prune: 0.5\n", 5, "`recipes[0].prune` must be a mapping from its arguments to values. Recei"),
        ("recipes:\n  - prune:\n  - clustr:\n", 6, "No recipe `clustr` acts while training. Did you mean `cluster`?"),
        ("recipes:\n  - quantize: {}\n", 5, "No recipe `quantize` acts while training."),
        ("recipes:\n  - prune:\n      sparsty: 0.5\n", 6, "no key `recipes[0].prune.sparsty`. Did you mean `sparsity`"),
        ("recipes:\n  - prune:\n      begin: 0\n      sparsity: 2\n", 7, "`sparsity` must be above 0 and below 1."),
        (
            "recipes:\n  - cluster: {begin: 0.5}\n  - prune:\n",
            4,
            "applied in the order TrimVocabulary, Shrink, Prune",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_line(more: str, line: int, words: str, run: Run, folder: Path) -> None:
    path = write(folder, SMALL + more)

    check_error(run("train", path), f"error: {path}:{line}: ", words)
    assert not (folder / "out").exists()


def test_a_dataset_without_the_split_is_told_with_its_line(run: Run, folder: Path) -> None:
    path = write(folder, SMALL.replace("pairs.jsonl", "{b: {path: beir, split: test}}"))

    check_error(run("train", path), f"error: {path}:2: ", "test")


def test_a_tf_config_that_is_no_json_is_one_line(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CONFIG", "{")

    check_error(run("train", write(folder, SMALL)), "error: TF_CONFIG must be JSON")


@pytest.mark.usefixtures("no_tf_config")
def test_workers_that_cannot_be_are_an_error(run: Run, folder: Path) -> None:
    path = write(folder, SMALL + "strategy: mirrored\n")

    check_error(run("train", path, "--worker-hosts", "a:1", "--worker-index", 1), "index must be one of 0 to 0")
    check_error(
        run("train", path, "--worker-hosts", "a:1,b:1", "--worker-index", 1),
        f"{path}:4: `strategy` must be auto or multi_worker for 2 workers",
    )
    result = run("train", path, "--worker-index", 1)
    assert (result.exit_code, "belong together" in result.stderr) == (2, True)


@pytest.mark.parametrize("command", ["train", "launch"])
def test_the_help_is_quick_and_has_examples(command: str, run: Run) -> None:
    imported, shown = find_heavy_imports(f"from tfchain.cli import main; main([{command!r}, '--help'])")

    assert imported == []
    assert f"  Examples:\n    tfchain {command} train.yaml" in shown


def test_the_example_is_a_training(shared_data: Path) -> None:
    plan = read_plan(EXAMPLE)

    assert plan.datasets[""].path.resolve() == (shared_data / "scifact").resolve()
