"""Shards come out as they were written, each row at one worker, in bounded memory and in an order of the seed."""

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from tfchain.core.errors import InputError, TfchainError
from tfchain.data.pairs.reading import read_pairs
from tfchain.data.shards.pair_shards import PairShards, ShardLayout, read_tfrecord_pairs, write_tfrecords


def write_parquet(folder: Path, *sizes: int) -> Path:
    folder.mkdir(exist_ok=True)
    for number, size in enumerate(sizes):
        names = [f"{number}-{row}" for row in range(size)]
        parquet.write_table(pyarrow.table({"query": names, "document": names}), folder / f"{number}.parquet")
    return folder


def queries(shards: PairShards, **options: int) -> list[str]:
    return [row["query"] for row in shards.iterate(**{"seed": 1, "epoch": 0, **options})]


def test_tfrecords_give_back_what_was_written(tmp_path: Path) -> None:
    rows = [
        {"query": f"问{i}", "positive": f"d{i}", "negatives": [f"n{i}", "m"], "scores": [i, 0.5, 0]} for i in range(5)
    ]
    files = write_tfrecords((row for row in rows), tmp_path / "out", shards=2)
    assert [file.name for file in files] == ["pairs-00000-of-00002.tfrecord", "pairs-00001-of-00002.tfrecord"]
    expected = [
        {"query": f"问{i}", "positive": f"d{i}", "negative_1": f"n{i}", "negative_2": "m", "labels": (i, 0.5, 0)}
        for i in (0, 2, 4, 1, 3)
    ]
    assert list(read_tfrecord_pairs(tmp_path / "out")) == expected
    assert json.loads((tmp_path / "out" / "shards.json").read_text())["rows"] == {files[0].name: 3, files[1].name: 2}
    for source in (tmp_path / "out", read_tfrecord_pairs(files)):
        pairs = read_pairs(source)
        assert list(pairs.columns[0]) == ["问0", "问2", "问4", "问1", "问3"]
        assert pairs.labels is not None
        assert pairs.labels[0].tolist() == [0, 0.5, 0]
    shards = PairShards(files)
    assert shards.layout() == ShardLayout(("query", "positive", "negative_1", "negative_2"), 3, False)
    assert sorted(queries(shards)) == ["问0", "问1", "问2", "问3", "问4"]


def test_sentences_in_memory_stay_sentences_in_tfrecords(tmp_path: Path) -> None:
    pairs = read_pairs([{"sentence1": "a", "sentence2": "b", "label": 1}])
    write_tfrecords(pairs, tmp_path / "out", shards=1)
    again = read_pairs(tmp_path / "out")
    assert (again.columns, again.symmetric) == ((["a"], ["b"]), True)
    assert again.labels is not None
    assert again.labels.tolist() == [[1.0]]


