"""Tests of skew: the index by hand, the distance beside SciPy's exact one, the classifier, and chance in small sets."""

import math
import random

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.data.checks.skew import (
    compare_categories,
    compare_numbers,
    judge,
    measure_skew,
    stability_index,
    tell_apart,
)


def test_the_index_is_the_formula_worked_out_by_hand() -> None:
    value, chance = stability_index(np.array([50, 30, 20]), np.array([40, 30, 30]))

    shares = [(50.5, 40.5), (30.5, 30.5), (20.5, 30.5)]
    assert value == pytest.approx(sum((q - p) / 101.5 * math.log(q / p) for p, q in shares))
    assert chance == pytest.approx(9.210 * (1 / 100 + 1 / 100), rel=1e-3)  # χ² of two degrees, from a table


def test_an_empty_bin_has_a_finite_index() -> None:
    value, _ = stability_index(np.array([100, 0]), np.array([50, 50]))

    assert value == pytest.approx(50 / 101 * (math.log(100.5 / 50.5) + math.log(50.5 / 0.5)))


def test_the_distance_is_the_largest_between_the_cumulative_shares() -> None:
    _, ks = compare_numbers("x", np.arange(100.0), np.arange(50.0, 150.0))

    assert ks.value == pytest.approx(0.5)
    assert ks.severity == "stop"


@pytest.mark.parametrize("other", [0.0, 2.0])
def test_a_value_that_all_texts_have_is_told_from_less_and_from_more(other: float) -> None:
    psi, ks = compare_numbers("x", np.ones(50), np.full(50, other))

    assert (psi.severity, ks.severity) == ("stop", "stop")


def test_categories_in_other_shares_stand_out_and_rare_ones_are_one() -> None:
    same = compare_categories("label", ["a", "b"] * 500, ["b", "a"] * 400)
    other = compare_categories("label", ["a", "b"] * 500, ["a", "a", "a", "b"] * 200)
    many = compare_categories("label", [f"x{place % 100}" for place in range(5000)], ["x1"] * 5000)

    assert (same.value, same.severity) == (0, "ok")
    assert other.value == pytest.approx(0.25 * math.log(0.75 / 0.5) + 0.25 * math.log(0.5 / 0.25), rel=0.01)
    assert (other.severity, many.severity) == ("stop", "stop")


def test_what_chance_explains_is_ok_in_small_sets() -> None:
    assert judge(0.2, 0.3, 0.1, 0.25) == "ok"
    assert judge(0.2, 0.15, 0.1, 0.25) == "look"
    assert judge(0.25, 0.15, 0.1, 0.25) == "stop"
    rng = random.Random(3)
    texts = ["word " * rng.randint(1, 40) for _ in range(60)]

    assert {skew.severity for skew in measure_skew(texts[:30], texts[30:])} == {"ok"}


def test_longer_texts_with_digits_are_named_by_feature() -> None:
    rng = random.Random(0)
    plain = ["word " * rng.randint(5, 15) for _ in range(400)]
    changed = [f"{text}{rng.randint(0, 99999)} and " + "more " * 9 for text in plain]

    found = {(skew.feature, skew.measure): skew.severity for skew in measure_skew(plain, changed)}

    assert found["words", "ks"] == found["characters", "psi"] == found["share of digits", "psi"] == "stop"
    assert found["share of letters beyond ASCII", "psi"] == "ok"


def test_vectors_of_another_place_are_told_apart_and_of_the_same_are_not() -> None:
    rng = np.random.default_rng(0)
    one, same, other = rng.normal(size=(3, 150, 8))
    other = other + np.array([3, 0, 0, 0, 0, 0, 0, 0])

    assert tell_apart(one, other, seed=0).value > 0.95
    assert tell_apart(one, other, seed=0).severity == "stop"
    assert tell_apart(one, same, seed=0).severity == "ok"


def test_languages_and_features_of_ones_own_are_compared() -> None:
    texts = ["the cat sleeps on the mat"] * 30
    found = measure_skew(
        texts,
        ["le chat"] * 30,
        features={"cats": lambda texts: [text.count("cat") for text in texts]},
        detect_language=lambda text: ("fr", 0.9) if "le chat" in text else "en",
    )

    severities = {skew.feature: skew.severity for skew in found if skew.measure == "psi"}
    assert severities["language"] == severities["cats"] == "stop"


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(InputError, match="`others` must have at least 20 texts to compare distributions. Received: 3."):
        measure_skew(["a"] * 20, ["a"] * 3)
