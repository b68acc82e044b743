"""The task of reranking: its rows, its loss, what it measures, its scores and its passages."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.pairs.reading import Pairs
from tfchain.models.pair_encoder import load_pair_encoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.reranking.evaluation import make_evaluation
from tfchain.tasks.reranking.passages import MOST_QUERY_TOKENS, PassageMemory, cut_documents, tokenize_passages
from tfchain.tasks.reranking.ranked_lists import NO_DOCUMENT, read_ranked_lists
from tfchain.tasks.reranking.scoring import activate, rank_documents, score_documents, score_pairs
from tfchain.tasks.reranking.task import RerankingTask
from tfchain.tasks.reranking.training import make_training_rows
from tfchain.training.fit.options import FitOptions
from tfchain.training.mining.options import Mining

FIXTURES = Path(__file__).parents[2] / "parity" / "reranker_fixtures"
LIST = {"query": "q", "documents": ["a", "b"], "labels": [2, 0]}


@pytest.fixture(scope="module")
def model():
    return load_pair_encoder(FIXTURES / "bert", engine="tensorflow")[0]


def test_the_forms_of_rows():
    lists = read_ranked_lists([LIST, {"query": "r", "documents": ["c"], "labels": [1]}])
    np.testing.assert_array_equal(lists.to_table(), np.array([[2, 0], [1, NO_DOCUMENT]], "float32"))
    assert read_ranked_lists(lists) is lists
    assert read_ranked_lists(iter([("q", "a", 0.5)])).labels == ([0.5],)
    mined = read_ranked_lists(Pairs((["q", "r"], ["a", "b"], ["c", "d"])))
    assert (mined.documents, mined.labels) == ([("a", "c"), ("b", "d")], [[1, 0], [1, 0]])
    labelled = read_ranked_lists(
        [{"query": "q", "document": "a", "label": 1}, {"query": "q", "document": "b", "label": 0}]
    )
    assert labelled.labels == [[1], [0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**LIST, "labels": [1]}], r"dataset\[0\]: `labels` must have a number for each of 2 documents"),
        ([{**LIST, "documents": "a"}], "`documents` must be a list of texts"),
        ([LIST, {"query": "q"}], r"dataset\[1\]: expected rows of a query, documents and labels"),
        ([{**LIST, "documents": ["a", " "]}], "`documents` must be a text that is not empty"),
        ([{**LIST, "labels": [1, "0"]}], "a label must be a number"),
        ([("q", "a", 1), ("q", "a")], r"dataset\[1\]: expected \(query, document, label\)"),
        (["only", "texts"], "Received"),
        ([], "at least one row"),
    ],
)
def test_rows_that_cannot_be_read(rows, message):
    with pytest.raises(InputError, match=message):
        read_ranked_lists(rows)


def test_training_rows_are_joined_pairs_and_shorter_lists_are_filled(model):
    lists = read_ranked_lists([LIST, {"query": "r", "documents": ["c"], "labels": [1]}])
    pairs, loss = make_training_rows(model, lists, FitOptions())
    assert pairs.columns == ([join_pair("q", "a"), join_pair("r", "c")], [join_pair("q", "b"), join_pair("r", "")])
    assert loss.name == "lambda"  # the labels are graded
    assert make_training_rows(model, read_ranked_lists([("q", "a", 1)]), FitOptions())[1].name == "binary_cross_entropy"
    mined = read_ranked_lists(Pairs((["q"], ["a"], ["b"])))
    assert make_training_rows(model, mined, FitOptions())[1].name == "listwise_softmax"
    assert make_training_rows(model, mined, FitOptions(loss="list_net"))[1].name == "list_net"


def test_options_that_a_reranker_does_not_take(model):
    lists = read_ranked_lists([LIST])
    with pytest.raises(InputError, match="Mine with a search chain first"):
        make_training_rows(model, lists, FitOptions(mining=Mining()))
    with pytest.raises(InputError, match="must be one of binary_cross_entropy"):
        make_training_rows(model, lists, FitOptions(loss="cosent"))
    several = load_pair_encoder(FIXTURES / "bert_labels", engine="tensorflow")[0]
    with pytest.raises(InputError, match="a model of 3 outputs"):
        make_training_rows(several, lists, FitOptions())
    with pytest.raises(InputError, match="`activation` must be one of sigmoid, identity"):
        RerankingTask("softmax")
    with pytest.raises(InputError, match="a label of 1 or more"):
        RerankingTask().read_judged([{**LIST, "labels": [0, 0]}], split="test")


def test_metrics_by_hand():
    """The second query's answer comes second: nDCG 1 / log2(3), reciprocal rank 1 / 2; the first's comes first."""

    class Scored:
        def encode(self, texts, **_):
            return np.array([[0.9], [0.1], [0.2], [0.2], [0.1]], "float32")

    lists = read_ranked_lists([LIST, {"query": "r", "documents": ["c", "d", "e"], "labels": [0, 1, 0]}])
    found = make_evaluation(lists, metrics=["ndcg@10", "mrr@10"], batch_size=2)(Scored())
    assert found == pytest.approx({"ndcg@10": (1 + 1 / np.log2(3)) / 2, "mrr@10": 0.75})


def test_a_long_document_scores_by_its_best_passage(model):
    document = "the cat sleeps and the dog runs while stocks fell on monday " * 4
    (passages,) = cut_documents(model.tokenizer, [document])
    assert len(passages) > 2
    best = score_pairs(model, [("who sleeps", passage) for passage in passages], "identity").max()
    found = score_documents(model, "who sleeps", [document, "short"], "identity", long_documents="split")
    np.testing.assert_allclose(found, [best, *score_pairs(model, [("who sleeps", "short")], "identity")], atol=1e-6)
    room = model.tokenizer.max_length - 3 - min(MOST_QUERY_TOKENS, (model.tokenizer.max_length - 3) // 4)
    assert all(count <= room for count in model.tokenizer.count_tokens(passages))
    tokens = tokenize_passages(model.tokenizer, [document, "short"])
    assert tokens.take(0) == model.tokenizer.find_ids(passages)
    assert tokens.take(1) == model.tokenizer.find_ids(["short"])


def test_passages_in_a_prompt_are_tokenized_with_their_query():
    prompted = load_pair_encoder(FIXTURES / "qwen3", engine="tensorflow")[0]
    document = "the cat sleeps and the dog runs while stocks fell on monday " * 4
    (passages,) = cut_documents(prompted.tokenizer, [document])
    assert len(passages) > 2
    best = score_pairs(prompted, [("who sleeps?", passage) for passage in passages], "sigmoid").max()
    found = score_documents(prompted, "who sleeps?", [document], "sigmoid", long_documents="split")
    np.testing.assert_allclose(found, [best], atol=1e-6)
    with pytest.raises(InputError, match="takes joined pairs only"):
        tokenize_passages(prompted.tokenizer, [document])


def test_a_memory_of_passages_is_emptied_when_it_is_full_or_for_another_tokenizer(model):
    memory = PassageMemory(most_tokens=4)
    first = memory.find(model.tokenizer, ["the cat", "a dog", "the cat"])
    assert first[0] is first[2]
    assert memory.find(model.tokenizer, ["the cat"])[0] is not first[0]  # more than four tokens: it was emptied
    memory = PassageMemory()
    first = memory.find(model.tokenizer, ["the cat"])
    assert memory.find(model.tokenizer, ["the cat", "b"])[0] is first[0]
    other = load_pair_encoder(FIXTURES / "bert", engine="tensorflow", max_length=20)[0]
    assert memory.find(other.tokenizer, ["the cat"])[0] is not first[0]
    assert [ids.tolist() for ids in first[0]] == model.tokenizer.find_ids(["the cat"])


def test_a_time_budget_leaves_out_the_last_documents(model):
    documents = [f"text {number}" for number in range(40)]
    scores = score_documents(model, "q", documents, "sigmoid", within_ms=1e-6)
    assert len(scores) == 8
    np.testing.assert_allclose(scores, score_documents(model, "q", documents, "sigmoid")[:8], atol=1e-6)
    assert len(score_documents(model, "q", documents, "sigmoid", within_ms=1e-6, least=12)) == 16
    assert len(score_documents(model, "q", documents, "sigmoid", within_ms=1e6)) == 40
    assert not len(score_documents(model, "q", [], "sigmoid"))


def test_the_order_of_documents_and_the_sigmoid():
    ranked = rank_documents(np.array([0.5, 0.7, 0.5], "float32"), ["a", "b", "c"], top_n=2)
    assert [(hit.index, hit.text) for hit in ranked] == [(1, "b"), (0, "a")]
    np.testing.assert_allclose(activate(np.array([-500.0, 0.0, np.log(3), 500.0]), "sigmoid"), [0, 0.5, 0.75, 1])
