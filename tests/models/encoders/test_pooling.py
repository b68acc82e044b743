import numpy as np
import pytest

from tfchain.models.encoders.pooling import POOLINGS, Normalize, Pooling

HIDDEN = np.array([[[1.0, -2.0], [3.0, 4.0], [8.0, 0.0], [99.0, 99.0]]], dtype="float32")  # the last is padding
MASK = np.array([[1, 1, 1, 0]], dtype="int32")


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls", [1, -2]),
        ("max", [8, 4]),
        ("mean", [4, 2 / 3]),
        ("mean_sqrt_len_tokens", [12 / 3**0.5, 2 / 3**0.5]),
        ("weightedmean", [(1 + 6 + 24) / 6, (-2 + 8 + 0) / 6]),
        ("lasttoken", [8, 0]),
    ],
)
def test_each_mode_gives_the_value_worked_out_by_hand(mode: str, expected: list[float]) -> None:
    np.testing.assert_allclose(Pooling([mode])(HIDDEN, MASK), [expected], rtol=1e-6)


def test_several_modes_are_put_side_by_side_in_the_order_given() -> None:
    np.testing.assert_allclose(Pooling(["mean", "cls"])(HIDDEN, MASK), [[4, 2 / 3, 1, -2]], rtol=1e-6)


def test_a_prompts_tokens_do_not_take_part() -> None:
    prompt = np.array([[2, 1, 1, 0]], dtype="int32")
    np.testing.assert_allclose(Pooling(["mean"])(HIDDEN, prompt), [[5.5, 2]], rtol=1e-6)
    np.testing.assert_allclose(Pooling(["cls"])(HIDDEN, prompt), [[3, 4]], rtol=1e-6)
    # sentence-transformers keeps the positions' weights: 2 and 3
    np.testing.assert_allclose(Pooling(["weightedmean"])(HIDDEN, prompt), [[(6 + 24) / 5, 8 / 5]], rtol=1e-6)


def test_normalize_gives_length_one_and_leaves_zero_alone() -> None:
    np.testing.assert_allclose(Normalize()(np.array([[3.0, 4.0], [0.0, 0.0]])), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    # Only a length under 1e-12 counts as 1e-12.
    np.testing.assert_allclose(
        Normalize()(np.array([[3e-8, 4e-8], [3e-13, 4e-13]])), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-5
    )


@pytest.mark.parametrize("mode", POOLINGS)
def test_no_texts_have_no_vectors_outside_a_graph_too(mode: str) -> None:
    assert Pooling(modes=[mode])(np.zeros((0, 3, 4), "float32"), np.zeros((0, 3), "int32")).shape == (0, 4)
