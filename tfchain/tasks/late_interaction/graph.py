"""A version of a model of late interaction: pairs of texts to scores, in a TensorFlow graph."""

from collections.abc import Sequence
from typing import Any

from tfchain.core.proof import Proof
from tfchain.core.signatures import RERANK, SERVING_DEFAULT
from tfchain.models.text_encoder import TextEncoder
from tfchain.tasks.late_interaction.maxsim_graph import max_sim_pairs
from tfchain.tasks.late_interaction.options import LateOptions
from tfchain.tasks.late_interaction.scoring import score_pairs
from tfchain.tasks.served_encoder import to_served_encoder
from tfchain.tasks.stages import Served
from tfchain.tasks.text_graph import TextGraph, to_array


def make_served(model: TextEncoder, texts: Sequence[str], options: LateOptions, *, signatures: str = "text") -> Served:
    """Makes a version: `rerank` and `serving_default` map `text`, `text_pair` to `score` and `output`, both MaxSim.

    `embed_query` and `embed_document` give the matrices of token vectors, `(batch, num_vectors * dim)`.

    Args:
        model: The text encoder of late interaction.
        texts: Documents, for a calibration of int8; at least eight.
        options: How a score is made.
        signatures: `text`, or `ids` for `embed_ids` only. Default: `text`.
    """
    import tensorflow as tf

    served = to_served_encoder(model, texts)
    encoder = served.text_encoder
    graph = TextGraph(encoder, name="late_interaction", signatures=signatures, litert=served.litert)
    if graph.has_text:
        assert encoder.config is not None  # of late interaction
        shape = [-1, encoder.config.tokens.num_vectors, encoder.config.vector_dim]  # type: ignore[union-attr]

        def rerank(text: Any, text_pair: Any) -> dict[str, Any]:
            queries = graph.to_vectors(text, encoder.query_prompt, "query")
            documents = graph.to_vectors(text_pair, encoder.document_prompt, "document")
            scores = max_sim_pairs(tf.reshape(queries, shape), tf.reshape(documents, shape), options.scale)
            return {"score": scores, "output": scores}

        specs = [tf.TensorSpec([None], tf.string, name=name) for name in ("text", "text_pair")]
        graph.signatures[RERANK] = tf.function(rerank, input_signature=specs, autograph=False)
        graph.add_alias(SERVING_DEFAULT, RERANK)
        seconds = [*graph.texts[1:], graph.texts[0]]
        expected = score_pairs(encoder, graph.texts, seconds, options.scale)
        inputs = {"text": to_array(graph.texts), "text_pair": to_array(seconds)}
        outputs = {"score": expected, "output": expected}
        graph.proofs.append(Proof(SERVING_DEFAULT, inputs, outputs, tolerance=graph.tolerance))
    description = {
        "fingerprint": encoder.model_fingerprint,
        "max_length": encoder.longest,
        "text_model": graph.text_model,
        "reranks": True,
        **served.description,
    }
    return Served(graph, {**served.files, **graph.text_files}, description, None)
