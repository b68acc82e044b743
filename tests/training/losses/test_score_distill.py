"""Score distillation against the same by SciPy, and what it does not see."""

import numpy as np
import pytest
from scipy.special import rel_entr, softmax

from tfchain.core.errors import InputError
from tfchain.training.losses import ScoreDistill

random = np.random.default_rng(0)
MODEL = random.normal(size=(4, 2, 5)).astype("float32")
TEACHER = random.normal(size=(4, 2, 3)).astype("float32")


def probabilities(embeddings: np.ndarray, temperature: float) -> np.ndarray:
    """Of each text's other texts, `(texts, texts - 1)`."""
    vectors = embeddings.reshape(-1, embeddings.shape[-1]).astype("float64")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    others = cosines[~np.eye(len(cosines), dtype=bool)].reshape(len(cosines), -1)
    return softmax(others / temperature, axis=1)


def test_it_is_the_divergence_of_the_softmax_over_the_other_texts() -> None:
    expected = rel_entr(probabilities(TEACHER, 0.3), probabilities(MODEL, 0.3)).sum(axis=1).reshape(4, 2).mean(axis=1)

    np.testing.assert_allclose(ScoreDistill(0.3).call({"guide": TEACHER}, MODEL), expected, rtol=1e-5)


def test_turned_and_scaled_vectors_lose_nothing() -> None:
    turn, _ = np.linalg.qr(random.normal(size=(5, 5)))
    turned = (3 * MODEL @ turn).astype("float32")
    np.testing.assert_allclose(ScoreDistill().call({"guide": MODEL}, turned), np.zeros(4), atol=1e-5)


def test_a_text_alone_has_nothing_to_lose() -> None:
    assert float(ScoreDistill()({"guide": TEACHER[:1, :1]}, MODEL[:1, :1])) == 0


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_a_temperature_out_of_range_is_refused(temperature: float) -> None:
    with pytest.raises(InputError, match="`temperature`"):
        ScoreDistill(temperature)


def test_the_first_texts_vector_stands_for_all_of_a_row() -> None:
    first = np.repeat(TEACHER[:, :1], 2, axis=1)
    loss = ScoreDistill(0.3, target="first")
    np.testing.assert_allclose(loss.call({"guide": TEACHER}, MODEL), ScoreDistill(0.3).call({"guide": first}, MODEL))
    assert loss.guide_columns == 1
    assert ScoreDistill.from_config(loss.get_config()).target == "first"
    with pytest.raises(InputError, match="`target`"):
        ScoreDistill(target="last")  # type: ignore[arg-type]
