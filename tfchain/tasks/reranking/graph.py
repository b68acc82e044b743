"""A version of a reranker: pairs of texts to scores, in a TensorFlow graph and by the int8 kernels."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfchain.core.native import NativeParts
from tfchain.core.proof import TOLERANCE, Proof
from tfchain.core.signatures import RERANK, SERVING_DEFAULT
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR
from tfchain.models.weights.reranker_folder import ScoreActivation
from tfchain.tasks.answers import Expected, add_answer, encode_samples
from tfchain.tasks.native_version import Question, can_serve_natively, make_native_parts, prove_texts
from tfchain.tasks.reranking.scoring import activate
from tfchain.tasks.served_encoder import to_served_encoder
from tfchain.tasks.stages import Served
from tfchain.tasks.text_graph import TextGraph


def make_served(
    model: TextEncoder, texts: Sequence[str], activation: ScoreActivation, *, signatures: str = "text"
) -> Served:
    """Makes a version of a reranker: `rerank` and `serving_default` map `text`, `text_pair` to `score` and `output`.

    Args:
        model: The cross-encoder.
        texts: Joined pairs, for a calibration of int8; at least eight.
        activation: What makes a score of an output.
        signatures: `text`, or `ids` for `embed_ids` only. Default: `text`.
    """
    import tensorflow as tf

    served = to_served_encoder(model, texts)
    graph = TextGraph(served.text_encoder, name="reranking", signatures=signatures, litert=served.litert)
    native = None
    if graph.has_text:

        def answer(outputs: Any) -> dict[str, Any]:
            scores = tf.sigmoid(outputs) if activation == "sigmoid" else outputs
            return {
                name: values[:, 0] if values.shape[1] == 1 else values
                for name, values in (("score", scores), ("output", outputs))
            }

        def expect(outputs: np.ndarray) -> Expected:
            return Expected(to_answer(outputs, activation))

        add_answer(graph, RERANK, answer, separator=PAIR, expect=expect)
        native = _make_native(model, graph, activation)
    description = {
        "fingerprint": served.text_encoder.model_fingerprint,
        "max_length": model.longest,
        "text_model": graph.text_model,
        "reranks": model.embedding_dim == 1,
        "activation": activation,
        **served.description,
    }
    return Served(graph, {**served.files, **graph.text_files}, description, native)


def to_answer(outputs: np.ndarray, activation: ScoreActivation) -> dict[str, np.ndarray]:
    """Returns scores and outputs by name: `(pairs,)` each, or `(pairs, outputs)` of several outputs."""
    squeezed = outputs[:, 0] if outputs.shape[1] == 1 else outputs
    return {"score": activate(squeezed, activation), "output": squeezed}


def _make_native(model: TextEncoder, graph: TextGraph, activation: ScoreActivation) -> NativeParts | None:
    if not can_serve_natively(model):
        return None
    native = model.with_precision("int8", engine="native")
    inputs, outputs = encode_samples(graph.texts, native, PAIR)
    proofs = prove_texts(native, graph.texts)
    proofs.append(Proof(SERVING_DEFAULT, inputs, to_answer(outputs, activation), tolerance=TOLERANCE))
    question = Question(separator=PAIR)
    questions = {RERANK: question, SERVING_DEFAULT: question}
    return make_native_parts(native, "reranking", questions, proofs, settings={"activation": activation})
