"""chrF and BLEU, worked out by hand on short texts."""

import math

import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from tfchain.core.errors import InputError
from tfchain.tasks.pseudo_values import find_pseudo_values
from tfchain.tasks.translation.metrics import CorpusStatistics, find_tokenizer, score_translations

TRANSLATIONS = ["the cat sat on the mat today", "a dog runs", "我 喜歡 貓。"]
REFERENCES = [["the cat sat on the mat"], ["the dog runs", "a dog is running"], ["我喜歡狗。"]]


def test_bleu_is_the_geometric_mean_of_precisions() -> None:
    # 5 words of 6 are right, then 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples; the lengths are equal.
    scores = score_translations(["a b c d e f"], [["a b c d e g"]], metrics=["bleu"])
    assert scores.values["bleu"] == pytest.approx(100 * math.exp(np.log([5 / 6, 4 / 5, 3 / 4, 2 / 3]).mean()))
    assert scores.signatures["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")


def test_chrf_is_the_f_score_of_character_n_grams() -> None:
    # "ab" beside "abc": all of 2 characters and 1 pair are right; recall is 2/3 and 1/2; no longer n-gram exists in
    # both, so precision and recall are the means over two orders, and F2 = 5PR / (4P + R) with R = (2/3 + 1/2) / 2.
    recall = (2 / 3 + 1 / 2) / 2
    scores = score_translations(["ab"], [["abc"]], metrics=["chrf"])
    assert scores.values["chrf"] == pytest.approx(100 * 5 * recall / (4 + recall))
    assert scores.signatures["chrf"].startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")


def test_chinese_is_cut_into_characters_for_bleu() -> None:
    asked = ["我喜歡貓和狗。"], [["我喜歡貓和魚。"]]
    assert score_translations(*asked).values["bleu"] == 0  # as one word, it is wrong as a whole
    scores = score_translations(*asked, target_language="zh")
    assert scores.values["bleu"] == pytest.approx(100 * math.exp(np.log([6 / 7, 4 / 6, 3 / 5, 2 / 4]).mean()))
    assert "tok:zh" in scores.signatures["bleu"]


def test_languages_are_known_by_every_models_codes() -> None:
    codes = {"zh": "zh", "zho_Hans": "zh", ">>cmn_Hans<<": "zh", "zh-TW": "zh", "jpn_Jpan": "char", "de": "13a"}
    assert {code: find_tokenizer(code) for code in codes} == codes
    assert find_tokenizer(None) == "13a"


@pytest.mark.parametrize("name", ["chrf", "bleu"])
def test_the_values_of_texts_are_those_of_a_jackknife(name: str) -> None:
    made = CorpusStatistics(name, TRANSLATIONS, REFERENCES)
    sacre = CHRF() if name == "chrf" else BLEU()

    def measure(places: np.ndarray) -> float:
        columns = [[REFERENCES[row][0] for row in places], [[*REFERENCES[row], None][1] for row in places]]
        return sacre.corpus_score([TRANSLATIONS[row] for row in places], columns).score

    assert made.score() == pytest.approx(measure(np.arange(3)))
    np.testing.assert_allclose(made.pseudo_values(), find_pseudo_values(measure, 3))
    assert made.pseudo_values().mean() == pytest.approx(made.score())
    assert "nrefs:var" in made.signature


def test_what_cannot_be_scored_is_an_error() -> None:
    with pytest.raises(InputError, match="must be a list of chrf, bleu. Received: metrics=.'ter'"):
        score_translations(["a"], [["a"]], metrics=["ter"])
    with pytest.raises(InputError, match="Received: 1 translations of 2 texts"):
        score_translations(["a"], [["a"], ["b"]])
