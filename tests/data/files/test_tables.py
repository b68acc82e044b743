"""Tables of all kinds give the same documents and the same pairs, and what is missing in them is missing."""

import datetime
import decimal
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.documents.reading import read_documents
from tfchain.data.pairs.reading import read_pairs

DAY_NS = np.datetime64("2024-01-02T03:04:05.123456789")


class Frame:
    """Stands in for a data frame of pandas or Polars: columns, and Arrow's interface of streams."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table
        self.columns = table.column_names

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class MixedFrame:
    """Stands in for a data frame with a column that Arrow has no type for."""

    columns = ("text",)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return pyarrow.array(["a", 1])


def test_rows_of_a_data_frame_have_no_id_title_or_text_where_it_is_nan() -> None:
    nan, nat = float("nan"), np.datetime64("NaT")
    rows = [
        {"id": nan, "title": nan, "text": "x", "when": nat, "n": nan},
        {"id": "b", "title": "T", "text": nan, "when": DAY_NS, "n": np.float64(1)},
        {"id": None, "_id": np.int64(7), "text": "y", "metadata": nan},
        {"id": "", "text": "z"},
    ]
    assert list(read_documents(rows)) == [
        Document("0", "x", metadata={"when": None, "n": None}),
        Document("b", "", "T", {"when": "2024-01-02T03:04:05.123456789", "n": 1.0}),
        Document("7", "y"),
        Document("3", "z"),
    ]
    with pytest.raises(InputError, match=r"^documents\[0\]: A document must have a text or a title"):
        list(read_documents([{"text": nan, "title": nan}], empty="error"))


@pytest.mark.parametrize("name", ["d.csv", "d.tsv"])
def test_an_empty_cell_is_missing_as_null_is_in_parquet(tmp_path: Path, name: str) -> None:
    between = "," if name == "d.csv" else "\t"
    lines = [["id", "title", "text", "year"], ["", "", "x", ""], ["b", "T", "", "1999"]]
    (tmp_path / name).write_text("".join(between.join(cells) + "\n" for cells in lines))
    columns = {"id": [None, "b"], "title": [None, "T"], "text": ["x", None], "year": [None, "1999"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "d.parquet")
    expected = [Document("0", "x", metadata={"year": None}), Document("b", "", "T", {"year": "1999"})]
    assert list(read_documents(tmp_path / name)) == expected
    assert list(read_documents(tmp_path / "d.parquet")) == expected


def test_dates_that_python_has_none_for_are_text_from_parquet(tmp_path: Path) -> None:
    far = np.datetime64("10000-01-02T00:00:00", "us").astype(int).item()
    fine = DAY_NS.astype(int).item()
    pair = pyarrow.struct([("at", pyarrow.timestamp("ns")), ("n", pyarrow.int8())])
    table = pyarrow.table(
        {
            "text": ["x", "y"],
            "ns": pyarrow.array([fine, None], pyarrow.timestamp("ns")),
            "zone": pyarrow.array([fine, 0], pyarrow.timestamp("ns", "Asia/Tokyo")),
            "far": pyarrow.array([far, 0], pyarrow.timestamp("us")),
            "day": pyarrow.array([2932896 + 104, 0], pyarrow.date32()),  # 104 days behind 9999-12-31; 1970
            "clock": pyarrow.array([1, None], pyarrow.time64("ns")),
            "list": pyarrow.array([[fine], None], pyarrow.list_(pyarrow.timestamp("ns"))),
            "box": pyarrow.array([(fine, 1), None], pair),
            "map": pyarrow.array([[("a", fine)], None], pyarrow.map_(pyarrow.string(), pyarrow.timestamp("ns"))),
        }
    )
    parquet.write_table(table, tmp_path / "d.parquet")
    first, second = read_documents(tmp_path / "d.parquet")
    moment = "2024-01-02T03:04:05.123456789"
    assert first.metadata == {
        "ns": moment,
        "zone": f"{moment}+00:00",
        "far": "10000-01-02T00:00:00.000000",
        "day": "10000-04-13",
        "clock": "00:00:00.000000001",
        "list": [moment],
        "box": {"at": moment, "n": 1},
        "map": [["a", moment]],
    }
    assert second.metadata == dict.fromkeys(first.metadata) | {
        "zone": "1970-01-01T09:00:00+09:00",
        "far": "1970-01-01T00:00:00",
        "day": "1970-01-01",
    }


def test_a_value_that_parquet_cannot_give_tells_file_row_and_column(tmp_path: Path) -> None:
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 2, pyarrow.array([b"good", b"\xff"]).buffers())
    parquet.write_table(pyarrow.table({"text": broken, "query": ["a", "b"]}), tmp_path / "d.parquet")
    message = r"d\.parquet, row 2: the column `text` holds a value that cannot be read: .*0xff"
    with pytest.raises(InputError, match=message):
        list(read_documents(tmp_path / "d.parquet"))
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / "d.parquet")


def test_a_duration_is_refused_with_file_row_and_column(tmp_path: Path) -> None:
    lasts = pyarrow.array([None, 5], pyarrow.duration("ns"))
    parquet.write_table(pyarrow.table({"text": ["x", "y"], "lasts": lasts}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet, row 2: metadata 'lasts' must be something that JSON can hold"):
        list(read_documents(tmp_path / "d.parquet"))


def test_a_parquet_row_of_a_later_batch_is_named_by_its_number_in_the_file(tmp_path: Path) -> None:
    parquet.write_table(pyarrow.table({"text": ["x"] * 1500 + [" "]}), tmp_path / "d.parquet")
    with pytest.raises(InputError, match=r"d\.parquet, row 1501: A document must have a text"):
        list(read_documents(tmp_path / "d.parquet", empty="error"))


@pytest.mark.parametrize("wrap", [lambda table: table, Frame], ids=["arrow", "frame"])
def test_a_data_frame_is_read_as_it_is(wrap: Any) -> None:
    table = pyarrow.table({"id": [1, 2], "text": ["x", "y"], "n": [None, 2.5], "__index_level_0__": ["r", "s"]})
    assert list(read_documents(wrap(table))) == [
        Document("1", "x", metadata={"n": None}),
        Document("2", "y", metadata={"n": 2.5}),
    ]
    pairs = read_pairs(wrap(pyarrow.table({"query": ["q"], "id": [7], "positive": ["d"], "score": [0.5]})))
    assert [list(column) for column in pairs.columns] == [["q"], ["d"]]
    assert pairs.labels is not None
    assert pairs.labels.tolist() == [[0.5]]
    with pytest.raises(InputError, match="`documents`: expected a column named `text`.*columns: body"):
        list(read_documents(wrap(pyarrow.table({"body": ["x"]}))))
    with pytest.raises(InputError, match=r"^documents\[1100\]: A document must have a text"):
        list(read_documents(wrap(pyarrow.table({"text": ["x"] * 1100 + [None]})), empty="error"))
    with pytest.raises(InputError, match=r"^dataset\[1100\]: `text` must be a text"):
        read_pairs(wrap(pyarrow.table({"text": ["x"] * 1100 + [None]})))


def test_a_data_frame_that_arrow_cannot_read_is_refused_with_advice() -> None:
    with pytest.raises(InputError, match=r"`documents` must be a data frame that Arrow can read.*to_dict\('records'\)"):
        list(read_documents(MixedFrame()))
    with pytest.raises(InputError, match="`dataset` must be a data frame that Arrow can read"):
        read_pairs(MixedFrame())


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_column_twice_in_a_table_of_pairs_is_refused_and_not_read_once(tmp_path: Path, name: str) -> None:
    between = "," if name == "a.csv" else "\t"
    (tmp_path / name).write_text("".join(between.join(row) + "\n" for row in (("query", "query", "text"), "abc")))
    with pytest.raises(InputError, match="expected each column once. Received twice: query"):
        read_pairs(tmp_path / name)


def test_pairs_of_a_data_frame_without_a_text_or_label_are_refused_by_their_row() -> None:
    nan = float("nan")
    with pytest.raises(InputError, match=r"dataset\[1\]: `positive` must be a text that is not empty. Received: nan"):
        read_pairs([{"query": "q", "positive": "d"}, {"query": "q", "positive": nan}])
    with pytest.raises(InputError, match=r"dataset\[1\]: expected 1 negatives, as dataset\[0\] has. Received: 0"):
        read_pairs([{"query": "q", "positive": "d", "negative": "n"}, {"query": "q", "positive": "d", "negative": nan}])


def test_an_empty_cell_of_negatives_is_no_negative(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("query,positive,negative\nq,d,\np,e,\n")
    assert [list(column) for column in read_pairs(tmp_path / "a.csv").columns] == [["q", "p"], ["d", "e"]]


def test_labels_of_a_decimal_column_are_numbers(tmp_path: Path) -> None:
    labels = pyarrow.array([decimal.Decimal("0.25")])
    parquet.write_table(pyarrow.table({"text": ["x"], "score": labels}), tmp_path / "a.parquet")
    found = read_pairs(tmp_path / "a.parquet").labels
    assert found is not None
    assert found.tolist() == [[0.25]]


@pytest.mark.parametrize(
    "label", [1e38, -1.1e9, 2**70, 10**5000, float("inf"), float("nan"), [0.5, 1e38]], ids=lambda _: "label"
)
def test_a_label_whose_square_overflows_is_refused_with_its_row(label: Any) -> None:
    first = [0.5, 0.5] if isinstance(label, list) else 0.5
    with pytest.raises(InputError, match=r"dataset\[1\]: `score` must be a finite number from -1e\+09 to 1e\+09"):
        read_pairs([{"text": "a", "score": first}, {"text": "b", "score": label}])


def test_a_label_of_a_thousand_million_is_read() -> None:
    labels = read_pairs([{"text": "a", "score": 1e9}, {"text": "a", "score": -1e9}]).labels
    assert labels is not None
    assert labels.tolist() == [[1e9], [-1e9]]


@pytest.mark.parametrize(
    ("id", "kept"), [(np.uint8(7), "7"), (-3, "-3"), (uuid.UUID(int=1), str(uuid.UUID(int=1))), ("a\n b", "a\n b")]
)
def test_ids_that_are_whole_numbers_or_uuids_become_text(id: Any, kept: str) -> None:
    assert list(read_documents([{"id": id, "text": "x"}])) == [Document(kept, "x")]


@pytest.mark.parametrize(
    ("id", "message"),
    [
        (1.5, r"`id` must be a string. Received: id=1.5 of type float"),
        (b"a", r"`id` must be a string. Received: id=b'a' of type bytes"),
        (datetime.date(2024, 1, 1), r"`id` must be a string. Received: id=datetime.date"),
        (10**5000, r"`id` must be a string, or a whole number of at most 4,300 digits"),
        (np.datetime64("2024-01-01"), r"`id` must be a string. Received: id=np.datetime64\('2024-01-01'\)"),
        ("a\0b", r"`id` must not contain the NUL character.* Received: 'a\\x00b'"),
        ("\ud83d", r"`id` must be valid Unicode"),
    ],
    ids=["float", "bytes", "date", "moment", "digits", "nul", "surrogate"],
)
def test_ids_that_are_something_else_are_refused_with_their_place(id: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"^documents\[0\]: .*" + message):
        list(read_documents([{"id": id, "text": "x"}]))


def test_a_document_with_a_nul_in_its_id_is_refused_as_a_dict_is() -> None:
    with pytest.raises(InputError, match=r"^documents\[0\]: A document's `id` must not contain the NUL character"):
        list(read_documents([Document("a\0b", "x")]))


@pytest.mark.parametrize("value", [DAY_NS, datetime.date(2024, 1, 1), 3.5, np.float32(3.5), True])
def test_dates_and_numbers_do_not_become_texts(value: Any) -> None:
    with pytest.raises(InputError, match=r"^documents\[0\]: A document's `text` must be a string"):
        list(read_documents([{"text": value}]))
    with pytest.raises(InputError, match=r"^documents\[0\]: A document's `title` must be a string"):
        list(read_documents([{"text": "x", "title": value}]))
    with pytest.raises(InputError, match=r"^documents\[0\]: a document must be a text"):
        list(read_documents([value]))
    with pytest.raises(InputError, match=r"^dataset\[0\]: `text` must be a text"):
        read_pairs([{"text": value}])


def test_arrow_scalars_of_nanoseconds_in_metadata_become_text() -> None:
    moment = pyarrow.scalar(int(DAY_NS.astype(int)), pyarrow.timestamp("ns"))
    (document,) = read_documents([{"text": pyarrow.scalar("x"), "at": moment}])
    assert document == Document("0", "x", metadata={"at": "2024-01-02T03:04:05.123456789"})


def test_a_frame_of_several_chunks_counts_its_rows_through() -> None:
    table = pyarrow.concat_tables([pyarrow.table({"text": texts}) for texts in (["a", "b"], ["c", None])])
    with pytest.raises(InputError, match=r"^documents\[3\]: A document must have a text"):
        list(read_documents(table, empty="error"))
