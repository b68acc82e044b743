"""DeBERTa's attention by content and by position, against the formula with a gather for each pair of tokens."""

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.disentangled import DisentangledAttention, shift
from tfchain.models.encoders.disentangled_config import DisentangledConfig, find_relative_rows, make_log_buckets


def test_what_is_listed_by_distance_is_shifted_into_place() -> None:
    scores = np.arange(15.0).reshape(1, 1, 3, 5)
    # Row i begins at entry 2 - i: the distance 0 is in the middle of each row.
    np.testing.assert_array_equal(shift(scores, 3)[0, 0], [[2, 3, 4], [6, 7, 8], [10, 11, 12]])


def test_long_distances_share_buckets() -> None:
    # From `make_log_bucket_position` of transformers 5.23, for 8 buckets and a maximum of 32.
    expected = [0, 1, 2, 3, 4, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]
    assert make_log_buckets(np.arange(32), 8, 32).tolist() == expected
    assert make_log_buckets(-np.arange(32), 8, 32).tolist() == [-bucket for bucket in expected]


def test_rows_without_buckets_are_cut_at_the_span() -> None:
    config = DisentangledConfig(span=2, max_distance=2, has_buckets=False)
    assert find_relative_rows(config, 4).tolist() == [0, 0, 1, 2, 3, 3, 3]


@pytest.mark.parametrize("terms", [("c2p",), ("p2c",), ("c2p", "p2c")])
@pytest.mark.parametrize("shares_products", [True, False])
def test_scores_are_those_of_the_formula(terms: tuple[str, ...], shares_products: bool) -> None:
    length, heads, width, dim = 7, 2, 3, 5
    config = DisentangledConfig(span=4, max_distance=8, terms=terms, shares_products=shares_products)  # type: ignore[arg-type]
    layer = DisentangledAttention(num_heads=heads, head_dim=width, options=config, max_length=9)
    layer.build((None, None, dim))
    random = np.random.default_rng(0)
    layer.set_weights([random.normal(size=weight.shape) for weight in layer.weights])
    hidden, positions = random.normal(size=(1, length, dim)), random.normal(size=(8, dim))

    def multiply(values: np.ndarray, product: keras.layers.Dense) -> np.ndarray:
        return values @ np.asarray(product.kernel) + np.asarray(product.bias)

    query, key, value = np.split(multiply(hidden[0], layer.query_key_value), 3, axis=1)
    if shares_products:
        of_query, of_key, _ = np.split(multiply(positions, layer.query_key_value), 3, axis=1)
    else:
        own = layer.position_products
        of_key = multiply(positions, own["c2p"]) if "c2p" in terms else None
        of_query = multiply(positions, own["p2c"]) if "p2c" in terms else None
    rows = find_relative_rows(config, length)
    mixed = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = query[:, part] @ key[:, part].T
        for i in range(length):
            for j in range(length):
                row = rows[i - j + length - 1]
                if "c2p" in terms:
                    scores[i, j] += query[i, part] @ of_key[row, part]
                if "p2c" in terms:
                    scores[i, j] += key[j, part] @ of_query[row, part]
        weights = np.exp(scores / np.sqrt(width * (1 + len(terms))))
        mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
    shared = {"bias": np.zeros((), "float32"), "positions": positions.astype("float32")}
    found = layer.mix(hidden.astype("float32"), shared)
    np.testing.assert_allclose(found, np.concatenate(mixed, axis=1), atol=1e-5)
    again = DisentangledAttention.from_config(layer.get_config())
    assert again.options == config


def test_terms_that_do_not_exist_are_refused() -> None:
    with pytest.raises(InputError, match="`terms` must be 'c2p', 'p2c' or both. Received: terms=\\('p2p',\\)"):
        DisentangledConfig(span=2, max_distance=2, terms=("p2p",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="`span` and `max_distance` must be at least 1"):
        DisentangledConfig(span=0, max_distance=2)
