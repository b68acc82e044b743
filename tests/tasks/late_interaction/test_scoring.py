"""Scores of texts, the memory of a search, an evaluation, and the rows of a training."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.token_encoder import load_token_encoder
from tfchain.tasks.late_interaction.encoding import TokenMemory, cut_documents, encode_documents, encode_tokens, is_late
from tfchain.tasks.late_interaction.evaluation import make_evaluation
from tfchain.tasks.late_interaction.maxsim import max_sim
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.late_interaction.scoring import score_documents, score_pairs
from tfchain.tasks.late_interaction.training import make_training_rows
from tfchain.tasks.reranking.ranked_lists import read_ranked_lists
from tfchain.training.fit.options import FitOptions
from tfchain.training.losses.late_interaction import LateInteraction
from tfchain.training.mining.options import Mining

FIXTURES = Path(__file__).parents[2] / "parity" / "late_fixtures"
QUERY = "merge sorted lists"
TEXTS = ["sorted lists are merged", "a class and its methods", "return the value " * 30]


@pytest.fixture(scope="module")
def model() -> TextEncoder:
    return load_token_encoder(FIXTURES / "stanford", engine="tensorflow")[0]


def test_documents_score_by_their_best_passage(model: TextEncoder) -> None:
    assert is_late(model)
    cuts = cut_documents(model, TEXTS)
    assert [len(cut) for cut in cuts] == [1, 1, 3]
    expected = [max(score_documents(model, QUERY, cut)) for cut in cuts]
    for memory in (None, TokenMemory()):
        found = score_documents(model, QUERY, TEXTS, long_documents="split", memory=memory)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    whole = score_documents(model, QUERY, TEXTS)
    np.testing.assert_allclose(whole, score_pairs(model, [QUERY] * 3, TEXTS, "sum"), atol=1e-5)
    assert score_documents(model, QUERY, []).shape == (0,)


def test_a_time_budget_ends_after_the_least(model: TextEncoder) -> None:
    scores = score_documents(model, QUERY, ["sorted"] * 20, within_ms=1e-6, least=8)
    assert len(scores) == 8


def test_a_memory_encodes_each_document_once_until_it_is_full(
    model: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[str] = []
    encode = model.encode_document
    monkeypatch.setattr(
        model, "encode_document", lambda texts, **more: (encoded.extend(texts), encode(texts, **more))[1]
    )
    options = LateOptions(pool_factor=2)
    memory = TokenMemory(most_bytes=1)
    first = memory.find(model, TEXTS[:1], options)
    assert len(encoded) == 1
    again = memory.find(model, TEXTS[:1], options)  # it was over its limit, and is empty
    assert len(encoded) == 2
    np.testing.assert_array_equal(first[0].values, again[0].values)
    memory = TokenMemory()
    vectors, firsts = encode_documents(model, TEXTS, options)
    memory.fill(model, TEXTS, options, vectors, firsts)
    encoded.clear()
    assert [len(found) for found in memory.find(model, TEXTS, options)] == np.diff(firsts).tolist()
    assert not encoded
    memory.find(model, TEXTS[:1], LateOptions())  # other numbers
    assert len(encoded) == 1


def test_pooled_vectors_in_int8_score_nearly_as_all_in_float32(model: TextEncoder) -> None:
    query = encode_tokens(model, [QUERY], "query").to_float()
    exact = encode_tokens(model, TEXTS, "document")
    for factor in (1, 2):
        kept = encode_tokens(model, TEXTS, "document", options=LateOptions(pool_factor=factor))
        assert len(kept.values) <= 3 + (len(exact.values) - 3) // factor
        np.testing.assert_allclose(max_sim(query, kept), max_sim(query, exact), rtol=0.02 * factor)


def test_an_evaluation_ranks_each_querys_documents(model: TextEncoder) -> None:
    order = np.argsort(-score_documents(model, QUERY, TEXTS)).tolist()
    for answer, rank in ((order[0], 1), (order[2], 3)):
        rows = [{"query": QUERY, "documents": TEXTS, "labels": [int(place == answer) for place in range(3)]}]
        evaluate = make_evaluation(read_ranked_lists(rows), metrics=["mrr@10"], batch_size=2)
        assert evaluate(model)["mrr@10"] == pytest.approx(1 / rank)


def test_the_rows_and_the_loss_of_a_training(model: TextEncoder) -> None:
    lists = read_ranked_lists([("q", "a", "b"), ("r", "c", "d")])
    pairs, loss = make_training_rows(model, lists, FitOptions())
    assert (pairs.columns, pairs.labels) == ((["q", "r"], ["a", "c"], ["b", "d"]), None)
    assert (loss.inner, loss.dim, loss.query_vectors) == (None, 8, 16)
    graded = read_ranked_lists(
        [{"query": "q", "documents": ["a", "b"], "labels": [0.3, 2]}, {"query": "r", "documents": ["c"], "labels": [1]}]
    )
    pairs, loss = make_training_rows(model, graded, FitOptions())
    assert loss.inner is not None
    assert loss.inner.name == "list_net"
    assert pairs.columns[2] == ["b", ""]
    assert pairs.labels.shape == (2, 2)
    own = LateInteraction(8, "lambda")
    assert make_training_rows(model, graded, FitOptions(loss=own))[1] is own
    scaled = make_training_rows(model, lists, FitOptions(loss={"name": "in_batch", "scale": 2.0}))[1]
    assert scaled.scale == 2


def test_options_that_late_interaction_does_not_take(model: TextEncoder) -> None:
    lists = read_ranked_lists([{"query": "q", "documents": ["a", "b"], "labels": [0, 1]}])
    for options, message in (
        (FitOptions(mining=Mining()), "Mine with a search chain first"),
        (FitOptions(loss="in_batch"), "takes each row's first document for the one that answers"),
        (FitOptions(loss="cosent"), "The loss of a reranker must be one of"),
        (FitOptions(loss=3), "must be the name of a reranker's loss or 'in_batch'"),
    ):
        with pytest.raises(InputError, match=message):
            make_training_rows(model, lists, options)
