"""Tokenizer and encoder together: texts in, vectors out, with the prompts that the model was trained with."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from tfchain.core.checks import check_whole_number
from tfchain.core.errors import InputError
from tfchain.core.fingerprint import make_fingerprint
from tfchain.core.packing import pack, unpacked
from tfchain.core.progress import show_progress
from tfchain.core.texts import check_texts
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.engines.calibration import Calibration, make_calibration
from tfchain.models.engines.runner import EncoderRunner
from tfchain.models.indexes.exact import Similarity
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.precision import EngineName, Precision, check_precision, find_engines
from tfchain.models.shared_model import SharedModel, WeightWatch
from tfchain.models.text_encoder_checks import check_matryoshka_dims
from tfchain.models.text_encoder_folder import TextEncoderParts, read_parts, save_text_encoder
from tfchain.models.text_encoder_model import TextEncoderModel
from tfchain.models.text_roles import Role
from tfchain.models.weights.stored_weights import WeightType

if TYPE_CHECKING:
    import keras

TEXTS_IN_MEMORY = 16_384  # texts whose token ids are held at once


class TextEncoder(TextEncoderModel):
    """Encodes texts as vectors.

    Args:
        tokenizer: A transformers tokenizer.
        encoder: A Keras model from `token_ids` and `padding_mask`, int32 `(batch, length)`, to `(batch, dim)`; or a
            `SharedModel`, which holds one for several text encoders.
        max_length: The maximum number of tokens in a text, special ones included. Default: tokenizer's and encoder's.
        query_length: The maximum of a query, as `encode_query` encodes it. Default: `max_length`.
        document_length: The maximum of a document, and of a passage. Default: `max_length`.
        do_lower_case: Whether texts are lower-cased before tokenizing. Default: False.
        prompts: Prompt name → text put before each text. Default: none.
        default_prompt_name: The prompt that `encode` uses if none is named. Default: none.
        similarity: How the model's vectors are compared, `cosine` or `dot`. Default: `cosine`.
        matryoshka_dims: Shorter lengths to which vectors may be cut, as the model was trained for (see
            `training.losses.Matryoshka`); `fit` sets them. Default: none.
        engine: What runs the encoder; see `EncoderRunner`. Default: `auto`.
        precision: The precision of the computation: `float32`, `bfloat16`, `float16` or `int8`. The encoder's own
            weights do not change; `fit` trains them. Default: `float32`.
        vector_storage: How an index stores document vectors; `encode` returns float32 in any case. Default: in float32.
        calibration: For `int8`, texts on which the ranges of activations are measured. TensorFlow then computes, and a
            version for TensorFlow Serving computes the same. Default: none; activations are quantized dynamically.

    Raises:
        InputError: if an argument is out of range, the engine does not have this precision, `default_prompt_name` is
            not among the prompts, or similarity and vector storage do not match.
    """

    def __init__(
        self,
        tokenizer: Any,
        encoder: "keras.Model | SharedModel",
        *,
        max_length: int | None = None,
        query_length: int | None = None,
        document_length: int | None = None,
        do_lower_case: bool = False,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity: Similarity = "cosine",
        matryoshka_dims: Sequence[int] = (),
        engine: EngineName = "auto",
        precision: Precision = "float32",
        vector_storage: VectorStorage = FLOAT_VECTORS,
        calibration: Calibration | None = None,
    ) -> None:
        self._shared = encoder if isinstance(encoder, SharedModel) else SharedModel(encoder)
        super().__init__(
            tokenizer,
            self._shared.config,
            max_length=max_length,
            query_length=query_length,
            document_length=document_length,
            do_lower_case=do_lower_case,
            prompts=prompts,
            default_prompt_name=default_prompt_name,
        )
        self.similarity: Similarity = similarity
        if similarity not in get_args(Similarity):
            raise InputError(f"`similarity` must be 'cosine' or 'dot'. Received: similarity={similarity!r}.")
        vector_storage.check_similarity(similarity)
        self.vector_storage = vector_storage
        self.runner = EncoderRunner(
            self._shared,
            pad_token_id=self.tokenizer.pad_token_id,
            engine=engine,
            precision=precision,
            calibration=calibration,
        )
        self.matryoshka_dims = matryoshka_dims
        self._fingerprint: str | None = None
        self._watch = WeightWatch(self._shared)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, engine: EngineName = "auto", **changes: Any) -> "TextEncoder":
        """Reads a sentence-transformers or Hugging Face folder, or one that `save` wrote.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            engine: What runs the encoder. Default: `auto`.
            **changes: Arguments of the constructor that replace the folder's settings, and `adapter`, the name of the
                adapter to merge into the weights, where a checkpoint has one for each task (jina-embeddings-v3).

        Raises:
            ModelFolderError: if the folder cannot be read.
            InputError: for the constructor's reasons, such as a `calibration` for another precision than `int8`.
        """
        parts = read_parts(name_or_path, changes)
        return cls._make(parts, engine)

    @classmethod
    def _make(cls, parts: TextEncoderParts, engine: EngineName) -> "TextEncoder":
        made = cls(parts.tokenizer, parts.shared, engine=engine, **parts.settings)
        made._fingerprint = parts.fingerprint
        made.runner.refresh(parts.shared.get_fingerprint)
        if parts.query_route is not None:
            made.query_route = cls._make(parts.query_route, "auto")
        return made

    def with_precision(
        self, precision: Precision, *, engine: EngineName | None = None, calibration: Calibration | None = None
    ) -> "TextEncoder":
        """Returns a text encoder with the same tokenizer and encoder that computes in another precision.

        The two share the Keras model: when one is trained, the other notices.

        Args:
            precision: `float32`, `bfloat16`, `float16` or `int8`.
            engine: What runs the encoder. Default: this one's, but `auto` for `native` and `numpy` if they lack the
                precision.
            calibration: As in the constructor; `calibrate` makes one. Default: none.

        Raises:
            InputError: if the precision is unknown, or the engine does not have it.
        """
        self.notice_changes()
        if engine is None:
            engine = self.runner.engine
            check_precision(precision)
            has_static = self.config is not None and self.config.transformer.is_static
            known = find_engines(precision, calibration is not None, has_static)
            if engine in ("native", "numpy") and engine not in known:
                engine = "auto"
        return self._with(self._shared, precision, engine, calibration)

    def calibrate(self, texts: Sequence[str]) -> Calibration:
        """Takes a sample of texts for `with_precision("int8", calibration=...)`.

        Args:
            texts: Documents of the kind that will be encoded, without the prompt for documents: it is added here. Up to
                64 of them are used.

        Raises:
            InputError: if fewer than eight texts contain words.
        """
        prompt, tokenize = self.document_prompt, self.document_tokenizer
        return make_calibration(lambda chosen: tokenize([prompt + text for text in chosen]), check_texts(texts))

    def with_vector_storage(self, vector_storage: VectorStorage) -> "TextEncoder":
        """Returns a text encoder with the same tokenizer, encoder and precision, and another storage of vectors.

        Args:
            vector_storage: How an index stores the vectors of documents.

        Raises:
            InputError: if it does not suit the similarity.
        """
        self.notice_changes()
        engine, calibration = self.runner.engine, self.calibration
        return self._with(self._shared, self.precision, engine, calibration, vector_storage)

    def with_encoder(
        self, encoder: "keras.Model | SharedModel", *, query_route: "TextEncoder | Literal['same'] | None" = "same"
    ) -> "TextEncoder":
        """Returns a text encoder with the same tokenizer, settings and precision, and another encoder.

        Args:
            encoder: As the constructor takes it.
            query_route: Its encoder of its own for queries. Default: the same as this one's.

        Raises:
            InputError: if it does not suit the tokenizer, its length, the precision, or the width of `query_route`.
        """
        return self._with(encoder, self.precision, self.runner.engine, self.calibration, query_route=query_route)

    def _with(
        self,
        encoder: "keras.Model | SharedModel",
        precision: Precision,
        engine: EngineName,
        calibration: Calibration | None,
        vector_storage: VectorStorage | None = None,
        query_route: "TextEncoder | Literal['same'] | None" = "same",
    ) -> "TextEncoder":
        made = TextEncoder(
            self.tokenizer.source,
            encoder,
            engine=engine,
            precision=precision,
            calibration=calibration,
            vector_storage=vector_storage or self.vector_storage,
            **{**self.settings(), "matryoshka_dims": ()},
        )
        has_head = made.config is not None and made.config.head is not None
        if made.embedding_dim == self.embedding_dim and not has_head:
            made.matryoshka_dims = self.matryoshka_dims
        made.runner.refresh(made._shared.get_fingerprint)
        route = self.query_route if query_route == "same" else query_route
        if route is not None and not has_head:  # a head's outputs are compared with no vectors
            made.query_route = route if precision == route.precision else route.with_precision(precision)
        return made

    @property
    def encoder(self) -> "keras.Model":
        """The Keras model. Once it has been requested, its weights are checked for changes before every query."""
        return self._shared.hand_out()

    @property
    def config(self) -> EncoderConfig | None:
        """The encoder's shape; None for a Keras model that is not one of tfchain's own encoders."""
        return self._shared.config

    @property
    def own_encoder(self) -> "keras.Model":
        """The Keras model for tfchain's own use: code that changes its weights must call `refresh`."""
        return self._shared.model

    @property
    def calibration(self) -> Calibration | None:
        """The texts on which ranges are measured; None if activations are quantized dynamically."""
        return self.runner.calibration

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.runner.embedding_dim

    @property
    def matryoshka_dims(self) -> tuple[int, ...]:
        """Shorter lengths to which vectors may be cut, shortest first; versions offer them to their clients."""
        return self._matryoshka_dims

    @matryoshka_dims.setter
    def matryoshka_dims(self, dims: Sequence[int]) -> None:
        self._matryoshka_dims = check_matryoshka_dims(dims, self.embedding_dim)

    @property
    def encoder_fingerprint(self) -> str:
        """The fingerprint of the encoder's shape and weights, without the tokenizer."""
        found = self._shared.known_fingerprint
        if found is None:
            with self.unchanged():
                found = self._shared.fingerprint
        return found

    @property
    def fingerprint(self) -> str:
        """The fingerprint of everything that determines a text's stored vector.

        That is weights, precision, tokenizer, length, prompts and vector storage. `query_route` does not count; for
        both, see `model_fingerprint`.
        """
        with self.unchanged():
            self.notice_changes()
            found = self._fingerprint
            if found is None:
                found = self._fingerprint = self._make_fingerprint()
            return found

    def _make_fingerprint(self) -> str:
        values = {
            "encoder": self.encoder_fingerprint,
            **self.tokenizer.describe(),
            "prompts": self.prompts,
            "default": self.default_prompt_name,
            **self.role_lengths,
        }
        if self.precision != "float32":
            values["precision"] = self.precision
        if not self.vector_storage.is_plain:
            values["vectors"] = self.vector_storage.to_dict()
        if self.calibration is not None:
            values["calibration"] = self.calibration.token_ids
        return make_fingerprint(values, ())

    def set_weights(self, weights: Sequence[np.ndarray], *, query_weights: Sequence[np.ndarray] | None = None) -> None:
        """Replaces the encoder's weights in one step, while no other thread computes with them, and calls `refresh`.

        Args:
            weights: As for Keras' `set_weights`.
            query_weights: The weights of `query_route`, replaced in the same step. Default: they stay.
        """
        written = [(self, weights)]
        if self.query_route is not None and query_weights is not None:
            written.append((self.query_route, query_weights))
        with contextlib.ExitStack() as stack:
            for lock in dict.fromkeys(side._shared.lock for side, _ in written):  # in the order of `unchanged`
                stack.enter_context(lock.exclusive())
            for side, values in written:
                side._shared.model.set_weights(values)
                side.refresh()

    def refresh(self) -> None:
        """Discards the fingerprint and everything compiled. Call it after changing the encoder's weights.

        Text encoders that share the Keras model, such as those from `with_precision`, do the same before their next
        text.
        """
        self._shared.tell_change()
        self._forget()

    def notice_changes(self) -> None:
        """Calls `refresh` if two of the encoder's smallest weights have changed, as they do in any training.

        Checking all weights would cost more than encoding a query; if you change only large weights, or only layers in
        the middle, call `refresh`. An encoder that was read from a folder is not checked until `encoder` is requested,
        as no one can have trained it.
        """
        if self._watch.has_changed:
            self._forget()

    def _forget(self) -> None:
        self._fingerprint = None
        self._shared.forget()
        self._watch.reset()
        self.runner.refresh()

    def encode(
        self,
        texts: str | Sequence[str],
        *,
        prompt_name: str | None = None,
        prompt: str | None = None,
        role: Role | None = None,
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> np.ndarray:
        """Encodes texts.

        Args:
            texts: A list of texts, or a single text.
            prompt_name: The prompt to put before each text. Default: the folder's default prompt, if it names one.
            prompt: The prompt itself, instead of a name; `""` for none. Default: the prompt named `prompt_name`.
            role: `query` or `document` truncates texts at the maximum of these. Default: at `max_length`.
            batch_size: The maximum number of texts in a step. Default: 32.
            progress: Whether to show a progress bar. Default: when several texts take more than a second.

        Returns:
            float32 `(texts, dim)`; `(dim,)` for one text.

        Raises:
            InputError: if an item is not a text, or there is no such prompt.
        """
        if isinstance(texts, str):
            options: dict[str, Any] = {"prompt_name": prompt_name, "prompt": prompt, "role": role}
            return self.encode([texts], **options, batch_size=batch_size, progress=progress)[0]
        texts = check_texts(texts)
        check_whole_number("batch_size", batch_size)
        if not isinstance(prompt, str | None):
            raise InputError(f"`prompt` must be a string. Received: {prompt!r:.100}.")
        prompt = self.find_prompt(prompt_name) if prompt is None else prompt
        self.find_tokenizer(role)
        with self.unchanged():
            self.notice_changes()
            if len(texts) == 1 and not progress:  # a query
                return self._encode_part(texts, prompt, role, batch_size)
            with show_progress(len(texts), "encoding", shown=progress) as advance:
                parts = [
                    self._encode_part(texts[start : start + TEXTS_IN_MEMORY], prompt, role, batch_size, advance)
                    for start in range(0, len(texts), TEXTS_IN_MEMORY)
                ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, self.embedding_dim), "float32"), *parts])

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Encodes texts like `encode`, with the length for queries, and the prompt named `query` if there is one."""
        if self.query_route is not None:
            return self.query_route.encode_query(texts, **options)
        prompt = {} if options.get("prompt_name") is not None else {"prompt": self.query_prompt}
        return self.encode(texts, **{"role": "query", **prompt, **options})

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """Encodes texts like `encode`, with the length for documents, and their prompt.

        The prompt is the one named `document`, `passage` or `corpus`, if the model has one.
        """
        prompt = {} if options.get("prompt_name") is not None else {"prompt": self.document_prompt}
        return self.encode(texts, **{"role": "document", **prompt, **options})

    def _encode_part(
        self,
        texts: Sequence[str],
        prompt: str,
        role: Role | None,
        batch_size: int,
        advance: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        token_ids = self.find_tokenizer(role)([prompt + text for text in texts] if prompt else texts)
        return self.runner(token_ids, batch_size=batch_size, skipped=self.skipped_tokens(prompt), progress=advance)

    def save(self, path: Path, *, portable: bool = False, weight_type: WeightType = "float32") -> None:
        """Writes a folder that `from_pretrained` reads; sentence-transformers reads it too, if it has such a model.

        Args:
            path: An empty folder.
            portable: Whether sentence-transformers must be able to read it; precision and vector storage, which only
                tfchain has, are then left out. Default: False.
            weight_type: `int8` stores the matrices in a quarter of the space, each row rounded to 8 bits with its own
                scale; they are read as float32 again. For tfchain's own encoders. Default: `float32`.

        Raises:
            InputError: if `portable` is set and sentence-transformers has no such model, or if `weight_type` is `int8`
                and the folder must be portable or the encoder is not tfchain's own.
        """
        save_text_encoder(self, path, portable=portable, weight_type=weight_type)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles and copies by the saved form."""
        with self.unchanged():
            return _unpack, (pack(self.save), self.runner.engine)

    def settings(self) -> dict[str, Any]:
        """Returns the constructor's plain arguments, without those for what runs the encoder."""
        return {**super().settings(), "similarity": self.similarity, "matryoshka_dims": self.matryoshka_dims}


def _unpack(packed: bytes, engine: EngineName) -> TextEncoder:
    with unpacked(packed) as path:
        return TextEncoder.from_pretrained(path, engine=engine)
