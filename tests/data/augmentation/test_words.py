"""Terms, their rarity, key phrases, telling sentences, claims and BM25, worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.augmentation.claims import to_claim
from tfchain.data.augmentation.key_phrases import find_key_phrases, rank_sentences
from tfchain.data.lexical.bm25 import Bm25
from tfchain.data.lexical.terms import WordStatistics, count_words, find_terms


def test_terms_of_several_scripts() -> None:
    assert find_terms("The Cat's 2 paws, p53_x") == ["the", "cat's", "2", "paws", "p53", "x"]
    assert find_terms("我爱你 A") == ["我爱", "爱你", "a"]
    assert find_terms("好 ok") == ["好", "ok"]


def test_rarity_is_that_of_bm25(tmp_path: Path) -> None:
    statistics = count_words(["a cat", "a dog", "a cat and a dog"])
    assert statistics.frequencies["a"] == 3
    assert statistics.rarity("cat") == pytest.approx(math.log(1 + (3 - 2 + 0.5) / 2.5))
    assert statistics.rarity("unseen") == pytest.approx(math.log(1 + 3.5 / 0.5))
    assert WordStatistics().rarity("the") == 0
    assert WordStatistics.load(statistics.save(tmp_path / "words.json")) == statistics
    assert set(count_words(["a cat", "a dog"], least=2).frequencies) == {"a"}
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(InputError, match=r"Expected word statistics that .* wrote. Received: .*other"):
        WordStatistics.load(tmp_path / "other.json")


def test_key_phrases_are_runs_between_stop_words_that_the_text_repeats() -> None:
    text = "Solid state batteries are safe. Nothing beats solid state batteries, and 2025 is the year of glass."
    # "solid state batteries": 3 * (1 + ln 2) / sqrt 3 = 2.93; "Nothing beats solid state": (2 + 2 * 1.69) / 2 = 2.69;
    # "safe", "year", "glass": 1. A number alone is no phrase.
    phrases = ["Solid state batteries", "Nothing beats solid state", "safe", "year", "glass"]
    assert find_key_phrases(text, 9) == phrases


def test_rare_words_make_the_key_phrase() -> None:
    statistics = count_words(["the study of mice"] * 9 + ["the study of axolotls"])
    assert find_key_phrases("The study, and axolotls. The study of mice.", 1, statistics) == ["axolotls"]


def test_telling_sentences_come_first() -> None:
    text = "It is one of the things we did there. Axolotls regrow limbs after injury. Axolotls and limbs were weighed."
    spans = rank_sentences(text)
    assert text[slice(*spans[0])] == "Axolotls regrow limbs after injury."
    assert text[slice(*spans[-1])].startswith("It is")
    assert rank_sentences("Too short.") == []


@pytest.mark.parametrize(
    ("sentence", "claim"),
    [
        ("CONCLUSION: However, these results suggest that aspirin thins the blood.", "Aspirin thins the blood."),
        ("Here, we show that\nmice  sleep.", "Mice sleep."),
        ("Thus mice sleep.", "Mice sleep."),
        ("Results: Mice sleep.", "Mice sleep."),
        ("The drug that we found works.", "The drug that we found works."),
        ("小鼠睡觉。", "小鼠睡觉。"),
    ],
)
def test_claims(sentence: str, claim: str) -> None:
    assert to_claim(sentence) == claim


def test_bm25_is_the_formula() -> None:
    texts = ["cat cat dog", "dog bird", "fish"]
    scores = Bm25(texts, k1=1.2, b=0.75).score(["cat dog"]).toarray()[0]
    average = 2.0
    cat = math.log(1 + (3 - 1 + 0.5) / 1.5)
    dog = math.log(1 + (3 - 2 + 0.5) / 2.5)
    first = cat * 2 / (2 + 1.2 * (0.25 + 0.75 * 3 / average)) + dog * 1 / (1 + 1.2 * (0.25 + 0.75 * 3 / average))
    second = dog * 1 / (1 + 1.2 * (0.25 + 0.75 * 2 / average))
    np.testing.assert_allclose(scores, [first, second, 0], rtol=1e-6)


def test_bm25_ranks_ties_in_the_order_of_the_texts() -> None:
    ranking = Bm25(["a b", "c", "a b", "a b", "d"])
    assert ranking.search("a", 2)[0].tolist() == [0, 2]
    assert ranking.search("a", 9)[0].tolist() == [0, 2, 3, 1, 4]
    assert ranking.search("z", 2)[0].tolist() == [0, 1]
    assert Bm25([]).search("a", 3)[0].tolist() == []
