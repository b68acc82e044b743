"""Mining of hard negatives, with an encoder whose vectors are given."""

import logging
import re
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.documents.beir import to_dataset
from tfchain.data.pairs.reading import Pairs, text_key
from tfchain.models.text_encoder import TextEncoder
from tfchain.training.mining import ranked_corpus as candidates
from tfchain.training.mining.mine import Mining, mine_negatives

# The query lies along the first axis, so a document's first number is its score, its rank the place in this dict.
SCORES = {"a": 1.1, "b": 0.9, "gold": 0.8, "c": 0.78, "d": 0.7, "e": 0.5, "f": 0.2, "g": -0.4}
CORPUS = sorted(SCORES)  # not in the order of ranks
PAIRS = [("q", "gold")]


class GivenVectors:
    """An encoder by table."""

    def __init__(self, vectors, similarity="dot"):
        self.vectors = vectors
        self.similarity = similarity
        self.encoded = []

    def encode(self, texts, *, prompt, **options):
        assert prompt == "", "two sentences have no prompts"
        return self.encode_document(texts)

    def encode_query(self, texts, *, batch_size, progress=None):
        return np.array([self.vectors["query: " + text] for text in texts], dtype="float32")

    def encode_document(self, texts, **options):
        self.encoded.append(list(texts))
        return np.array([self.vectors[text] for text in texts], dtype="float32")


@pytest.fixture
def encoder():
    return GivenVectors({"query: q": [1, 0], **{text: [score, 1] for text, score in SCORES.items()}})


def mine(encoder, pairs=PAIRS, *, corpus=CORPUS, cross_check=None, **mining):
    return mine_negatives(encoder, pairs, Mining(**mining), corpus=corpus, cross_check=cross_check)


def negatives_of(pairs, row=0):
    return [column[row] for column in pairs.columns[2:]]


def test_the_best_documents_become_negatives_and_the_positive_never(encoder):
    mined = mine(encoder, num_negatives=4)

    assert mined.columns == (["q"], ["gold"], ["a"], ["b"], ["c"], ["d"])
    assert mined.labels is None
    assert mined.relevant is None
    assert not mined.symmetric


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"range_min": 2}, ["c", "d", "e"]),
        ({"max_score": 0.9}, ["b", "c", "d"]),  # at the limit stays
        ({"max_score": 0.89}, ["c", "d", "e"]),
        ({"absolute_margin": 0.0}, ["c", "d", "e"]),  # a and b are above the positive's 0.8
        ({"absolute_margin": 0.09}, ["d", "e", "f"]),  # 0.78 > 0.8 - 0.09
        ({"relative_margin": 0.05}, ["d", "e", "f"]),  # 0.78 > 0.8 * 0.95 = 0.76
        ({"relative_margin": 0.02}, ["c", "d", "e"]),  # 0.78 < 0.8 * 0.98 = 0.784
        ({"relative_margin": 0.05, "range_min": 1}, ["e", "f", "g"]),  # ranks count what the margin leaves
        ({"relative_margin": 0.05, "max_score": 0.6}, ["e", "f", "g"]),
    ],
    ids=str,
)
def test_each_filter_leaves_out_what_it_says(encoder, options, expected):
    assert negatives_of(mine(encoder, fill=False, **options)) == expected


def test_range_max_and_min_score_bound_the_candidates_from_below(encoder):
    assert negatives_of(mine(encoder, range_max=3)) == ["a", "b", "c"]
    with pytest.raises(InputError, match="No row has 3 negatives"):  # a and b alone
        mine(encoder, min_score=0.79, fill=False)
    assert negatives_of(mine(encoder, min_score=0.79, num_negatives=2, fill=False)) == ["a", "b"]


def test_a_relative_margin_lowers_the_limit_where_the_positive_scores_below_zero():
    scores = {"gold": -0.4, "x": -0.41, "y": -0.43}
    encoder = GivenVectors({"query: q": [1], **{text: [score] for text, score in scores.items()}})

    # -0.4 - 0.4 * 0.05 = -0.42: x is too near. -0.4 * (1 - 0.05) = -0.38 would let it through.
    mined = mine(encoder, corpus=["x", "y"], num_negatives=1, relative_margin=0.05, fill=False)

    assert negatives_of(mined) == ["y"]


