"""Rows out of files: every row once an epoch, each at one worker, the same from any step on, in bounded memory."""

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.training.conftest import ROWS, MakeTextEncoder
from tests.training.fit.test_fit import Stop, assert_same_weights, fit, weights_of
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.pairs.reading import text_key
from tfchain.data.shards import service as shard_service
from tfchain.data.shards.pair_shards import PairShards, write_tfrecords
from tfchain.training.batches.layout import Layout
from tfchain.training.batches.shard_batches import ShardBatchMaker, read_example
from tfchain.training.mining.options import Mining

MANY = [(f"what does the cat {number} do", f"the dog does run {number} {'a' * (number % 9)}") for number in range(403)]
KEYS = {(text_key(query), text_key(document)) for query, document in MANY}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> PairShards:
    folder = tmp_path_factory.mktemp("shards") / "pairs"
    write_tfrecords(MANY, folder, shards=4)
    return PairShards(folder, shuffle_rows=50, uneven="drop")


@pytest.fixture
def text_encoder(make_text_encoder: MakeTextEncoder) -> Any:
    return make_text_encoder()


def make(shards: PairShards, text_encoder: Any, **changes: Any) -> ShardBatchMaker:
    options: dict[str, Any] = {"batch_size": 4, "layout": Layout(groups=2), **changes}
    return ShardBatchMaker(shards, read_example(shards), text_encoder, **options)


def take(maker: ShardBatchMaker, steps: int, first: int = 0, replicas: tuple[int, ...] = (0,)) -> list[Any]:
    return list(itertools.islice(maker.make(first, replicas), steps * len(replicas)))


def keys_of(batches: list[Any]) -> list[tuple[int, int]]:
    return [tuple(row) for batch in batches for row in batch["keys"].tolist()]


@pytest.mark.parametrize("batches", ["random", "no_duplicates", "length", "no_duplicates_by_length"])
def test_an_epoch_has_every_row_once_in_full_batches(shards: PairShards, text_encoder: Any, batches: Any) -> None:
    maker = make(shards, text_encoder, batches=batches)
    assert maker.steps_per_epoch == 100
    made = take(maker, 200)
    assert all(len(batch["keys"]) == 4 for batch in made)
    first, second = keys_of(made[:100]), keys_of(made[100:])
    assert len(set(first)) == len(set(second)) == 400
    assert set(first) <= KEYS
    assert first != second
    assert keys_of(take(make(shards, text_encoder, batches=batches), 200)) == first + second


def test_the_texts_tokens_are_those_of_their_keys(shards: PairShards, text_encoder: Any) -> None:
    texts = {text_key(text): text for pair in MANY for text in pair}
    (batch,) = take(make(shards, text_encoder), 1)
    rows = [ids[mask > 0].tolist() for chunk in batch["chunks"] for ids, mask in zip(*chunk, strict=True)]
    for place, key in zip(batch["places"], batch["keys"].reshape(-1).tolist(), strict=True):
        assert rows[place] == text_encoder.tokenizer([texts[key]])[0]


@pytest.mark.parametrize("step", [1, 99, 100, 137])
def test_batches_from_a_step_on_are_those_of_the_whole(shards: PairShards, text_encoder: Any, step: int) -> None:
    whole = take(make(shards, text_encoder, seed=3), 140)
    rest = take(make(shards, text_encoder, seed=3), 140 - step, first=step)
    assert keys_of(rest) == keys_of(whole[step:])


def test_two_workers_of_two_replicas_share_the_rows(shards: PairShards, text_encoder: Any) -> None:
    makers = [make(shards, text_encoder, num_workers=2, num_replicas=4, batch_size=8) for _ in range(2)]
    assert [maker.steps_per_epoch for maker in makers] == [50, 50]
    made = [take(maker, 50, replicas=replicas) for maker, replicas in zip(makers, ((0, 1), (2, 3)), strict=True)]
    assert all(len(batch["keys"]) == 2 for batches in made for batch in batches)
    first, second = (set(keys_of(batches)) for batches in made)
    assert len(first) == len(second) == 200
    assert not first & second


def test_equal_texts_are_kept_apart_while_there_are_others(tmp_path: Path, text_encoder: Any) -> None:
    rows = [(f"what {number}", f"the dog {number // 2}") for number in range(80)]
    write_tfrecords(rows, tmp_path / "pairs", shards=1)
    maker = make(PairShards(tmp_path / "pairs", shuffle_rows=1), text_encoder)
    for batch in take(maker, 20):
        assert len(set(batch["keys"][:, 1].tolist())) == 4


def test_rows_that_are_all_alike_are_given_all_the_same(tmp_path: Path, text_encoder: Any) -> None:
    write_tfrecords([("what", f"the dog {number}") for number in range(450)], tmp_path / "pairs", shards=1)
    maker = make(PairShards(tmp_path / "pairs"), text_encoder)
    assert Counter(keys_of(take(maker, 112))).most_common(1)[0][1] == 1


def test_a_training_from_files_goes_on_where_it_stopped(
    shards: PairShards, make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    whole, stopped = make_text_encoder(), make_text_encoder()
    options: dict[str, Any] = {"batch_size": 80, "epochs": 2, "dropout": 0.2}
    history = fit(whole, shards, **options)
    checkpoint = {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 2}
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, shards, **options, **checkpoint, callbacks=[Stop(8)])
    again = fit(stopped, shards, **options, **checkpoint)
    assert again.history == history.history
    assert_same_weights(whole, stopped)


