"""Tasks with a model of their own, by their name in a file: trained, evaluated, compressed, exported."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.test_tasks import read_json, write
from tests.interaction_rows import ITEMS, make_rows
from tests.tiny_translation import PAIRS

IMAGES = Path(__file__).parents[1] / "parity" / "image_fixtures"
READ = [("what fell", "stocks fell on monday", "stocks"), ("who runs", "a dog runs", "a dog")]


@dataclass(frozen=True)
class Case:
    """A task with its file.

    Args:
        task: The task's name.
        text: The lines of its file that say what is trained on what.
        data: The data, beside the file.
        metric: A metric of it.
        signature: A signature of its versions.
        precision: A precision that its models compute in.
        asked: A text to ask; empty for a chain that has nothing to answer from yet.
        judged: The data to evaluate on. Default: the same.
    """

    task: str
    text: str
    data: str
    metric: str
    signature: str
    precision: str = "bfloat16"
    asked: str = ""
    judged: str = ""


CASES = [
    Case("question_answering", "model: model\nchain: {max_length: 16}\n", "questions.json", "f1", "reader"),
    Case(
        "translation",
        "chain: {source_language: en, target_language: zh}\n"
        "new_model: {hidden_dim: 32, num_layers: 1, num_decoder_layers: 1, num_heads: 2, intermediate_dim: 64, "
        "max_length: 24, vocabulary: {size: 60}}\n",
        "pairs.tsv",
        "chrf",
        "translate",
        precision="int8",
        asked="The cat sleeps.",
    ),
    Case(
        "recommendation",
        "chain: {config: {dim: 8, max_history: 4}}\n",
        "taken",
        "hit_rate@10",
        "recommend",
        asked="u3",
        judged="next",
    ),
    Case("image_search", f"model: {IMAGES / 'clip'}\n", "pictures.csv", "mrr@10", "embed_image"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, thin_model_path: Path) -> Path:
    """A folder with data of each task."""
    folder = tmp_path_factory.mktemp("new_models")
    (folder / "model").symlink_to(thin_model_path)
    paragraphs = [
        {
            "context": context,
            "qas": [
                {
                    "id": question,
                    "question": question,
                    "answers": [{"text": answer, "answer_start": context.index(answer)}],
                }
            ],
        }
        for question, context, answer in READ
    ]
    (folder / "questions.json").write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    (folder / "pairs.tsv").write_text("en\tzh\n" + "".join(f"{one}\t{other}\n" for one, other in PAIRS))
    taken = make_rows()  # five of each user, one after the other
    for part, interactions in (
        ("taken", [row for place, row in enumerate(taken) if place % 5 < 4]),
        ("next", taken[4::5]),
    ):
        (folder / part).mkdir()
        for name, rows in (("interactions", interactions), ("items", ITEMS)):
            lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
            (folder / part / f"{name}.csv").write_text("\n".join(lines))
    pictures = [
        shutil.copy(IMAGES / "pictures" / name, folder / name) for name in ("photo.jpg", "clear.png", "gray.jpg")
    ]
    lines = [f"{Path(path).name},a picture called {Path(path).stem}" for path in pictures]
    (folder / "pictures.csv").write_text("\n".join(["image,caption", *lines]) + "\n")
    return folder


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.task)
def test_a_task_is_trained_evaluated_compressed_and_exported_by_its_name(case: Case, run: Run, folder: Path) -> None:
    text = f"task: {case.task}\n{case.text}dataset: {case.data}\noutput: {case.task}\n"
    text += "hyperparameters: {batch_size: 4, epochs: 1, learning_rate: 0.001}\n"
    trained = read_json(run, "train", write(folder, text))
    made = folder / case.task
    assert trained["model"] == str(made.resolve())
    assert len(trained["history"]["loss"]) == 1

    found = read_json(run, "evaluate", made, folder / (case.judged or case.data), "--metric", case.metric)
    assert found["task"] == case.task
    assert 0 <= found["metrics"][case.metric] <= 100
    values: dict[str, Any] = read_json(run, "info", made)
    assert (values["kind"], values["task"]) == ("chain", case.task)

    if case.asked:
        answers = read_json(run, "predict", made, case.asked)["answers"]
        assert answers[0][next(iter(answers[0]))] == case.asked

    recipes = f"[{{quantize: {{precision: {case.precision}}}}}]"
    text = f"task: {case.task}\nmodel: {case.task}\nrecipes: {recipes}\noutput: small\n"
    printed = read_json(run, "compress", write(folder, text, "compress.yaml"))
    assert printed["kept"] == case.precision
    shutil.rmtree(folder / "small")

    version = read_json(run, "export", made, "--out", folder / f"{case.task}-versions")
    assert version["task"] == case.task
    assert case.signature in version["signatures"]
    shown = run(
        "deploy", folder / f"{case.task}-versions" / "1", "--target", "docker", "--set", "server=own", "--dry-run"
    )
    assert (shown.exit_code, "--- Dockerfile" in shown.stdout) == (0, True)
