"""From what a user gives to training sets: which loss, which prompts, which judgements."""

import logging
from typing import Any

import numpy as np
import pytest

from tests.training.conftest import MakeTextEncoder
from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs, text_key
from tfchain.training.batches.training_data import (
    NamedPairs,
    describe_datasets,
    make_judged,
    make_training_set,
    read_datasets,
)
from tfchain.training.losses import CoSENT, InBatchSoftmax, Triplet

PAIRS = [("who runs", "a dog"), ("what fell", "the stock")]
SCORED = [
    {"sentence1": "a cat", "sentence2": "the cat", "score": 0.9},
    {"sentence1": "a", "sentence2": "b", "score": 0.1},
]


def texts_of(tokenizer: Any, one: Any) -> list[list[str]]:
    return [[tokenizer.decode(ids, skip_special_tokens=True) for ids in one.store.take(row)] for row in one.store.rows]


def test_a_datasets_columns_decide_on_the_loss_and_the_log_names_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        read = read_datasets({"search": PAIRS, "similar": SCORED, "plain": ["one text", "another text"]})
    assert [(one.name, one.loss.name) for one in read] == [
        ("search", "in_batch_softmax"), ("similar", "cosent"), ("plain", "simcse"),
    ]  # fmt: skip
    assert "search has 2 columns: the loss is in_batch_softmax." in caplog.text
    assert "similar has 2 columns and labels: the loss is cosent." in caplog.text


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("in_batch_softmax", [20.0, 20.0]),
        ({"name": "in_batch_softmax", "scale": 5}, [5.0, 5.0]),
        (InBatchSoftmax(scale=7), [7.0, 7.0]),
        ({"first": {"name": "in_batch_softmax", "scale": 5}}, [5.0, 20.0]),
        ({"first": InBatchSoftmax(scale=3), "second": "in_batch_softmax"}, [3.0, 20.0]),
    ],
)
def test_a_loss_is_for_all_datasets_or_for_those_it_names(loss: Any, expected: list[float]) -> None:
    read = read_datasets({"first": PAIRS, "second": PAIRS}, loss)
    assert [one.loss.scale for one in read] == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("dataset", "loss", "message"),
    [
        ({}, None, r"at least one dataset\. Received: an empty dict"),
        ([], None, r"at least one row\. Received: an empty list"),
        ({"a": PAIRS}, {"b": "cosent"}, r"`loss` names the dataset 'b', which is not there\. The datasets: a\."),
        (PAIRS, "softmax", r"There is no loss 'softmax'"),
        (PAIRS, Triplet(), r"The loss `triplet` takes .*3.* Found 2"),
        (PAIRS, "cosent", r"The loss `cosent` needs labels"),
        (SCORED, "contrastive", r"must be 0 or 1\. Received: 0\.9 in row 0"),
        (SCORED, "in_batch_softmax", r"`in_batch_softmax` takes no labels"),
        ([{**SCORED[0], "score": float("nan")}], None, r"nan|NaN|finite"),
        ([{"query": "no document"}], None, r"document|positive"),
        (3, None, r"`dataset` must be a list"),
    ],
)
def test_what_cannot_be_trained_on_is_an_error(dataset: Any, loss: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_datasets(dataset, loss)


class SplitDict(dict[str, Any]):
    """As a Hugging Face `DatasetDict`: a dict of splits, which knows its columns."""

    column_names = property(lambda self: {name: split.column_names for name, split in self.items()})


class Table:
    """As a Hugging Face `Dataset`."""

    column_names = ("query", "document")

    def __init__(self, rows: list[tuple[str, str]]) -> None:
        self.rows = rows

    def iter(self, batch_size: int) -> Any:
        yield {"query": [row[0] for row in self.rows], "document": [row[1] for row in self.rows]}


def test_of_a_dict_of_splits_only_the_split_that_was_asked_for_is_trained_on() -> None:
    dataset = SplitDict(train=Table(PAIRS), test=Table([("held", "out")]))
    (read,) = read_datasets(dataset)
    assert read.pairs.columns[0] == ["who runs", "what fell"]
    (read,) = read_datasets(dataset, split="test")
    assert read.pairs.columns[0] == ["held"]


def test_queries_and_documents_get_their_prompts(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder(prompts={"query": "who ", "passage": "on "}, include_prompt=False)
    (read,) = read_datasets([("a cat", "the dog", "stock")])
    made = make_training_set(read, text_encoder)
    assert texts_of(text_encoder.tokenizer.tokenizer, made) == [["who a cat", "on the dog", "on stock"]]
    assert made.keys.tolist() == [[text_key("a cat"), text_key("the dog"), text_key("stock")]]
    assert made.skipped == (2, 2, 2)  # [CLS] and a word
    assert made.num_columns == 3
    assert len(made) == 1


def test_pairs_of_sentences_get_no_prompt(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder(prompts={"query": "who ", "passage": "on "})
    (read,) = read_datasets(SCORED)
    made = make_training_set(read, text_encoder)
    assert texts_of(text_encoder.tokenizer.tokenizer, made)[0] == ["a cat", "the cat"]
    assert made.skipped == (0, 0)
    assert made.labels is not None
    np.testing.assert_allclose(made.labels, [[0.9], [0.1]])


def test_a_text_alone_stands_in_two_columns_and_once_in_the_store(make_text_encoder: MakeTextEncoder) -> None:
    (read,) = read_datasets(["one text", "another text"])
    made = make_training_set(read, make_text_encoder())
    assert made.num_columns == 2
    assert len(made.store) == 2
    np.testing.assert_array_equal(made.keys[:, 0], made.keys[:, 1])
    np.testing.assert_array_equal(made.store.rows[:, 0], made.store.rows[:, 1])


def test_a_guided_loss_gets_the_guides_vectors_of_its_own_prompts(make_text_encoder: MakeTextEncoder) -> None:
    text_encoder = make_text_encoder(prompts={"query": "who "})
    guide = make_text_encoder(seed=5, prompts={"query": "on ", "document": "the "})
    (read,) = read_datasets([("a cat", "the dog"), ("a dog", "a cat")], "guided_in_batch_softmax")
    with pytest.raises(InputError, match=r"`guided_in_batch_softmax` needs a guide model\. Give it to `fit`"):
        make_training_set(read, text_encoder)
    made = make_training_set(read, text_encoder, guide=guide)
    assert made.guide is not None
    found = made.guide[made.store.rows]  # (rows, columns, dim)
    np.testing.assert_allclose(found[:, 0], guide.encode(["on a cat", "on a dog"]), atol=1e-6)
    np.testing.assert_allclose(found[:, 1], guide.encode(["the the dog", "the a cat"]), atol=1e-6)


def test_judgements_are_filled_up_with_0() -> None:
    columns = (["q", "r", "s"], ["a", "b", "c"])
    judged = make_judged(Pairs(columns, relevant=((3, 9), frozenset({4}), ())))
    assert judged.tolist() == [[3, 9], [4, 0], [0, 0]]
    assert make_judged(Pairs(columns)).tolist() == [[0], [0], [0]]


def test_a_dataset_is_described_by_texts_labels_losses_and_names() -> None:
    def describe(rows: Any = SCORED, *, name: str = "a", loss: Any = None) -> str:
        (read,) = read_datasets({name: rows}, loss)
        return describe_datasets([read])

    first = describe()
    assert first == describe(list(SCORED)) == describe(loss=CoSENT())
    others = [
        describe([SCORED[1], SCORED[0]]),
        describe([SCORED[0], {**SCORED[1], "score": 0.2}]),
        describe([SCORED[0], {**SCORED[1], "sentence2": "c"}]),
        describe(loss=CoSENT(scale=3)),
        describe(loss="cosine_mse"),
        describe(name="b"),
    ]
    assert len({first, *others}) == 7


def test_a_nested_loss_is_described_too() -> None:
    (pairs,) = read_datasets(PAIRS)
    losses = [
        {"name": "matryoshka", "loss": {"name": "in_batch_softmax", "scale": scale}, "dims": [4]} for scale in (1, 2)
    ]
    first, second = (read_datasets(PAIRS, loss) for loss in losses)
    assert describe_datasets(first) == describe_datasets(read_datasets(PAIRS, losses[0])) != describe_datasets(second)
    assert isinstance(pairs, NamedPairs)
