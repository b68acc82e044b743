"""Ties of a Unigram model: found where graph and host differ by one, and nothing else is taken for one."""

from tests.models.tokenizers.unigram_tokenizers import make_backend, make_pair, make_tied_pair
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.unigram_ties import find_tied, is_tie

VOCABULARY = [("<unk>", 0.0), ("3", -2.1), ("33", -3.3), ("a", -1.0), ("ab", -2.5), ("b", -1.5), ("bb", -3.0 - 1e-9)]


def test_two_ways_are_a_tie_if_text_and_score_are_the_same() -> None:
    assert is_tie(VOCABULARY, [1, 2], [2, 1])  # 3|33 and 33|3
    assert is_tie(VOCABULARY, [3, 5, 7], [4, 7])  # a|b and ab, before an added token
    assert is_tie(VOCABULARY, [1, 2, 1, 2, 2, 2], [2, 1, 2, 1, 2, 2])


def test_other_scores_and_other_texts_are_no_tie() -> None:
    assert not is_tie(VOCABULARY, [5, 5], [6])  # 1e-9 is more than rounding
    assert not is_tie(VOCABULARY, [1, 1, 1], [1, 2])
    assert not is_tie(VOCABULARY, [3, 5], [5, 3])
    assert not is_tie(VOCABULARY, [0, 3], [3, 0])
    assert not is_tie(VOCABULARY, [3, 7], [3, 8])


def test_a_tie_that_a_graph_breaks_differently_is_found() -> None:
    pair = make_tied_pair()
    assert pair.find_difference(["bb333"]) is not None
    host = HostTokenizer(pair.hugging_face, max_length=2)
    assert find_tied(host, pair.graph, ["b333", "bb333", "\ud800", ""]) == {"bb333"}
    assert find_tied(host, pair.graph, []) == set()


def test_a_difference_that_is_no_tie_is_not_left_out() -> None:
    """The graph of another tokenizer cuts everything differently."""
    host = HostTokenizer(make_pair("albert").hugging_face, max_length=8)
    assert find_tied(host, make_pair("xlm_roberta").graph, ["ALL CAPITALS"]) == set()
    assert make_backend("albert").encode("ALL CAPITALS").ids != make_backend("xlm_roberta").encode("ALL CAPITALS").ids
