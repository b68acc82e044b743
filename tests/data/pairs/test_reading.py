"""Training pairs are read from every form that users have, and bad rows end in one clear error."""

import gzip
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tfchain.core.errors import InputError
from tfchain.data.documents.beir import to_dataset
from tfchain.data.pairs.reading import Pairs, read_pairs, text_key

ROWS = [("q1", "d1", "n1"), ("q2", "d2", "n2")]


class HubDataset:
    """Stands in for a `datasets.Dataset`: column names, and batches as dicts of lists."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns_ = columns
        self.column_names = list(columns)

    def iter(self, batch_size: int) -> Iterator[dict[str, list[Any]]]:
        size = len(next(iter(self.columns_.values())))
        for start in range(0, size, batch_size):
            yield {name: values[start : start + batch_size] for name, values in self.columns_.items()}


def columns(pairs: Pairs) -> list[list[str]]:
    return [list(column) for column in pairs.columns]


def test_tuples_lists_and_generators_give_columns() -> None:
    expected = [["q1", "q2"], ["d1", "d2"], ["n1", "n2"]]
    for dataset in (ROWS, [list(row) for row in ROWS], (row for row in ROWS)):
        pairs = read_pairs(dataset)
        assert columns(pairs) == expected
        assert (len(pairs), pairs.num_columns, pairs.labels, pairs.relevant) == (2, 3, None, None)
        assert not pairs.symmetric


def test_plain_texts_are_one_column_without_prompts() -> None:
    pairs = read_pairs(["a", "b"])
    assert columns(pairs) == [["a", "b"]]
    assert pairs.symmetric


@pytest.mark.parametrize(
    ("row", "texts"),
    [
        ({"query": "q", "positive": "d"}, ["q", "d"]),
        ({"negatives": ["n", "m"], "positive": "d", "query": "q"}, ["q", "d", "n", "m"]),
        ({"anchor": "q", "positive": "d", "negative": "n", "id": 7}, ["q", "d", "n"]),
        ({"query": "q", "document": "d", "negatives": "n"}, ["q", "d", "n"]),
        ({"query": "q", "positive": "d", "negative_10": "c", "negative_2": "b", "negative": "a"}, [*"qdabc"]),
        ({"question": "q", "answer": "d"}, ["q", "d"]),
        ({"question": "q", "context": "d"}, ["q", "d"]),
        ({"question": "q", "passage": "d"}, ["q", "d"]),
        ({"query": "q", "text": "d"}, ["q", "d"]),
        ({"query": "q", "positive": "d", "negatives": []}, ["q", "d"]),
        ({"query": "q", "positive": "d", "negatives": np.array(["n", "m"])}, ["q", "d", "n", "m"]),
        ({"text": "t", "id": "x"}, ["t"]),
    ],
)
def test_the_keys_of_dicts_tell_the_columns(row: dict[str, Any], texts: list[str]) -> None:
    assert columns(read_pairs([row, row])) == [[text, text] for text in texts]


def test_two_sentences_with_a_score_are_symmetric() -> None:
    pairs = read_pairs(
        [{"sentence1": "a", "sentence2": "b", "score": 0.5}, {"score": 1, "sentence2": "d", "sentence1": "c"}]
    )
    assert columns(pairs) == [["a", "c"], ["b", "d"]]
    assert pairs.symmetric
    assert pairs.labels is not None
    assert pairs.labels.dtype == np.float32
    assert pairs.labels.tolist() == [[0.5], [1.0]]


@pytest.mark.parametrize("name", ["score", "scores", "label", "labels", "margin"])
def test_a_list_of_labels_gives_one_column_each(name: str) -> None:
    labels = read_pairs([{"query": "q", "positive": "d", "negative": "n", name: [1, 2.5]}] * 3).labels
    assert labels is not None
    assert labels.tolist() == [[1.0, 2.5]] * 3


def test_files_of_all_endings_give_the_same_rows(tmp_path: Path) -> None:
    records = [{"query": f"q {i}", "positive": f'd,"{i}"', "negatives": f"n{i}", "label": i % 2} for i in range(3)]
    lines = "".join(json.dumps(record) + "\n" for record in records)
    cells = "query,positive,negatives,label\n" + "".join(f'q {i},"d,""{i}""",n{i},{i % 2}\n' for i in range(3))
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.csv").write_text(cells)
    (tmp_path / "a.tsv").write_text("query\tpositive\tnegatives\tlabel\n" + 'q 0\t"d,""0"""\tn0\t0\n' * 3)
    parquet.write_table(pyarrow.Table.from_pylist(records), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.jsonl.gz", "a.csv", "a.parquet"):
        pairs = read_pairs(tmp_path / name)
        assert columns(pairs) == [["q 0", "q 1", "q 2"], ['d,"0"', 'd,"1"', 'd,"2"'], ["n0", "n1", "n2"]]
        assert pairs.labels is not None
        assert pairs.labels.tolist() == [[0.0], [1.0], [0.0]]
    assert columns(read_pairs(str(tmp_path / "a.tsv"))) == [["q 0"] * 3, ['d,"0"'] * 3, ["n0"] * 3]


def test_a_cell_may_hold_a_list_of_scores(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('query,positive,negative,scores\nq,d,n,"[1, 0.5]"\n')
    labels = read_pairs(tmp_path / "a.csv").labels
    assert labels is not None
    assert labels.tolist() == [[1.0, 0.5]]


def test_a_folder_of_parquet_files_is_read_by_name(tmp_path: Path) -> None:
    for name, text in (("b", "2"), ("a", "1")):
        table = pyarrow.table({"query": [f"q{text}"], "positive": [f"d{text}"], "negatives": [["n", "m"]]})
        parquet.write_table(table, tmp_path / f"{name}.parquet")
    assert columns(read_pairs(tmp_path)) == [["q1", "q2"], ["d1", "d2"], ["n", "n"], ["m", "m"]]


def test_a_beir_folder_pairs_each_query_with_each_relevant_document(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_text(
        '{"_id": "a", "title": "T", "text": "x"}\n{"_id": "b", "text": "y"}\n{"_id": "c", "text": "z"}\n'
    )
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "one"}\n{"_id": "2", "text": "two"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "train.tsv").write_text("1\ta\t1\n1\tb\t2\n1\tc\t0\n2\tc\t1\n2\tmissing\t1\n")
    pairs = read_pairs(tmp_path)
    assert columns(pairs) == [["one", "one", "two"], ["T x", "y", "z"]]
    assert pairs.relevant is not None
    both = {text_key("T x"), text_key("y")}
    assert [set(keys) for keys in pairs.relevant] == [both, both, {text_key("z")}]


def test_a_beir_dataset_without_relevant_documents_is_refused() -> None:
    dataset = to_dataset(queries={"1": "one"}, qrels={"1": {"0": 0}}, documents=["x"])
    with pytest.raises(InputError, match="must judge a document of its corpus relevant"):
        read_pairs(dataset)


def test_a_hub_dataset_is_read_in_batches_of_its_columns() -> None:
    size = 2500
    names = {"id": list(range(size)), "anchor": [f"q{i}" for i in range(size)], "positive": ["d"] * size}
    pairs = read_pairs(HubDataset(names | {"negatives": [["n", "m"]] * size, "score": [0.5] * size}))
    assert columns(pairs) == [names["anchor"], ["d"] * size, ["n"] * size, ["m"] * size]
    assert pairs.labels is not None
    assert pairs.labels.shape == (size, 1)


def test_one_split_of_a_dict_of_hub_datasets_is_read() -> None:
    class HubDatasets(dict[str, HubDataset]):
        column_names: Any = None

    datasets = HubDatasets(train=HubDataset({"query": ["q"], "positive": ["d"]}))
    assert columns(read_pairs(datasets)) == [["q"], ["d"]]
    with pytest.raises(InputError, match="no split 'dev'. Available: train"):
        read_pairs(datasets, split="dev")


def test_a_hub_dataset_with_a_text_missing_tells_its_row() -> None:
    dataset = HubDataset({"query": ["q"] * 1500, "positive": ["d"] * 1400 + [None] + ["d"] * 99})
    with pytest.raises(InputError, match=r"dataset\[1400\]: `positive` must be a text .* Received: None"):
        read_pairs(dataset)


def test_tf_datasets_of_dicts_tuples_and_texts_are_read() -> None:
    import tensorflow as tf

    data = tf.data.Dataset.from_tensor_slices
    assert columns(read_pairs(data(["你好", "b"]))) == [["你好", "b"]]
    assert columns(read_pairs(data((["q1", "q2"], ["d1", "d2"])))) == [["q1", "q2"], ["d1", "d2"]]
    pairs = read_pairs(data({"positive": ["d"], "query": ["q"], "negatives": [["n", "m"]], "score": [0.25], "id": [1]}))
    assert columns(pairs) == [["q"], ["d"], ["n"], ["m"]]
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [[0.25]]
    ragged = data({"query": ["q", "p"], "positive": ["d", "e"], "negatives": tf.ragged.constant([["n"], ["m", "o"]])})
    assert columns(read_pairs(ragged.take(1))) == [["q"], ["d"], ["n"]]
    with pytest.raises(InputError, match=r"dataset\[1\]: expected 1 negatives, as dataset\[0\] has. Received: 2"):
        read_pairs(ragged)
    with pytest.raises(InputError, match="must yield flat dicts or tuples of string tensors"):
        read_pairs(data(((["q"], ["d"]), ["e"])))
    with pytest.raises(InputError, match="must end. Received: a tf.data.Dataset that repeats forever"):
        read_pairs(data(["a"]).repeat())
    with pytest.raises(InputError, match=r"one row per element. Received: `query` of shape \(None,\)"):
        read_pairs(data((["q"], ["d"])).batch(2))
    with pytest.raises(InputError, match=r"dataset\[0\]: expected texts in UTF-8. Received: b'\\xff'"):
        read_pairs(data([b"\xff"]))


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([], "must have at least one row. Received: an empty list"),
        (iter(()), "must have at least one row"),
        (HubDataset({"query": [], "positive": []}), "must have at least one row"),
        (7, "`dataset` must be a list or generator .* Received: int"),
        ({"query": ["q"]}, "`dataset` must be a list .* Received: dict"),
        ({"q", "d"}, "Received: set"),
        (pyarrow.table({"query": ["q"]}), r"`dataset`: no column holds the document. Received the columns: query"),
        ([("q", "d"), ("q",)], r"dataset\[1\]: expected 2 texts, as dataset\[0\] has. Received: 1"),
        ([("q", "d", "n"), ("q", "d")], r"dataset\[1\]: expected 1 negatives, as dataset\[0\] has. Received: 0"),
        ([("q", "d"), {"query": "q", "positive": "d"}], r"dataset\[1\]: expected a tuple as dataset\[0\] is"),
        ([("q", 7)], r"dataset\[0\]: `positive` must be a text .* Received: 7 of type int"),
        ([("q", " ")], r"dataset\[0\]: `positive` must be a text that is not empty. Received: ' '"),
        ([("q", "d"), ("q", b"d")], r"dataset\[1\]: `positive` must be a text .* of type bytes"),
        ([("\ud83d", "d")], r"dataset\[0\]: `query` must be valid Unicode"),
        ([["q", ["d"]]], r"dataset\[0\]: `positive` must be a text .* of type list"),
        ([()], r"dataset\[0\]: expected"),
        ([None], r"dataset\[0\]: `text` must be a text that is not empty. Received: None"),
        ([{"a": "q", "b": "d"}], r"dataset\[0\]: no column holds the query. Received the columns: a, b. Expected"),
        ([{"query": "q"}], r"no column holds the document. Received the columns: query"),
        (
            [{"question": "q", "answer": "a", "context": "c"}],
            "more than one column can hold the document: answer, context",
        ),
        ([{"text": "q", "label": 1, "score": 1}], "more than one column can hold the labels: score, label"),
        (
            [{"query": "q", "positive": "d"}, {"query": "q", "positive": "d", "negative": "n"}],
            r"dataset\[1\]: expected the columns of dataset\[0\] \(query, positive\). Received: .*, negative. Give",
        ),
        ([{"text": "a"}, {"txt": "b"}], r"dataset\[1\]: no column holds the query. Received the columns: txt"),
        (
            [{"query": "q", "positive": "d", "negatives": ["n"]}, {"query": "q", "positive": "d", "negatives": None}],
            r"dataset\[1\]: expected 1 negatives, as dataset\[0\] has. Received: 0. .*same number",
        ),
        ([{"text": "a", "score": float("nan")}], r"dataset\[0\]: `score` must be a finite number.* Received: nan"),
        (
            [{"text": "a", "score": 1.0}, {"text": "a", "score": float("inf")}],
            r"dataset\[1\]: `score` must be a finite",
        ),
        ([{"text": "a", "score": 1e300}], r"dataset\[0\]: `score` must be a finite number"),
        (
            [{"text": "a", "label": "yes"}],
            r"dataset\[0\]: `label` must be a finite number.* Received: 'yes' of type str",
        ),
        ([{"text": "a", "label": None}], r"dataset\[0\]: `label` must be a finite number.* Received: None"),
        (
            [{"text": "a", "scores": [1, 2]}, {"text": "a", "scores": [1]}],
            r"dataset\[1\]: expected 2 numbers in `scores`, as dataset\[0\] has. Received: 1",
        ),
    ],
)
def test_bad_rows_are_refused_by_their_place(dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_pairs(dataset)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"query": "q", "positive": "d"}\n\n{"query": "q"}\n', r"a\.jsonl:3: no column holds the document"),
        ("a.jsonl", '{"query": "q", "positive": "d"}\n{"query": ', r"a\.jsonl:2: broken JSON"),
        ("a.jsonl", '{"text": "a", "score": NaN}\n', r"a\.jsonl:1: `score` must be a finite number"),
        ("a.jsonl", "\n", r"must have at least one row. Received: .*a\.jsonl"),
        ("a.csv", "query,positive\nq,d\nq,d,n\n", r"a\.csv:3: expected 2 cells \(query, positive\). Received: 3"),
        ("a.csv", "query,positive\nq,\n", r"a\.csv:2: `positive` must be a text that is not empty"),
        ("a.csv", "text,score\na,0.5\nb,high\n", r"a\.csv:3: `score` must be a finite number.* Received: 'high'"),
        ("a.tsv", "Stop!\t住手！\n", r"a\.tsv:1 \(the line of column names\): no column holds the query"),
        ("a.txt", "q\n", r"Expected a file that ends in .jsonl, .csv, .*Received: .*a\.txt"),
        ("a.parquet", "no", r"Could not read .*a\.parquet as Parquet"),
    ],
)
def test_broken_files_are_refused_by_file_and_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / name)


