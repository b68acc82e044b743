"""Tests of schemas: inferred, written and read, and what breaks them."""

from pathlib import Path

import pytest

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.checks.check_schema import check_schema
from tfchain.data.checks.enforce_schema import EnforceSchema
from tfchain.data.checks.infer_schema import infer_schema
from tfchain.data.checks.schema import Column, Schema
from tfchain.data.preparation.step_names import make_steps
from tfchain.data.steps.step_log import StepLog

ROWS = [
    {"id": f"r{place}", "text": "word " * (2 + place % 4) + "end", "label": ("a", "b")[place % 2], "stars": place / 2}
    for place in range(20)
]


def test_a_schema_is_inferred_from_good_rows() -> None:
    schema = infer_schema([*ROWS, {**ROWS[0], "id": "r20", "note": "x"}])

    assert schema.columns["id"] == Column("text", required=True, unique=True)
    assert schema.columns["text"] == Column("text", required=True, characters=(6, 56))  # 13 / 2, 28 × 2
    assert schema.columns["label"] == Column("text", required=True, values=("a", "b"))
    assert schema.columns["stars"] == Column("number", required=True, range=(0.0, 9.5))
    assert schema.columns["note"] == Column("text", characters=(0, 2))  # one row in 21 has it
    assert schema.other_columns == "refuse"


def test_tokens_and_languages_are_inferred_if_something_knows_them() -> None:
    rows = [{"text": "the cat sleeps here"}] * 9 + [{"text": "le chat dort bien ici"}]

    schema = infer_schema(
        rows,
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        detect_language=lambda text: "fr" if "le " in text else "en",
        slack=1,
    )

    assert schema.columns["text"].tokens == (4, 5)
    assert schema.columns["text"].languages == ("fr",)  # the English one has fewer than 20 characters
    assert schema.columns["text"].characters == (19, 21)


def test_a_repeated_id_and_a_mixed_type_are_not_promised() -> None:
    schema = infer_schema([{"id": 1, "x": "a"}, {"id": 1, "x": 2}, {"id": 2, "x": 1.5}])

    assert schema.columns["id"] == Column("integer", required=True, range=(1, 2))
    assert schema.columns["x"].type is None