def test_the_lowest_positive_of_a_query_decides_the_margin_and_none_of_them_is_a_negative(encoder):
    mined = mine(encoder, [("q", "gold"), ("q ", " d")], absolute_margin=0.0, num_negatives=2)

    assert [negatives_of(mined, row) for row in range(2)] == [["e", "f"], ["e", "f"]]  # c is above d's 0.7
    assert list(mined.columns[1]) == ["gold", " d"]


@pytest.fixture(autouse=True)
def _strip_for_vectors(monkeypatch):
    """Texts with white space at their ends have the vectors of those without."""
    for name in ("encode_query", "encode_document"):
        plain = getattr(GivenVectors, name)
        monkeypatch.setattr(
            GivenVectors,
            name,
            lambda self, texts, plain=plain, **options: plain(self, [text.strip() for text in texts], **options),
        )


def test_judged_documents_own_negatives_the_query_and_the_same_text_are_no_negatives(encoder):
    encoder.vectors["q"] = [2, 0]  # the query's own text is a document, too, and the best
    pairs = Pairs((["q"], ["gold"], ["b"]), relevant=((text_key("gold"), text_key("c")),))

    mined = mine(encoder, pairs, corpus=[*CORPUS, "q", " gold\n", "a ", "a"], num_negatives=3)

    assert mined.columns[:3] == (["q"], ["gold"], ["b"])
    assert [text.strip() for column in mined.columns[3:] for text in column] == ["a", "d", "e"]
    assert mined.relevant == pairs.relevant


def test_a_text_that_comes_again_in_a_later_block_is_one_candidate(encoder, monkeypatch):
    monkeypatch.setattr(candidates, "DOCUMENTS_IN_BLOCK", 3)

    mined = mine(encoder, corpus=[*CORPUS, *CORPUS, "a"], num_negatives=5, range_max=5)

    assert negatives_of(mined) == ["a", "b", "c", "d", "e"]


def test_blocks_and_parts_of_queries_change_nothing(monkeypatch):
    rng = np.random.default_rng(1)
    texts = [f"text {number}" for number in range(300)]
    vectors = dict(zip(texts, rng.normal(size=(300, 8)), strict=True))
    encoder = GivenVectors(vectors | {"query: " + text: vectors[text] for text in texts[:40]}, "cosine")
    pairs = [(texts[row], texts[299 - row]) for row in range(40)]
    scores = np.array([vectors[text] / np.linalg.norm(vectors[text]) for text in texts])
    scores = scores[:40] @ scores.T
    expected = []
    for row in range(40):
        ranking = [place for place in np.argsort(-scores[row]) if place not in (row, 299 - row)]
        expected.append([texts[place] for place in ranking[2:6]])

    for block, at_once in ((4096, 16_000_000), (7, 16_000_000), (64, 640), (7, 1)):
        monkeypatch.setattr(candidates, "DOCUMENTS_IN_BLOCK", block)
        monkeypatch.setattr(candidates, "SCORES_IN_BLOCK", at_once)
        mined = mine(encoder, pairs, corpus=texts, num_negatives=4, range_min=2, range_max=6)
        assert [negatives_of(mined, row) for row in range(40)] == expected, (block, at_once)


def test_cosine_compares_directions_and_dot_lengths_too():
    vectors = {"query: q": [2, 0], "gold": [1, 0], "long": [5, 5], "straight": [0.5, 0.1]}

    for similarity, expected in (("dot", "long"), ("cosine", "straight")):
        mined = mine(GivenVectors(vectors, similarity), corpus=["long", "straight"], num_negatives=1)
        assert negatives_of(mined) == [expected]


def test_random_negatives_are_drawn_from_the_ranks_by_the_seed(encoder):
    options = {"sampling": "random", "num_negatives": 2, "range_min": 1, "range_max": 5}  # of b, c, d, e
    drawn = [tuple(negatives_of(mine(encoder, seed=seed, **options))) for seed in range(40)]

    assert {text for pair in drawn for text in pair} == {"b", "c", "d", "e"}
    assert all(first < second for first, second in drawn)  # the hardest first
    assert drawn == [tuple(negatives_of(mine(encoder, seed=seed, **options))) for seed in range(40)]