def test_paths_that_hold_no_pairs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No such file: .*missing\.jsonl"):
        read_pairs(tmp_path / "missing.jsonl")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="Received: 0 .parquet and 0 .tfrecord of 1 files"):
        read_pairs(tmp_path)


def test_a_parquet_row_is_named_by_its_number(tmp_path: Path) -> None:
    table = pyarrow.table({"query": ["q"] * 1100, "positive": ["d"] * 1050 + [""] + ["d"] * 49})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet, row 1051: `positive` must be a text that is not empty"):
        read_pairs(tmp_path / "a.parquet")


def test_a_text_key_is_63_bits_of_blake2b_of_the_stripped_text() -> None:
    digest = hashlib.blake2b("你好".encode(), digest_size=8).digest()
    assert text_key(" 你好\n") == int.from_bytes(digest, "little") // 2
    assert text_key("a") != text_key("b")
    assert read_pairs([("a", "b"), ("b", "c")]).keys().tolist() == [
        [text_key("a"), text_key("b")],
        [text_key("b"), text_key("c")],
    ]


def test_pairs_are_given_back_and_texts_are_plain_strings() -> None:
    pairs = read_pairs([(np.str_("q"), "d")])
    assert type(pairs.columns[0][0]) is str
    assert read_pairs(pairs) is pairs


