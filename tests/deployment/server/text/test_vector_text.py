"""Vectors as text give back the same float32."""

import base64
import json

import numpy as np

from tfchain.deployment.server.text.vector_text import write_base64, write_vectors

EDGES = np.array([[0.0, -0.0, 1.0, 1e-45, 3.4028235e38, 0.1, 1 / 3, -16777216.0]], np.float32)


def test_every_float32_is_read_back() -> None:
    bits = np.random.default_rng(1).integers(0, 2**32, 20_000, np.uint32)
    values = bits.view(np.float32)
    vectors = np.concatenate([EDGES.ravel(), values[np.isfinite(values)]])[: 8 * 2_400].reshape(-1, 8)
    read = np.array([json.loads(text) for text in write_vectors(vectors)], np.float32)
    assert np.array_equal(read, vectors)  # the sign of a zero may get lost: "-0" is a whole number in JSON


def test_base64_is_little_endian_float32() -> None:
    (text,) = write_base64(EDGES.astype(">f4"))
    assert base64.b64decode(json.loads(text)) == EDGES.astype("<f4").tobytes()
    assert json.loads(write_base64(np.array([[1.0]], np.float32))[0]) == "AACAPw=="


def test_no_vectors_are_no_text() -> None:
    assert (write_vectors(np.zeros((0, 3), np.float32)), write_base64(np.zeros((0, 3), np.float32))) == ([], [])