def test_a_short_row_is_filled_with_documents_from_beyond_the_ranks(encoder, caplog):
    encoder.vectors |= {f"far {number}": [-1 - number, 0] for number in range(50)}
    corpus = [*CORPUS, *(f"far {number}" for number in range(50))]
    options = {"range_max": 7, "relative_margin": 0.5, "num_negatives": 4}  # leaves f and g of the seven

    with caplog.at_level(logging.WARNING):
        mined = [mine(encoder, corpus=corpus, seed=seed, **options) for seed in range(3)]

    found = [negatives_of(one) for one in mined]
    assert all(one[:2] == ["f", "g"] for one in found)
    assert all(text.startswith("far ") for one in found for text in one[2:])
    assert all(len(set(one)) == 4 for one in found)
    assert len({tuple(one) for one in found}) == 3
    assert negatives_of(mine(encoder, corpus=corpus, seed=1, **options)) == found[1]
    assert "1 of 1 rows have fewer than 4 candidates. 2 random documents fill up, 0 rows are dropped." in caplog.text


def test_random_documents_are_no_relevant_ones(encoder):
    encoder.vectors |= {f"far {number}": [-1 - number, 0] for number in range(20)}
    far = [f"far {number}" for number in range(20)]
    judged = tuple(text_key(text) for text in ["gold", *far[:19]])
    pairs = Pairs((["q"], ["gold"]), relevant=(judged,))

    mined = mine(encoder, pairs, corpus=[*CORPUS, *far], range_max=7, max_score=-0.1, num_negatives=2)

    assert negatives_of(mined) == ["g", "far 19"]


def test_a_row_that_cannot_be_filled_is_dropped_with_its_judgements(encoder, caplog):
    encoder.vectors["query: other"] = [0, 1]
    encoder.vectors["h"] = [0, 3]
    pairs = Pairs((["q", "other"], ["gold", "h"]), relevant=((text_key("gold"),), (text_key("h"),)))

    with caplog.at_level(logging.WARNING):
        mined = mine(encoder, pairs, corpus=[*CORPUS, "h"], absolute_margin=0.0, num_negatives=7)

    assert mined.columns[:2] == (["other"], ["h"])  # q has c to g and h as candidates, six, and none beyond
    assert mined.relevant == ((text_key("h"),),)
    assert "1 rows are dropped" in caplog.text


def test_fill_false_drops_short_rows_though_random_documents_are_there(encoder):
    encoder.vectors |= {"query: other": [0, 1], "h": [0, 3]} | {f"far {number}": [-9, 0] for number in range(20)}
    corpus = [*CORPUS, "h", *(f"far {number}" for number in range(20))]
    options = {"absolute_margin": 0.0, "num_negatives": 7, "range_max": 8}

    dropped = mine(encoder, [("q", "gold"), ("other", "h")], corpus=corpus, fill=False, **options)
    filled = mine(encoder, [("q", "gold"), ("other", "h")], corpus=corpus, **options)

    assert list(dropped.columns[0]) == ["other"]
    assert list(filled.columns[0]) == ["q", "other"]


def test_a_cross_check_function_takes_out_what_it_scores_above_the_positive(encoder):
    asked = []
    better = {"gold": 5.0, "a": 4.0, "b": 6.0, "c": 5.0, "d": -3.0, "e": 4.9, "f": 7.0, "g": 0.0}

    def cross_check(queries, documents):
        asked.extend(zip(queries, documents, strict=True))
        return np.array([better[text] for text in documents])

    options = {"cross_check": cross_check, "fill": False}
    assert negatives_of(mine(encoder, **options)) == ["a", "c", "d"]  # by the model's own ranks
    assert sorted(asked) == [("q", text) for text in sorted(SCORES)]
    assert negatives_of(mine(encoder, absolute_margin=0.5, **options)) == ["a", "d", "g"]
    assert negatives_of(mine(encoder, relative_margin=0.1, **options)) == ["a", "d", "g"]
    assert negatives_of(mine(encoder, max_score=4.5, **options)) == ["a", "d", "g"]
    assert negatives_of(mine(encoder, min_score=0.0, **options)) == ["a", "c", "e"]
    asked.clear()
    assert negatives_of(mine(encoder, range_max=4, **options)) == ["a", "c", "d"]
    assert sorted(asked) == [("q", text) for text in ("a", "b", "c", "d", "gold")]  # no others cost anything


def test_a_cross_check_encoder_compares_its_own_vectors(encoder, monkeypatch):
    monkeypatch.setattr(candidates, "DOCUMENTS_IN_BLOCK", 3)
    directions = {"gold": [4, 3], "a": [3, 4], "b": [1, 0], "c": [4, 3.1], "d": [0, 1], "e": [9, 1]}
    better = GivenVectors({"query: q": [7, 0], "f": [0, 1], "g": [0, 1], **directions}, "cosine")

    # Cosines: gold 0.8, a 0.6, b 1, c 0.79, d 0, e 0.99.
    assert negatives_of(mine(encoder, cross_check=better, fill=False)) == ["a", "c", "d"]
    assert sorted(text for texts in better.encoded for text in texts) == sorted(SCORES)  # each once


