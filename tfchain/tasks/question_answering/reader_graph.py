"""The reader in a version's graph: windows of token ids to spans, and the signature `reader` of raw texts."""

from typing import Any

from tfchain.models.text_encoder import TextEncoder
from tfchain.models.tokenizers.pairs import PAIR
from tfchain.tasks.encoder_graph import make_graph_tokenizer
from tfchain.tasks.question_answering.options import ReadingOptions
from tfchain.tasks.question_answering.span_graph import WindowBatch, find_spans
from tfchain.tasks.question_answering.windows import check_tokenizer, find_rooms


class ReaderGraph:
    """A reader as part of a module.

    Args:
        module: The module, which gets the reader's tokenizer and its weights.
        model: The reader, in a precision in which TensorFlow computes.
        options: How texts are read.
        threshold: The least margin of no answer; None if there is always an answer.

    Raises:
        InputError: if the reader's tokenizer has no graph.
    """

    def __init__(self, module: Any, model: TextEncoder, options: ReadingOptions, threshold: float | None) -> None:
        import tensorflow as tf

        self.host = host = check_tokenizer(model.tokenizer)
        self._tokenizer = make_graph_tokenizer(host)
        module.reader_tokenizer = self._tokenizer  # its pieces and tables are resources, saved with the module
        self._max_length = host.max_length
        self._rooms = find_rooms(host, options)
        self._special = len(host.template.before) + len(host.template.between)
        self._encoder = model.runner.compute_encoder
        module.reader = [weight.value for weight in self._encoder.weights]
        self.options, self.threshold = options, threshold
        specs = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        self._encode = tf.function(self._call_encoder, input_signature=specs, autograph=False)

    @property
    def has_offsets(self) -> bool:
        """Whether the tokenizer's graph says where tokens are in a text, as `answer` needs it."""
        return bool(getattr(self._tokenizer.single, "has_offsets", False))

    def tokenize_questions(self, questions: Any) -> Any:
        """Returns the ids of questions, as many as are read: string `(batch,)` → ragged int32 `(batch, (tokens))`."""
        import tensorflow as tf

        ids = self._tokenizer.tokenize(tf.strings.regex_replace(questions, PAIR, ""))
        return ids[:, : self._rooms.question]

    def read(self, question: Any, ids: Any, starts: Any, ends: Any, documents: Any, *, top_k: int) -> Any:
        """Reads the windows of a question.

        Args:
            question: The ids of the question's tokens, int32 `(tokens,)`.
            ids: The ids of the windows' tokens, ragged int32 `(windows, (tokens))`, at least one window.
            starts: Where each token starts in its document, ragged int32.
            ends: Where each ends.
            documents: The document of each window, int32 `(windows,)`.
            top_k: The number of spans.

        Returns:
            `GraphSpans`.
        """
        import tensorflow as tf

        count = ids.nrows()
        asked = tf.RaggedTensor.from_row_lengths(
            tf.tile(question, [count]), tf.fill([count], tf.cast(tf.size(question), tf.int64)), validate=False
        )
        outputs = self._encode(*self._tokenizer.join(asked, ids, self._max_length))
        logits = tf.reshape(outputs, [tf.shape(outputs)[0], -1, 2])  # (windows, max_length, 2)
        first = self._special + tf.size(question)
        counts = tf.cast(ids.row_lengths(), tf.int32)
        width = tf.reduce_max(counts)
        own = logits[:, first : first + width]
        batch = WindowBatch(
            own[:, :, 0],
            own[:, :, 1],
            logits[:, 0],
            starts.to_tensor(),
            ends.to_tensor(),
            counts,
            documents,
        )
        options = {"top_k": top_k, "max_tokens": self.options.max_answer_tokens, "threshold": self.threshold}
        return find_spans(batch, **options)  # type: ignore[arg-type]

    def answer(self, question: Any, context: Any, *, top_k: int) -> dict[str, Any]:
        """Answers questions from a text each, one after the other.

        Args:
            question: string `(batch,)`.
            context: string `(batch,)`, UTF-8.
            top_k: The number of answers.

        Returns:
            `answers`, `scores`, `starts` and `ends`, `(batch, top_k)`.
        """
        import tensorflow as tf

        questions = self.tokenize_questions(question)
        context = tf.strings.regex_replace(context, PAIR, " ")
        found = self._tokenizer.single.tokenize_with_offsets(context)
        splits = found.ids.row_splits

        def read(row: Any) -> Any:
            first, last = splits[row], splits[row + 1]
            asked = questions[row]
            firsts, lasts = self._find_bounds(found.words.values[first:last])
            places = tf.ragged.range(firsts, lasts)

            def take(values: Any) -> Any:
                return places.with_values(tf.gather(values, tf.cast(first, tf.int32) + places.values))

            ids, starts, ends = (take(part.values) for part in (found.ids, found.starts, found.ends))
            spans = self.read(asked, ids, starts, ends, tf.zeros_like(firsts), top_k=top_k)
            return spans.starts, spans.ends, spans.scores

        types = (tf.TensorSpec([top_k], tf.int32), tf.TensorSpec([top_k], tf.int32), tf.TensorSpec([top_k], tf.float32))
        rows = tf.range(tf.size(context))
        starts, ends, scores = tf.map_fn(read, rows, fn_output_signature=types, parallel_iterations=1)
        texts = cut(tf.repeat(context[:, tf.newaxis], top_k, axis=1), starts, ends)
        return {"answers": texts, "scores": scores, "starts": starts, "ends": ends}

    def _find_bounds(self, words: Any) -> tuple[Any, Any]:
        """Returns the first token of each window of a text, and the one behind its last; see `windows.cut_windows`.

        Args:
            words: The number of each token's word, `(tokens,)`.
        """
        import tensorflow as tf

        count, shared, most = tf.size(words), self._rooms.shared, self._rooms.window
        padded = tf.concat([words, [-1]], 0)
        begins = tf.concat([[True], padded[1:] != padded[:-1]], 0)
        begun = tf.cast(tf.where(begins)[:, 0], tf.int32)
        first_of = tf.gather(begun, tf.cumsum(tf.cast(begins, tf.int32)) - 1)  # the first token of each token's word

        def step_back(place: Any, least: Any) -> Any:
            found = tf.gather(first_of, place)
            return tf.where(found >= least, found, place)

        def go_on(first: Any, *_: Any) -> Any:
            return first + most < count

        def add(first: Any, firsts: Any, lasts: Any) -> tuple[Any, Any, Any]:
            end = first + most
            last = step_back(end, end - shared // 2)
            place = tf.maximum(last - shared, first + 1)
            following = step_back(place, tf.maximum(first + 1, place - shared // 2))
            return following, tf.concat([firsts, [first]], 0), tf.concat([lasts, [last]], 0)

        empty = tf.zeros([0], tf.int32)
        shapes = (tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([None]))
        first, firsts, lasts = tf.while_loop(go_on, add, (tf.constant(0), empty, empty), shape_invariants=shapes)
        return tf.concat([firsts, [first]], 0), tf.concat([lasts, [count]], 0)

    def _call_encoder(self, token_ids: Any, padding_mask: Any) -> Any:
        return self._encoder({"token_ids": token_ids, "padding_mask": padding_mask}, training=False)


def cut(texts: Any, starts: Any, ends: Any) -> Any:
    """Cuts parts out of texts by characters: strings and int32 of the same shape; an empty text where a start is -1."""
    import tensorflow as tf

    is_there = starts >= 0
    places, lengths = tf.where(is_there, starts, 0), tf.where(is_there, ends - starts, 0)
    return tf.strings.substr(tf.where(is_there, texts, ""), places, lengths, unit="UTF8_CHAR")
