"""Products of 8-bit numbers: how they are chosen, and what the op makes of them."""

import numpy as np
import pytest

from tfchain.models.engines.calibration import InputRange
from tfchain.models.engines.int8_product import (
    Int8Product,
    QuantizedProduct,
    expected_error,
    find_step,
    has_int8_products,
    quantize_product,
)


@pytest.mark.parametrize(("low", "high", "step", "zero_point"), [
    ([-1.0, 0.5], [1.55, 1.0], 0.01, 100),
    ([0.25], [2.55], 0.01, 0),  # 0 is always held
    ([-5.1], [-1.0], 0.02, 255),
    ([-1.003], [1.552], 1.003 / 100, 100),  # a step a little larger than 2.555 / 255, as 100.1 steps are rounded
])  # fmt: skip
def test_the_step_holds_the_range_and_zero(low: list, high: list, step: float, zero_point: int) -> None:
    found = find_step(np.array(low), np.array(high))
    assert found[0] == pytest.approx(step, rel=1e-9)
    assert found[1] == zero_point


@pytest.mark.usefixtures("int8_products")
def test_the_op_computes_what_the_numbers_say() -> None:
    assert has_int8_products()
    made = QuantizedProduct(
        weights=np.array([[1, -127], [2, 3], [-4, 5]], "int8"),
        input_scales=np.ones(3, "float32"),
        output_scales=np.ones(2, "float32"),
        offset=np.array([10, -20], "float32"),
        step=0.5,
        zero_point=100,
        kernel_step=0.25,
    )
    values = np.array([[0, 0, 0], [0.5, -1, 2], [0.6, 1000, -1000]], "float32")
    # round(x / 0.5) + 100, within 0 … 255
    numbers = np.array([[100, 100, 100], [101, 98, 104], [101, 255, 0]])
    expected = 0.5 * 0.25 * (numbers @ made.weights.astype(int)) + made.offset
    np.testing.assert_allclose(Int8Product(made)(values), expected, rtol=1e-6)


def make_case() -> tuple[np.ndarray, np.ndarray, np.ndarray, InputRange]:
    """Inputs of which one channel is fifty times as large as the others, as a transformer's are."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 32)).astype("float32")
    values[:, 5] = values[:, 5] * 10 + 40
    kernel = rng.normal(size=(32, 16)).astype("float32") * rng.uniform(0.1, 3, 16).astype("float32")
    inputs = InputRange(values.min(axis=0), values.max(axis=0), np.square(values).mean(axis=0))
    return values, kernel, rng.normal(size=16).astype("float32"), inputs


@pytest.mark.usefixtures("int8_products")
def test_a_quantized_product_is_near_the_float_one_and_its_expected_error_is_true() -> None:
    values, kernel, bias, inputs = make_case()
    made = quantize_product(kernel, bias, inputs)
    assert np.abs(made.weights).max(axis=0).tolist() == [127] * 16  # every column uses all numbers
    found = Int8Product(made)(values / made.input_scales).numpy() * made.output_scales
    expected = values @ kernel + bias
    error = np.square(found - expected).mean()
    assert error / np.square(expected).mean() < 1e-3
    assert 0.5 < error / expected_error(kernel.astype("float64"), inputs, made.input_scales) < 2
    undivided = expected_error(kernel.astype("float64"), inputs, np.ones(32))
    assert error < undivided / 3


@pytest.mark.usefixtures("int8_products")
def test_a_channel_that_is_always_zero_and_a_column_of_zeros_do_no_harm() -> None:
    values, kernel, bias, _ = make_case()
    values[:, 3] = 0
    kernel[:, 2] = 0
    kernel[7] = 0
    inputs = InputRange(values.min(axis=0), values.max(axis=0), np.square(values).mean(axis=0))
    made = quantize_product(kernel, bias, inputs)
    found = Int8Product(made)(values / made.input_scales).numpy() * made.output_scales
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:, 2], bias[2], rtol=1e-5)
    np.testing.assert_allclose(found, values @ kernel + bias, atol=0.05 * np.abs(values @ kernel).max())
