"""MultiInference: all tasks in one run."""

import numpy as np

from tests.deployment.server.inference.fake_servable import FakeServable
from tfchain.core.signatures import CLASSIFY, REGRESS
from tfchain.deployment.server.inference.classify import Classifications
from tfchain.deployment.server.inference.multi_inference import InferenceTask, multi_inference


def test_every_tensor_is_computed_once_by_a_signature_of_no_models_name() -> None:
    servable = FakeServable(
        {
            "serving_default": {"scores": "s:0", "classes": "c:0"},
            "scores": {"scores": "s:0"},
            "regress": {"outputs": "y:0"},
        },
        {
            "s:0": np.array([[0.5]], np.float32),
            "c:0": np.array([[b"a"]], object),
            "y:0": np.array([3.0], np.float32),
        },
    )
    tasks = [InferenceTask("m", "regress", REGRESS), InferenceTask("m", "scores", CLASSIFY)]
    regressed, first, second = multi_inference(
        servable, [*tasks, InferenceTask("m", "", CLASSIFY)], [b"one"], timeout_ms=9
    )
    ((signature, examples, outputs, timeout_ms),) = servable.calls
    assert (examples, outputs, timeout_ms) == ([b"one"], ["c:0", "s:0", "y:0"], 9)
    assert signature.name not in servable.signatures
    assert isinstance(regressed, np.ndarray)
    assert regressed.tolist() == [3.0]
    assert isinstance(first, Classifications)
    assert isinstance(second, Classifications)
    assert first.labels is None
    assert second.labels is not None
    assert second.labels.tolist() == [[b"a"]]
