"""The names of engines, and the older switch beside them."""

import pytest

from tfchain.core.errors import InputError
from tfchain.deployment.engine import choose_engine


@pytest.mark.parametrize(
    ("engine", "prefers_tflite", "chosen"),
    [
        (None, False, "tensorflow"),
        ("", True, "litert"),
        ("auto", False, "auto"),
        ("native", False, "native"),
        ("litert", True, "litert"),
    ],
)
def test_the_engine_that_is_asked_for(engine: str | None, prefers_tflite: bool, chosen: str) -> None:
    assert choose_engine(engine, prefers_tflite=prefers_tflite) == chosen


@pytest.mark.parametrize(
    ("engine", "prefers_tflite", "message"),
    [
        ("onnx", False, "`engine` must be one of auto, tensorflow, litert, native. Received: engine='onnx'."),
        ("native", True, "`prefer_tflite_model` means engine='litert'. Received: engine='native' besides it."),
    ],
)
def test_what_is_refused(engine: str, prefers_tflite: bool, message: str) -> None:
    with pytest.raises(InputError) as error:
        choose_engine(engine, prefers_tflite=prefers_tflite)
    assert message in str(error.value)