def test_a_schema_is_written_for_people_and_read_back(tmp_path: Path) -> None:
    schema = infer_schema(ROWS)
    path = schema.write(tmp_path / "schema.yaml")

    assert Schema.read(path) == schema
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# What rows must look like")
    assert "    values: [a, b]" in lines

    path.write_text(path.read_text(encoding="utf-8").replace("other_columns: refuse", "other_columns: allow"))
    assert check_schema(Schema.read(path), [{**ROWS[0], "more": 1}])[0].severity == "ok"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: [", "not YAML"),
        ("- a", "must have `columns`, a mapping by name"),
        ("version: 2\ncolumns: {}", "must have `version: 1`. Received: 2"),
        ("version: 1\ncolumns: {}\nmore: 1", "unknown settings: more"),
        ("version: 1\ncolumns: {text: {typ: text}}", "column 'text': expected the settings characters, languages"),
        ("version: 1\ncolumns: {text: {type: string}}", "column 'text': `type` must be one of text, integer"),
        ("version: 1\ncolumns: {text: {characters: [9, 1]}}", "`characters` must be the least and the most"),
        ("version: 1\ncolumns: {text: {required: 1}}", "`required` must be true or false. Received: 1"),
        ("version: 1\ncolumns: {text: {values: []}}", "`values` must be a list of at least one value"),
        ("version: 1\nother_columns: maybe\ncolumns: {}", "`other_columns` must be 'allow' or 'refuse'"),
    ],
)
def test_a_broken_schema_says_what_is_wrong(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "schema.yaml"
    path.write_text(text)

    with pytest.raises(InputError) as error:
        Schema.read(path)
    assert message in str(error.value)
    assert str(path) in str(error.value) or "other_columns" in message


BREAKS = {
    "text: missing": {"text": " "},
    "text: too many characters": {"text": "x" * 57},
    "text: too few characters": {"text": "x"},
    "text: wrong type": {"text": 5},
    "label: value not allowed": {"label": "c"},
    "stars: number too large": {"stars": 10},
    "stars: number too small": {"stars": -0.5},
    "stars: wrong type": {"stars": "5"},
    "id: repeated value": {"id": "r0"},
    "more: unknown column": {"more": 1},
}


@pytest.mark.parametrize("problem", BREAKS)
def test_each_way_to_break_a_schema_is_named(problem: str) -> None:
    good, bad = dict(ROWS[0]), {**ROWS[1], **BREAKS[problem]}

    findings = check_schema(infer_schema(ROWS), [good, bad], name="train")

    assert [finding.note for finding in findings] == [f"{problem}."]
    assert (findings[0].count, findings[0].total, findings[0].severity) == (1, 2, "stop")
    assert findings[0].examples[0].ids == (bad["id"],)


def test_bounds_in_tokens_and_languages_are_checked_with_what_knows_them() -> None:
    schema = Schema({"text": Column(tokens=(1, 3), languages=("en",))})
    row = {"text": "un deux trois quatre cinq"}

    assert check_schema(schema, [row])[0].count == 0
    found = check_schema(
        schema,
        [row],
        count_tokens=lambda texts: [len(text.split()) for text in texts],
        detect_language=lambda text: ("fr", 0.9),
    )
    assert [finding.note for finding in found] == ["text: too many tokens.", "text: other language."]
    assert found[0].examples[0].ids == ("rows[0]",)


def test_documents_have_a_schema_too() -> None:
    documents = [Document(f"d{place}", "a text of words", "title", {"page": 1}) for place in range(5)]
    schema = infer_schema(documents)

    assert schema.columns["metadata"].type == "dict"
    assert check_schema(schema, documents)[0].severity == "ok"
    assert check_schema(schema, [Document("d9", "a text of words")])[0].note == "title: missing."


def test_nothing_can_be_inferred_from_no_rows_and_with_wrong_slack() -> None:
    with pytest.raises(InputError, match="at least one row"):
        infer_schema([])
    with pytest.raises(InputError, match="`slack` must be at least 1. Received: slack=0.5"):
        infer_schema(ROWS, slack=0.5)


@pytest.fixture
def schema_path(tmp_path: Path) -> Path:
    return infer_schema(ROWS).write(tmp_path / "schema.yaml")


def test_the_step_drops_what_breaks_the_schema_and_counts_why(schema_path: Path) -> None:
    (step,) = make_steps([{"enforce_schema": {"path": str(schema_path)}}])
    log = StepLog("enforce_schema")

    kept = step.process([ROWS[0], {**ROWS[1], "label": "c"}, ROWS[0], ROWS[2]], log, step.new_state())

    assert kept == [ROWS[0], ROWS[2]]
    assert dict(log.dropped) == {"label: value not allowed": 1, "id: repeated value": 1}
    assert log.examples["dropped", "label: value not allowed"][0]["detail"] == "label: value not allowed (received 'c')"


def test_the_step_ends_the_run_if_it_is_told_to(schema_path: Path) -> None:
    step = EnforceSchema(str(schema_path), action="error")

    with pytest.raises(InputError, match="The record 'r1' breaks the schema .*: label: value not allowed"):
        list(step([ROWS[0], {**ROWS[1], "label": "c"}]))
    with pytest.raises(InputError, match="`action` must be 'drop' or 'error'. Received: action='warn'"):
        EnforceSchema(str(schema_path), action="warn")


def test_the_step_resumes_with_the_values_it_has_seen(schema_path: Path, tmp_path: Path) -> None:
    step = EnforceSchema(str(schema_path))
    state = step.new_state()
    step.process(ROWS[:2], StepLog("x"), state)
    folder = tmp_path / "state"
    folder.mkdir()
    step.save_state(state, folder)

    log = StepLog("x")
    assert step.process([ROWS[1], ROWS[2]], log, step.load_state(folder)) == [ROWS[2]]
    assert dict(log.dropped) == {"id: repeated value": 1}
