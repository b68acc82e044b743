"""Tests of what steps get of a model."""

from pathlib import Path

import numpy as np

from tfchain.models.step_callables import make_step_callables
from tfchain.models.text_encoder import TextEncoder


def test_the_callables_are_the_model_s_own(thin_model_path: Path) -> None:
    text_encoder = TextEncoder.from_pretrained(thin_model_path, engine="tensorflow")
    callables = make_step_callables(text_encoder)
    assert callables["count_tokens"](["the cat sleeps", "the"]) == [4, 1]  # sleep ##s
    np.testing.assert_array_equal(callables["encode"](["the cat"]), text_encoder.encode_document(["the cat"]))
    assert callables["encode"].fingerprint == text_encoder.fingerprint
