"""Each loss and its gradient equal sentence-transformers' on the same vectors (the fixture is by make_fixtures.py)."""

from pathlib import Path

import numpy as np
import pytest

from tests.training.losses.cases import CASES, make_inputs
from tests.training.losses.graph_gradients import find_graph_gradient
from tfchain.training.losses import LOSSES, get_loss

FIXTURE = Path(__file__).parent / "fixtures" / "losses.npz"
OURS_ALONE = {"score_distill"}  # sentence-transformers has no such loss; test_score_distill.py has SciPy's values


@pytest.fixture(scope="module")
def kept():
    with np.load(FIXTURE) as file:
        return dict(file)


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_equal_those_of_sentence_transformers(kept, name):
    y_true, vectors = make_inputs(CASES[name], kept)
    loss = get_loss(CASES[name].ours)
    value, gradient = find_graph_gradient(loss, y_true, vectors)

    for one in (value, loss(y_true, vectors)):
        np.testing.assert_allclose(one, kept[f"{name}.loss"], rtol=1e-5, atol=1e-5)
    expected = kept[f"{name}.gradient"]
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


def test_every_loss_and_every_kept_result_has_a_case(kept):
    assert {case.ours["name"] for case in CASES.values()} == set(LOSSES) - OURS_ALONE
    assert {key.removesuffix(".loss") for key in kept if key.endswith(".loss")} == set(CASES)


def test_the_cases_tell_something(kept):
    """All but the one of equal scores have a loss and a gradient that are not 0."""
    silent = [name for name in CASES if kept[f"{name}.loss"] == 0 or not np.any(kept[f"{name}.gradient"])]

    assert silent == ["cosent_equal_scores"]
