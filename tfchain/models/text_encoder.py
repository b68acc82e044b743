"""Tokenizer and encoder together: texts in, vectors out, with the prompts that the model was trained with."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tfchain.core.checks import check_known_settings, check_whole_number
from tfchain.core.errors import InputError, ModelFolderError
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
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.stored import note_tokenizer, read_stored_tokenizer
from tfchain.models.weights.folder import find_folder, read_folder
from tfchain.models.weights.record import ModelRecord, read_record, write_record
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.stored_weights import WeightType
from tfchain.models.weights.tensor_files import KERNEL_WEIGHTS

if TYPE_CHECKING:
    import keras

TEXTS_IN_MEMORY = 16_384  # texts whose token ids are held at once
ENCODER_FILE = "encoder.keras"
# What text_encoder.json may hold, which lies beside a Keras model of the user's own.
SETTINGS = (
    *("max_length", "do_lower_case", "prompts", "default_prompt_name"),
    *("similarity", "precision", "vector_storage"),
)


class TextEncoder:
    """Gives the vectors of texts.

    Args:
        tokenizer: A transformers tokenizer.
        encoder: A Keras model from `token_ids` and `padding_mask`, int32 `(batch, length)`, to `(batch, dim)`; or a
            `SharedModel`, which holds one for several text encoders.
        max_length: The most tokens of a text, special tokens included. Default: what tokenizer and encoder allow.
        do_lower_case: Whether texts are lower-cased before tokenizing. Default: False.
        prompts: Prompt name → what is put before a text. Default: none.
        default_prompt_name: The prompt of `encode` where none is named. Default: none.
        similarity: How the model's vectors are compared, `cosine` or `dot`. Default: `cosine`.
        engine: What runs the encoder; see `EncoderRunner`. Default: `auto`.
        precision: What vectors are computed with: `float32`, `bfloat16`, `float16` or `int8`. The encoder's own weights
            stay as they are, and are what `fit` trains. Default: `float32`.
        vector_storage: How an index keeps the vectors of documents; `encode` gives float32 all the same.
            Default: in float32.
        calibration: Texts that the ranges of activations are measured on, for `int8`: TensorFlow computes then, and a
            version for TensorFlow Serving as Python does. Default: none; activations are quantized as they come.

    Raises:
        InputError: if `max_length`, `similarity` or `precision` is out of range, `engine` has not this precision,
            `default_prompt_name` is not among the prompts, or similarity and vector storage do not go together.
    """

    def __init__(
        self,
        tokenizer: Any,
        encoder: "keras.Model | SharedModel",
        *,
        max_length: int | None = None,
        do_lower_case: bool = False,
        prompts: Mapping[str, str] | None = None,
        default_prompt_name: str | None = None,
        similarity: Similarity = "cosine",
        engine: EngineName = "auto",
        precision: Precision = "float32",
        vector_storage: VectorStorage = FLOAT_VECTORS,
        calibration: Calibration | None = None,
    ) -> None:
        self._shared = encoder if isinstance(encoder, SharedModel) else SharedModel(encoder)
        self.prompts = check_prompts(prompts or {})
        self.default_prompt_name = default_prompt_name
        self.similarity: Similarity = similarity
        if similarity not in get_args(Similarity):
            raise InputError(f"`similarity` must be 'cosine' or 'dot'. Received: similarity={similarity!r}.")
        vector_storage.check_similarity(similarity)
        self.vector_storage = vector_storage
        if default_prompt_name is not None and default_prompt_name not in self.prompts:
            raise InputError(
                f"`default_prompt_name` must be one of the prompts ({', '.join(self.prompts) or 'there are none'}). "
                f"Received: {default_prompt_name!r}."
            )
        config = self._shared.config
        self.tokenizer = HostTokenizer(
            tokenizer,
            max_length=find_max_length(tokenizer, config, max_length),
            do_lower_case=do_lower_case,
            pad_token_id=None if config is None else config.transformer.pad_token_id,
        )
        check_vocabulary(tokenizer, config)
        self.runner = EncoderRunner(
            self._shared,
            pad_token_id=self.tokenizer.pad_token_id,
            engine=engine,
            precision=precision,
            calibration=calibration,
        )
        self._fingerprint: str | None = None
        self._watch = WeightWatch(self._shared)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, *, engine: EngineName = "auto", **changes: Any) -> "TextEncoder":
        """Reads a sentence-transformers or Hugging Face folder, or one that `save` wrote.

        Args:
            name_or_path: A folder, or a name on the Hugging Face hub.
            engine: What runs the encoder. Default: `auto`.
            **changes: Arguments of the constructor that take the place of what the folder says.

        Raises:
            ModelFolderError: if the folder cannot be read.
            InputError: as the constructor does, such as for a `calibration` where the precision is not `int8`.
        """
        path = find_folder(name_or_path)
        record = read_record(path)
        if (path / ENCODER_FILE).is_file():
            settings = _read_settings(path)
            shared = _load_keras_model(path / ENCODER_FILE)
            tokenizer_path = path
        else:
            folder = read_folder(path)
            kernel_path = None if record is None or not (path / KERNEL_WEIGHTS).is_file() else path / KERNEL_WEIGHTS
            fingerprint = None if record is None else record.encoder
            shared = SharedModel(StoredEncoder(folder, fingerprint=fingerprint, kernel_path=kernel_path))
            settings = {
                "max_length": folder.max_length,
                "do_lower_case": folder.do_lower_case,
                "prompts": folder.prompts,
                "default_prompt_name": folder.default_prompt_name,
                "similarity": folder.similarity,
                "precision": folder.precision,
                "vector_storage": folder.vector_storage,
            }
            tokenizer_path = folder.transformer_path
        is_as_saved = all(name == "similarity" or value is None for name, value in changes.items())
        settings |= changes
        if settings.get("precision") == "int8":
            settings = {"calibration": Calibration.load(path), **settings}
        tokenizer = settings.pop("tokenizer", None)
        if tokenizer is None:
            notes = None if record is None else record.tokenizer
            tokenizer = read_stored_tokenizer(tokenizer_path, notes) or load_tokenizer(tokenizer_path)
        made = cls(tokenizer, shared, engine=engine, **settings)
        made._fingerprint = record.text_encoder if record is not None and is_as_saved else None
        made.runner.refresh(shared.get_fingerprint)
        return made

    def with_precision(
        self, precision: Precision, *, engine: EngineName | None = None, calibration: Calibration | None = None
    ) -> "TextEncoder":
        """The same tokenizer and encoder, with vectors computed in another precision; this one stays as it is.

        Both share the Keras model: a training of one is noticed by the other.

        Args:
            precision: `float32`, `bfloat16`, `float16` or `int8`.
            engine: What runs the encoder. Default: as here; `auto` in place of `native` for another precision than its.
            calibration: As in the constructor; `calibrate` makes one. Default: none.

        Raises:
            InputError: if it is unknown, or the engine has not this precision.
        """
        self.notice_changes()
        if engine is None:
            engine = self.runner.engine
            check_precision(precision)
            if engine == "native" and engine not in find_engines(precision, calibration is not None):
                engine = "auto"
        return self._with(self._shared, precision, engine, calibration)

    def calibrate(self, texts: Sequence[str]) -> Calibration:
        """Takes a sample of texts for `with_precision("int8", calibration=...)`.

        Args:
            texts: Documents of the kind that will be encoded, without a prompt: they get the one for documents here,
                where there is one. Up to 64 of them are looked at.

        Raises:
            InputError: if fewer than eight have words.
        """
        prompt = self.document_prompt
        return make_calibration(lambda chosen: self.tokenizer([prompt + text for text in chosen]), check_texts(texts))

    def with_vector_storage(self, vector_storage: VectorStorage) -> "TextEncoder":
        """The same tokenizer, encoder and precision, with the vectors of documents kept otherwise in an index.

        Args:
            vector_storage: How they are kept.

        Raises:
            InputError: if it does not go with the similarity.
        """
        self.notice_changes()
        engine, calibration = self.runner.engine, self.calibration
        return self._with(self._shared, self.precision, engine, calibration, vector_storage)

    def with_encoder(self, encoder: "keras.Model | SharedModel") -> "TextEncoder":
        """The same tokenizer, settings and precision with another encoder, such as a smaller one.

        Args:
            encoder: As the constructor takes it.

        Raises:
            InputError: if it does not suit the tokenizer, its length or the precision.
        """
        return self._with(encoder, self.precision, self.runner.engine, self.calibration)

    def _with(
        self,
        encoder: "keras.Model | SharedModel",
        precision: Precision,
        engine: EngineName,
        calibration: Calibration | None,
        vector_storage: VectorStorage | None = None,
    ) -> "TextEncoder":
        made = TextEncoder(
            self.tokenizer.source,
            encoder,
            engine=engine,
            precision=precision,
            calibration=calibration,
            vector_storage=vector_storage or self.vector_storage,
            **self._settings(),
        )
        made.runner.refresh(made._shared.get_fingerprint)
        return made

    @property
    def encoder(self) -> "keras.Model":
        """The Keras model. From the first time that it is asked for, its weights are looked at before every query."""
        return self._shared.hand_out()

    @property
    def config(self) -> EncoderConfig | None:
        """The encoder's shape; None for a Keras model that is not one of tfchain's own encoders."""
        return self._shared.config

    @property
    def own_encoder(self) -> "keras.Model":
        """The Keras model for tfchain's own use: whoever changes its weights by this way calls `refresh`."""
        return self._shared.model

    @property
    def precision(self) -> Precision:
        """What vectors are computed with."""
        return self.runner.precision

    @property
    def calibration(self) -> Calibration | None:
        """The texts that ranges are measured on; None where none are."""
        return self.runner.calibration

    @property
    def embedding_dim(self) -> int:
        """Width of the vectors."""
        return self.runner.embedding_dim

    @property
    def encoder_fingerprint(self) -> str:
        """Names the encoder alone, its shape and its weights, whatever the tokenizer."""
        found = self._shared.known_fingerprint
        if found is None:
            with self.unchanged():
                found = self._shared.fingerprint
        return found

    @property
    def fingerprint(self) -> str:
        """Names everything that decides what is kept of a text: weights, precision, tokenizer, length, prompts."""
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
        }
        if self.precision != "float32":
            values["precision"] = self.precision
        if not self.vector_storage.is_plain:
            values["vectors"] = self.vector_storage.to_dict()
        if self.calibration is not None:
            values["calibration"] = self.calibration.token_ids
        return make_fingerprint(values, ())

    def unchanged(self) -> contextlib.AbstractContextManager[None]:
        """A block in which `set_weights`, and so `fit`, of other threads waits: all that it computes is of one model.

        Several threads may be in such blocks at the same time. What a training of one's own writes into the Keras model
        does not wait.
        """
        return self._shared.lock.shared()

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        """Gives the encoder other weights in one step, when no other thread computes with it; then as `refresh`.

        Args:
            weights: What Keras' `set_weights` takes.
        """
        with self._shared.lock.exclusive():
            self._shared.model.set_weights(weights)
            self._shared.tell_change()
            self._forget()

    def refresh(self) -> None:
        """Call it when the encoder's weights have changed: the fingerprint and what was compiled are made anew.

        Text encoders that share the Keras model, such as one of `with_precision`, do the same before their next text.
        """
        self._shared.tell_change()
        self._forget()

    def notice_changes(self) -> None:
        """Does what `refresh` does if two of the encoder's smallest weights have changed, as training changes them.

        Looking at all weights would cost more than encoding a query; a change of large weights alone, or of layers in
        the middle alone, needs `refresh`. An encoder that was read from a folder and that nobody has asked for is not
        looked at, as nobody can have trained it.
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
        batch_size: int = 32,
        progress: bool | None = None,
    ) -> np.ndarray:
        """Vectors of texts.

        Args:
            texts: A list of texts, or one.
            prompt_name: The prompt to put before each. Default: the folder's default prompt, if it names one.
            prompt: The prompt itself, in place of a name; `""` for none. Default: the one of `prompt_name`.
            batch_size: The most texts in one step. Default: 32.
            progress: Whether to show a progress bar. Default: when several texts take more than a second.

        Returns:
            float32 `(texts, dim)`; `(dim,)` for one text.

        Raises:
            InputError: if something is not a text, or there is no such prompt.
        """
        if isinstance(texts, str):
            return self.encode(
                [texts], prompt_name=prompt_name, prompt=prompt, batch_size=batch_size, progress=progress
            )[0]
        texts = check_texts(texts)
        check_whole_number("batch_size", batch_size)
        if not isinstance(prompt, str | None):
            raise InputError(f"`prompt` must be a string. Received: {prompt!r:.100}.")
        prompt = self.find_prompt(prompt_name) if prompt is None else prompt
        with self.unchanged():
            self.notice_changes()
            if len(texts) == 1 and not progress:  # a query
                return self._encode_part(texts, prompt, batch_size)
            with show_progress(len(texts), "encoding", shown=progress) as advance:
                parts = [
                    self._encode_part(texts[start : start + TEXTS_IN_MEMORY], prompt, batch_size, advance)
                    for start in range(0, len(texts), TEXTS_IN_MEMORY)
                ]
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, self.embedding_dim), "float32"), *parts])

    def encode_query(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """As `encode`, with the prompt named `query`; without a prompt where the folder has none of that name."""
        return self.encode(texts, **{"prompt": self.query_prompt, **options})

    def encode_document(self, texts: str | Sequence[str], **options: Any) -> np.ndarray:
        """As `encode`, with the prompt named `document`, `passage` or `corpus`; without one where there is none."""
        return self.encode(texts, **{"prompt": self.document_prompt, **options})

    @property
    def query_prompt(self) -> str:
        """What is put before queries; the default prompt is for `encode` alone, as in sentence-transformers."""
        return self.prompts.get("query", "")

    @property
    def document_prompt(self) -> str:
        """What is put before documents. sentence-transformers 6 knows `document` alone; older folders say `passage`."""
        names = ("document", "passage", "corpus")
        return next((self.prompts[name] for name in names if name in self.prompts), "")

    def find_prompt(self, name: str | None) -> str:
        """The prompt of a name; the default one for None, empty where there is none."""
        name = name if name is not None else self.default_prompt_name
        if name is None:
            return ""
        if not isinstance(name, str) or name not in self.prompts:
            raise InputError(
                f"`prompt_name` must be one of {', '.join(self.prompts) or '(the model has no prompts)'}. "
                f"Received: prompt_name={name!r}."
            )
        return self.prompts[name]

    def skipped_tokens(self, prompt: str) -> int:
        """How many first tokens pooling leaves out for a prompt."""
        leaves_out = self.config is not None and not self.config.pooling.include_prompt
        return self.tokenizer.prompt_length(prompt) if prompt and leaves_out else 0

    def _encode_part(
        self, texts: Sequence[str], prompt: str, batch_size: int, advance: Callable[[int], None] | None = None
    ) -> np.ndarray:
        token_ids = self.tokenizer([prompt + text for text in texts] if prompt else texts)
        return self.runner(token_ids, batch_size=batch_size, skipped=self.skipped_tokens(prompt), progress=advance)

    def save(self, path: Path, *, portable: bool = False, weight_type: WeightType = "float32") -> None:
        """Writes a folder that `from_pretrained` reads; sentence-transformers reads it too, where it can.

        Args:
            path: An empty folder.
            portable: Whether sentence-transformers must be able to read it; the folder says nothing of the precision
                and of how vectors are kept then, as only tfchain has them. Default: False.
            weight_type: `int8` stores the matrices in a quarter of the space, each row rounded to 8 bits with a scale
                of its own; what is read is a float32 model again. For tfchain's own encoders. Default: `float32`.

        Raises:
            InputError: if `portable` is True and sentence-transformers has no such model, or `weight_type` is `int8`
                and the folder must be portable or the encoder is not tfchain's own.
        """
        from tfchain.models.weights.save_pretrained import save_encoder

        settings = self._settings()
        if self.precision != "float32" and not portable:
            settings["precision"] = self.precision
            if self.calibration is not None:
                self.calibration.save(path)
        if not self.vector_storage.is_plain and not portable:
            settings["vector_storage"] = self.vector_storage.to_dict()
        if self.config is not None:
            is_whole = not portable and weight_type == "float32"
            if is_whole and self.precision == "int8" and self.calibration is None:
                self._save_kernel_weights(path / KERNEL_WEIGHTS)
            settings |= {"portable": portable, "weight_type": weight_type}
            save_encoder(self.own_encoder, path, save_tokenizer=self.tokenizer.save, **settings)
            if is_whole:
                self._write_record(path)
            return
        if weight_type != "float32":
            raise InputError(
                f"`weight_type` must be 'float32' for an encoder that is not tfchain's own. Received: {weight_type!r} "
                f"and a {type(self.own_encoder).__name__}."
            )
        if portable:
            raise InputError(
                "Only tfchain's own encoders can be saved for sentence-transformers. "
                f"Received: {type(self.own_encoder).__name__}. Use the chain's save, which tfchain itself reads."
            )
        self.own_encoder.save(path / ENCODER_FILE)
        self.tokenizer.save(path)
        _write_settings(path, settings)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled and copied as `save` writes it."""
        with self.unchanged():
            return _unpack, (pack(self.save), self.runner.engine)

    def _save_kernel_weights(self, path: Path) -> None:
        """The weights in int8, so that the next process does not quantize them; nothing where no kernel takes them."""
        from tfchain.models.encoders.keras_weights import KerasWeights
        from tfchain.models.engines.kernel_weights import NotFiniteError, make_kernel_weights, save_kernel_weights

        assert self.config is not None
        with contextlib.suppress(NotFiniteError):
            save_kernel_weights(path, make_kernel_weights(self.config, KerasWeights(self.own_encoder)))

    def _write_record(self, path: Path) -> None:
        notes = note_tokenizer(self.tokenizer.source, path)
        write_record(
            path, ModelRecord(encoder=self.encoder_fingerprint, text_encoder=self.fingerprint, tokenizer=notes)
        )

    def _settings(self) -> dict[str, Any]:
        """The constructor's plain values, but for what runs the encoder."""
        return {
            "max_length": self.tokenizer.max_length,
            "do_lower_case": self.tokenizer.do_lower_case,
            "prompts": self.prompts,
            "default_prompt_name": self.default_prompt_name,
            "similarity": self.similarity,
        }


