"""Classification in a version by tfchain's own kernels: the labels of their logits, in NumPy and without TensorFlow."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfchain.core.native import NativeParts
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import SERVING_DEFAULT
from tfchain.tasks.classification.labels import Labels
from tfchain.tasks.native_version import Finish, Question, can_serve_natively, make_native_parts, prove_texts

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder
    from tfchain.tasks.text_graph import TextGraph


def make_native_classification(
    text_encoder: "TextEncoder", labels: Labels, graph: "TextGraph", *, top_k: int, separator: str | None
) -> NativeParts | None:
    """Makes the parts of a version for the kernels.

    Args:
        text_encoder: The chain's model; it outputs a logit for each label.
        labels: The labels.
        graph: The version's graph, for the texts to prove the answers with.
        top_k: The number of labels in an answer.
        separator: The text between the two texts of a pair; None for single texts.

    Returns:
        The parts; None if the model does not compute in int8, or the kernels cannot run it here.
    """
    from tfchain.tasks.answers import encode_samples
    from tfchain.tasks.classification.graph import CLASSIFY_TEXT, expect_answers

    if not can_serve_natively(text_encoder):
        return None
    native = text_encoder.with_precision("int8", engine="native")
    inputs, logits = encode_samples(graph.texts, native, separator)
    expected = expect_answers(logits, labels, top_k, TOLERANCE)
    tolerance = expected.tolerance or TOLERANCE
    proofs = [*prove_texts(native, graph.texts)]
    proofs.append(Proof(SERVING_DEFAULT, inputs, expected.outputs, expected.ties, tolerance=tolerance))
    question = Question(separator=separator)
    settings = {"top_k": top_k, "labels": dataclasses.asdict(dataclasses.replace(labels, texts=()))}
    return make_native_parts(
        native, "classification", {CLASSIFY_TEXT: question, SERVING_DEFAULT: question}, proofs, settings=settings
    )


def load_classification(_: Path, settings: Mapping[str, Any]) -> Finish:
    """Returns the function from logits to the answer: the best labels, as the version's graph gives them."""
    labels, top_k = Labels(**settings["labels"]), int(settings["top_k"])
    names = np.array([name.encode() for name in labels.names], dtype=object)

    def answer(logits: np.ndarray, outputs: Sequence[str], _: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        probabilities = labels.to_probabilities(logits).astype("float32")
        places = np.argsort(-probabilities, kind="stable", axis=1)[:, :top_k]
        scores = np.take_along_axis(probabilities, places, axis=1)
        found = {"labels": names[places], "scores": scores, "chosen": scores >= labels.thresholds_or_default[places]}
        return [found[name] for name in outputs]

    return answer
