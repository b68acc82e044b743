"""Classify and Regress responses, character for character."""

import numpy as np

from tfchain.deployment.server.inference.classify import Classifications
from tfchain.deployment.server.json.inference import write_classifications, write_regressions


def test_classes_are_pairs_on_one_line() -> None:
    labels = np.array([[b"car", b'b"\n'], [b"\xff", "你".encode()]], object)
    scores = np.array([[0.2, 9e6], [1.0, np.nan]], np.float32)
    assert write_classifications(Classifications(labels, scores)) == (
        b'{\n    "results": [[["car", 0.2], ["b\\"\\n", 9e+06]], [["\xff", 1.0], ["'
        + "你".encode()
        + b'", NaN]]\n    ]\n}'
    )


def test_an_example_without_classes_is_an_empty_list() -> None:
    empty = Classifications(None, np.zeros((2, 0), np.float32))
    assert write_classifications(empty) == b'{\n    "results": [[], []\n    ]\n}'


def test_regressions_are_one_list_on_one_line() -> None:
    values = np.array([0.2, 1 / 3, -2, 16777216, np.inf], np.float32)
    assert write_regressions(values) == (b'{\n    "results": [0.2, 0.333333343, -2.0, 16777216.0, Infinity]\n}')
