"""`tfchain prepare`: a file becomes a set and a table, its mistakes one line each."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error
from tests.data.preparation.killing_steps import Shout
from tfchain.core.errors import InputError
from tfchain.data.preparation.step_names import STEP_TYPES
from tfchain.data.steps.step import FilterStep

DOCUMENTS = '{"id": "a", "text": "the cat"}\n{"id": "b", "text": "hush"}\n{"id": "c", "text": "the dog runs"}\n'


@dataclass(frozen=True)
class DropLonger(FilterStep):
    """Drops documents of more tokens."""

    name = "drop_longer"
    needs = ("count_tokens",)
    most: int = 2
    count_tokens: Any = field(default=None, compare=False)

    def __post_init__(self):
        if self.most < 1:
            raise InputError(f"`most` must be at least 1. Received: most={self.most}.", argument="most")

    def reason(self, record):
        return "long" if self.count_tokens([record.text])[0] > self.most else None


@pytest.fixture(autouse=True)
def steps(monkeypatch: pytest.MonkeyPatch) -> None:
    for step in (Shout, DropLonger):
        monkeypatch.setitem(STEP_TYPES, step.name, f"{step.__module__}:{step.__name__}")


@pytest.fixture
def folder(tmp_path: Path, thin_model_path: Path) -> Path:
    (tmp_path / "model").symlink_to(thin_model_path)
    (tmp_path / "documents.jsonl").write_text(DOCUMENTS)
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "prepare.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SMALL = "source: documents.jsonl\noutput: out\n"


def test_a_file_becomes_a_set_that_an_index_takes(run: Run, folder: Path, thin_model_path: Path) -> None:
    text = (
        "steps:\n  - shout\n  - drop_longer: {most: 2}\nmodel: model\nside_file: dropped.jsonl\n"
        "card: {licence: CC0 1.0, year: 2026}\nshard_records: 1\n"
    )
    result = run("prepare", write(folder, SMALL + text), "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    values = json.loads(result.stdout)
    assert (values["read"], values["written"], values["files"]) == (3, 1, 1)
    assert [(step["step"], step["dropped"]) for step in values["steps"]] == [
        ("shout", {"no text left": 1}),
        ("drop_longer", {"long": 1}),
    ]
    assert json.loads((folder / "out" / "part-00000.jsonl").read_text()) == {"id": "a", "text": "THE CAT"}
    assert json.loads((folder / "out" / "card.json").read_text())["fields"] == {"licence": "CC0 1.0", "year": 2026}
    assert len((folder / "out" / "dropped.jsonl").read_text().splitlines()) == 4
    indexed = run("index", folder / "out", "--model", thin_model_path, "--out", folder / "index", "--json")
    assert json.loads(indexed.stdout)["documents"] == 1


def test_the_report_is_a_table(run: Run, folder: Path) -> None:
    result = run("prepare", write(folder, SMALL + "steps: [shout]\n"))
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["step", "received", "dropped", "changed", "added", "passed", "on", "reasons"]
    assert lines[1].split()[:6] == ["shout", "3", "1", "2", "0", "2"]
    assert any(line.split() == ["written", "2"] for line in lines)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("source: documents.jsonl\n", "prepare.yaml:1: `output` is missing. Needed here: source, output."),
        (SMALL + "step: []\n", "prepare.yaml:3: There is no key `step`. Did you mean `steps`?"),
        ("output: out\nsource: nowhere\n", "prepare.yaml:2: `source` must be a file or a folder that exists. Rec"),
        (SMALL + "steps:\n  - shout\n  - shuot\n", "prepare.yaml:5: There is no step `shuot`. Did you mean `shout`?"),
        (SMALL + "steps:\n  - shout: {loud: 1}\n", "prepare.yaml:4: There is no key `steps[0].shout.loud`."),
        (
            SMALL + "model: model\nsteps:\n  - drop_longer:\n      most: 0\n",
            "prepare.yaml:6: `most` must be at least 1. Received: most=0.",
        ),
        (SMALL + "steps: [drop_longer]\n", "prepare.yaml:3: The step drop_longer needs `count_tokens` of a model."),
        (SMALL + "format: csv\n", "prepare.yaml:3: `format` must be one of jsonl, parquet, tfrecord. Received: 'csv'"),
        (SMALL + "side_file: a/b\n", "prepare.yaml:3: With `output`, `side_file` must be the name of a file in it"),
        (SMALL + "shard_records: 0\n", "prepare.yaml:3: `shard_records` must be at least 1. Received: 0."),
        (SMALL + "steps: shout\n", "prepare.yaml:3: `steps` must be a list of steps, each a name or a name with its"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(run: Run, folder: Path, text: str, expected: str) -> None:
    check_error(run("prepare", write(folder, text)), expected)
    assert not (folder / "out").exists()


def test_an_output_that_exists_stays(run: Run, folder: Path) -> None:
    path = write(folder, SMALL)
    assert run("prepare", path).exit_code == 0
    check_error(run("prepare", path), "`output` must not exist, or must be an empty folder.")
    assert (folder / "out" / "manifest.json").is_file()


def test_empty_and_broken_documents_are_left_out_up_to_a_limit(run: Run, folder: Path) -> None:
    (folder / "documents.jsonl").write_text(DOCUMENTS + '{"id": "d", "text": " "}\nnot JSON\n')
    limits = "empty: skip\nmax_broken: 1\nbroken_file: broken.jsonl\n"
    result = run("prepare", write(folder, SMALL + limits), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["written"] == 3
    (line,) = (folder / "broken.jsonl").read_text().splitlines()
    assert json.loads(line)["record"] == "not JSON\n"
    result = run("prepare", write(folder, SMALL.replace(": out", ": other")))
    assert result.exit_code == 1
    assert "documents.jsonl:5: broken JSON" in result.stderr.splitlines()[-1]
    assert not (folder / "other").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("empty: drop", "`empty` must be"),
        ("max_broken: -1", "`max_broken` must be at least 0. Received: -1."),
        ("read: rows\nempty: skip", "`empty` says what becomes of documents, and the file has `read: rows`."),
    ],
)
def test_a_wrong_way_of_reading_is_said_with_its_line(run: Run, folder: Path, lines: str, message: str) -> None:
    check_error(run("prepare", write(folder, SMALL + lines + "\n")), "prepare.yaml:", message)
