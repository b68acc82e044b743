"""Tests of batches of token ids: widths, order, positions, caches, and the graph beside the host."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.core.types import Document
from tfchain.data.preparation.prepare import prepare
from tfchain.data.streams.token_batches import token_batches

TEXTS = ["x" * (n * 7 % 23 + 1) + str(n) for n in range(203)]
OPTIONS = {"batch_size": 4, "buckets": (8, 16, 32), "window_batches": 5}


def letters(texts):
    """The numbers of the characters; never 0, which pads."""
    return [[ord(letter) for letter in text] for text in texts]


def to_text(token_ids, padding_mask):
    assert ((token_ids != 0) == (padding_mask == 1)).all()
    return ["".join(chr(number) for number in row if number) for row in token_ids]


def texts_of(batches):
    return [to_text(*batch) for batch in batches]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    documents = [Document(str(n), text) for n, text in enumerate(TEXTS)]
    return prepare(documents, output=tmp_path / "set", shard_records=30).path


def test_batches_are_padded_to_the_bucket_of_their_longest_text() -> None:
    (first, mask), (second, _), (third, _) = token_batches(
        ["abcde", "a", "ab", "abc", "abcdefgh"], letters, batch_size=2, buckets=(4, 8)
    )
    assert first.tolist() == [[97, 0, 0, 0], [97, 98, 0, 0]]  # by bucket, in each in order
    assert mask.tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert [row.shape for row in (second, third)] == [(2, 8), (1, 8)]
    assert to_text(third, (third > 0).astype(int)) == ["abcdefgh"]
    assert first.dtype == mask.dtype == np.int32


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_each_epoch_has_each_text_once(seed: int | None, prepared: Path) -> None:
    for source in (TEXTS, prepared):
        batches = texts_of(token_batches(source, letters, shuffle_seed=seed, epochs=2, **OPTIONS))
        half = len(batches) // 2
        for part in (batches[:half], batches[half:]):
            assert sorted(text for batch in part for text in batch) == sorted(TEXTS)
        assert (batches[:half] == batches[half:]) == (seed is None)
        assert batches == texts_of(token_batches(source, letters, shuffle_seed=seed, epochs=2, **OPTIONS))


def test_another_seed_is_another_order(prepared: Path) -> None:
    for source in (TEXTS, prepared):
        first, second = (texts_of(token_batches(source, letters, shuffle_seed=seed, **OPTIONS)) for seed in (0, 1))
        assert first != second


@pytest.mark.parametrize("kind", ["list", "set", "file", "cache"])
@pytest.mark.parametrize("seen", [0, 7, 20, 51, 60])
def test_a_stream_goes_on_where_it_stopped(kind: str, seen: int, prepared: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    source = {"list": TEXTS, "set": prepared, "file": path, "cache": prepared}[kind]
    options = {**OPTIONS, "shuffle_seed": 3, "epochs": 2}
    if kind == "cache":
        options |= {"cache": tmp_path / "cache", "tokenizer_fingerprint": "letters"}
    stream = token_batches(source, letters, **options)
    whole = texts_of(stream)
    assert len(whole) == 102
    stopped = token_batches(source, letters, **options)
    start = texts_of(islice(stopped, seen))
    position = json.loads(json.dumps(stopped.position))
    again = token_batches(source, letters, **options).resume(position)
    assert start + texts_of(again) == whole


def test_a_position_of_another_stream_is_refused() -> None:
    position = token_batches(TEXTS, letters, batch_size=4).position
    with pytest.raises(InputError, match="`position` must come from a stream of the same texts, batch size"):
        token_batches(TEXTS, letters, batch_size=5).resume(position)
    with pytest.raises(InputError, match="`position` must come from a stream of the same texts, batch size"):
        token_batches(TEXTS[1:], letters, batch_size=4).resume(position)


def test_token_ids_are_cached_by_texts_and_tokenizer(tmp_path: Path) -> None:
    calls: list[int] = []

    def counted(texts):
        calls.append(len(texts))
        return letters(texts)

    options = {**OPTIONS, "shuffle_seed": 0, "cache": tmp_path}
    for _ in range(2):
        batches = texts_of(token_batches(TEXTS, counted, tokenizer_fingerprint="a", epochs=2, **options))
    assert calls == [203]
    assert batches == texts_of(token_batches(TEXTS, letters, shuffle_seed=0, epochs=2, **OPTIONS))
    list(token_batches(TEXTS, counted, tokenizer_fingerprint="b", **options))
    list(token_batches(TEXTS[1:], counted, tokenizer_fingerprint="a", **options))
    assert calls == [203, 203, 202]
    with pytest.raises(InputError, match="`cache` keeps the token ids of a tokenizer on the host, known by its fing"):
        token_batches(TEXTS, letters, cache=tmp_path)


def test_a_changed_file_of_a_set_is_found(prepared: Path) -> None:
    path = prepared / "part-00001.jsonl"
    path.write_bytes(path.read_bytes().replace(b"x", b"y"))
    assert len(list(token_batches(prepared, letters, **OPTIONS))) == 51
    with pytest.raises(InputError, match="part-00001.jsonl was changed after it was written"):
        token_batches(prepared, letters, verify=True, **OPTIONS)


@pytest.mark.parametrize("format", ["jsonl", "parquet", "tfrecord"])
def test_rows_have_a_column_of_texts(format: str, tmp_path: Path) -> None:
    rows = [{"query": "q", "positive": text} for text in TEXTS[:9]]
    made = prepare(rows, output=tmp_path / "set", read="rows", format=format, shard_records=4)
    batches = texts_of(token_batches(made.path, letters, batch_size=9, column="positive"))
    assert sorted(batches[0]) == sorted(TEXTS[:9])
    with pytest.raises(InputError, match="column"):
        list(token_batches(made.path, letters))


def test_wrong_arguments_are_refused() -> None:
    for arguments, expected in (
        ({"buckets": (8, 4)}, r"`buckets` must be ascending widths in tokens, such as \(32, 64, 128\)"),
        ({"where": "gpu"}, "`where` must be 'host' or 'graph'. Received: where='gpu'"),
        ({"verify": True, "source": __file__}, "`verify` needs a set that `prepare` wrote, with manifest.json"),
        ({"source": iter(TEXTS)}, "`source` must be a sequence of texts, documents or rows, or a path"),
        ({"source": [{"body": "x"}]}, r"source\[0\]: expected a text, a document or a row with the column `text`"),
    ):
        with pytest.raises(InputError, match=expected):
            token_batches(**{"source": TEXTS, "tokenize": letters, **arguments})
    with pytest.raises(InputError, match="The last of `buckets` must hold the longest text, 5 tokens"):
        list(token_batches(["abcde"], letters, buckets=(4,)))
    with pytest.raises(InputError, match="The source must have at least one text. Received: none"):
        list(token_batches([], letters))


def test_a_graph_makes_the_batches_of_the_host(prepared: Path) -> None:
    import tensorflow as tf

    def letters_in_graph(texts):
        ragged = tf.strings.unicode_decode(texts, "UTF-8")
        return ragged.to_tensor(), tf.ones_like(ragged).to_tensor()

    for source, seed in ((TEXTS, None), (prepared, 5)):
        for buckets in ((), (8, 16, 32)):
            options = {**OPTIONS, "buckets": buckets, "shuffle_seed": seed, "epochs": 2}
            host = token_batches(source, letters, **options)
            graph = token_batches(source, letters_in_graph, where="graph", **options)
            batches = list(graph)
            assert len(batches) == 102
            for (token_ids, mask), (expected_ids, expected_mask) in zip(batches, host, strict=True):
                np.testing.assert_array_equal(token_ids, expected_ids)
                np.testing.assert_array_equal(mask, expected_mask)
    graph = token_batches(prepared, letters_in_graph, where="graph", **options)
    seen = list(islice(graph.to_dataset(with_position=True).as_numpy_iterator(), 60))
    graph.resume(graph.position_of(seen[-1]["position"]))
    rest = [batch["token_ids"].tolist() for batch in graph.to_dataset().as_numpy_iterator()]
    assert rest == [token_ids.tolist() for token_ids, _ in batches[60:]]
    with pytest.raises(tf.errors.InvalidArgumentError, match="The last of `buckets` must hold the longest text"):
        list(token_batches(["abcde"], letters_in_graph, where="graph", buckets=(4,)))


def test_a_dataset_has_the_batches_of_the_stream() -> None:
    stream = token_batches(TEXTS, letters, **OPTIONS)
    found = [to_text(b["token_ids"], b["padding_mask"]) for b in stream.to_dataset().as_numpy_iterator()]
    assert found == texts_of(stream)


@pytest.mark.parametrize("num_workers", [2, 3])
def test_workers_make_the_same_batches_and_go_on_at_a_position(num_workers: int, prepared: Path) -> None:
    """In a process of its own: where TensorFlow runs, nothing may be forked. A closure need not be picklable."""
    code = f"""
