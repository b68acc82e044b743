"""Parallel texts are read the same from every form, and what is wrong is said with its place."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from tfchain.core.errors import InputError
from tfchain.tasks.translation.parallel_rows import Languages, ParallelRows, read_parallel

ROWS = [("Hi.", "嗨。"), ('He said "no".', "他说不。")]
EXPECTED = ParallelRows(["Hi.", 'He said "no".'], [("嗨。",), ("他说不。",)])
EN_ZH = Languages("en", "zh")


class FakeDataset:
    """What `read_hugging_face` asks of a `datasets.Dataset`."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.column_names = list(rows[0])

    def with_format(self, kind: None) -> "FakeDataset":
        return self

    def iter(self, batch_size: int) -> Any:
        yield {name: [row[name] for row in self.rows] for name in self.column_names}


def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tsv.gz"
    with gzip.open(bare, "wt", encoding="utf-8") as file:
        file.write('Hi.\t嗨。\tCC-BY\nHe said "no".\t他说不。\tCC-BY\n')
    named = tmp_path / "named.tsv"
    named.write_text('source\ttarget\nHi.\t嗨。\n"He said ""no""."\t他说不。\n', encoding="utf-8")
    parquet = tmp_path / "rows.parquet"
    frame = pa.table({"en": [source for source, _ in ROWS], "zh": [target for _, target in ROWS]})
    pq.write_table(frame, parquet)
    cells = tmp_path / "rows.csv"
    cells.write_text('zh,en\n嗨。,Hi.\n他说不。,"He said ""no""."\n', encoding="utf-8")
    lines = tmp_path / "rows.jsonl"
    lines.write_text(
        "".join(json.dumps({"translation": {"en": source, "zh": target}}) + "\n" for source, target in ROWS)
    )
    dicts = [{"en": source, "zh": target} for source, target in ROWS]
    hugging = FakeDataset([{"id": 1, "translation": row} for row in dicts])
    for form in (
        *(ROWS, iter(ROWS), [{"src": source, "tgt": target} for source, target in ROWS], dicts),
        *(bare, str(named), cells, lines, parquet, hugging, frame),
        EXPECTED,
    ):
        assert read_parallel(form, languages=EN_ZH) == EXPECTED


def test_several_translations_are_references_and_pairs_to_train_on() -> None:
    rows = read_parallel([("Hi.", ["嗨。", "你好。"]), ("Run.", "跑。")])
    assert rows.references == [("嗨。", "你好。"), ("跑。",)]
    assert rows.pairs() == (["Hi.", "Hi.", "Run."], ["嗨。", "你好。", "跑。"])
    assert ParallelRows.of_pairs(["a"], ["b"]) == ParallelRows(["a"], [("b",)])


def test_what_is_wrong_is_said_with_its_place(tmp_path: Path) -> None:
    bare = tmp_path / "bare.tsv"
    bare.write_text("Hi.\t嗨。\nno tab here\n", encoding="utf-8")
    for source, message in (
        ([], "at least one row. Received: an empty list"),
        ([("a", "b"), ("c", " ")], r"dataset\[1\]: `target` must be a text that is not empty. Received: ' '"),
        ([("a", 3)], r"dataset\[0\]: `target` must be a text.*type int"),
        ([("a", [])], r"dataset\[0\]: expected a translation"),
        ([("a", "b", "c")], r"dataset\[0\]: `dataset` must be a list"),
        ([{"text": "a"}], r"dataset\[0\]: expected the columns `source` and `target` or `src` and `tgt`, or"),
        ([{"translation": {"en": "a", "zh": "b"}}], "does not say which language is the source"),
        ([{"translation": "b"}], "must be a dict from languages"),
        ({"a": "b"}, "`dataset` must be a list or generator.*Received: dict"),
        (bare, r"bare.tsv:2: expected a text, a tab and its translation. Received: 'no tab here'"),
        (tmp_path / "none.tsv", "none.tsv"),
        (Path(__file__), "Expected a file that ends in .tsv, .csv, .jsonl .*Received: .*test_parallel_rows.py"),
    ):
        with pytest.raises(InputError, match=message):
            read_parallel(source)
    with pytest.raises(InputError, match="must have a text in zh. Received: en, de"):
        read_parallel([{"translation": {"en": "a", "de": "b"}}], languages=EN_ZH)


def test_the_pairs_of_tatoeba_are_read(shared_data: Path) -> None:
    rows = read_parallel(shared_data / "tatoeba_en_zh" / "test.tsv.gz")
    assert len(rows) == 2809
    assert all(len(found) == 1 for found in rows.references)
