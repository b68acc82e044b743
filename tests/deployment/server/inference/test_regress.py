"""Regress: the arrays that a model may give back, and those that are refused."""

import numpy as np
import pytest

from tests.deployment.server.inference.fake_servable import FakeServable
from tfchain.deployment.server.inference.regress import regress
from tfchain.deployment.server.status import StatusError

VALUES = np.array([0.5, 2.0], np.float32)


def ask(values: np.ndarray) -> list[float]:
    servable = FakeServable({"serving_default": {"outputs": "y"}}, {"y": values})
    found: list[float] = regress(servable, "", [b"one", b"two"]).tolist()
    return found


def test_a_list_and_a_column_are_the_same_numbers() -> None:
    assert ask(VALUES) == ask(VALUES[:, None]) == [0.5, 2.0]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (VALUES[None], "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [1,2]"),
        (VALUES[0], "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []"),
        (VALUES[:, None, None], "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
         "but got [2,1,1]"),
        (VALUES[:1].astype(np.int64), "Input batch size did not match output batch size: 2 vs. 1"),
        (VALUES.astype(np.float64), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
    ],
)  # fmt: skip
def test_other_shapes_and_types_are_named(values: np.ndarray, error: str) -> None:
    with pytest.raises(StatusError) as caught:
        ask(np.asarray(values))
    assert str(caught.value) == f"INVALID_ARGUMENT: {error}"
