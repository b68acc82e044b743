"""Interpreters of an encoder's flatbuffer."""

from pathlib import Path

import numpy as np
import pytest

from tfchain.models.text_encoder import TextEncoder
from tfchain.runtime.litert import MOST_ERRORS, LiteRTEncoder, LiteRTPool

TOKEN_IDS = np.array([[2, 6, 7, 3]], "int32")
MASK = np.ones_like(TOKEN_IDS)


@pytest.fixture(scope="module")
def flatbuffer(tiny_model_path: Path) -> bytes:
    return TextEncoder.from_pretrained(tiny_model_path).with_precision("int8").runner.make_flatbuffer()


def test_an_encoder_answers_after_errors_and_forgets_their_texts(flatbuffer: bytes) -> None:
    encoder = LiteRTEncoder(flatbuffer, 1)
    expected = encoder(TOKEN_IDS, MASK)
    longest = 0
    for number in range(2 * MOST_ERRORS):
        with pytest.raises(RuntimeError, match="gather index out of bounds") as caught:
            encoder(TOKEN_IDS + 10_000, MASK)
        longest = max(longest, len(str(caught.value)))
        if number % 50 == 0:
            np.testing.assert_array_equal(encoder(TOKEN_IDS, MASK), expected)
    assert longest < 100 * MOST_ERRORS
    with pytest.raises(ValueError, match="Dimension mismatch"):
        encoder(TOKEN_IDS, MASK[:, :2])
    np.testing.assert_array_equal(encoder(TOKEN_IDS, MASK), expected)


def test_a_pool_lends_the_interpreter_that_has_the_shape_and_waits_for_one(flatbuffer: bytes) -> None:
    pool = LiteRTPool(flatbuffer, size=2, num_threads=1)
    pool(TOKEN_IDS, MASK)
    with pool._lend((1, 4), None) as same, pool._lend((1, 4), None) as other:
        assert same.shape == (1, 4)
        assert other.shape == ()
        with pytest.raises(TimeoutError, match=r"No interpreter was free within 0\.05 s"):
            pool(TOKEN_IDS, MASK, 0.05)
    np.testing.assert_array_equal(pool(TOKEN_IDS, MASK, 10), pool(TOKEN_IDS, MASK))
