"""Signatures that answer texts: what a task makes of the encoder's outputs, and the proof of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.tasks.text_graph import Answer, TextGraph, to_array


@dataclass(frozen=True)
class Expected:
    """What a signature must answer.

    Args:
        outputs: Arrays by name.
        ties: As in `Proof`. Default: none.
        tolerance: The same. Default: rounding in the text encoder's precision.
    """

    outputs: Mapping[str, np.ndarray]
    ties: Mapping[str, np.ndarray] = field(default_factory=dict)
    tolerance: float | None = None


def add_answer(
    graph: TextGraph,
    name: str,
    answer: Answer,
    *,
    separator: str | None = None,
    expect: Callable[[np.ndarray], Expected] | None = None,
) -> None:
    """Adds a signature of texts, which `serving_default` is, too, without a prompt.

    Args:
        graph: Where to; one that answers texts.
        name: Of the signature.
        answer: From the encoder's outputs, float32 `(batch, dim)`, to tensors by name.
        separator: What stands between the two texts of a pair; as in `TextGraph.add`. Default: single texts.
        expect: What must be answered, of Python's outputs `(texts, dim)`. Default: what `answer` gives of them.
    """
    import tensorflow as tf

    graph.add(name, answer, prompt="", tokenize=f"{name}_tokenize", answer_name=f"{name}_outputs", separator=separator)
    graph.add_alias(SERVING_DEFAULT, name)
    inputs, outputs = encode_samples(graph, separator)
    if expect is None:
        expected = Expected({key: value.numpy() for key, value in answer(tf.constant(outputs)).items()})
    else:
        expected = expect(outputs)
    graph.prove(SERVING_DEFAULT, inputs, outputs, expected.outputs, ties=expected.ties, tolerance=expected.tolerance)


def encode_samples(graph: TextGraph, separator: str | None = None) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The texts that a version is asked, as a signature's inputs, and Python's outputs for them."""
    texts = graph.texts
    inputs = {"text": to_array(texts)}
    if separator is not None:  # each with the next one
        others = [*texts[1:], texts[0]]
        inputs["text_pair"] = to_array(others)
        texts = [f"{first}{separator}{second}" for first, second in zip(texts, others, strict=True)]
    return inputs, graph.text_encoder.encode(texts, prompt="", progress=False)