def test_reading_pairs_does_not_import_tensorflow() -> None:
    code = (
        "import sys, tfchain.data.pairs.reading as p, tfchain.data.pairs.samplers, tfchain.data.pairs.token_store;"
        "import tfchain.data.shards.pair_shards;"
        "p.read_pairs([('q', 'd')]); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_the_train_split_of_scifact_has_as_many_pairs_as_judgments(shared_data: Path) -> None:
    pairs = read_pairs(shared_data / "scifact")
    assert len(pairs) == sum(1 for _ in (shared_data / "scifact" / "qrels" / "train.tsv").open()) - 1


def test_one_column_of_two_sentences_does_not_make_rows_sentences() -> None:
    pairs = read_pairs([{"query": "q", "positive": "d", "sentence1": "s"}])
    assert columns(pairs) == [["q"], ["d"]]
    assert not pairs.symmetric


def test_a_later_block_with_more_labels_a_row_is_refused_by_its_first_row() -> None:
    rows = [{"text": "a", "scores": [1.0]}] * 1024 + [{"text": "a", "scores": [1.0, 0.5]}] * 3
    with pytest.raises(InputError, match=r"dataset\[1024\]: expected 1 numbers in `scores`, as dataset\[0\] has.*: 2"):
        read_pairs(rows)


def test_negatives_are_read_in_the_order_of_their_numbers() -> None:
    row = {"query": "q", "positive": "d", **{f"negative_{number}": f"n{number}" for number in (10, 9, 1)}}
    assert columns(read_pairs([row])) == [["q"], ["d"], ["n1"], ["n9"], ["n10"]]


LINES = [
    '{"query": "a", "positive": "b", "score": 1}',
    '{"query": "a", "positive": ',
    '{"query": "c", "positive": "d", "score": "much"}',
    '{"query": "e", "positive": " ", "score": 1}',
    '{"query": "e", "score": 1}',
    "[1, 2]",
    '{"query": "g", "positive": "h", "score": 0.5}',
]


def test_broken_rows_are_left_out_counted_and_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    kept = tmp_path / "broken.jsonl"
    pairs = read_pairs(tmp_path / "rows.jsonl", max_broken=5, broken_file=kept)
    assert [list(column) for column in pairs.columns] == [["a", "g"], ["b", "h"]]
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [[1], [0.5]]
    broken = [json.loads(line) for line in kept.read_text().splitlines()]
    places = {int(row["place"].rpartition(":")[2]): row for row in broken}
    assert sorted(places) == [2, 3, 4, 5, 6]
    assert "`score` must be a finite number" in places[3]["reason"]
    assert json.loads(places[3]["record"]) == {"query": "c", "positive": "d", "score": "much"}
    assert "broken JSON" in places[2]["reason"]
    assert "Left out 5 broken records" in caplog.text


def test_one_broken_row_too_many_ends_the_reading_with_their_number(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n".join(LINES))
    with pytest.raises(InputError, match="That is broken record number 5; `max_broken` allows 4"):
        read_pairs(tmp_path / "rows.jsonl", max_broken=4)
    with pytest.raises(InputError, match="rows.jsonl:2: broken JSON"):
        read_pairs(tmp_path / "rows.jsonl")
    with pytest.raises(InputError, match="`max_broken` must be a whole number from 0. Received: max_broken=-1"):
        read_pairs([("a", "b")], max_broken=-1)


def test_broken_rows_in_memory_and_in_tables_are_left_out_as_well(tmp_path: Path) -> None:
    rows = [("a", "b"), ("c", "d", "e"), "f", ("g", "h"), ("i", "")]
    assert [list(column) for column in read_pairs(rows, max_broken=3).columns] == [["a", "g"], ["b", "h"]]
    (tmp_path / "rows.csv").write_text("query,positive\na,b\nc,d,e\n,f\ng,h\n")
    read = read_pairs(tmp_path / "rows.csv", max_broken=2)
    assert [list(column) for column in read.columns] == [["a", "g"], ["b", "h"]]
    with pytest.raises(InputError, match="Expected rows. Received only 2 broken records, the first: dataset.0."):
        read_pairs([("a", ""), ("b", "")], max_broken=9)


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (None, [("a", "b"), ("c", "d")]),
        ({"query": "a"}, [{"query": "a", "positive": "b"}, {"query": "c", "positive": "d"}]),
        (
            {"query": "q", "positive": "p", "labels": None},
            [{"query": "a", "positive": "b", "labels": [1, 2]}, {"query": "c", "positive": "d", "labels": [3, 4]}],
        ),
        (
            {"query": "q", "positive": "p", "negatives": ["x", ""]},
            [{"query": "a", "positive": "b", "negatives": ["n"]}, {"query": "c", "positive": "d", "negatives": ["m"]}],
        ),
    ],
    ids=["of no kind", "a column missing", "no labels", "an empty negative"],
)
def test_a_broken_first_row_does_not_break_the_others(first: Any, rest: list[Any], tmp_path: Path) -> None:
    pairs = read_pairs([first, *rest], max_broken=1, broken_file=tmp_path / "broken.jsonl")
    assert [list(column) for column in pairs.columns][:2] == [["a", "c"], ["b", "d"]]
    assert json.loads((tmp_path / "broken.jsonl").read_text())["place"] == "dataset[0]"
    with pytest.raises(InputError, match=r"dataset\[0\]"):
        read_pairs([first, *rest], broken_file=tmp_path / "broken.jsonl")
    assert json.loads((tmp_path / "broken.jsonl").read_text())["place"] == "dataset[0]"