def test_each_query_is_cross_checked_against_its_own_candidates(monkeypatch):
    monkeypatch.setattr(candidates, "DOCUMENTS_IN_BLOCK", 4)
    rng = np.random.default_rng(2)
    documents = [f"d{number}" for number in range(30)]
    queries = [f"q{number}" for number in range(6)]
    vectors = {text: rng.normal(size=4) for text in [*documents, *(f"query: {query}" for query in queries)]}
    judged = {(query, text): rng.normal() for query in queries for text in documents}
    pairs = [(query, documents[number]) for number, query in enumerate(queries)]
    expected = []
    for query, positive in pairs:
        ranking = sorted(documents, key=lambda text: -(vectors["query: " + query] @ vectors[text]))
        ranking = [text for text in ranking if text != positive][:20]
        expected.append([text for text in ranking if judged[query, text] <= judged[query, positive]][:1])

    def cross_check(asked, texts):
        return np.array([judged[pair] for pair in zip(asked, texts, strict=True)])

    mined = mine(
        *(GivenVectors(vectors), pairs), corpus=documents, cross_check=cross_check, num_negatives=1, range_max=20
    )

    kept = dict(zip(mined.columns[0], mined.columns[2], strict=True))
    assert sum(map(len, expected)) >= 4
    assert all(kept[query] == one[0] for query, one in zip(queries, expected, strict=True) if one)


def test_without_a_corpus_the_rows_documents_are_mined(encoder):
    encoder.vectors |= {"query: r": [0, 1], "query: s": [-1, 0]}

    mined = mine_negatives(encoder, [("q", "gold"), ("r", "a"), ("s", "e")], Mining(num_negatives=2))

    assert [negatives_of(mined, row) for row in range(3)] == [["a", "e"], ["gold", "e"], ["gold", "a"]]


def test_a_beir_dataset_is_mined_from_its_corpus_with_all_its_judgements(encoder):
    dataset = to_dataset(
        queries={"1": "q"},
        qrels={"1": {"x": 1, "y": 2, "z": 0}},
        documents=[{"id": {"gold": "x", "b": "y", "a": "z"}.get(text, text), "text": text} for text in CORPUS],
    )

    mined = mine_negatives(encoder, dataset, Mining(num_negatives=2))

    assert mined.columns == (["q", "q"], ["gold", "b"], ["a", "a"], ["c", "c"])
    assert mined.relevant == ((text_key("gold"), text_key("b")),) * 2


def test_the_corpus_of_the_options_can_be_a_path_and_titles_are_part_of_the_text(encoder, tmp_path):
    encoder.vectors["title e"] = [0.6, 0]
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "1", "title": "title", "text": "e"}\n{"_id": "1", "text": "f"}\n')  # ids do not matter

    mined = mine_negatives(encoder, PAIRS, Mining(num_negatives=2, corpus=path))

    assert negatives_of(mined) == ["title e", "f"]


def test_two_sentences_are_encoded_without_prompts(encoder):
    encoder.vectors["q"] = [1, 0]
    mined = mine(encoder, Pairs((["q"], ["gold"]), symmetric=True), num_negatives=1)

    assert mined.symmetric
    assert negatives_of(mined) == ["a"]


def test_a_real_encoder_mines_what_its_vectors_say(tiny_model_path):
    text_encoder = TextEncoder.from_pretrained(
        tiny_model_path, engine="tensorflow", prompts={"query": "find ", "document": "read "}
    )
    documents = [" ".join(word) for word in ("abc", "cab", "xyz", "zzx", "mno", "pqr")]
    pairs = [("a b", documents[0]), ("x z", documents[2])]
    scores = text_encoder.encode(["find a b", "find x z"]) @ text_encoder.encode(["read " + one for one in documents]).T
    scores[[0, 1], [0, 2]] = -np.inf

    mined = mine_negatives(text_encoder, pairs, Mining(num_negatives=2, batch_size=2), corpus=documents)

    expected = [[documents[place] for place in np.argsort(-row)[:2]] for row in scores]
    assert [negatives_of(mined, row) for row in range(2)] == expected


class Numbers:
    """An encoder whose vectors are made of a text's last word, a number."""

    similarity = "dot"

    def encode_query(self, texts, **options):
        angles = np.array([float(text.split()[-1]) for text in texts])[:, None]
        return np.sin(angles * np.arange(1, 9)).astype("float32")

    encode_document = encode_query


