"""Late interaction inside a version's graph: MaxSim by stock ops, over pairs of texts and over an index's documents."""

from typing import Any

import numpy as np

from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_roles import Role
from tfchain.models.weights.late_folder import MaxSimScale
from tfchain.tasks.encoder_graph import make_graph_tokenizer
from tfchain.tasks.late_interaction.maxsim import TokenVectors
from tfchain.tasks.late_interaction.options import LateOptions

FAR = -1e9  # the similarity to a row of zeros, which is no token


def max_sim_pairs(queries: Any, documents: Any, scale: MaxSimScale) -> Any:
    """Returns scores of pairs: `(batch, num_vectors, dim)` twice → float32 `(batch,)`; rows of zeros do not count."""
    import tensorflow as tf

    similarities = tf.matmul(queries, documents, transpose_b=True)  # (batch, query's tokens, document's tokens)
    is_token = tf.reduce_any(tf.not_equal(documents, 0), axis=2)
    best = tf.reduce_max(tf.where(is_token[:, tf.newaxis], similarities, FAR), axis=2)
    counts = tf.cast(tf.reduce_any(tf.not_equal(queries, 0), axis=2), tf.float32)
    sums = tf.reduce_sum(best * counts, axis=1)
    return sums if scale == "sum" else tf.math.divide_no_nan(sums, tf.reduce_sum(counts, axis=1))


class LateStageGraph:
    """A reranker by late interaction as part of a module: the documents' token vectors are in the graph.

    Args:
        module: The module, which gets the tokenizer, the weights and the vectors.
        model: The text encoder, in a precision in which TensorFlow computes.
        options: How a score is made.
        passages: The vectors of the documents' passages, in the order of the index.
        firsts: The first passage of each document, and the end.

    Raises:
        InputError: if the tokenizer has no graph.
    """

    def __init__(
        self, module: Any, model: TextEncoder, options: LateOptions, passages: TokenVectors, firsts: np.ndarray
    ) -> None:
        import tensorflow as tf

        self._model, self._options = model, options
        self._tokenizer = make_graph_tokenizer(model.tokenizer)
        module.reranker_tokenizer = self._tokenizer  # its pieces and tables are resources, saved with the module
        self._encoder = model.runner.compute_encoder
        module.reranker = [weight.value for weight in self._encoder.weights]
        scales = np.ones(len(passages.values), "float32") if passages.scales is None else passages.scales
        arrays = {"token_vectors": passages.values, "token_scales": scales, "passage_starts": passages.starts}
        for name, array in (arrays | {"first_passages": firsts}).items():
            setattr(module, name, tf.Variable(array, trainable=False, name=name))
        self._vectors, self._scales = module.token_vectors, module.token_scales
        self._starts, self._firsts = module.passage_starts, module.first_passages
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        self._encode = tf.function(self._call_encoder, input_signature=specs, autograph=False)

    def encode(self, texts: Any, role: Role) -> Any:
        """Returns the vectors of texts' tokens: string `(batch,)` → float32 `(batch, num_vectors, dim)`."""
        import tensorflow as tf

        from tfchain.models.tokenizers.late import LateTokenizer
        from tfchain.models.tokenizers.late_graph import raise_ids

        tokenizer = self._model.find_tokenizer(role)
        assert isinstance(tokenizer, LateTokenizer)  # of late interaction
        assert self._model.config is not None
        prompt = self._model.query_prompt if role == "query" else self._model.document_prompt
        asked = tf.strings.join([prompt, texts]) if prompt else texts
        vectors = self._encode(*raise_ids(tokenizer, *self._tokenizer(asked, tokenizer.max_length)))
        return tf.reshape(vectors, [tf.size(texts), -1, self._model.config.vector_dim])

    def score_pairs(self, text: Any, text_pair: Any) -> tuple[Any, Any]:
        """Returns the scores of pairs twice, as score and as output: string `(batch,)` twice → float32 `(batch,)`."""
        scores = max_sim_pairs(self.encode(text, "query"), self.encode(text_pair, "document"), self._options.scale)
        return scores, scores

    def score_rows(self, queries: Any, rows: Any) -> Any:
        """Returns the scores of documents for queries, query by query.

        Args:
            queries: string `(batch,)`.
            rows: The documents' rows in the index, int32 `(batch, documents)`.

        Returns:
            float32 `(batch, documents)`: that of each document's best passage.
        """
        import tensorflow as tf

        vectors = self.encode(queries, "query")
        spec = tf.TensorSpec([None], tf.float32)
        return tf.map_fn(
            lambda asked: self._score_query(*asked), (vectors, rows), fn_output_signature=spec, parallel_iterations=1
        )

    def _score_query(self, query: Any, rows: Any) -> Any:
        """Returns the best score of each document: `(num_vectors, dim)` and rows `(documents,)` → `(documents,)`."""
        import tensorflow as tf

        passages = tf.ragged.range(tf.gather(self._firsts, rows), tf.gather(self._firsts, rows + 1))
        starts, ends = tf.gather(self._starts, passages.values), tf.gather(self._starts, passages.values + 1)
        places = tf.ragged.range(starts, ends)  # (passages, (tokens))
        tokens = tf.cast(tf.gather(self._vectors, places.values), tf.float32)
        tokens *= tf.gather(self._scales, places.values)[:, tf.newaxis]
        similarities = tf.matmul(tokens, query, transpose_b=True)  # (tokens, query's tokens)
        best = tf.math.segment_max(similarities, places.value_rowids())
        scores = tf.reduce_sum(best, axis=1)  # a query's rows of zeros add 0
        if self._options.scale == "mean":
            count = tf.reduce_sum(tf.cast(tf.reduce_any(tf.not_equal(query, 0), axis=1), tf.float32))
            scores = tf.math.divide_no_nan(scores, count)
        return tf.math.segment_max(scores, passages.value_rowids())

    def _call_encoder(self, token_ids: Any, padding_mask: Any) -> Any:
        return self._encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)