def test_a_bad_row_leaves_no_folder_of_tfrecords(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\[1\]: `positive` must be a text"):
        write_tfrecords([("q", "d"), ("q", "")], tmp_path / "out", shards=1)
    with pytest.raises(InputError, match="at least one row per file. Received: 1 rows for shards=2"):
        write_tfrecords([("q", "d")], tmp_path / "out", shards=2)
    assert list(tmp_path.iterdir()) == []


def test_every_row_is_at_one_worker_and_epochs_differ(tmp_path: Path) -> None:
    shards = PairShards(write_parquet(tmp_path, 10, 10, 10, 10), shuffle_rows=8)
    everything = sorted(f"{file}-{row}" for file in range(4) for row in range(10))
    deals = []
    for epoch in (0, 1, 2):
        parts = [queries(shards, epoch=epoch, worker=worker, num_workers=2) for worker in (0, 1)]
        assert [len(part) for part in parts] == [20, 20]
        assert sorted(parts[0] + parts[1]) == everything
        assert parts[0] == queries(shards, epoch=epoch, worker=0, num_workers=2)
        deals.append({name[0] for name in parts[0]})
    assert len({frozenset(deal) for deal in deals}) > 1
    assert queries(shards, seed=1) != queries(shards, seed=2)
    assert shards.count_rows(num_workers=2) == 20


def test_rows_are_mixed_by_the_buffer_and_kept_in_order_without_it(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path, 50)
    in_order = [f"0-{row}" for row in range(50)]
    assert queries(PairShards(folder, shuffle_rows=1)) == in_order
    mixed = queries(PairShards(folder, shuffle_rows=5))
    assert mixed != in_order
    # A row comes at the earliest when it is in the buffer: as the n-th, one of the first n + 5 rows.
    assert all(int(name[2:]) < place + 5 for place, name in enumerate(mixed))
    assert sorted(mixed) == sorted(in_order)


def test_unequal_shards_are_refused_before_anything_is_read(tmp_path: Path) -> None:
    shards = PairShards(write_parquet(tmp_path, 3, 3, 4))
    for num_workers in (2, 4):
        with pytest.raises(
            InputError, match=f"Unequal shards: 3 files cannot be dealt evenly to {num_workers} workers"
        ):
            shards.iterate(seed=0, epoch=0, worker=0, num_workers=num_workers)
    with pytest.raises(
        InputError, match="Unequal shards: 3 files for 3 workers, 3 rows in 2 of them, 4 rows in 1 of them"
    ):
        shards.iterate(seed=0, epoch=0, worker=0, num_workers=3)
    assert len(queries(shards)) == 10


def test_rows_that_are_too_many_can_be_dropped(tmp_path: Path) -> None:
    shards = PairShards(write_parquet(tmp_path, 3, 3, 4), uneven="drop")
    assert shards.count_rows(num_workers=3) == 3
    assert [len(queries(shards, worker=worker, num_workers=3)) for worker in range(3)] == [3, 3, 3]


def test_files_of_like_size_are_dealt_against_each_other(tmp_path: Path) -> None:
    shards = PairShards(write_parquet(tmp_path, 10, 20, 10, 20))
    for epoch in range(4):
        assert [len(queries(shards, epoch=epoch, worker=worker, num_workers=2)) for worker in (0, 1)] == [30, 30]


def test_files_with_other_columns_than_the_first_are_refused(tmp_path: Path) -> None:
    write_parquet(tmp_path, 2)
    table = pyarrow.table({"query": ["q"], "document": ["d"], "negative": ["n"]})
    parquet.write_table(table, tmp_path / "1.parquet")
    with pytest.raises(InputError, match=r"1\.parquet, row 1: expected the columns of .*0\.parquet, row 1"):
        queries(PairShards(tmp_path))


def test_broken_and_missing_files_are_refused(tmp_path: Path) -> None:
    (file,) = write_tfrecords([("q", "d")], tmp_path / "out", shards=1)
    (tmp_path / "broken.tfrecord").write_bytes(file.read_bytes()[:-6])
    with pytest.raises(InputError, match=r"Could not read .*broken\.tfrecord as TFRecords after record 0"):
        list(read_tfrecord_pairs(tmp_path / "broken.tfrecord"))
    with pytest.raises(InputError, match=r"No such file: .*missing\.parquet"):
        PairShards([tmp_path / "missing.parquet"]).layout()
    with pytest.raises(InputError, match=r"files that end in .parquet, .tfrecord"):
        PairShards([tmp_path / "a.csv"]).layout()
    with pytest.raises(InputError, match="at least one file. Received: none"):
        PairShards([]).layout()
    with pytest.raises(InputError, match="uneven='drop' needs the number of rows of each file"):
        PairShards([tmp_path / "broken.tfrecord"] * 2, uneven="drop").iterate(seed=0, epoch=0, num_workers=2)
    with pytest.raises(InputError, match="`worker` must be below `num_workers`, 1. Received: worker=1"):
        PairShards(file).iterate(seed=0, epoch=0, worker=1)
    with pytest.raises(TfchainError, match="must be one of error, drop"):
        PairShards(file, uneven="cut")  # type: ignore[arg-type]


def test_reading_takes_memory_of_the_buffer_and_not_of_the_files(tmp_path: Path) -> None:
    text = "x" * 2000

    def tables() -> Iterator[pyarrow.RecordBatch]:
        for start in range(0, 10_000, 1000):
            names = [f"{row} {text}" for row in range(start, start + 1000)]
            yield pyarrow.RecordBatch.from_pydict({"query": names, "document": names})

    with parquet.ParquetWriter(tmp_path / "big.parquet", next(tables()).schema) as writer:
        for batch in tables():
            writer.write_batch(batch)
    tracemalloc.start()
    rows = sum(1 for _ in PairShards(tmp_path, shuffle_rows=500).iterate(seed=0, epoch=0))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 10_000
    assert peak < 20e6  # the texts are 40 MB, a block of 1024 rows 4 MB


def test_every_worker_gets_the_largest_file_in_some_epoch(tmp_path: Path) -> None:
    shards = PairShards(write_parquet(tmp_path, 4, 3, 2, 1), uneven="drop")
    with_largest = set()
    for epoch in range(8):
        for worker in (0, 1):
            if any(name.startswith("0-") for name in queries(shards, epoch=epoch, worker=worker, num_workers=2)):
                with_largest.add(worker)
    assert with_largest == {0, 1}


def test_gzipped_tfrecords_are_read(tmp_path: Path) -> None:
    import tensorflow as tf

    (file,) = write_tfrecords([("q", "d"), ("p", "e")], tmp_path / "out", shards=1)
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(file))]
    zipped = str(tmp_path / "a.tfrecord.GZ")
    with tf.io.TFRecordWriter(zipped, tf.io.TFRecordOptions(compression_type="GZIP")) as writer:
        for record in records:
            writer.write(record)
    assert [row["query"] for row in read_tfrecord_pairs(zipped)] == ["q", "p"]


def test_counts_that_a_newer_tfchain_wrote_or_that_are_broken_are_refused(tmp_path: Path) -> None:
    (file,) = write_tfrecords([("q", "d"), ("p", "e")], tmp_path / "out", shards=1)
    counts = tmp_path / "out" / "shards.json"
    assert json.loads(counts.read_text()) == {"format": 1, "rows": {file.name: 2}}

    counts.write_text('{"format": 2, "files": []}')
    with pytest.raises(InputError, match=r"shards\.json has format 2, which a newer tfchain wrote. Expected: format 1"):
        PairShards(file).count_rows()
    for text in (
        "[]",
        "{",
        '{"rows": 2}',
        f'{{"rows": {{"{file.name}": -1}}}}',
        f'{{"rows": {{"{file.name}": true}}}}',
    ):
        counts.write_text(text)
        with pytest.raises(InputError, match=r"shards\.json does not say how many rows pairs-00000-of-00001"):
            PairShards(file).count_rows()
    counts.write_text(f'{{"rows": {{"{file.name}": 2}}}}')  # as written before there was a format
    assert PairShards(file).count_rows() == 2
    for text in ('{"format": 1, "rows": {"another.tfrecord": 5}}', None):
        counts.unlink() if text is None else counts.write_text(text)
        assert PairShards(file).count_rows() is None


def test_pipes_in_a_folder_of_shards_are_left_out(tmp_path: Path) -> None:
    write_parquet(tmp_path, 2)
    os.mkfifo(tmp_path / "1.parquet")
    assert PairShards(tmp_path).count_rows() == 2
