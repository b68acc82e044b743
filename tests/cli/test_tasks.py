"""Each task by its name in the file: train, tune and compress; then the other commands on the chain's folder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.test_toy_task import RatingChain, RatingTask
from tfchain import LateInteractionReranker, Reranker, TextClassificationChain
from tfchain.cli.example_request import RANKED, make_request
from tfchain.models.text_encoder import TextEncoder
from tfchain.optimization.report import CompressionReport
from tfchain.optimization.tuning.report import TuningReport

ROWS = "text,label\nthe cat sleeps,pets\na dog runs,pets\nstocks fell on monday,money\nthe stock fell,money\n"
PAIRS = (
    '{"query": "who sleeps", "positive": "the cat sleeps", "negative": "a dog runs"}\n'
    '{"query": "who runs", "positive": "a dog runs", "negative": "stocks fell on monday"}\n'
)
INT8 = "model: model\nrecipes: [{quantize: {precision: int8}}]\noutput: out\n"
VALUES = "{batch_size: 4, epochs: 2, learning_rate: 0.01, warmup: 0, dropout: 0}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, thin_model_path: Path) -> Path:
    """A folder with data of each task, and the small model as a link."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "model").symlink_to(thin_model_path)
    (folder / "rows.csv").write_text(ROWS)
    (folder / "pairs.jsonl").write_text(PAIRS)
    (folder / "queries.txt").write_text("the cat sleeps\na dog runs\nstocks fell\nthe stock fell\n" * 10)
    return folder


