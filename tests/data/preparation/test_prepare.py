"""Tests of `prepare`: streams, folders, what reads them again, and runs that are killed or fill the disk."""

import hashlib
import json
import os
import resource
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.data.preparation.killing_steps import DieOnce, DropRepeated, Shout, Twice
from tfchain.core.errors import InputError, TfchainError
from tfchain.core.types import Document
from tfchain.data.documents.reading import ReadOptions, read_documents
from tfchain.data.pairs.reading import read_pairs
from tfchain.data.preparation.prepare import prepare
from tfchain.data.shards.pair_shards import PairShards
from tfchain.data.steps.step import FilterStep

ROWS = [{"id": str(n), "text": f"text {n % 4000}", "label": n % 3} for n in range(6000)]
STEPS = [Shout(), DieOnce(), DropRepeated(), Twice()]


def read_tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def rows_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture(scope="module")
def unbroken(rows_path: Path) -> dict[str, bytes]:
    """What a run writes that nothing stops, in one process."""
    output = rows_path.parent / "unbroken"
    prepare(rows_path, STEPS, output=output, num_workers=1, **OPTIONS)
    return read_tree(output)


OPTIONS = {"read": "rows", "shard_records": 700, "side_file": "dropped.jsonl", "checkpoint_seconds": 0}
PROGRAM = """
import sys
from tests.data.preparation.killing_steps import *
from tfchain.data.preparation.prepare import prepare
prepare(sys.argv[1], [Shout(), DieOnce(), DropRepeated(), Twice()], output=sys.argv[2], num_workers=int(sys.argv[3]),
        read="rows", shard_records=700, side_file="dropped.jsonl", checkpoint_seconds=0)
"""


def test_a_stream_passes_records_through_the_steps_and_reports(tmp_path: Path) -> None:
    stream = prepare(["a", "hush", "b"], [Shout()], side_file=tmp_path / "dropped.jsonl")
    assert list(stream) == [Document("0", "A"), Document("2", "B")]
    report = stream.report
    assert (report.read, report.written, report.steps[0].dropped) == (3, 2, {"no text left": 1})
    assert str(report).splitlines()[1] == "  shout: 3 → 2 (dropped, no text left: 1; changed, shout: 2)"
    actions = [json.loads(line)["action"] for line in (tmp_path / "dropped.jsonl").read_text().splitlines()]
    assert actions == ["changed", "dropped", "changed"]