def test_rows_with_scores_choose_their_loss(
    tmp_path: Path, make_text_encoder: MakeTextEncoder, eager: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    rows = [{"sentence1": a, "sentence2": b, "score": n / 8} for n, (a, b, _) in enumerate(ROWS)]
    write_tfrecords(rows, tmp_path / "pairs", shards=1)
    text_encoder = make_text_encoder()
    before = weights_of(text_encoder)
    history = fit(text_encoder, PairShards(tmp_path / "pairs"))
    assert "dataset has 2 columns and labels: the loss is cosent." in caplog.text
    assert np.isfinite(history.history["loss"]).all()
    assert any((one != other).any() for one, other in zip(before, weights_of(text_encoder), strict=True))


def test_a_label_out_of_range_far_behind_is_found(tmp_path: Path, text_encoder: Any, eager: None) -> None:
    rows = [{"query": f"what {n}", "positive": f"dog {n}", "label": 7 if n == 1_400 else n % 2} for n in range(1_500)]
    write_tfrecords(rows, tmp_path / "pairs", shards=1)
    with pytest.raises(InputError, match=r"must be 0 or 1\. Received: 7"):
        fit(text_encoder, PairShards(tmp_path / "pairs"), batch_size=500, loss="contrastive")


def test_a_service_without_workers_is_one_clear_error(
    shards: PairShards, text_encoder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_service, "FIRST_SECONDS", 1)
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    maker = make(shards, text_encoder, service=dispatcher.target)
    with pytest.raises(TfchainError, match=r"sent no row within 1 seconds\. Start workers for it"):
        take(maker, 1)


def test_a_file_that_breaks_off_is_one_clear_error(tmp_path: Path, text_encoder: Any, eager: None) -> None:
    (file,) = write_tfrecords(MANY, tmp_path / "pairs", shards=1)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    before = weights_of(text_encoder)
    with pytest.raises(InputError, match=r"pairs-00000-of-00001\.tfrecord"):
        fit(text_encoder, PairShards(tmp_path / "pairs", shuffle_rows=8), batch_size=8)
    for one, other in zip(before, weights_of(text_encoder), strict=True):
        np.testing.assert_array_equal(one, other)


def test_files_that_do_not_tell_are_counted(tmp_path: Path, text_encoder: Any) -> None:
    write_tfrecords(MANY, tmp_path / "pairs", shards=2)
    (tmp_path / "pairs" / "shards.json").unlink()
    shards = PairShards(tmp_path / "pairs")
    assert make(shards, text_encoder).steps_per_epoch == 100
    with pytest.raises(InputError, match=r"Several workers need to know how many rows .* Write them with"):
        make(shards, text_encoder, num_workers=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 500}, r"An epoch has no batch: 403 rows on each of 1 worker\(s\), batch_size=500"),
        ({"loss": "guided_in_batch_softmax"}, "needs a guide model's vectors, which PairShards cannot"),
        ({"mining": Mining()}, r"`mining` needs all queries in memory\. Received: PairShards"),
        ({"data_service": "localhost"}, r"`data_service` must be 'grpc://host:port'\. Received: 'localhost'"),
        ({"data_service": "grpc://localhost:x"}, r"`data_service` must be 'grpc://host:port'"),
        ({"data_service": "grpc://127.0.0.1:9"}, r"No tf\.data service answers at grpc://127\.0\.0\.1:9: .* Start a"),
        ({"loss": "contrastive"}, "contrastive"),
    ],
)
def test_bad_input_is_refused_before_the_first_step(
    shards: PairShards, text_encoder: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit(text_encoder, shards, **changes)


def test_shards_beside_other_datasets_and_a_service_without_shards_are_refused(
    shards: PairShards, text_encoder: Any
) -> None:
    with pytest.raises(InputError, match=r"PairShards must be the only dataset\. Received: the dataset 'b' beside"):
        fit(text_encoder, {"a": ROWS, "b": shards})
    with pytest.raises(InputError, match=r"`data_service` reads PairShards\. Received: list"):
        fit(text_encoder, ROWS, data_service="grpc://127.0.0.1:9")
    with pytest.raises(InputError, match=r"a multiple of the number of replicas \(3\)\. Received: batch_size=4"):
        make(shards, text_encoder, num_replicas=3)


def test_a_data_service_reads_the_files(shards: PairShards, make_text_encoder: MakeTextEncoder, eager: None) -> None:
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer(service.DispatcherConfig(port=0))
    address = dispatcher.target
    worker = service.WorkerServer(service.WorkerConfig(dispatcher_address=address.split("://")[1], port=0))
    text_encoder = make_text_encoder()
    maker = make(shards, text_encoder, service=address, batches="random")
    keys = keys_of(take(maker, 100))
    assert set(keys) <= KEYS
    assert len(set(keys)) > 300  # a row may come again before the last of all has come
    history = fit(text_encoder, shards, batch_size=80, data_service=address, seed=5)
    assert np.isfinite(history.history["loss"]).all()
    del worker