def test_memory_does_not_grow_with_the_corpus(monkeypatch):
    monkeypatch.setattr(candidates, "DOCUMENTS_IN_BLOCK", 200)
    pairs = [(f"query {row}", f"positive {row}") for row in range(50)]
    words = "some words that fill a document " * 10
    passes = []

    def corpus(number) -> Iterator[str]:
        passes.append(number)
        return (f"{words}{place}" for place in range(number))

    def peak_of(number):
        tracemalloc.start()
        mine(*(Numbers(), pairs), corpus=lambda: corpus(number), cross_check=Numbers(), range_max=20)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_of(200)  # what is imported and cached the first time
    few, many = peak_of(1_000), peak_of(8_000)

    assert passes == [200] * 3 + [1_000] * 3 + [8_000] * 3  # ranked, checked, fetched
    assert many < 1.1 * few
    assert few < 1_000_000 < 7_000 * len(words)  # the texts alone would be more than 2 MB


def test_a_corpus_that_can_be_read_once_is_refused_before_anything_is_encoded(encoder):
    with pytest.raises(InputError, match=r"(?s)read more than once\. Received: generator.*corpus=lambda"):
        mine(encoder, corpus=(text for text in CORPUS))
    assert not encoder.encoded


def test_a_corpus_that_changes_is_an_error(encoder):
    same = iter(CORPUS)
    with pytest.raises(InputError, match="the same documents each time"):
        mine(encoder, corpus=lambda: same)
    same_again = iter(CORPUS)
    with pytest.raises(InputError, match="the same documents each time"):
        mine(encoder, corpus=lambda: same_again, cross_check=lambda queries, documents: np.zeros(len(queries)))


@pytest.mark.parametrize(
    ("pairs", "options", "message"),
    [
        (PAIRS, {"corpus": []}, "at least one document. Received: none"),
        (["a text"], {}, "a query and a document in each row. Received: one text"),
        (Pairs((["q"], ["gold"]), labels=np.ones((1, 1), "float32")), {}, "no labels. Received: 1 a row"),
        (PAIRS, {"max_score": -5}, r"No row has a candidate left .*of 7 .*range_min=0.*max_score=-5"),
        (PAIRS, {"range_min": 7, "num_negatives": 1}, "No row has a candidate left"),
        (PAIRS, {"num_negatives": 8}, "No row has 8 negatives.*corpus with more documents"),
        (PAIRS, {"cross_check": 3}, "text encoder, or a function.*Received: int"),
        (
            PAIRS,
            {"cross_check": lambda q, d: np.zeros((len(q), 2))},
            r"one finite number for each of 7 pairs.*\(7, 2\)",
        ),
        (PAIRS, {"cross_check": lambda q, d: np.full(len(q), np.nan)}, "one finite number"),
    ],
    ids=lambda value: re.sub(r" at 0x\w+", "", str(value)),
)
def test_what_cannot_be_mined_is_one_clear_error(encoder, pairs, options, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        mine(encoder, pairs, **options)


def test_vectors_that_are_not_finite_are_an_error(encoder):
    encoder.vectors["e"] = [np.nan, 0]
    with pytest.raises(InputError, match="vectors must be finite"):
        mine(encoder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_negatives": 0}, "`num_negatives` must be a whole number of at least 1. Received: num_negatives=0"),
        ({"range_min": -1}, "`range_min`"),
        ({"range_max": 2.5}, "`range_max`"),
        ({"range_min": 98}, r"`range_min` \+ `num_negatives`.*range_min=98, range_max=100, num_negatives=3"),
        ({"max_score": float("nan")}, "`max_score` must be a finite number, or None. Received: max_score=nan"),
        ({"min_score": True}, "`min_score`"),
        ({"absolute_margin": -0.1}, "`absolute_margin` must be a finite number of at least 0"),
        ({"relative_margin": 5}, r"`relative_margin` must be a finite number in \[0, 1\], or None. Received: .*=5"),
        ({"min_score": 0.5, "max_score": 0.4}, "min_score=0.5, max_score=0.4"),
        ({"sampling": "best"}, "'top' or 'random'. Received: sampling='best'"),
        ({"every": 0}, "`every`"),
        ({"seed": -1}, "`seed`"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"fill": "yes"}, "`fill` must be True or False"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_made(options, message):
    with pytest.raises(InputError, match=message):
        Mining(**options)
