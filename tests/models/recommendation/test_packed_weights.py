"""Weights in fewer bits."""

import numpy as np
import pytest

from tfchain.core.errors import InputError
from tfchain.models.recommendation.packed_weights import pack_weight


def test_int8_has_a_scale_for_each_row_of_a_table_and_each_column_of_a_product() -> None:
    weight = np.random.default_rng(0).normal(size=(40, 8)).astype("float32")
    table, product = (pack_weight(path, weight, "int8") for path in ("ids/embeddings", "dense/kernel"))
    assert (table.values.dtype, table.scales.shape, product.scales.shape) == (np.int8, (40, 1), (1, 8))  # type: ignore[union-attr]
    assert np.abs(table.values).max(axis=1).tolist() == [127] * 40
    for packed in (table, product):
        assert (np.abs(packed.to_float() - weight) <= packed.scales / 2 + 1e-7).all()
    assert table.nbytes == 40 * 8 + 4 * 40


def test_halves_are_rounded_and_small_weights_stay() -> None:
    weight = np.full((32, 32), 1.001, "float32")
    assert pack_weight("kernel", weight, "float16").to_float()[0, 0] == np.float32(np.float16(1.001))
    assert pack_weight("kernel", weight, "bfloat16").to_float()[0, 0] == 1.0  # 8 bits
    assert pack_weight("bias", weight[0], "int8").values.dtype == np.float32
    with pytest.raises(InputError, match="must be float32, float16, bfloat16 or int8. Received: 'int4'"):
        pack_weight("kernel", weight, "int4")  # type: ignore[arg-type]
