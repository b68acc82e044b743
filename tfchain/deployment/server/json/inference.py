"""Writes a REST Classify or Regress response, character for character as TensorFlow Serving does."""

import numpy as np

from tfchain.deployment.server.inference.classify import Classifications
from tfchain.deployment.server.json.text import INDENT, format_floats, quote


def write_classifications(result: Classifications) -> bytes:
    """Writes for each example a list of pairs of label and score."""
    labels, scores = result.rows()
    numbers = iter(format_floats(scores.ravel()))
    rows = [
        "[" + ", ".join(f"[{quote(label.decode('utf-8', 'surrogateescape'))}, {next(numbers)}]" for label in row) + "]"
        for row in labels
    ]
    # The outer closing bracket stands alone: the writer leaves its mode of single lines before it.
    return f'{{\n{INDENT}"results": [{", ".join(rows)}\n{INDENT}]\n}}'.encode("utf-8", "surrogateescape")


def write_regressions(values: np.ndarray) -> bytes:
    """Writes a number for each example."""
    return f'{{\n{INDENT}"results": [{", ".join(format_floats(values))}]\n}}'.encode()