def test_a_number_and_a_list_of_one_number_are_the_same_label() -> None:
    rows = [{"text": "a", "score": 1}, {"text": "b", "score": [0.5]}, {"text": "c", "score": np.float32(2)}]
    labels = read_pairs(rows).labels
    assert labels is not None
    assert labels.tolist() == [[1], [0.5], [2]]


def test_a_damaged_file_counts_as_one_broken_row(tmp_path: Path) -> None:
    folder = tmp_path / "rows"
    folder.mkdir()
    for name in "13":
        (folder / f"{name}.jsonl").write_text(f'{{"query": "{name}", "positive": "b"}}\n')
    (folder / "2.jsonl.gz").write_bytes(gzip.compress(b'{"query": "2", "positive": "b"}\n' * 9)[:-9])
    pattern = str(folder / "*.jsonl*")
    queries = read_pairs(pattern, max_broken=1).columns[0]
    assert (queries[0], queries[-1]) == ("1", "3")  # what stands before the damage may be read
    with pytest.raises(InputError, match=r"2\.jsonl\.gz"):
        read_pairs(pattern)
    with pytest.raises(InputError, match=r"Received only 1 broken records, the first: No such file: .*none\.jsonl"):
        read_pairs(tmp_path / "none.jsonl", max_broken=3)