def _unpack(packed: bytes, engine: EngineName) -> TextEncoder:
    with unpacked(packed) as path:
        return TextEncoder.from_pretrained(path, engine=engine)


def check_prompts(prompts: Mapping[str, str]) -> dict[str, str]:
    """The prompts as a dict.

    Raises:
        InputError: if they are something else than texts by name.
    """
    if not isinstance(prompts, Mapping) or not all(isinstance(one, str) for pair in prompts.items() for one in pair):
        raise InputError(f"`prompts` must be a dict of prompts by name, both strings. Received: {prompts!r:.100}.")
    return dict(prompts)


def find_max_length(tokenizer: Any, config: EncoderConfig | None, asked: int | None) -> int:
    """The most tokens of a text: what was asked, within what tokenizer and encoder allow."""
    positions = None if config is None else config.transformer.max_length
    own = getattr(tokenizer, "model_max_length", None)
    limits = [limit for limit in (positions, own if own and own < 1_000_000 else None) if limit]
    if asked is None:
        return min(limits, default=512)
    asked = check_whole_number("max_length", asked, least=3)
    if positions is not None and asked > positions:
        raise InputError(
            f"`max_length` must be at least 3 and at most the model's {positions} positions. "
            f"Received: max_length={asked}."
        )
    return asked


