"""Which tokens count, by hand: ids taken apart, and a text's vectors as one row."""

import keras
import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.token_layers import TokenFlags, TokenMatrix
from tfchain.models.encoders.token_vectors import TokenVectorConfig

# A vocabulary of ten: a document's token 3 without a vector is 13, a query's token 4 that is not attended to is 24.
IDS = np.array([[1, 13, 5, 0], [1, 6, 24, 24]], "int32")
MASK = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], "int32")


def test_ids_are_taken_apart() -> None:
    ids, attended = TokenFlags(10)(IDS, MASK)
    assert np.asarray(ids).tolist() == [[1, 3, 5, 0], [1, 6, 4, 4]]
    assert np.asarray(attended).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("rows", [3, 6])
def test_a_texts_vectors_are_one_row_with_zeros_where_no_token_counts(rows: int) -> None:
    vectors = np.arange(1, 17, dtype="float32").reshape(2, 4, 2)
    found = np.asarray(TokenMatrix(rows, 10)(vectors, IDS, MASK))
    expected = np.zeros((2, 6, 2), "float32")
    expected[0, [0, 2]] = [[1, 2], [5, 6]]
    expected[1, :4] = [[9, 10], [11, 12], [13, 14], [15, 16]]
    np.testing.assert_array_equal(found, expected[:, :rows].reshape(2, -1))


@pytest.mark.parametrize("layer", [TokenFlags(10, name="flags"), TokenMatrix(3, 10, name="matrix")])
def test_a_layer_survives_its_configuration(layer: keras.layers.Layer) -> None:
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (type(again), again.get_config()) == (type(layer), layer.get_config())


def test_values_that_do_not_fit_together(small_config: EncoderConfig) -> None:
    with pytest.raises(InputError, match="at least `expanded_length`, 8"):
        TokenVectorConfig(num_vectors=4, expanded_length=8, expansion_id=2)
    with pytest.raises(InputError, match="`expansion_id` must be given where queries are expanded, and only there"):
        TokenVectorConfig(num_vectors=8, expanded_length=8)
    with pytest.raises(InputError, match="`tokens` must be given for a transformer with `has_token_flags`"):
        EncoderConfig(transformer=small_config.transformer, tokens=TokenVectorConfig(num_vectors=4))
