"""`tfchain check`: what it prints and writes, its exit codes, and what it refuses."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.test_bad_input import check_error


@pytest.fixture
def rows_path(tmp_path: Path) -> Path:
    path = tmp_path / "train.csv"
    path.write_text("text,label\n" + "".join(f"question number {n},{'ab'[n % 2]}\n" for n in range(12)))
    return path


@pytest.fixture
def test_path(tmp_path: Path) -> Path:
    path = tmp_path / "test.csv"
    path.write_text("text,label\nQuestion number 3,b\nsomething else,c\n")
    return path


def test_the_report_is_printed_as_text_and_as_json(run: Run, rows_path: Path, test_path: Path) -> None:
    shown = run("check", "--train", rows_path, "--evaluation", test_path)
    read = json.loads(run("check", "--train", rows_path, "--evaluation", test_path, "--json").stdout)

    assert shown.exit_code == 0
    assert shown.stdout.startswith("stop: ")
    assert "test.csv:2, train.csv:5: question number 3" in " ".join(shown.stdout.split())
    leaked = next(finding for finding in read["findings"] if finding["kind"] == "leaked_text")
    assert (leaked["count"], leaked["total"]) == (1, 2)


def test_the_report_is_written_to_a_new_folder_only(run: Run, rows_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    assert run("check", "--train", rows_path, "--out", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json", "report.txt"]

    check_error(run("check", "--train", rows_path, "--out", out), "--out must be a new or an empty folder", str(out))


def test_it_can_fail_on_what_says_stop(run: Run, rows_path: Path, test_path: Path) -> None:
    fine = run("check", "--train", rows_path, "--fail-on", "stop")
    bad = run("check", "--train", rows_path, "--evaluation", test_path, "--fail-on", "stop")

    assert (fine.exit_code, bad.exit_code) == (0, 1)
    assert bad.stderr == "error: The data has findings that say stop.\n"


def test_a_schema_is_written_and_enforced(run: Run, rows_path: Path, test_path: Path, tmp_path: Path) -> None:
    schema = tmp_path / "schema.yaml"
    assert run("check", "--train", rows_path, "--write-schema", schema).exit_code == 0

    read = json.loads(run("check", "--evaluation", test_path, "--schema", schema, "--json").stdout)

    broken = [finding for finding in read["findings"] if finding["kind"] == "broken_schema"]
    assert [(finding["note"], finding["count"]) for finding in broken] == [("label: value not allowed.", 1)]


def test_lengths_are_counted_in_a_models_tokens_and_its_vectors_are_used(
    run: Run, rows_path: Path, test_path: Path, thin_model_path: Path
) -> None:
    arguments = ("--train", rows_path, "--evaluation", test_path, "--model", thin_model_path, "--encode", "--json")
    read = json.loads(run("check", *arguments).stdout)

    kinds = {finding["kind"] for finding in read["findings"]}
    assert {"truncated_text", "unknown_tokens", "semantic_leak"} <= kinds
    assert read["lengths"][0]["unit"] == "tokens"
    assert read["lengths"][0]["max_length"] == 22  # 24 less [CLS] and [SEP]


def test_languages_are_detected(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "The weather is nice today, and the children play in the garden."}\n' * 3)
    read = json.loads(run("check", "--corpus", path, "--languages", "--json").stdout)

    assert read["languages"][0]["counts"] == {"en": 3}


def test_what_cannot_be_checked_is_refused(run: Run, rows_path: Path, tmp_path: Path) -> None:
    check_error(run("check"), "Give at least one of --train, --corpus and --evaluation")
    check_error(run("check", "--train", tmp_path / "gone.csv"), "No such file", "gone.csv")
    check_error(run("check", "--train", tmp_path / "gone"), "gone, which does not exist")
    check_error(run("check", "--train", rows_path, "--encode"), "--encode needs the vectors of a model")
    check_error(
        run("check", "--corpus", rows_path, "--write-schema", "x"), "--write-schema infers the schema of --train"
    )
    check_error(run("check", "--train", rows_path, "--near-threshold", "2"), "`near_threshold` must be in (0, 1]")
    check_error(run("check", "--train", rows_path, "--schema", tmp_path / "gone.yaml"), "No such file", "gone.yaml")
