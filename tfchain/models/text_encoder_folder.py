"""The folder of a text encoder: read in parts, without its Keras model, and written."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfchain.core.checks import check_known_settings
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.engines.calibration import Calibration
from tfchain.models.indexes.storage import VectorStorage
from tfchain.models.precision import check_precision
from tfchain.models.shared_model import SharedModel
from tfchain.models.tokenizers.hugging_face import load_tokenizer
from tfchain.models.tokenizers.static import StaticTokenizer
from tfchain.models.tokenizers.stored import note_tokenizer, read_stored_tokenizer
from tfchain.models.weights.download import find_local, find_model
from tfchain.models.weights.folder import ModelFolder
from tfchain.models.weights.record import ModelRecord, read_record, write_record
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.models.weights.stored_weights import WeightType
from tfchain.models.weights.tensor_files import KERNEL_WEIGHTS

if TYPE_CHECKING:
    from tfchain.models.text_encoder import TextEncoder

ENCODER_FILE = "encoder.keras"
QUERY_ROUTE = "query_route"  # the folder of an encoder of its own for queries
# The settings in text_encoder.json, which accompanies a user's own Keras model.
SETTINGS = (
    *("max_length", "query_length", "document_length", "do_lower_case", "prompts", "default_prompt_name"),
    *("similarity", "matryoshka_dims", "precision", "vector_storage"),
)


@dataclass(frozen=True)
class TextEncoderParts:
    """The contents of a text encoder's folder.

    Args:
        shared: The encoder.
        settings: Arguments of `TextEncoder`.
        tokenizer: The tokenizer.
        fingerprint: The text encoder's fingerprint, if the folder records it and it applies to these settings.
        query_route: The parts of an encoder of its own for queries, or None.
    """

    shared: SharedModel
    settings: Mapping[str, Any]
    tokenizer: Any
    fingerprint: str | None
    query_route: "TextEncoderParts | None" = None


def read_parts(name_or_path: str | Path, changes: Mapping[str, Any]) -> TextEncoderParts:
    """Reads a sentence-transformers or Hugging Face folder, or one that `save_text_encoder` wrote.

    Args:
        name_or_path: A folder, or a name on the Hugging Face hub.
        changes: Arguments of `TextEncoder` that replace the folder's; with `tokenizer`, the folder's is not read; and
            `adapter`, the adapter of the checkpoint to merge into the weights.

    Raises:
        ModelFolderError: if the folder cannot be read.
    """
    options: dict[str, Any] = {}
    folder: ModelFolder | None = None
    changes = dict(changes)
    adapter = changes.pop("adapter", None)
    own = find_local(name_or_path)
    if own is not None and (own / ENCODER_FILE).is_file():
        path, record = own, read_record(own)
        settings = _read_settings(path)
        shared = _load_keras_model(path / ENCODER_FILE)
        tokenizer_path = path
    else:
        path, folder = find_model(name_or_path, adapter=adapter)
        record = read_record(path)
        kernel_path = None if record is None or not (path / KERNEL_WEIGHTS).is_file() else path / KERNEL_WEIGHTS
        fingerprint = None if record is None else record.encoder
        shared = SharedModel(StoredEncoder(folder, fingerprint=fingerprint, kernel_path=kernel_path))
        settings = {name: getattr(folder, name) for name in SETTINGS}
        tokenizer_path, options = folder.transformer_path, dict(folder.tokenizer_options)
    is_as_saved = all(name == "similarity" or value is None for name, value in changes.items())
    settings |= changes
    if settings.get("precision") == "int8":
        settings = {"calibration": Calibration.load(path), **settings}
    tokenizer = settings.pop("tokenizer", None)
    if tokenizer is None:
        notes = None if record is None else record.tokenizer
        if shared.config is not None and shared.config.transformer.is_static and notes is None:
            tokenizer = StaticTokenizer(tokenizer_path)
        elif options:
            tokenizer = load_tokenizer(tokenizer_path, **options)
        else:
            tokenizer = read_stored_tokenizer(tokenizer_path, notes) or load_tokenizer(tokenizer_path)
    recorded = record.text_encoder if record is not None and is_as_saved else None
    route: TextEncoderParts | None = None
    if (path / QUERY_ROUTE).is_dir():
        route = read_parts(path / QUERY_ROUTE, changes)
    elif folder is not None and folder.query_route is not None:
        route = _read_route(folder.query_route, settings)
    return TextEncoderParts(shared, settings, tokenizer, recorded, route)


def _read_route(folder: ModelFolder, settings: Mapping[str, Any]) -> TextEncoderParts:
    """Reads a Router's modules for queries; settings of the computation are those of the documents' encoder."""
    shared = SharedModel(StoredEncoder(folder))
    own = {name: getattr(folder, name) for name in SETTINGS}
    own |= {name: settings[name] for name in ("precision", "similarity") if name in settings}
    place = folder.transformer_path
    is_static = shared.config is not None and shared.config.transformer.is_static
    found = None if is_static else read_stored_tokenizer(place, None)
    tokenizer = (
        StaticTokenizer(place) if is_static else found or load_tokenizer(place, **dict(folder.tokenizer_options))
    )
    return TextEncoderParts(shared, own, tokenizer, None)


def save_text_encoder(
    text_encoder: "TextEncoder", path: Path, *, portable: bool = False, weight_type: WeightType = "float32"
) -> None:
    """Writes a folder that `read_parts` reads; the arguments and errors are those of `TextEncoder.save`."""
    route = text_encoder.query_route
    sides = {path: text_encoder}
    if route is not None:
        sides = (
            {path / "document": text_encoder, path / "query": route}
            if portable
            else {path / QUERY_ROUTE: route} | sides
        )
    for folder, side in sides.items():
        folder.mkdir(exist_ok=True)
        _save_encoder(side, folder, portable=portable, weight_type=weight_type)
    if route is not None and portable:
        from tfchain.models.weights.save_router import join_routes

        join_routes(path)


def _save_encoder(text_encoder: "TextEncoder", path: Path, *, portable: bool, weight_type: WeightType) -> None:
    """Writes the folder of one encoder."""
    from tfchain.models.weights.save_pretrained import save_encoder

    settings = text_encoder.settings()
    if text_encoder.precision != "float32" and not portable:
        settings["precision"] = text_encoder.precision
        if text_encoder.calibration is not None:
            text_encoder.calibration.save(path)
    if not text_encoder.vector_storage.is_plain and not portable:
        settings["vector_storage"] = text_encoder.vector_storage.to_dict()
    encoder, tokenizer = text_encoder.own_encoder, text_encoder.tokenizer
    if text_encoder.config is not None:
        is_whole = not portable and weight_type == "float32"
        if is_whole and text_encoder.precision == "int8" and text_encoder.calibration is None:
            _save_kernel_weights(path / KERNEL_WEIGHTS, encoder)
        settings |= {"portable": portable, "weight_type": weight_type}
        save_encoder(encoder, path, save_tokenizer=tokenizer.save, **settings)
        if is_whole:
            record = ModelRecord(
                encoder=text_encoder.encoder_fingerprint,
                text_encoder=text_encoder.fingerprint,
                tokenizer=note_tokenizer(tokenizer.source, path),
            )
            write_record(path, record)
        return
    if weight_type != "float32":
        raise InputError(
            f"`weight_type` must be 'float32' for an encoder that is not tfchain's own. Received: {weight_type!r} "
            f"and a {type(encoder).__name__}."
        )
    if portable:
        raise InputError(
            "Only tfchain's own encoders can be saved for sentence-transformers. "
            f"Received: {type(encoder).__name__}. Use the chain's save, which tfchain itself reads."
        )
    encoder.save(path / ENCODER_FILE)
    tokenizer.save(path)
    _write_settings(path, settings)


def _save_kernel_weights(path: Path, encoder: Any) -> None:
    """Writes the weights in int8, so that the next process need not quantize them.

    It writes none if the kernels cannot compute the encoder, or a weight is not finite.
    """
    from tfchain.models.encoders.keras_weights import KerasWeights
    from tfchain.models.engines.kernel_weights import NotFiniteError, make_kernel_weights, save_kernel_weights
    from tfchain.models.engines.native_encoder import find_obstacle_of_shape

    if find_obstacle_of_shape(encoder.config) is not None:
        return
    with contextlib.suppress(NotFiniteError):
        save_kernel_weights(path, make_kernel_weights(encoder.config, KerasWeights(encoder)))


def _load_keras_model(path: Path) -> SharedModel:
    import keras

    from tfchain.models.encoders.encoder import Encoder
    from tfchain.runtime.allocator import start_tensorflow
    from tfchain.runtime.random_state import kept_random_state

    start_tensorflow()
    with kept_random_state():
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return SharedModel(model, is_private=type(model) is Encoder)  # other models' layers may keep references


def _read_settings(path: Path) -> dict[str, Any]:
    from tfchain.models.weights.json_file import read_json

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
