"""Propensities: by hand where numbers agree exactly, and by a simulation whose truth is known."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.monitoring.pairs.impressions import Impression
from tfchain.monitoring.pairs.judgments import judge
from tfchain.monitoring.pairs.position_model import (
    assume_power,
    count_impressions,
    estimate_by_em,
    estimate_from_randomization,
)


def show(first: str, second: str, clicks: tuple[int, ...], times: int, **fields: bool) -> list[Impression]:
    return [Impression("q", (first, second), frozenset(clicks), **fields)] * times


# A is relevant to 8 of 10 who look, B to 4 of 10; the second place is looked at half as often as the first. Each of the
# 200 answers is clicked once at most, which is all that counts of them.
BY_HAND = [
    *(show("a", "b", (0,), 80) + show("a", "b", (1,), 20)),  # B below: 0.4 · 0.5 · 100
    *(show("b", "a", (0,), 40) + show("b", "a", (1,), 40) + show("b", "a", (), 20)),  # A below: 0.8 · 0.5 · 100
]


def test_em_finds_the_numbers_that_agree_with_the_clicks() -> None:
    np.testing.assert_allclose(estimate_by_em(count_impressions(BY_HAND), tolerance=1e-9), [1.0, 0.5], atol=1e-4)


def test_clicks_are_weighted_by_their_place_to_the_true_relevance() -> None:
    found = {one.document_id: one for one in judge(BY_HAND, np.array([1.0, 0.5]))}
    assert found["a"].relevance == pytest.approx((80 * 1 + 40 * 2) / 200)
    assert found["b"].relevance == pytest.approx((40 * 1 + 20 * 2) / 200)
    assert (found["a"].clicks, found["a"].shown, found["a"].looks) == (120, 200, 150)
    assert (found["a"].grade, found["b"].grade) == (2, 1)


def test_shuffled_answers_tell_it_by_their_clicks() -> None:
    shuffled = show("a", "b", (0,), 60, is_randomized=True) + show("b", "a", (1,), 15, is_randomized=True)
    rest = show("a", "b", (), 25, is_randomized=True)
    np.testing.assert_allclose(estimate_from_randomization([*BY_HAND, *shuffled, *rest]), [1.0, 0.25])
    with pytest.raises(InputError, match="`randomized` is true. Shuffle the hits of a share"):
        estimate_from_randomization(BY_HAND)


def test_a_power_is_assumed() -> None:
    np.testing.assert_allclose(assume_power(3, 1.0), [1, 1 / 2, 1 / 3])
    np.testing.assert_allclose(assume_power(3, 0.0), [1, 1, 1])


def test_a_log_that_cannot_tell_places_from_documents_says_so() -> None:
    with pytest.raises(InputError, match="no document was shown at place 2 and, for the same query, at another"):
        estimate_by_em(count_impressions(show("a", "b", (0,), 9)))
    with pytest.raises(InputError, match="The log has no answers with hits and events"):
        estimate_by_em(count_impressions([]))


def simulate(generator: np.random.Generator, number: int) -> tuple[list[Impression], np.ndarray, dict[str, float]]:
    """Users who look at the places less and less, and documents whose order changes with the versions that answer."""
    examined = np.array([1.0, 0.6, 0.4, 0.25, 0.15])
    relevant = {f"{query}-{row}": float(generator.beta(1, 2)) for query in range(30) for row in range(5)}
    impressions = []
    for _ in range(number):
        query = int(generator.integers(30))
        # A ranking that knows something, and differs from version to version.
        order = sorted(range(5), key=lambda row: -relevant[f"{query}-{row}"] + 0.6 * generator.standard_normal())
        ids = tuple(f"{query}-{row}" for row in order)
        draws = generator.random(5)
        clicks = frozenset(k for k in range(5) if draws[k] < examined[k] * relevant[ids[k]])
        impressions.append(Impression(str(query), ids, clicks))
    return impressions, examined, relevant


def test_a_simulation_whose_truth_is_known_is_found() -> None:
    impressions, examined, relevant = simulate(np.random.default_rng(3), 6000)
    found = estimate_by_em(count_impressions(impressions))
    np.testing.assert_allclose(found, examined, atol=0.05)
    corrected = {one.document_id: one for one in judge(impressions, found)}
    truth = np.array([relevant[key] for key in corrected])
    unbiased = np.array([one.relevance for one in corrected.values()])
    plain = np.array([one.clicks / one.shown for one in corrected.values()])
    assert np.abs(unbiased - truth).mean() < 0.4 * np.abs(plain - truth).mean()