def test_a_folder_has_shards_with_their_hashes_a_report_and_a_card(tmp_path: Path, rows_path: Path) -> None:
    made = prepare(
        *(rows_path, STEPS),
        output=tmp_path / "set",
        card={"name": "Rows", "licence": "CC0 1.0"},
        **OPTIONS,
    )
    # 4,000 different texts, of which the first 4,000 rows have one each; 2,000 of those ids are even.
    assert (made.report.read, made.report.written, made.manifest.records) == (6000, 6000, 6000)
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert [shard["records"] for shard in manifest["shards"]] == [700] * 8 + [400]
    for shard in manifest["shards"]:
        content = (tmp_path / "set" / shard["name"]).read_bytes()
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
        assert shard["records"] == content.count(b"\n")
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert card["fields"] == {"name": "Rows", "licence": "CC0 1.0"}
    assert card["sources"] == [
        {
            "name": "rows.jsonl",
            "bytes": rows_path.stat().st_size,
            "sha256": hashlib.sha256(rows_path.read_bytes()).hexdigest(),
        }
    ]
    assert card["steps"][2]["dropped"] == {"repeated": 2000}
    assert "| licence | CC0 1.0 |" in (tmp_path / "set" / "README.md").read_text()
    report = json.loads((tmp_path / "set" / "report.json").read_text())
    assert report["steps"][3]["added"] == {"even": 2000}
    side = (tmp_path / "set" / "dropped.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["action"] == "dropped" for line in side) == 2000
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_the_fingerprint_depends_on_content_and_settings_alone(tmp_path: Path) -> None:
    texts = ["a", "b", "c"]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "docs.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    first = prepare(tmp_path / "one" / "docs.jsonl", [Shout()], output=tmp_path / "x")
    second = prepare(tmp_path / "two" / "docs.jsonl", [Shout()], output=tmp_path / "elsewhere" / "y", card={"a": 1})
    assert first.fingerprint == second.fingerprint
    assert prepare(tmp_path / "two" / "docs.jsonl", [], output=tmp_path / "z").fingerprint != first.fingerprint
    in_memory = prepare(texts, [Shout()], output=tmp_path / "m")
    assert in_memory.fingerprint == prepare(iter(texts), [Shout()], output=tmp_path / "n").fingerprint
    assert in_memory.fingerprint != prepare(["a", "b", "C"], [Shout()], output=tmp_path / "o").fingerprint


@pytest.mark.usefixtures("forks")
def test_workers_change_nothing(tmp_path: Path, rows_path: Path, unbroken: dict[str, bytes]) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM, str(rows_path), str(tmp_path / "set"), "2"], check=True, timeout=60)
    assert read_tree(tmp_path / "set") == unbroken


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize(("at", "num_workers"), [("1500", 1), ("3999", 1), ("5999", 1), ("3500", 2)])
def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    at: str, num_workers: int, tmp_path: Path, rows_path: Path, unbroken: dict[str, bytes]
) -> None:
    (tmp_path / "bomb").write_text(at)
    environment = {**os.environ, "BOMB": str(tmp_path / "bomb")}
    command = [sys.executable, "-c", PROGRAM, str(rows_path), str(tmp_path / "set"), str(num_workers)]
    killed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert killed.returncode != 0
    assert not (tmp_path / "set").exists()
    position = json.loads(next((tmp_path / ".preparing-set").glob("checkpoint-*/position.json")).read_text())
    assert 0 < position["read"] <= int(at)
    made = prepare(rows_path, STEPS, output=tmp_path / "set", num_workers=1, **OPTIONS)
    assert read_tree(made.path) == unbroken
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]


