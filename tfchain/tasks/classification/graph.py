"""TensorFlow signatures of a classifier: texts to labels and scores, and TensorFlow Serving's Classify API."""

import dataclasses
from typing import Any

import numpy as np

from tfchain.core.proof import Proof
from tfchain.core.signatures import CLASSIFY
from tfchain.tasks.answers import Expected, add_answer, encode_samples
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.text_graph import TextGraph
from tfchain.tasks.ties import find_ties

CLASSIFY_TEXT = "classify_text"  # text (and text_pair) → labels, scores, best first
CLASSIFY_EXAMPLES = "classify"  # serialized tf.Example with these features → classes, scores: Serving's Classify API


def add_classification(graph: TextGraph, labels: Labels, *, top_k: int, separator: str | None = None) -> None:
    """Adds the signatures of a classifier, with their proofs.

    `classify_text` and `serving_default` map `text`, and `text_pair` with a separator, to `labels`, string
    `(batch, k)`, and `scores`, float32 `(batch, k)`, best first; if a text may have several labels, also to `chosen`,
    booleans `(batch, k)`: whether the score reaches the label's threshold. `classify` is for the Classify API: it maps
    `inputs`, serialized `tf.Example`s with the features `text` (and `text_pair`), to `classes` and `scores`.

    Args:
        graph: The graph; its encoder outputs a logit for each label.
        labels: The labels.
        top_k: The number of labels in an answer.
        separator: The text between the two texts of a pair. Default: single texts.
    """
    import tensorflow as tf

    graph.module.labels = tf.Variable([name.encode() for name in labels.names], trainable=False, name="labels")
    thresholds = tf.constant(labels.thresholds_or_default)

    def answer(logits: Any) -> dict[str, Any]:
        scaled = logits / labels.temperature
        probabilities = tf.sigmoid(scaled) if labels.multi_label else tf.nn.softmax(scaled)
        scores, places = tf.math.top_k(probabilities, k=top_k)
        found = {"labels": tf.gather(graph.module.labels, places), "scores": scores}
        return found | ({"chosen": scores >= tf.gather(thresholds, places)} if labels.multi_label else {})

    def expect(logits: np.ndarray) -> Expected:
        return expect_answers(logits, labels, top_k, graph.tolerance)

    add_answer(graph, CLASSIFY_TEXT, answer, separator=separator, expect=expect)
    _add_examples(graph, answer, expect, separator)


def expect_answers(logits: np.ndarray, labels: Labels, top_k: int, tolerance: float) -> Expected:
    """Returns the expected answer for Python's logits `(texts, labels)`.

    A rounding error of a logit, relative to the largest logit, changes a probability by at most half as much.
    """
    size = max(1.0, float(np.abs(logits).max(initial=0)))
    tolerance = max(tolerance, 0.5 * tolerance * size / labels.temperature)
    probabilities = labels.to_probabilities(logits)
    order = np.argsort(-probabilities, kind="stable", axis=1)
    ranked = np.take_along_axis(probabilities, order, axis=1)
    ties = find_ties(ranked, tolerance)[:, :top_k]  # the last label of an answer may be tied with the next
    scores, places = ranked[:, :top_k], order[:, :top_k]
    outputs = {
        "labels": np.array([name.encode() for name in labels.names], dtype=object)[places],
        "scores": scores.astype("float32"),
    }
    if not labels.multi_label:
        return Expected(outputs, {"labels": ties}, tolerance)
    thresholds = labels.thresholds_or_default[places]
    near = np.abs(scores - thresholds) <= tolerance
    outputs["chosen"] = scores >= thresholds
    return Expected(outputs, {"labels": ties, "chosen": ties | near}, tolerance)


def _add_examples(graph: TextGraph, answer: Any, expect: Any, separator: str | None) -> None:
    import tensorflow as tf

    names = ["text"] if separator is None else ["text", "text_pair"]
    features = {name: tf.io.FixedLenFeature([], tf.string) for name in names}

    def classify(inputs: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(inputs, features)
        texts = [parsed[name] for name in names]
        found = answer(graph.to_vectors(texts[0] if separator is None else tf.strings.join(texts, separator), ""))
        return {"classes": found["labels"], "scores": found["scores"]}

    specs = [tf.TensorSpec([None], tf.string, name="inputs")]
    graph.signatures[CLASSIFY_EXAMPLES] = tf.function(classify, input_signature=specs, autograph=False)
    graph.methods[CLASSIFY_EXAMPLES] = CLASSIFY
    inputs, logits = encode_samples(graph.texts, graph.text_encoder, separator)
    expected: Expected = expect(logits)
    outputs = {"classes": expected.outputs["labels"], "scores": expected.outputs["scores"]}
    proof = Proof(CLASSIFY_EXAMPLES, {"inputs": _to_examples(inputs)}, outputs, {"classes": expected.ties["labels"]})
    graph.proofs.append(dataclasses.replace(proof, tolerance=expected.tolerance or graph.tolerance))


def _to_examples(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Serializes texts by feature as `tf.Example`s, an object array."""
    import tensorflow as tf

    examples = []
    for values in zip(*columns.values(), strict=True):
        example = tf.train.Example()
        for name, value in zip(columns, values, strict=True):
            example.features.feature[name].bytes_list.value.append(value)
        examples.append(example.SerializeToString())
    return np.array(examples, dtype=object)
