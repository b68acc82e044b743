"""Reranking inside a version's graph: query and passages as token ids, joined, scored, and put in order."""

from typing import Any

import numpy as np

from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR
from tfchain.tasks.reranking.passages import PassageTokens
from tfchain.tasks.text_graph import make_graph_tokenizer


class SecondStageGraph:
    """A reranker as part of a module.

    Args:
        module: The module, which gets the reranker's tokenizer, its weights and the passages' token ids.
        model: The cross-encoder, in a precision in which TensorFlow computes.
        passages: The token ids of the documents' passages, in the order of the index.

    Raises:
        InputError: if the reranker's tokenizer has no graph.
    """

    def __init__(self, module: Any, model: TextEncoder, passages: PassageTokens) -> None:
        import tensorflow as tf

        self._tokenizer = make_graph_tokenizer(model.tokenizer)
        module.reranker_tokenizer = self._tokenizer  # its pieces and tables are resources, saved with the module
        self._max_length = model.tokenizer.max_length
        self._encoder = model.runner.compute_encoder
        module.reranker = [weight.value for weight in self._encoder.weights]
        arrays = {"passage_ids": passages.ids, "passage_starts": passages.starts, "first_passages": passages.firsts}
        for name, array in arrays.items():
            setattr(module, name, tf.Variable(array, trainable=False, name=name))
        self._ids, self._starts = module.passage_ids, module.passage_starts
        self._firsts = module.first_passages
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        self._encode = tf.function(self._call_encoder, input_signature=specs, autograph=False)

    def score_pairs(self, text: Any, text_pair: Any) -> tuple[Any, Any]:
        """Returns scores from 0 to 1, and outputs, for pairs: string `(batch,)` twice → float32 `(batch,)` twice."""
        import tensorflow as tf

        joined = tf.strings.join([tf.strings.regex_replace(text, PAIR, ""), PAIR, text_pair])
        outputs = self._encode(*self._tokenizer(joined, self._max_length))[:, 0]
        return tf.sigmoid(outputs), outputs

    def score_rows(self, queries: Any, rows: Any) -> Any:
        """Returns the scores of documents for queries, query by query, so that memory holds one query's pairs.

        Args:
            queries: string `(batch,)`.
            rows: The documents' rows in the index, int32 `(batch, documents)`.

        Returns:
            float32 `(batch, documents)`, from 0 to 1: that of each document's best passage.
        """
        import tensorflow as tf

        tokens = self._tokenizer.tokenize(queries)
        starts, ends = tokens.row_splits[:-1], tokens.row_splits[1:]

        def score(asked: Any) -> Any:
            start, end, documents = asked
            return self._score_query(tokens.values[start:end], documents)

        spec = tf.TensorSpec([None], tf.float32)
        outputs = tf.map_fn(score, (starts, ends, rows), fn_output_signature=spec, parallel_iterations=1)
        return tf.sigmoid(outputs)

    def _score_query(self, query: Any, rows: Any) -> Any:
        """Returns the best output of each document: token ids `(tokens,)` and rows `(documents,)` → `(documents,)`."""
        import tensorflow as tf

        first, last = tf.gather(self._firsts, rows), tf.gather(self._firsts, rows + 1)
        passages = tf.ragged.range(first, last)  # (documents, (passages))
        starts, ends = tf.gather(self._starts, passages.values), tf.gather(self._starts, passages.values + 1)
        places = tf.ragged.range(starts, ends)  # (passages, (tokens))
        second = places.with_values(tf.gather(self._ids, places.values))
        count = tf.size(starts)
        repeated = tf.RaggedTensor.from_row_lengths(
            tf.tile(query, [count]), tf.fill([count], tf.cast(tf.size(query), tf.int64)), validate=False
        )
        outputs = self._encode(*self._tokenizer.join(repeated, second, self._max_length))[:, 0]
        return tf.math.segment_max(outputs, passages.value_rowids())

    def _call_encoder(self, token_ids: Any, padding_mask: Any) -> Any:
        return self._encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)


def order_by_score(found: dict[str, Any], scores: Any, top_k: int) -> dict[str, Any]:
    """Puts a search's outputs in the order of other scores, and keeps the first `top_k`.

    Args:
        found: `ids`, `texts` and `scores`, `(batch, documents)`; -inf is the score of a document that was not allowed.
        scores: float32 `(batch, documents)`.
        top_k: The number of documents to keep.
    """
    import tensorflow as tf

    scores = tf.where(found["scores"] == -np.inf, -np.inf, scores)
    best, places = tf.math.top_k(scores, k=top_k)  # equal scores keep their order
    picked = {name: tf.gather(found[name], places, batch_dims=1) for name in ("ids", "texts")}
    return {**picked, "scores": best}
