"""Classify: the arrays that a model may give back, and those that are refused."""

import ml_dtypes
import numpy as np
import pytest

from tests.deployment.server.inference.fake_servable import FakeServable
from tfchain.deployment.server.inference.classify import Classifications, classify
from tfchain.deployment.server.status import StatusError

LABELS = np.array([[b"a", b"b"]], object)
SCORES = np.array([[0.25, 0.75]], np.float32)


def ask(**tensors: np.ndarray) -> Classifications:
    servable = FakeServable({"serving_default": {name: name for name in tensors}}, tensors)
    return classify(servable, "", [b"one"])


def test_what_is_missing_is_empty_or_zero() -> None:
    labels, scores = ask(classes=LABELS, scores=SCORES).rows()
    assert (labels, scores.tolist()) == ([[b"a", b"b"]], [[0.25, 0.75]])
    labels, scores = ask(classes=LABELS).rows()
    assert (labels, scores.tolist()) == ([[b"a", b"b"]], [[0.0, 0.0]])
    labels, scores = ask(scores=SCORES).rows()
    assert (labels, scores.tolist()) == ([[b"", b""]], [[0.25, 0.75]])
    labels, scores = ask(scores=SCORES[:, :0]).rows()
    assert (labels, scores.tolist()) == ([[]], [[]])


@pytest.mark.parametrize(
    ("tensors", "error"),
    [
        ({"classes": LABELS[0]}, "Expected Tensor shape: [batch_size num_classes] but got [2]"),
        ({"classes": np.array(b"a", object)}, "Expected Tensor shape: [batch_size num_classes] but got []"),
        ({"scores": SCORES[None]}, "Expected Tensor shape: [batch_size num_classes] but got [1,1,2]"),
        ({"classes": np.array([[1]]), "scores": SCORES[0]}, "Expected classes Tensor of DT_STRING. Got: DT_INT64"),
        ({"scores": SCORES.astype(ml_dtypes.bfloat16)}, "Expected scores Tensor of DT_FLOAT. Got: DT_BFLOAT16"),
        ({"scores": SCORES.astype(np.float16)}, "Expected scores Tensor of DT_FLOAT. Got: DT_HALF"),
        ({"classes": LABELS.repeat(2, 0)}, "Expected classes output batch size of 1. Got: 2"),
        ({"classes": LABELS, "scores": SCORES[:, :1]}, "Tensors class and score should match in dim_size(1). "
         "Got 2 vs. 1"),
    ],
)  # fmt: skip
def test_other_shapes_and_types_are_named(tensors: dict[str, np.ndarray], error: str) -> None:
    with pytest.raises(StatusError) as caught:
        ask(**tensors)
    assert str(caught.value) == f"INVALID_ARGUMENT: {error}"


def test_a_signature_is_run_once_with_all_examples_and_the_time_that_is_left() -> None:
    servable = FakeServable({"one": {"scores": "s", "more": "m"}}, {"s": SCORES.repeat(2, 0), "m": SCORES})
    classify(servable, "one", [b"first", b"second\0"], timeout_ms=7)
    ((signature, examples, outputs, timeout_ms),) = servable.calls
    assert (signature.name, examples, outputs, timeout_ms) == ("one", [b"first", b"second\0"], ["scores"], 7)
