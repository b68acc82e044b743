"""Tokenizers, transformer and choices of generation together: texts in, translations out."""

import contextlib
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfchain.core.atomic import write_json
from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.packing import pack, unpacked
from tfchain.core.progress import show_progress
from tfchain.core.shared_lock import SharedLock
from tfchain.core.texts import check_texts
from tfchain.models.seq2seq.decoding import FEW_ROWS
from tfchain.models.seq2seq.folder import Seq2SeqFolder, read_seq2seq_folder, write_seq2seq_folder
from tfchain.models.seq2seq.generation import Generated, generate
from tfchain.models.seq2seq.generation_options import GenerationOptions
from tfchain.models.seq2seq.token_search import TokenSearch, can_search
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer, make_blank_transformer
from tfchain.models.seq2seq.weights import list_arrays
from tfchain.models.weights.download import find_local
from tfchain.models.weights.folder_contents import WEIGHTS
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.tensor_files import write_tensors
from tfchain.runtime.token_batches import make_batches

Language = str | Sequence[str] | None


class Seq2SeqModel:
    """Translates texts with a model of Marian, T5, mT5, M2M-100 or NLLB.

    Args:
        folder: What a folder holds; use `from_pretrained` to read one.
        prompt: A text put before each source, as T5 needs one ("translate English to German: "). Default: none.
        max_source_length: The most tokens of a source; longer ones are truncated. Default: what the positions allow.

    Use `with_precision` for a model in int8.

    Attributes:
        precision: `float32` or `int8`.
        transformer: The Keras model; call `refresh` after changing its weights.
        tokenizer: The `Seq2SeqTokenizer`.
        options: The `GenerationOptions` of `translate` unless others are given.
        languages: The source and the target language that are translated unless others are named.
    """

    engine = "tensorflow"

    def __init__(self, folder: Seq2SeqFolder, *, prompt: str = "", max_source_length: int | None = None) -> None:
        self.transformer = folder.transformer
        self.tokenizer = folder.tokenizer
        self.options = folder.options
        self.languages = folder.languages
        self.prompt = prompt
        self.max_source_length = self.transformer.config.find_source_length(max_source_length)
        self._files = folder.tokenizer_files
        self.precision = "float32"
        self._plain: Seq2SeqModel | None = None  # the float32 model that an int8 one was made from
        self._variables: list[Any] | None = None
        self._lock = SharedLock()
        self._compile_lock = threading.Lock()
        self._functions: dict[GenerationOptions, Any] = {}
        self._token_search = TokenSearch(self.transformer) if can_search(self.transformer) else None
        self._fingerprint: str | None = None

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, engine: str = "auto", **changes: Any) -> "Seq2SeqModel":
        """Reads a folder of transformers, or one that `save` wrote.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            engine: `auto` or `tensorflow`. Default: `auto`.
            **changes: Arguments of the constructor, such as `prompt`.

        Raises:
            ModelFolderError: if the folder cannot be read.
            InputError: if the engine is unknown, or an argument is out of range.
        """
        if engine not in ("auto", "tensorflow"):
            raise InputError(
                f"`engine` must be 'auto' or 'tensorflow' for models that translate. Received: engine={engine!r}.",
                argument="engine",
            )
        path = find_local(name_or_path)
        if path is None:
            from tfchain.models.seq2seq.hub import fetch_seq2seq

            path = fetch_seq2seq(str(name_or_path))
        own = _read_own(path)
        precision = own.pop("precision", "float32")
        return cls(read_seq2seq_folder(path), **{**own, **changes}).with_precision(precision)

    def translate(
        self,
        texts: str | Sequence[str],
        *,
        source_language: Language = None,
        target_language: Language = None,
        batch_size: int = 32,
        seed: int = 0,
        progress: bool | None = False,
        **options: Any,
    ) -> Any:
        """Translates texts.

        Args:
            texts: A text, or a list of them.
            source_language: The language of all, or of each, for M2M-100 and NLLB, such as `en` or `eng_Latn`. Default:
                the model's.
            target_language: The language to translate into, for these and for Marian models of several languages.
                Default: the model's.
            batch_size: The maximum number of texts in one step; texts of similar length share one. Default: 32.
            seed: For draws, at least 0. Default: 0.
            progress: Whether to show progress; None shows it on a terminal. Default: False.
            **options: Other values of `GenerationOptions`, such as `num_beams` or `max_length`.

        Returns:
            The translation of a text; for a list of texts a list, with `num_return_sequences` for each text in turn. A
            text of white space alone is its own translation.

        Raises:
            InputError: if a text is not a string, a language is unknown or an option is out of range.
        """
        is_single = isinstance(texts, str)
        items = [texts] if isinstance(texts, str) else check_texts(texts)
        check_whole_number("batch_size", batch_size)
        chosen = self.choose(**options)
        source, target = self._find_languages(source_language, target_language)
        self.tokenizer.check_named("source_language", source)
        sources = self.encode_sources(items, source_language=source, target_language=target)
        codes = self._list_codes(target, len(items))
        copies = chosen.num_return_sequences
        written = [text for text in items for _ in range(copies)]
        kept = [number for number, text in enumerate(items) if text.strip()]
        rows = self.generate_ids(
            [sources[number] for number in kept],
            options=chosen,
            target_codes=None if codes is None else [codes[number] for number in kept],
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
        for place, text in enumerate(self.tokenizer.decode(rows)):
            written[kept[place // copies] * copies + place % copies] = text
        return written[0] if is_single and copies == 1 else written

    def choose(self, **options: Any) -> GenerationOptions:
        """Returns the model's choices of generation with other values; None keeps one.

        Raises:
            InputError: if a name is unknown, or a value is out of range or does not fit the model.
        """
        config, chosen = self.transformer.config, self.options.replace(**options)
        chosen.check_fits(vocabulary_size=config.decoder_vocabulary_size, max_positions=config.position_limit)
        return chosen

    def encode_sources(
        self, texts: Sequence[str], *, source_language: Language = None, target_language: Language = None
    ) -> list[list[int]]:
        """Returns the token ids of sources, with the prompt and the language's token."""
        source, target = self._find_languages(source_language, target_language)
        language = target if self.tokenizer.frame.names_target else source
        prompted = [self.prompt + text for text in texts] if self.prompt else texts
        return self.tokenizer.encode(prompted, language=language, max_length=self.max_source_length)

    def generate_ids(
        self,
        sources: Sequence[Sequence[int]],
        *,
        options: GenerationOptions | None = None,
        target_codes: Sequence[int] | None = None,
        batch_size: int = 32,
        seed: int = 0,
        progress: bool | None = False,
    ) -> list[list[int]]:
        """Writes the token ids of targets.

        Args:
            sources: The token ids of each source.
            options: The choices. Default: the model's.
            target_codes: The first token of each target after the decoder's start; -1 for none, the same for all or
                for none of them. Default: that of the options.
            batch_size: The maximum number of sources in one step. Default: 32.
            seed: For draws. Default: 0.
            progress: Whether to show progress. Default: False.

        Returns:
            The ids of each target after the decoder's start up to its end; `num_return_sequences` for each source.
        """
        options = options or self.options
        seed = check_whole_number("seed", seed, least=0) % (1 << 31)  # a graph takes int32
        copies = options.num_return_sequences
        targets: list[list[int]] = [[] for _ in range(len(sources) * copies)]
        lengths = np.array([len(source) for source in sources], dtype="int64")
        with self.unchanged(), show_progress(len(sources), "translating", shown=progress) as advance:
            for rows in make_batches(lengths, batch_size):
                codes = None if target_codes is None else [target_codes[row] for row in rows]
                found = self._generate_batch([sources[row] for row in rows], options, codes, seed)
                ids = found.token_ids.numpy()[:, 1:].tolist()
                for number, row in enumerate(rows.tolist()):
                    for copy in range(copies):
                        targets[row * copies + copy] = self._cut(ids[number * copies + copy])
                advance(len(rows))
        return targets

    def _generate_batch(
        self, sources: Sequence[Sequence[int]], options: GenerationOptions, codes: Sequence[int] | None, seed: int
    ) -> Generated:
        """Runs the compiled graph on sources, padded to the longest."""
        longest = max(1, *(len(source) for source in sources))
        token_ids = np.full((len(sources), longest), self.transformer.config.pad_token_id, "int32")
        mask = np.zeros_like(token_ids)
        for row, source in enumerate(sources):
            token_ids[row, : len(source)] = source
            mask[row, : len(source)] = 1
        given = np.full(len(sources), -1, "int32") if codes is None else np.array(codes, "int32")
        has_codes = bool((given >= 0).all()) and len(given) > 0
        is_few = len(sources) * max(options.num_beams, options.num_return_sequences) < FEW_ROWS
        function = self._compile(options, has_codes, is_few)
        if self._token_search:
            self._token_search.notice_changes()
        return Generated(*function(token_ids, mask, given, np.int32(seed)))

    def _compile(self, options: GenerationOptions, has_codes: bool, is_few: bool) -> Any:
        """Returns the graph of some choices, traced once for all lengths, and for all batches or for few hypotheses."""
        key: Any = (options, has_codes, is_few)
        with self._compile_lock:
            if key not in self._functions:
                rows = tf.TensorSpec([None], tf.int32)
                matrix = tf.TensorSpec([None, None], tf.int32)

                @tf.function(input_signature=[matrix, matrix, rows, tf.TensorSpec([], tf.int32)], autograph=False)
                def write(token_ids: Any, padding_mask: Any, codes: Any, seed: Any) -> Generated:
                    forced = codes if has_codes else None
                    return generate(
                        self.transformer,
                        token_ids,
                        padding_mask,
                        options,
                        forced_bos=forced,
                        seed=seed,
                        with_scores=False,
                        is_few=is_few,
                        token_search=self._token_search,
                    )

                self._functions[key] = write
            return self._functions[key]

    def _cut(self, token_ids: list[int]) -> list[int]:
        """Returns a target's ids up to its end, without padding."""
        config = self.transformer.config
        if config.eos_token_id in token_ids:
            return token_ids[: token_ids.index(config.eos_token_id) + 1]
        while token_ids and token_ids[-1] == config.pad_token_id:
            token_ids = token_ids[:-1]
        return token_ids

    def _find_languages(self, source: Language, target: Language) -> tuple[Language, Language]:
        own_source, own_target = self.languages
        return source if source is not None else own_source, target if target is not None else own_target

    def _list_codes(self, language: Language, count: int) -> list[int] | None:
        """Returns the first token of each target; None where targets have none."""
        if self.tokenizer.frame.names_target or not self.tokenizer.languages:
            if language is not None and not self.tokenizer.languages:
                self.tokenizer.find_language(str(language))  # raises
            return None
        self.tokenizer.check_named("target_language", language)
        named = [language] * count if language is None or isinstance(language, str) else list(language)
        return [self.tokenizer.find_language(name) for name in named]

    # The contract of a task's model.

    @property
    def fingerprint(self) -> str:
        """A hash of shape, weights, vocabulary and everything else that changes translations."""
        if self._plain is not None:
            return make_fingerprint({"precision": self.precision, "of": self._plain.fingerprint}, [])
        if self._fingerprint is None:
            values = {
                "config": self.transformer.config.to_dict(),
                "options": self.options.to_dict(),
                "languages": list(self.languages),
                "prompt": self.prompt,
                "max_source_length": self.max_source_length,
                "tokenizers": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(self._files.items())},
            }
            self._fingerprint = make_fingerprint(values, list_arrays(self.transformer))
        return self._fingerprint

    def unchanged(self) -> contextlib.AbstractContextManager[None]:
        """Returns a block during which `set_weights` waits in other threads."""
        return self._lock.shared()

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Replaces the transformer's weights while no other thread computes with them; as Keras' `set_weights`.

        Raises:
            InputError: if the model is in int8.
        """
        if self._plain is not None:
            raise InputError("A model in int8 cannot be changed. Change its `plain()`, and make int8 of it again.")
        with self._lock.exclusive():
            self.transformer.set_weights(weights)
            self.refresh()

    def refresh(self) -> None:
        """Discards the fingerprint. Call it after changing the transformer's weights; graphs read the new ones."""
        self._fingerprint = None

    def save(self, path: Path, **_: Any) -> None:
        """Writes a folder that `from_pretrained` and transformers read.

        Args:
            path: An empty folder.
        """
        write_seq2seq_folder(
            path,
            self.plain().transformer,
            tokenizer_files=self._files,
            options=self.options,
            languages=self.languages,
        )
        own = {"prompt": self.prompt, "max_source_length": self.max_source_length}
        write_json(path / OWN, own if self.precision == "float32" else {**own, "precision": self.precision})

    @property
    def keras_model(self) -> Seq2SeqTransformer:
        """The transformer: code that changes its weights must call `refresh`."""
        return self.transformer

    def with_keras_model(self, keras_model: Any) -> "Seq2SeqModel":
        """Returns a model with these tokenizers and choices around another transformer of the same vocabulary.

        Args:
            keras_model: A `Seq2SeqTransformer`, or Keras' clone of one, which lost its class: its weights are copied.
        """
        if not isinstance(keras_model, Seq2SeqTransformer):
            weights = keras_model.get_weights()
            keras_model = make_blank_transformer(self.plain().transformer.config)
            keras_model.set_weights(weights)
        folder = Seq2SeqFolder(
            transformer=keras_model,
            tokenizer=self.tokenizer,
            tokenizer_files=self._files,
            options=self.options,
            languages=self.languages,
        )
        return Seq2SeqModel(folder, prompt=self.prompt, max_source_length=self.max_source_length)

    def describe_shape(self) -> dict[str, Any]:
        """Returns plain values that decide what a translation costs, whatever the weights."""
        return {
            **self.transformer.config.to_dict(),
            "options": self.options.to_dict(),
            "max_source_length": self.max_source_length,
        }

    def run_one(self, item: str) -> None:
        """Translates one text of a workload with the model's own choices."""
        self.translate(item)

    def run(self, items: Sequence[str], *, batch_size: int = 32) -> None:
        """Translates a workload with the model's own choices."""
        self.translate(list(items), batch_size=batch_size)

    def copy(self) -> "Seq2SeqModel":
        """Returns a model with weights of its own."""
        with self.unchanged():
            return _unpack(pack(self.save))

    def plain(self) -> "Seq2SeqModel":
        """Returns the model in float32, from which compression starts."""
        return self if self._plain is None else self._plain

    def with_precision(self, precision: str, *, engine: str | None = None, calibration: Any = None) -> "Seq2SeqModel":
        """Returns the model in a precision, computed by TensorFlow.

        Args:
            precision: `float32`, or `int8`: the encoder's products in 8-bit numbers, each row of activations by its
                own range; the decoder, whose steps that would slow down, stays in float32.
            engine: `auto` or `tensorflow`. Default: `auto`.
            calibration: None; ranges are found while computing.

        Raises:
            InputError: if the precision or the engine is another, or there is a calibration.
            TfchainError: if TensorFlow computes no exact int8 products on this processor.
        """
        if (
            precision not in ("float32", "int8")
            or calibration is not None
            or engine not in (None, "auto", "tensorflow")
        ):
            raise InputError(
                "`precision` must be 'float32' or 'int8' without a calibration for models that translate, computed by "
                f"TensorFlow. Received: precision={precision!r}, engine={engine!r}, calibration={calibration!r:.40}.",
                argument="precision",
            )
        if precision == self.precision:
            return self
        if precision == "float32":
            return self.plain()
        from tfchain.models.engines.int8_product import check_int8_products
        from tfchain.models.seq2seq.int8 import quantize_encoder

        check_int8_products("keep the model in float32")
        made = self.copy()
        made.precision, made._plain = precision, self
        made._variables = quantize_encoder(made.transformer)
        return made

    @property
    def variables(self) -> list[Any]:
        """The TensorFlow variables that the model computes with."""
        return [weight.value for weight in self.transformer.weights] if self._variables is None else self._variables

    def write_served_files(self, folder: Path) -> None:
        """Writes what a server needs of the model, for the size in a report: the variables and the tokenizers."""
        arrays = {f"{number}": variable.numpy() for number, variable in enumerate(self.variables)}
        write_tensors(folder / WEIGHTS, {name: array for name, array in arrays.items() if array.ndim})
        for name, data in self._files.items():
            (folder / name).write_bytes(data)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies by the saved form."""
        with self.unchanged():
            return _unpack, (pack(self.save),)


def _unpack(packed: bytes) -> Seq2SeqModel:
    with unpacked(packed) as path:
        return Seq2SeqModel.from_pretrained(path)


OWN = "tfchain_translation.json"  # what transformers has no place for


def _read_own(path: Path) -> dict[str, Any]:
    """Returns arguments of the constructor, and the precision, that a folder of `save` has."""
    values = read_json(path / OWN, needed=False)
    return {name: values[name] for name in ("prompt", "max_source_length", "precision") if name in values}
