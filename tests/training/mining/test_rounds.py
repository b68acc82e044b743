"""Negatives mined before and between epochs: with the weights of the moment, trained on at once, kept over a stop."""

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.training.conftest import MakeTextEncoder
from tests.training.fit.test_fit import PAIRS, Stop, assert_same_weights, fit
from tfchain.core.errors import InputError, TfchainError
from tfchain.data.documents.beir import BeirDataset
from tfchain.data.pairs.reading import Pairs
from tfchain.training.batches.layout import BatchLayout
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import NamedPairs, make_training_set
from tfchain.training.losses import get_loss
from tfchain.training.mining import rounds as mining_rounds
from tfchain.training.mining.mine import mine_negatives
from tfchain.training.mining.options import Mining

EVERY = Mining(num_negatives=1, every=1)
OPTIONS: dict[str, Any] = {"epochs": 3, "learning_rate": 0.05, "dropout": 0.2, "batches": "random"}


class Spy:
    """Notes what is mined, with what weights, and which rows go into the steps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.mined: list[Pairs] = []
        self.weights: list[float] = []
        self.keys: list[np.ndarray] = []
        self.seeds: list[int] = []
        lay_out = BatchLayout.lay_out

        def mine(text_encoder: Any, *arguments: Any, **values: Any) -> Pairs:
            self.weights.append(float(sum(np.abs(np.array(one)).sum() for one in text_encoder.encoder.weights)))
            self.seeds += [value.seed for value in (*arguments, *values.values()) if isinstance(value, Mining)]
            self.mined.append(mine_negatives(text_encoder, *arguments, **values))
            return self.mined[-1]

        def note(layout: Any, one: Any, source: int, rows: np.ndarray) -> Any:
            self.keys.append(one.keys[rows])
            return lay_out(layout, one, source, rows)

        monkeypatch.setattr(mining_rounds, "mine_negatives", mine)
        monkeypatch.setattr(BatchLayout, "lay_out", note)

    def rows(self, first: int, last: int) -> list[list[int]]:
        return sorted(row for keys in self.keys[first:last] for row in keys.tolist())


def test_each_epoch_trains_on_what_its_weights_mined(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    spy = Spy(monkeypatch)
    fit(make_text_encoder(), PAIRS, mining=dataclasses.replace(EVERY, seed=7), **OPTIONS)
    assert len(spy.mined) == 3
    assert spy.seeds == [7, 8, 9]  # each round makes random choices of its own
    assert len(set(spy.weights)) == 3
    assert spy.mined[0].columns[2] != spy.mined[2].columns[2]  # at this learning rate, others are the hardest
    for epoch, pairs in enumerate(spy.mined):
        assert spy.rows(2 * epoch, 2 * epoch + 2) == sorted(pairs.keys().tolist())


def test_without_every_negatives_are_mined_once(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    spy = Spy(monkeypatch)
    fit(make_text_encoder(), PAIRS, mining=Mining(num_negatives=2), **OPTIONS)
    (pairs,) = spy.mined
    assert pairs.num_columns == 4
    assert spy.rows(0, 2) == spy.rows(4, 6) == sorted(pairs.keys().tolist())


@pytest.mark.parametrize("at", [3, 4])
def test_a_stopped_training_goes_on_with_the_same_negatives(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None, at: int
) -> None:
    whole, stopped = make_text_encoder(), make_text_encoder()
    history = fit(whole, PAIRS, mining=EVERY, **OPTIONS)
    checkpoint = {"checkpoint": tmp_path / "checkpoint", "checkpoint_every": 1}
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, PAIRS, mining=EVERY, **OPTIONS, **checkpoint, callbacks=[Stop(at)])
    again = fit(stopped, PAIRS, mining=EVERY, **OPTIONS, **checkpoint)
    assert again.history == history.history
    assert_same_weights(whole, stopped)


def test_a_checkpoint_without_its_negatives_is_damaged_and_other_mining_is_another_training(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    options = {**OPTIONS, "checkpoint": tmp_path / "checkpoint"}
    fit(make_text_encoder(), PAIRS, mining=EVERY, **options)
    with pytest.raises(InputError, match=r"belongs to another training: mining was"):
        fit(make_text_encoder(), PAIRS, mining=Mining(num_negatives=1), **options)
    for file in (tmp_path / "checkpoint").glob("*/negatives.json"):
        file.write_text("{")
    with pytest.raises(TfchainError, match=r"is damaged: negatives\.json"):
        fit(make_text_encoder(), PAIRS, mining=EVERY, **options)


def test_the_corpus_of_a_dataset_or_of_mining_is_where_negatives_come_from(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    spy = Spy(monkeypatch)
    documents = [{"id": "a", "text": "the cat sleeps on monday"}, {"id": "b", "text": "run run run"}]
    dataset = BeirDataset({"1": "what does the cat do", "2": "who runs"}, {"1": {"a": 1}, "2": {"b": 1}}, documents)
    fit(make_text_encoder(), dataset, batch_size=2, mining=Mining(num_negatives=1))
    assert spy.mined[-1].columns[2] == ["run run run", "the cat sleeps on monday"]
    fit(make_text_encoder(), dataset, batch_size=2, mining=Mining(num_negatives=1, corpus=["stock", "x"]))
    assert set(spy.mined[-1].columns[2]) <= {"stock", "x"}


def test_of_several_datasets_those_without_labels_get_negatives(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    spy = Spy(monkeypatch)
    scored = [{"sentence1": a, "sentence2": b, "score": number / 8} for number, (a, b) in enumerate(PAIRS)]
    fit(make_text_encoder(), {"pairs": PAIRS, "scored": scored}, mining=EVERY, epochs=2)
    assert len(spy.mined) == 2
    widths = {keys.shape[1] for keys in spy.keys}
    assert widths == {2, 3}
    wide = {tuple(row) for keys in spy.keys if keys.shape[1] == 3 for row in keys.tolist()}
    assert wide >= {tuple(row) for row in spy.mined[0].keys().tolist()}


@pytest.mark.parametrize(
    ("dataset", "changes", "message"),
    [
        ([{"sentence1": "a", "sentence2": "b", "score": 0.5}], {}, r"needs a dataset of queries .* 2 text\(s\) a row"),
        (PAIRS, {"mining": {"every": 1}}, r"`mining` must be a `Mining`"),
        (PAIRS, {"mining": None, "cross_check": lambda *_: None}, r"`cross_check` is for mining"),
        (PAIRS, {"loss": "contrastive"}, "contrastive"),
    ],
)
def test_what_cannot_be_mined_is_refused(
    make_text_encoder: MakeTextEncoder, dataset: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fit(make_text_encoder(), dataset, **{"mining": EVERY, "batch_size": 1, **changes})


def test_a_training_that_fails_leaves_no_batch_waiting(
    make_text_encoder: MakeTextEncoder, monkeypatch: pytest.MonkeyPatch, eager: None
) -> None:
    class Fail(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("stop")

    released: list[Any] = []
    hold = BatchMaker.hold
    monkeypatch.setattr(BatchMaker, "hold", lambda maker, epoch: (released.append(epoch), hold(maker, epoch)))
    with pytest.raises(RuntimeError, match="stop"):
        fit(make_text_encoder(), PAIRS, mining=EVERY, callbacks=[Fail()], **OPTIONS)
    assert released[-1] is None


def test_numbers_of_numpy_become_pythons(make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None) -> None:
    mining = Mining(num_negatives=np.int64(1), max_score=np.float32(2), every=np.int64(1))
    assert [type(value) for value in (mining.num_negatives, mining.max_score, mining.every)] == [int, float, int]
    fit(make_text_encoder(), PAIRS, mining=mining, checkpoint=tmp_path / "checkpoint")


def test_a_training_without_mining_does_not_go_on_with_ones_checkpoint(
    make_text_encoder: MakeTextEncoder, tmp_path: Path, eager: None
) -> None:
    options = {**OPTIONS, "checkpoint": tmp_path / "checkpoint"}
    fit(make_text_encoder(), PAIRS, mining=EVERY, **options)
    with pytest.raises(InputError, match=r"belongs to another training: mining was .* is None"):
        fit(make_text_encoder(), PAIRS, **options)


def test_rows_that_are_fewer_than_a_batch_are_told_of_by_name(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder()
    whole, few = (
        make_training_set(
            NamedPairs("a", Pairs(tuple(zip(*rows, strict=True))), get_loss("in_batch_softmax")), text_encoder
        )
        for rows in (PAIRS, PAIRS[:3])
    )
    maker = BatchMaker([whole], batch_size=4, drop_remainder=True)
    with pytest.raises(InputError, match=r"No batch is full"):
        maker.replace([few], 1)
