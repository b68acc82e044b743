"""The kernels' search for the best token, against all logits."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tfchain.models.native_library import find_obstacle
from tfchain.models.seq2seq import token_search
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel
from tfchain.models.seq2seq.token_search import TokenSearch, can_search

pytestmark = pytest.mark.skipif(find_obstacle() is not None, reason=str(find_obstacle()))

Load = Callable[[str], tuple[Seq2SeqModel, dict[str, Any]]]


class Counted(TokenSearch):
    """Counts the rows that are searched for."""

    rows = 0

    def find(self, hidden: np.ndarray, mask: int | None = None) -> np.ndarray:
        self.rows += len(hidden)
        return super().find(hidden, mask)


def compute_logits(model: Seq2SeqModel, hidden: np.ndarray) -> np.ndarray:
    parts = model.transformer.parts
    logits = hidden.astype("float64") @ np.asarray(parts.target_tokens.embeddings).astype("float64").T
    return logits if parts.logits_bias is None else logits + np.asarray(parts.logits_bias.bias)


def draw_rows(model: Seq2SeqModel, count: int) -> np.ndarray:
    width = model.transformer.parts.target_tokens.hidden_dim
    return np.random.default_rng(0).normal(size=(count, width)).astype("float32")


@pytest.mark.parametrize("name", ["marian", "nllb"])
def test_the_best_token_is_that_of_all_logits(name: str, load_small: Load) -> None:
    model, _ = load_small(name)
    rows = draw_rows(model, 9)
    logits = compute_logits(model, rows)
    search = TokenSearch(model.transformer)
    found = search.find(rows)
    assert found.dtype == np.int32
    assert found.tolist() == logits.argmax(axis=1).tolist()
    allowed = np.ones(logits.shape[1], bool)
    allowed[found] = False
    logits[:, ~allowed] = -np.inf
    assert search.find(rows, search.keep_mask(allowed)).tolist() == logits.argmax(axis=1).tolist()


def test_a_bias_counts(load_small: Load) -> None:
    model = load_small("marian")[0].copy()
    bias = model.transformer.parts.logits_bias.bias
    bias.assign(np.random.default_rng(1).normal(0, 3, bias.shape))
    rows = draw_rows(model, 20)
    plain = (compute_logits(model, rows) - np.asarray(bias)).argmax(axis=1)
    expected = compute_logits(model, rows).argmax(axis=1)
    assert (plain != expected).any()
    assert TokenSearch(model.transformer).find(rows).tolist() == expected.tolist()


def test_a_bias_that_rules_tokens_out_rules_them_out(load_small: Load) -> None:
    model = load_small("marian")[0].copy()
    bias = model.transformer.parts.logits_bias.bias
    rows = draw_rows(model, 20)
    best = np.unique(compute_logits(model, rows).argmax(axis=1))
    for value in (-np.inf, -1e9):
        changed = np.zeros(bias.shape, "float32")
        changed[best] = value
        bias.assign(changed)
        expected = compute_logits(model, rows).argmax(axis=1).tolist()
        assert not set(expected) & set(best.tolist())
        assert TokenSearch(model.transformer).find(rows).tolist() == expected


def test_numbers_out_of_range_are_left_to_numpy(load_small: Load) -> None:
    model, _ = load_small("marian")
    rows = draw_rows(model, 3)
    rows[1] *= np.float32(1e36)
    allowed = np.ones(model.transformer.config.decoder_vocabulary_size, bool)
    allowed[compute_logits(model, rows).argmax(axis=1)] = False
    expected = np.where(allowed, compute_logits(model, rows), -np.inf).argmax(axis=1)
    search = TokenSearch(model.transformer)
    assert search.find(rows, search.keep_mask(allowed)).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("marian", {"max_length": 12}),
        ("marian", {"max_length": 12, "min_length": 9}),
        ("marian", {"max_length": 12, "bad_words_ids": ((5,), (9,), (30,)), "min_length": 4}),
        ("nllb", {"max_length": 10, "forced_bos_token_id": 7, "forced_eos_token_id": 2}),
        ("m2m_100", {"max_length": 10, "num_return_sequences": 1}),
        ("t5", {"max_length": 10, "min_length": 6}),
    ],
)
def test_targets_are_those_of_all_logits(name: str, options: dict[str, Any], load_small: Load) -> None:
    model, content = load_small(name)
    made = model.copy()
    assert made._token_search is None  # the table is small
    chosen = model.options.replace(**{"num_beams": 1, "forced_eos_token_id": None, "bad_words_ids": (), **options})
    expected = [made.generate_ids([source], options=chosen) for source in content["sources"][:4]]
    made._functions.clear()
    made._token_search = search = Counted(made.transformer)
    assert [made.generate_ids([source], options=chosen) for source in content["sources"][:4]] == expected
    assert search.rows == sum(len(row) for (row,) in expected)
    assert made.generate_ids(content["sources"][:4], options=chosen) == [row for (row,) in expected]
    assert search.rows == sum(len(row) for (row,) in expected) + 4 * max(len(row) for (row,) in expected)


@pytest.mark.parametrize(
    "options",
    [{"num_beams": 2}, {"repetition_penalty": 1.5}, {"no_repeat_ngram_size": 2}, {"do_sample": True}],
    ids=["beams", "penalty", "repeats", "draws"],
)
def test_what_needs_all_logits_has_them(options: dict[str, Any], load_small: Load) -> None:
    model, content = load_small("marian")
    made = model.copy()
    chosen = model.options.replace(**{"num_beams": 1, "max_length": 6, **options})
    expected = made.generate_ids(content["sources"][:1], options=chosen)
    made._functions.clear()
    made._token_search = search = Counted(made.transformer)
    assert made.generate_ids(content["sources"][:1], options=chosen) == expected
    assert search.rows == 0


def test_new_weights_are_searched(monkeypatch: pytest.MonkeyPatch, load_small: Load) -> None:
    monkeypatch.setattr(token_search, "LEAST_BYTES", 1)
    model, content = load_small("marian")
    made = model.copy()
    assert made._token_search is not None
    chosen = model.options.replace(num_beams=1, max_length=8)
    before = made.generate_ids(content["sources"][:1], options=chosen)
    copied = made._token_search._copied
    assert copied is not None
    assert not copied.table.flags.owndata  # it is the variable's memory
    assert made.generate_ids(content["sources"][:1], options=chosen) == before
    assert made._token_search._copied is copied
    random = np.random.default_rng(3)
    weights = [np.asarray(weight) for weight in made.transformer.weights]
    changed = [weight + random.normal(0, 0.1, weight.shape).astype(weight.dtype) for weight in weights]
    made.transformer.set_weights(changed)  # without `refresh`
    found = made.generate_ids(content["sources"][:1], options=chosen)
    made._functions.clear()
    made._token_search = None
    assert made.generate_ids(content["sources"][:1], options=chosen) == found != before
    assert made.with_precision("int8")._token_search is not None


def test_a_model_that_is_dropped_is_gone(monkeypatch: pytest.MonkeyPatch, load_small: Load) -> None:
    monkeypatch.setattr(token_search, "LEAST_BYTES", 1)
    model, content = load_small("marian")
    made = model.copy()
    made.generate_ids(content["sources"][:1], options=model.options.replace(num_beams=1, max_length=4))
    kept = [weakref.ref(made._token_search), weakref.ref(made.transformer)]
    assert all(reference() is not None for reference in kept)
    del made
    gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_where_the_kernels_do_not_search(monkeypatch: pytest.MonkeyPatch, load_small: Load) -> None:
    assert not can_search(load_small("marian")[0].transformer)  # faster by TensorFlow
    monkeypatch.setattr(token_search, "LEAST_BYTES", 1)
    assert can_search(load_small("marian")[0].transformer)
    assert not can_search(load_small("mt5")[0].transformer)  # a head of its own
    for name, found in (("find_obstacle", "no kernels"), ("tf.config.list_physical_devices", ["GPU"])):
        with monkeypatch.context() as patch:
            patch.setattr(f"tfchain.models.seq2seq.token_search.{name}", lambda *_, found=found: found)
            assert not can_search(load_small("marian")[0].transformer)