def test_a_run_in_memory_goes_on_with_the_same_records_only(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stopped(rows):
        yield from rows[:3000]
        raise Stop

    with pytest.raises(Stop):
        prepare(stopped(ROWS), STEPS, output=tmp_path / "set", **OPTIONS)
    assert (tmp_path / ".preparing-set").is_dir()
    with pytest.raises(InputError, match=r"the first [12],0\d\d records of the source are not those that it has read"):
        prepare([{"id": "x", "text": "y"}, *ROWS], STEPS, output=tmp_path / "set", **OPTIONS)
    made = prepare(iter(ROWS), STEPS, output=tmp_path / "set", **OPTIONS)
    whole = prepare(ROWS, STEPS, output=tmp_path / "whole", **OPTIONS)
    assert read_tree(made.path) == read_tree(whole.path)


def test_a_run_does_not_go_on_with_other_sources_or_steps(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "not JSON\n")
    with pytest.raises(InputError, match=r"rows.jsonl:6001: broken JSON"):
        prepare(path, STEPS, output=tmp_path / "set", **OPTIONS)
    expected = r"The stopped preparation of .*set cannot be continued: steps\[0\] was .*shout.* then, and is .*twice"
    with pytest.raises(InputError, match=expected):
        prepare(path, [Twice(), *STEPS[1:]], output=tmp_path / "set", **OPTIONS)
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.raises(InputError, match="the source rows.jsonl was changed since, as were 0 other files. Run it as"):
        prepare(path, STEPS, output=tmp_path / "set", **OPTIONS)
    assert prepare(path, STEPS, output=tmp_path / "set", resume=False, **OPTIONS).report.written == 6000


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_full_disk_ends_in_one_error_and_the_next_run_goes_on(format: str, tmp_path: Path, rows_path: Path) -> None:
    options = {**OPTIONS, "format": format}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, hard))  # the side file outgrows it
    try:
        with pytest.raises(TfchainError, match="Could not write .*set: File too large. What was there before"):
            prepare(rows_path, STEPS, output=tmp_path / "set", num_workers=1, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == [".preparing-set"]
    made = prepare(rows_path, STEPS, output=tmp_path / "set", num_workers=1, **options)
    whole = prepare(rows_path, STEPS, output=tmp_path / "whole", num_workers=1, **options)
    assert read_tree(made.path) == read_tree(whole.path)


def test_a_run_that_fails_before_its_first_checkpoint_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"documents\[1\]: a document must be a text"):
        prepare(["a", 1], output=tmp_path / "set")
    with pytest.raises(InputError, match=r"No record is left to write. Received: 1 records"):
        prepare(["hush"], [Shout()], output=tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_a_set_that_exists_stays(tmp_path: Path) -> None:
    prepare(["a"], output=tmp_path / "set")
    before = read_tree(tmp_path / "set")
    with pytest.raises(InputError, match="`output` must not exist, or must be an empty folder"):
        prepare(["b"], output=tmp_path / "set")
    assert read_tree(tmp_path / "set") == before


def test_documents_with_one_id_are_an_error_that_names_both(tmp_path: Path) -> None:
    documents = [{"id": str(n % 2500), "text": "x"} for n in range(2502)]
    with pytest.raises(InputError, match="the same id, '0': number 1 and number 2,501 of those"):
        prepare(documents, output=tmp_path / "set", checkpoint_seconds=60)


DOCUMENTS = [
    Document("1", "one", "First", {"year": 2020, "tags": ["a"]}),
    Document("2", "zwei, 二"),
    Document("3", "three", metadata={"author": {"name": "x"}}),
]


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_set_of_documents_is_read_by_its_path(format: str, tmp_path: Path) -> None:
    made = prepare(DOCUMENTS, output=tmp_path / "set", format=format, shard_records=2)
    assert list(read_documents(made.path)) == DOCUMENTS
    assert list(prepare(made.path)) == DOCUMENTS
    (made.path / f"part-00001.{format}").write_bytes(b"")
    with pytest.raises(InputError, match="part-00001.* is not as manifest.json says. Expected: .* bytes. Received: 0"):
        list(read_documents(made.path))


def test_documents_are_not_written_as_tfrecords(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="TFRecords are for rows to train on. Received: format='tfrecord'"):
        prepare(["a"], output=tmp_path / "set", format="tfrecord")


@pytest.mark.parametrize("format", ["jsonl", "parquet", "tfrecord"])
def test_a_set_of_rows_is_read_by_fit_and_by_pair_shards(format: str, tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "positive": f"p{n}", "negative_1": "n", "score": n / 2, "url": "x"} for n in range(6)]
    made = prepare(rows, output=tmp_path / "set", read="rows", format=format, shard_records=3)
    pairs = read_pairs(made.path)
    assert [list(column) for column in pairs.columns] == [
        [f"q{n}" for n in range(6)],
        [f"p{n}" for n in range(6)],
        ["n"] * 6,
    ]
    assert pairs.labels is not None
    assert pairs.labels[:, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    if format != "jsonl":
        shards = PairShards(made.path)
        assert shards.count_rows(num_workers=2) == 3
        assert len(list(shards.iterate(seed=0, epoch=0, worker=1, num_workers=2))) == 3
    with pytest.raises(InputError, match="is a prepared set of rows to train on. Expected one of documents"):
        list(read_documents(made.path))


def test_rows_that_do_not_fit_into_columns_are_refused_in_parquet(tmp_path: Path) -> None:
    for later, why in (({"text": "b", "label": "x"}, "Could not convert"), ({"text": "b", "url": "x"}, "'url'")):
        with pytest.raises(InputError, match=f"The rows do not fit into the columns of Parquet: .*{why}"):
            prepare(
                [{"text": "a", "label": 1}, later],
                output=tmp_path / "set",
                read="rows",
                format="parquet",
                shard_records=1,
            )
    made = prepare([{"text": "a"}, {"text": "b", "label": 2}], output=tmp_path / "set", read="rows", format="parquet")
    from pyarrow import parquet

    assert parquet.read_table(made.path / "part-00000.parquet").to_pylist() == [
        {"text": "a", "label": None},
        {"text": "b", "label": 2},
    ]


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    for arguments, expected in (
        ({"steps": "shout"}, "`steps` must be a list of steps. Received: 'shout'"),
        ({"read": "pairs"}, "`read` must be 'documents' or 'rows'. Received: read='pairs'"),
        ({"output": tmp_path / "x", "format": "csv"}, "`format` must be one of jsonl, parquet, tfrecord"),
        ({"output": tmp_path / "x", "side_file": "../x"}, "`side_file` must be the name of a file in it"),
        ({"output": tmp_path / "x", "card": ["a"]}, r"`card` must be a dict of fields, such as {'licence'"),
        ({"output": tmp_path / "x", "shard_records": 0}, "`shard_records` must be a whole number of at least 1"),
    ):
        with pytest.raises(InputError, match=expected):
            prepare(["a"], **arguments)
    with pytest.raises(InputError, match="Received: a row .* among others. Prepare documents and rows into two sets"):
        prepare([Document("1", "a"), {"text": "b"}], output=tmp_path / "x", read="rows")
    with pytest.raises(InputError, match="No such file or folder: .*none.jsonl"):
        prepare(tmp_path / "none.jsonl", output=tmp_path / "x")


@dataclass(frozen=True)
class Needy(FilterStep):
    name = "needy"
    needs = ("count_tokens",)
    count_tokens: Any = None

    def reason(self, record):
        return "long" if self.count_tokens([record.text])[0] > 1 else None


def test_steps_get_what_they_need_of_a_model() -> None:
    def count_words(texts):
        return [len(text.split()) for text in texts]

    assert [d.text for d in prepare(["a b", "c"], [Needy()], callables={"count_tokens": count_words})] == ["c"]
    with pytest.raises(InputError, match="The step needy needs `count_tokens`, which comes from a model"):
        prepare(["a"], [Needy()])


def test_a_row_without_a_form_gets_names(tmp_path: Path) -> None:
    assert list(prepare([("q", "p", "n")], read="rows")) == [{"query": "q", "positive": "p", "negative_1": "n"}]
    with pytest.raises(InputError, match=r"source\[0\]: expected a row"):
        list(prepare([3], read="rows"))


def test_broken_rows_are_borne_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": \n{"text": "b", "label": 2}\n')
    reading = ReadOptions(max_broken=1, broken_file=tmp_path / "broken.jsonl")
    made = prepare(path, [], output=tmp_path / "set", read="rows", reading=reading)
    assert [row["text"] for row in map(json.loads, (made.path / "part-00000.jsonl").read_text().splitlines())] == [
        "a",
        "b",
    ]
    assert json.loads((tmp_path / "broken.jsonl").read_text())["place"] == f"{path}:2"
    stream = prepare([{"text": "a"}, 7, ("q", "p")], [], read="rows", reading=ReadOptions(max_broken=1))
    assert list(stream) == [{"text": "a"}, {"query": "q", "positive": "p"}]
    with pytest.raises(InputError, match="rows.jsonl:2: broken JSON"):
        prepare(path, [], output=tmp_path / "other", read="rows")
    path.write_text("{\n[\n")
    with pytest.raises(InputError, match="Expected rows. Received only 2 broken records"):
        list(prepare(path, [], read="rows", reading=ReadOptions(max_broken=5)))
    with pytest.raises(InputError, match="Expected rows. Received only 2 broken records"):
        prepare(path, [], output=tmp_path / "other", read="rows", reading=ReadOptions(max_broken=5))
    with pytest.raises(InputError, match="`empty` says what becomes of documents. Received: empty='keep'"):
        prepare(path, [], read="rows", reading=ReadOptions(empty="keep"))