from itertools import islice
from tfchain.data.streams.token_batches import token_batches
offset = 1
def numbers(texts):
    return [[ord(letter) + offset for letter in text] for text in texts]
def make(**options):
    return token_batches({str(prepared)!r}, numbers, batch_size=4, buckets=(8, 16, 32), window_batches=5,
                         shuffle_seed=3, epochs=2, **options)
expected = [batch[0].tolist() for batch in make()]
stream = make(num_workers={num_workers})
first = [batch[0].tolist() for batch in islice(stream, 13)]
rest = [batch[0].tolist() for batch in make(num_workers={num_workers}).resume(stream.position)]
assert first + rest == expected, (len(first), len(rest), len(expected))
print("workers ended" if not __import__("multiprocessing").active_children() else "workers left")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.stdout.strip(), done.returncode) == ("workers ended", 0), done.stderr


def test_an_error_of_a_tokenizer_in_a_worker_and_a_worker_that_is_killed(prepared: Path) -> None:
    code = f"""
import os, signal
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.streams.token_batches import token_batches
def refuse(texts):
    raise InputError("no such letter", argument="letters")
def die(texts):
    os.kill(os.getpid(), signal.SIGKILL)
for tokenize in (refuse, lambda texts: [[1]], die):
    try:
        list(token_batches({str(prepared)!r}, tokenize, batch_size=4, window_batches=5, num_workers=2))
    except (InputError, TfchainError) as error:
        print(type(error).__name__, str(error)[:40])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == [
        "InputError no such letter",
        "InputError `tokenize` must return a list for each t",
        "TfchainError A worker that tokenizes was killed; if b",
    ], done.stderr


def test_where_workers_cannot_be(prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`num_workers` must be a whole number of at least 1"):
        token_batches(TEXTS, letters, num_workers=0)
    for options in ({"where": "graph"}, {"cache": tmp_path, "tokenizer_fingerprint": "a"}):
        with pytest.raises(InputError, match="`num_workers` is for texts that are tokenized on the host each time"):
            token_batches(TEXTS, letters, num_workers=2, **options)
    stream = token_batches(prepared, letters, num_workers=2, **OPTIONS)
    with pytest.raises(InputError, match="beside which workers cannot be forked. Received: num_workers=2"):
        stream.to_dataset()
    one = token_batches(TEXTS[:3], letters, num_workers=2, **OPTIONS)  # one window: not worth a fork
    assert texts_of(one) == texts_of(token_batches(TEXTS[:3], letters, **OPTIONS))
    tf.constant(0)
    with pytest.raises(InputError, match="`num_workers` must be 1 once TensorFlow runs in this process"):
        list(stream)


def test_workers_outlive_the_thread_that_took_the_first_batch(prepared: Path) -> None:
    code = f"""
import threading, time
from tfchain.data.streams.token_batches import token_batches
letters = lambda texts: [[ord(letter) for letter in text] for text in texts]
options = dict(batch_size=4, window_batches=2)
stream = iter(token_batches({str(prepared)!r}, letters, num_workers=2, **options))
found = []
first = threading.Thread(target=lambda: found.append(next(stream)))
first.start()
first.join()
time.sleep(0.5)
found += stream
expected = list(token_batches({str(prepared)!r}, letters, **options))
assert [ids.tolist() for ids, _ in found] == [ids.tolist() for ids, _ in expected]
print(len(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "51\n", done.stderr