def check_vocabulary(tokenizer: Any, config: EncoderConfig | None) -> None:
    """Stops a tokenizer whose ids the encoder has no rows for."""
    if config is not None and len(tokenizer) > config.transformer.vocabulary_size:
        raise InputError(
            f"The tokenizer has {len(tokenizer)} tokens, the model has an embedding for "
            f"{config.transformer.vocabulary_size}. Use the tokenizer that belongs to the model."
        )


def _load_keras_model(path: Path) -> SharedModel:
    import keras

    from tfchain.models.encoders.encoder import Encoder
    from tfchain.runtime.allocator import start_tensorflow
    from tfchain.runtime.random_state import kept_random_state

    start_tensorflow()
    with kept_random_state():
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return SharedModel(model, is_private=type(model) is Encoder)  # layers of others' may keep what they like


def _read_settings(path: Path) -> dict[str, Any]:
    from tfchain.models.weights.folder import read_json

    settings: dict[str, Any] = read_json(path / "text_encoder.json")
    try:
        check_known_settings(settings, SETTINGS)
        check_precision(settings.get("precision", "float32"))
        return {**settings, "vector_storage": VectorStorage.from_dict(settings.get("vector_storage"))}
    except InputError as error:
        raise ModelFolderError(f"{path / 'text_encoder.json'} cannot be read: {error}") from error
    except TypeError as error:
        raise ModelFolderError(
            f"{path / 'text_encoder.json'} cannot be read: {type(error).__name__}: {error}. Get the folder again."
        ) from error


def _write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    from tfchain.models.weights.save_pretrained import write

    write(path / "text_encoder.json", dict(settings))
