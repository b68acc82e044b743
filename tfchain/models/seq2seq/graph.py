"""A model that translates as a module to save: texts in, translations out, without Python."""

from typing import Any

import tensorflow as tf

from tfchain.core.errors import InputError
from tfchain.models.seq2seq.generation import Generated, generate
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.seq2seq_model import Seq2SeqModel

BLANK = r"^[\s\p{Z}\x{85}\x0b\x1c-\x1f]*$"  # white space alone, as Python's `strip` knows it
TRANSLATE = "translate"
TRANSLATE_BETWEEN = "translate_between"
GENERATE = "generate"


class TranslationGraph:
    """Tokenizer, encoder, decoder and detokenizer in one module, of ops that stock TensorFlow Serving has.

    Args:
        model: The model.
        options: How the decoder writes. Default: the model's.
        source_language: The language of texts for `translate`. Default: the model's.
        target_language: The language to translate into for `translate`. Default: the model's.

    Raises:
        InputError: if the model does not have a language, or needs one that is not given.

    Attributes:
        module: The `tf.Module` that owns weights and tables.
        signatures: Name → `tf.function`: `translate`, from `text` string `(batch,)` to `translation` string
            `(batch,)` and `score` float `(batch,)`, or `(batch, num_return_sequences)` where there are several;
            `translate_between`, with `source_language` and `target_language` string `(batch,)` beside `text`, for
            models of several languages; `generate`, from `token_ids` and `padding_mask` int32 `(batch, length)` to
            `target_ids` int32 `(batch, target length)`, after the decoder's start, and `score`.

    A text of white space alone is its own translation, with the score 0.
    """

    def __init__(
        self,
        model: Seq2SeqModel,
        *,
        options: GenerationOptions | None = None,
        source_language: str | None = None,
        target_language: str | None = None,
    ) -> None:
        self._options = options or model.options
        self._transformer = model.transformer
        self._max_length = model.max_source_length
        self._prompt = model.prompt
        self.tokenizer = model.tokenizer
        self.module = tf.Module(name="translation")
        self.module.tokenizer = self.tokenizer  # its pieces and tables are resources, saved with the module
        self.module.weights = model.variables
        source = source_language or model.languages[0]
        target = target_language or model.languages[1]
        self._has_languages = bool(self.tokenizer.languages)
        names_target = self.tokenizer.frame.names_target
        self._source_code = self.tokenizer.find_language(source) if self._has_languages and not names_target else -1
        self._target_code = self.tokenizer.find_language(target) if self._has_languages else -1
        text = tf.TensorSpec([None], tf.string, name="text")
        ids = [tf.TensorSpec([None, None], tf.int32, name=name) for name in ("token_ids", "padding_mask")]
        self.signatures: dict[str, Any] = {GENERATE: self._make(self._generate, ids)}
        if self._has_languages:
            named = [tf.TensorSpec([None], tf.string, name=name) for name in ("source_language", "target_language")]
            self.signatures[TRANSLATE_BETWEEN] = self._make(self._translate_between, [text, *named])
        if not self._has_languages or names_target or min(self._source_code, self._target_code) >= 0:
            self.signatures[TRANSLATE] = self._make(self._translate, [text])
        elif source_language or target_language:
            raise InputError(
                "`source_language` and `target_language` must both be given, for the model has none of its own. "
                f"Received: source_language={source!r}, target_language={target!r}."
            )

    def _make(self, function: Any, specs: list[Any]) -> Any:
        return tf.function(function, input_signature=specs, autograph=False)

    def _translate(self, text: tf.Tensor) -> dict[str, tf.Tensor]:
        source = tf.fill(tf.shape(text), self._source_code)
        return self._answer(text, source, tf.fill(tf.shape(text), self._target_code), self._target_code >= 0)

    def _translate_between(
        self, text: tf.Tensor, source_language: tf.Tensor, target_language: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        codes = [self.tokenizer.find_codes(language) for language in (source_language, target_language)]
        names_target = self.tokenizer.frame.names_target
        needed = codes[1:] if names_target else codes
        known = tf.reduce_all([tf.reduce_all(found >= 0) for found in needed])
        check = tf.debugging.Assert(
            known, ["A language must be one of the model's.", source_language, target_language], summarize=8
        )
        with tf.control_dependencies([check]):
            return self._answer(text, tf.identity(codes[0]), tf.identity(codes[1]), True)

    def _answer(self, text: tf.Tensor, source: tf.Tensor, target: tf.Tensor, has_target: bool) -> dict[str, tf.Tensor]:
        """Returns translation and score of each text; codes are int32 `(batch,)`."""
        names_target = self.tokenizer.frame.names_target
        prompted = tf.strings.join([self._prompt, text]) if self._prompt else text
        sources = self.tokenizer.make_sources(prompted, target if names_target else source, self._max_length)
        forced = target if has_target and not names_target else None
        found = generate(self._transformer, *sources, self._options, forced_bos=forced)
        written = self.tokenizer.detokenize(found.token_ids)
        copies = self._options.num_return_sequences
        is_blank = tf.strings.regex_full_match(text, BLANK)
        if copies == 1:
            return {
                "translation": tf.where(is_blank, text, written),
                "score": tf.where(is_blank, 0.0, found.scores),
            }
        blank = is_blank[:, tf.newaxis]
        return {
            "translation": tf.where(blank, text[:, tf.newaxis], tf.reshape(written, [-1, copies])),
            "score": tf.where(blank, 0.0, tf.reshape(found.scores, [-1, copies])),
        }

    def _generate(self, token_ids: tf.Tensor, padding_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        forced = None
        if self._target_code >= 0 and not self.tokenizer.frame.names_target:
            forced = tf.fill(tf.shape(token_ids)[:1], self._target_code)
        found: Generated = generate(self._transformer, token_ids, padding_mask, self._options, forced_bos=forced)
        return {"target_ids": found.token_ids[:, 1:], "score": found.scores}
