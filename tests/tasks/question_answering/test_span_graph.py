"""The best spans in a graph, beside those of NumPy, on random logits."""

import numpy as np
import pytest
import tensorflow as tf

from tfchain.tasks.question_answering.span_graph import WindowBatch, find_spans
from tfchain.tasks.question_answering.spans import ReadWindow
from tfchain.tasks.question_answering.spans import find_spans as find_in_numpy


def draw_windows(random: np.random.Generator) -> list[ReadWindow]:
    """Windows of two documents, some of which overlap; one is empty now and then."""
    made = []
    for number in range(4):
        count = int(random.integers(0 if number else 1, 9))
        starts = 3 * (np.arange(count, dtype="int32") + int(random.integers(0, 4)))
        start, end = random.normal(size=(2, count)).astype("float32")
        null = tuple(random.normal(size=2).astype("float32").tolist())
        made.append(ReadWindow(start, end, null, starts, starts + 2, text=number, document=number // 2))
    return made


def to_batch(windows: list[ReadWindow]) -> WindowBatch:
    width = max(len(window.start) for window in windows)

    def pad(rows: list[np.ndarray], kind: str) -> tf.Tensor:
        return tf.constant(np.stack([np.pad(row, (0, width - len(row))) for row in rows]).astype(kind))

    return WindowBatch(
        pad([window.start for window in windows], "float32"),
        pad([window.end for window in windows], "float32"),
        tf.constant([window.null_logits for window in windows]),
        pad([window.starts for window in windows], "int32"),
        pad([window.ends for window in windows], "int32"),
        tf.constant([len(window.start) for window in windows]),
        tf.constant([window.document for window in windows]),
    )


@pytest.mark.parametrize("threshold", [None, 0.0, -3.0])
def test_the_graph_finds_what_numpy_finds(threshold: float | None) -> None:
    random = np.random.default_rng(0)
    for _ in range(12):
        windows = draw_windows(random)
        found = find_spans(to_batch(windows), top_k=4, max_tokens=3, threshold=threshold)
        expected = find_in_numpy(windows, top_k=4, max_tokens=3).choose(threshold, 4)
        wanted = [(span.text, span.start, span.end) for span in expected]
        made = list(zip(*(part.numpy().tolist() for part in found[:3]), strict=True))
        assert made == wanted + [(-1, -1, -1)] * (4 - len(wanted))
        scores = [span.score for span in expected] + [0.0] * (4 - len(wanted))
        np.testing.assert_allclose(found.scores, scores, atol=1e-6)
