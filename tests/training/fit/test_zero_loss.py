"""Trainings that cannot learn anything say so, and why."""

import logging
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import ROWS, MakeTextEncoder
from tests.training.fit.test_fit import PAIRS, fit
from tfchain.data.pairs.reading import Pairs, text_key
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import make_training_set, read_datasets
from tfchain.training.fit.zero_loss import warn_without_negatives

SAME_QUERY = [("who runs", document) for _, document in PAIRS]
SAME_DOCUMENT = [(query, "the cat") for query, _ in PAIRS]
SCORED = [{"sentence1": query, "sentence2": document, "score": 0.5} for query, document in PAIRS]


def judged() -> Pairs:
    columns = (["who runs", "what fell"], ["a dog", "the stock"])
    return Pairs(columns, relevant=(tuple(map(text_key, columns[1])),) * 2)


def warn(
    text_encoder: Any,
    dataset: Any,
    *,
    loss: Any = None,
    batch_size: int = 4,
    mask: bool = True,
    batches: Any = "random",
) -> bool:
    datasets = read_datasets(dataset, loss)
    sets = [make_training_set(named, text_encoder, progress=False) for named in datasets]
    maker = BatchMaker(sets, batch_size=batch_size, batches=batches)
    return warn_without_negatives(maker, [named.loss for named in datasets], mask=mask)


@pytest.mark.parametrize(
    ("dataset", "values", "cause"),
    [
        (PAIRS, {"batch_size": 1}, "and the first 8 batch(es) hold none: a batch is one pair. Raise `batch_size`"),
        (PAIRS[:1], {}, "the first 1 batch(es) hold none: a batch is one pair."),
        (["a text"], {}, "the loss `simcse` needs negatives"),
        (SAME_QUERY, {}, "all of its rows have the same query"),
        (SAME_QUERY, {"batches": "no_duplicates"}, "a batch is one pair"),
        (SAME_DOCUMENT, {}, "all of its rows have the same document"),
        (judged(), {}, "every document is relevant for every query"),
        (PAIRS, {"batch_size": 1, "loss": {"name": "matryoshka", "loss": "in_batch_softmax", "dims": [4]}}, "one pair"),
        ({"search": PAIRS, "alone": PAIRS[:1]}, {}, "the first 1 batch(es) hold none: a batch is one pair."),
    ],
)
def test_a_batch_without_negatives_has_a_warning_with_the_cause(
    make_text_encoder: MakeTextEncoder,
    caplog: pytest.LogCaptureFixture,
    dataset: Any,
    values: dict[str, Any],
    cause: str,
) -> None:
    assert warn(make_text_encoder(), dataset, **values)
    (record,) = caplog.records
    assert record.getMessage().startswith("Nothing is learned: the loss `")
    assert cause in record.getMessage()


@pytest.mark.parametrize(
    ("dataset", "values"),
    [
        (PAIRS, {}),
        (PAIRS, {"batch_size": 2}),
        (PAIRS[:5], {}),  # the last batch is one pair
        (ROWS, {"batch_size": 1}),  # each row has a negative of its own
        (SAME_QUERY, {"mask": False}),
        ([*SAME_QUERY, ("what fell", "stock")], {"batch_size": 9}),
        (judged(), {"mask": False}),
        (SCORED, {"batch_size": 1, "loss": "cosine_mse"}),  # rows are not compared
    ],
)
def test_what_can_be_learned_has_none(
    make_text_encoder: MakeTextEncoder, caplog: pytest.LogCaptureFixture, dataset: Any, values: dict[str, Any]
) -> None:
    assert not warn(make_text_encoder(), dataset, **values)
    assert not caplog.records


def test_batches_of_one_pair_were_trained_on_without_a_word(
    make_text_encoder: MakeTextEncoder, eager: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="tfchain"):
        history = fit(make_text_encoder(), PAIRS[:2], batch_size=1)
    assert history.history["loss"] == [0]
    assert [record.getMessage()[:20] for record in caplog.records] == ["Nothing is learned: "]  # and once
    caplog.clear()
    fit(make_text_encoder(), PAIRS[:2], batch_size=2)
    assert not caplog.records


def test_a_loss_of_0_from_another_cause_is_told_after_the_first_epoch(
    make_text_encoder: MakeTextEncoder, eager: None, caplog: pytest.LogCaptureFixture
) -> None:
    text_encoder = make_text_encoder()
    before = [np.array(weight) for weight in text_encoder.encoder.weights]
    with caplog.at_level(logging.WARNING, logger="tfchain"):
        fit(text_encoder, SCORED[:2], loss="cosent", epochs=2)  # no score is above another
    assert [record.getMessage()[:53] for record in caplog.records] == [
        "The loss of the first epoch is 0: nothing is learned."
    ]
    for weight, old in zip(text_encoder.encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)
