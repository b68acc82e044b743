"""Adds a task's answer to a graph: a signature of texts, and its proof."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import join_pair
from tfchain.tasks.text_graph import Answer, TextGraph, to_array


@dataclass(frozen=True)
class Expected:
    """The expected answer of a signature.

    Args:
        outputs: Arrays by name.
        ties: As in `Proof`. Default: none.
        tolerance: As in `Proof`. Default: rounding in the text encoder's precision.
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
    """Adds a signature of texts without a prompt, which is also `serving_default`.

    Args:
        graph: The graph; it must answer texts.
        name: The signature's name.
        answer: A function from the encoder's outputs, float32 `(batch, dim)`, to tensors by name.
        separator: The text between the two texts of a pair; as in `TextGraph.add`. Default: single texts.
        expect: A function from Python's outputs `(texts, dim)` to the expected answer. Default: `answer`.
    """
    import tensorflow as tf

    graph.add(name, answer, prompt="", tokenize=f"{name}_tokenize", answer_name=f"{name}_outputs", separator=separator)
    graph.add_alias(SERVING_DEFAULT, name)
    inputs, outputs = encode_samples(graph.texts, graph.text_encoder, separator)
    if expect is None:
        expected = Expected({key: value.numpy() for key, value in answer(tf.constant(outputs)).items()})
    else:
        expected = expect(outputs)
    graph.prove(SERVING_DEFAULT, inputs, outputs, expected.outputs, ties=expected.ties, tolerance=expected.tolerance)


def encode_samples(
    texts: Sequence[str], text_encoder: TextEncoder, separator: str | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns the texts to ask a version, as a signature's inputs, and a text encoder's outputs for them."""
    inputs = {"text": to_array(texts)}
    if separator is not None:  # pairs each text with the next
        second_texts = [*texts[1:], texts[0]]
        inputs["text_pair"] = to_array(second_texts)
        texts = [join_pair(first, second, separator) for first, second in zip(texts, second_texts, strict=True)]
    return inputs, text_encoder.encode(texts, prompt="", progress=False)
