"""Rows that are augmented anew in each epoch: which texts are tokenized, and what is refused."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.training.batches.test_maker import encode
from tfchain.core.errors import InputError
from tfchain.data.augmentation.query_filters import FilterRoundTrip
from tfchain.data.augmentation.word_noise import DeleteWords
from tfchain.data.pairs.reading import Pairs, text_key
from tfchain.data.steps.step import RecordStep, TextStep
from tfchain.training.batches.augmented_rows import RowAugmenter, check_augment
from tfchain.training.batches.layout import Layout
from tfchain.training.batches.maker import BatchMaker
from tfchain.training.batches.training_data import NamedPairs, make_training_set
from tfchain.training.losses import get_loss


@dataclass(frozen=True)
class Tag(RecordStep):
    """Writes a row's id behind its query."""

    name = "tag"

    def expand(self, record, log):
        yield {**record, "query": f"{record['query']} {record['id']}"}


@dataclass(frozen=True)
class Empty(TextStep):
    name = "empty"

    def change(self, text: str, found: Counter[str]) -> str:
        return ""


class FakeEncoder:
    """Stands in for a text encoder: a tokenizer of letters, and a prompt for queries."""

    query_prompt, document_prompt, embedding_dim, query_route = "q:", "", 4, None

    def tokenizer(self, texts: list[str]) -> list[list[int]]:
        return encode(texts)

    query_tokenizer = document_tokenizer = tokenizer

    def skipped_tokens(self, prompt: str) -> int:
        return 0


PAIRS = Pairs((["a", "b", "c"], ["x", "y", "z"]), relevant=((text_key("x"),), (text_key("y"),), (5, 6)))
NAMED = NamedPairs("dataset", PAIRS, get_loss("in_batch_softmax"))
ENCODER: Any = FakeEncoder()


def texts_in(training_set: Any) -> list[list[str]]:
    store = training_set.store
    return [["".join(map(chr, ids[1:-1])) for ids in store.take(row)] for row in store.rows]


def test_texts_are_those_of_the_epoch_and_keys_those_of_the_rows() -> None:
    augmenter = RowAugmenter([Tag()], lambda: [NAMED], ENCODER)
    made = augmenter(0, 3, np.array([2, 0]))
    assert texts_in(made) == [["q:c 3/2", "z"], ["q:a 3/0", "x"]]
    np.testing.assert_array_equal(made.keys, PAIRS.keys()[[2, 0]])
    assert made.judged.tolist() == [[5, 6], [text_key("x"), 0]]


def test_what_a_step_empties_or_drops_stays_as_it_was() -> None:
    assert texts_in(RowAugmenter([Empty()], lambda: [NAMED], ENCODER)(0, 0, np.array([1]))) == [["q:b", "y"]]


def test_labels_are_the_rows_and_single_texts_are_augmented_too() -> None:
    labels = np.array([[1.0], [2.0]], "float32")
    named = NamedPairs("d", Pairs((["one two three", "four five six"],), labels, symmetric=True), get_loss("cosent"))
    made = RowAugmenter([DeleteWords(rate=0.9)], lambda: [named], ENCODER)(0, 0, np.array([1, 0]))
    assert made.labels.tolist() == [[2.0], [1.0]]
    assert all(len(row[0].split()) < 3 for row in texts_in(made))


def test_a_text_and_its_copy_are_the_same_for_losses_that_need_copies() -> None:
    named = NamedPairs("d", Pairs((["one two three", "a"],), symmetric=True), get_loss("simcse"))
    made = RowAugmenter([DeleteWords(rate=0.5)], lambda: [named], ENCODER)(0, 0, np.array([0]))
    ((first, second),) = texts_in(made)
    assert first == second
    assert made.keys.shape == (1, 2)


def test_batches_differ_by_epoch_and_repeat_from_any_step_on() -> None:
    def maker() -> BatchMaker:
        sets = [make_training_set(NAMED, ENCODER, progress=False)]
        augment = RowAugmenter([Tag()], lambda: [NAMED], ENCODER)
        return BatchMaker(sets, batch_size=3, batches="random", layout=Layout(groups=1), augment=augment)

    first = maker()
    texts = []
    for step in (0, 1):
        ((token_ids, mask),) = first.make(step, 0)["chunks"]
        texts.append({"".join(map(chr, row[1 : sum(seen) - 1])) for row, seen in zip(token_ids, mask, strict=True)})
    assert texts[0] == {"q:a 0/0", "q:b 0/1", "q:c 0/2", "x", "y", "z"}
    assert texts[1] == {"q:a 1/0", "q:b 1/1", "q:c 1/2", "x", "y", "z"}
    again = maker().make(1, 0)
    np.testing.assert_array_equal(again["chunks"][0][0], first.make(1, 0)["chunks"][0][0])


def test_steps_that_add_rows_are_refused_before_the_first_step() -> None:
    with pytest.raises(InputError, match=r"one row for a row. Received: delete_words, which adds rows. Set copies=0"):
        RowAugmenter([DeleteWords(rate=0.9, copies=1)], lambda: [LONG], ENCODER).check()


LONG = NamedPairs("d", Pairs((["one two three"] * 9, ["four five"] * 9)), get_loss("in_batch_softmax"))


def test_trainings_without_rows_in_memory_or_with_fixed_vectors_are_refused() -> None:
    with pytest.raises(InputError, match="steps that look at one row at a time. Received: filter_round_trip"):
        check_augment([FilterRoundTrip()], [NAMED], is_sharded=False)
    with pytest.raises(InputError, match="`augment` needs the rows in memory. Received: PairShards"):
        check_augment([Tag()], [NAMED], is_sharded=True)
    guided = NamedPairs("d", PAIRS, get_loss("guided_in_batch_softmax"))
    with pytest.raises(InputError, match="does not go with a loss that reads a guide's vectors.*guided_in_batch"):
        check_augment([Tag()], [guided], is_sharded=False)