def write(folder: Path, text: str, name: str = "task.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def read_json(run: Run, *arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.stderr == ""
    assert result.exit_code == 0
    values: dict[str, Any] = json.loads(result.stdout)
    return values


CLASSIFY = f"""\
task: classification
chain: {{label_smoothing: 0.125, max_length: 12}}
model: model
dataset: rows.csv
validation: {{path: rows.csv, metrics: [accuracy, log_loss], monitor: log_loss}}
hyperparameters: {VALUES}
output: labels
"""


@pytest.fixture(scope="module")
def labels(run: Run, folder: Path) -> Path:
    """A classification that `tfchain train` made."""
    trained = read_json(run, "train", write(folder, CLASSIFY))
    assert trained["model"] == str((folder / "labels").resolve())
    assert sorted(trained["history"]) == ["accuracy", "log_loss", "loss"]
    assert [len(values) for values in trained["history"].values()] == [2, 2, 2]
    return folder / "labels"


def test_a_trained_classification_is_a_chain_with_its_labels_and_settings(labels: Path) -> None:
    chain = TextClassificationChain.load(labels, engine="tensorflow")
    assert chain.labels == ("money", "pets")
    assert (chain.task.label_smoothing, chain.text_encoder.tokenizer.max_length) == (0.125, 12)


def test_a_classification_is_evaluated_and_asked(run: Run, labels: Path, folder: Path) -> None:
    chain = TextClassificationChain.load(labels, engine="tensorflow")
    found = read_json(run, "evaluate", labels, folder / "rows.csv", "--metric", "log_loss")
    rows = [line.split(",") for line in ROWS.splitlines()[1:]]
    answers = chain.predict([text for text, _ in rows], 2)
    scores = [{scored.label: scored.score for scored in answer.scores} for answer in answers]
    wanted = [by_label[label] for by_label, (_, label) in zip(scores, rows, strict=True)]
    assert (found["task"], found["split"]) == ("classification", "test")
    assert found["metrics"] == {"log_loss": pytest.approx(-np.mean(np.log(wanted)), rel=1e-5)}

    (asked,) = read_json(run, "predict", labels, "the cat sleeps", "--top-k", 1)["answers"]
    (best,) = chain.predict("the cat sleeps", 1).scores
    assert (asked["text"], asked["label"]) == ("the cat sleeps", best.label)
    assert asked["scores"] == {best.label: pytest.approx(best.score, rel=1e-5)}
    shown = run("predict", labels, "the cat sleeps", "a dog runs").stdout.splitlines()
    assert shown[0].split() == ["text", "label", "scores"]
    assert len(shown) == 3


def test_a_classification_is_described(run: Run, labels: Path) -> None:
    values = read_json(run, "info", labels)
    assert (values["kind"], values["task"], values["architecture"]) == ("chain", "classification", "bert")
    assert values["state"]["names"] == 2
    assert values["settings"]["label_smoothing"] == 0.125
    assert "label smoothing  0.1250" in run("info", labels).stdout


@pytest.fixture(scope="module")
def compressed(run: Run, labels: Path, folder: Path) -> Path:
    """The classification in bfloat16, by `tfchain compress`."""
    text = "task: classification\nmodel: labels\nrecipes: [{quantize: {precision: bfloat16}}]\noutput: small\n"
    printed = read_json(run, "compress", write(folder, text, "compress.yaml"))
    assert (printed["chain"], printed["kept"]) == (str((folder / "small").resolve()), "bfloat16")
    return folder / "small"


def test_a_compressed_classification_is_a_chain_with_a_report(compressed: Path, folder: Path) -> None:
    chain = TextClassificationChain.load(compressed, engine="tensorflow")
    assert (chain.text_encoder.precision, chain.labels) == ("bfloat16", ("money", "pets"))
    assert CompressionReport.load(folder / "small-report").kept == "bfloat16"


def test_a_classification_is_exported_watched_and_made_ready_for_a_target(run: Run, labels: Path, folder: Path) -> None:
    version = read_json(run, "export", labels, "--out", folder / "versions", "--top-k", 1)
    assert (version["task"], version["labels"]) == ("classification", ["money", "pets"])
    assert {"classify", "classify_text", "embed"} <= set(version["signatures"])
    assert read_json(run, "info", folder / "versions")["versions"][0]["label_smoothing"] == 0.125

    path = folder / "versions" / "1"
    asked = ("--queries", folder / "queries.txt", "--window", 20, "--stride", 5)
    reference = read_json(run, "monitor", "reference", path, *asked)
    assert [Path(file).name for file in reference["files"]] == ["reference.npz", "canaries.jsonl"]
    shown = run("deploy", path, "--target", "docker", "--set", "server=own", "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert "--- Dockerfile" in shown.stdout


@pytest.mark.usefixtures("eager")
def test_a_classification_is_tuned(run: Run, folder: Path) -> None:
    text = CLASSIFY.replace("output: labels", "output: tuned") + (
        "tuning: {space: {learning_rate: [0.01, 0.02]}, tuner: grid, objective: log_loss}\n"
    )
    printed = read_json(run, "tune", write(folder, text.replace("epochs: 2", "epochs: 1")))
    report = TuningReport.load(folder / "tuned-tuning")
    assert [trial.values["learning_rate"] for trial in report.trials] == [0.01, 0.02]
    assert printed["best"] == min(report.trials, key=lambda trial: trial.metrics["log_loss"]).id  # lower is better
    assert TextClassificationChain.load(folder / "tuned", engine="tensorflow").labels == ("money", "pets")


@pytest.mark.parametrize(
    ("task", "chain", "kind"),
    [
        ("reranking", "{activation: identity}", Reranker),
        ("late_interaction", "{dim: 8, query_length: 6, document_length: 12}", LateInteractionReranker),
    ],
)
@pytest.mark.usefixtures("eager")
def test_a_ranking_is_trained_evaluated_and_asked(task: str, chain: str, kind: Any, run: Run, folder: Path) -> None:
    text = f"task: {task}\nchain: {chain}\nencoder: model\ndataset: pairs.jsonl\nhyperparameters: {VALUES}\n"
    text += f"output: {task}\nloss: listwise_softmax\nvalidation: {{path: pairs.jsonl, metrics: [mrr@10]}}\n"
    assert len(read_json(run, "train", write(folder, text))["history"]["mrr@10"]) == 2

    made = kind.load(folder / task, engine="tensorflow")
    found = read_json(run, "evaluate", folder / task, folder / "pairs.jsonl", "--metric", "mrr@10")
    assert found["metrics"] == {"mrr@10": made.evaluate(folder / "pairs.jsonl", metrics=["mrr@10"])["mrr@10"]}
    documents = ["stocks fell on monday", "the cat sleeps", "a dog runs"]
    answers = read_json(run, "predict", folder / task, "who sleeps", *documents, "-k", 2)["answers"]
    scores = made.score("who sleeps", documents)
    order = np.argsort(-scores, kind="stable")[:2]
    assert [answer["text"] for answer in answers] == [documents[place] for place in order]
    assert [answer["score"] for answer in answers] == pytest.approx(scores[order].tolist(), rel=1e-5)

    text = f"task: {task}\nmodel: {task}\nrecipes: [{{quantize: {{precision: bfloat16}}}}]\noutput: {task}-small\n"
    assert read_json(run, "compress", write(folder, text, "compress.yaml"))["kept"] == "bfloat16"
    assert kind.load(folder / f"{task}-small", engine="tensorflow").text_encoder.precision == "bfloat16"
    check_error(run("export", folder / task, "--top-k", 3), f"`--top-k` is not for the task {task}")
    version = read_json(run, "export", folder / task, "--out", folder / f"{task}-versions")
    assert (version["task"], version["version"]) == (task, "1")
    assert "rerank" in version["signatures"]
    assert make_request(folder / f"{task}-versions") == {"instances": [RANKED]}  # which `tfchain serve` offers


@pytest.mark.usefixtures("eager")
def test_a_chain_of_ones_own_is_named_by_its_class(run: Run, folder: Path, thin_model_path: Path) -> None:
    encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    RatingChain(RatingTask(), encoder).save(folder / "untrained")
    (folder / "stars.csv").write_text("text,stars\nthe cat sleeps,5\nstocks fell,1\n")
    own = "tests.test_toy_task:RatingChain"
    text = f"task: {own}\nmodel: untrained\ndataset: stars.csv\nhyperparameters: {VALUES}\noutput: rating\n"
    assert len(read_json(run, "train", write(folder, text))["history"]["loss"]) == 2

    found = read_json(run, "evaluate", folder / "rating", folder / "stars.csv", "--task", own)
    rated = RatingChain.load(folder / "rating", engine="tensorflow").rate(["the cat sleeps", "stocks fell"])
    assert found["metrics"] == {"mae": pytest.approx(np.abs(rated - [5, 1]).mean(), rel=1e-5)}
    assert read_json(run, "info", folder / "rating")["state"] == {"texts": 2}
    missing = "holds a chain of the task 'rating', which is none of search, classification, "
    check_error(run("evaluate", folder / "rating", folder / "stars.csv"), missing)
    check_error(run("predict", folder / "rating", "cat", "--task", own), "cannot ask a chain of the task rating")


def test_a_job_for_other_machines_is_written_for_any_task(run: Run, folder: Path) -> None:
    path = write(folder, CLASSIFY.replace("output: labels", "output: far"), "far.yaml")
    shown = run("launch", path, "--target", "slurm", "--machines", 2).stdout
    assert f"tfchain train {path}" in shown
    wrong = write(folder, CLASSIFY.replace("task: classification", "task: classify"), "wrong.yaml")
    check_error(run("launch", wrong, "--target", "slurm"), f"{wrong}:1: `task` must be one of search, classification")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (CLASSIFY.replace("classification", "clasification"), ":1: `task` must be one of search, classification, "),
        (CLASSIFY.replace("label_smoothing", "smoothing"), ":2: The chain of this task has no setting `smoothing`"),
        (CLASSIFY.replace("0.125", "1.5"), ":2: `label_smoothing` must be"),
        (CLASSIFY.replace("{label_smoothing: 0.125, max_length: 12}", "[1]"), ":2: `chain` must be a mapping"),
        (CLASSIFY.replace("accuracy,", "ndcg@10,"), ":5: `metrics` must be a list of accuracy"),
        (CLASSIFY + "passages: split\n", ":8: The chain of this task has no setting `passages`"),
        (CLASSIFY.replace("rows.csv\nval", "{a: {path: rows.csv}, b: {path: rows.csv}}\nval"), ":4: `dataset` must be"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_tasks_file_is_told_with_its_line(run: Run, folder: Path, text: str, message: str) -> None:
    path = write(folder, text.replace("output: labels", "output: other"), "wrong.yaml")
    check_error(run("train", path), f"error: {path}{message}")
    assert not (folder / "other").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipes: [{quantize: {}}]\noutput: out\n", ":1: `model` is missing"),
        ("model: model\nrecipes: [{quantise: {}}]\noutput: out\n", ":2: No recipe `quantise`"),
        ("model: model\nrecipes: [{quantize: {precision: int3}}]\noutput: out\n", ":2: "),
        (INT8 + "keep: best\n", ":4: Candidates are compared on `dataset`"),
        ("model: model\nrecipes: []\noutput: out\n", ":2: "),
        (INT8 + "max_loss: 2.0\n", ":4: `max_loss` must be in [0, 1). Received: 2.0"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_compressions_file_is_told_with_its_line(
    run: Run, folder: Path, text: str, message: str
) -> None:
    path = write(folder, text, "wrong.yaml")
    check_error(run("compress", path), f"error: {path}{message}")
    assert not (folder / "out").exists()


def test_what_is_not_for_a_task_is_one_error(run: Run, labels: Path, saved_index: Path, folder: Path) -> None:
    check_error(run("search", labels, "cat"), "`tfchain search` is for a chain of the task search. Received: ")
    check_error(run("predict", saved_index, "cat"), "cannot ask a chain of the task search")
    check_error(run("predict", labels, "cat", "--top-k", 0), "`--top-k` must be at least 1")
    check_error(run("evaluate", labels, folder / "rows.csv", "--metric", "ndcg@10"), "`metrics` must be a list of")
