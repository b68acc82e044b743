"""Reads the configuration of a Hugging Face or sentence-transformers model folder as plain values."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.checks import check_known_settings
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.config import DenseConfig, EncoderConfig, PoolingConfig, TransformerConfig
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.precision import check_precision
from tfchain.models.weights.folder_kind import (
    check_transformer_settings,
    find_other_architecture,
    find_other_kind,
    make_kind_error,
)
from tfchain.models.weights.weight_maps import HeadTensors

logger = logging.getLogger(__name__)

FolderKinds = Literal["encoder", "any"]
FILES = ("*.json", "*.safetensors", "*.txt", "*.model")
ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
DENSE_ACTIVATIONS = {
    "Tanh": "tanh",
    "Identity": "linear",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
}
MODULES = ("Transformer", "Pooling", "Dense", "Dropout", "Normalize")  # in this order; a head is a Dense after them
# The files in which sentence-transformers has kept a Transformer module's settings.
TRANSFORMER_SETTINGS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)
OLD_POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


@dataclass(frozen=True, kw_only=True)
class ModelFolder:
    """A model folder's plain values; the weights are read later, from `transformer_path` and `dense_paths`.

    Args:
        encoder: The encoder's shape.
        transformer_path: The folder with config.json, the transformer's weights and the tokenizer's files.
        dense_paths: The folder of each Dense module; the head's is last.
        max_length: The maximum number of tokens in a text; None if the folder does not set it.
        do_lower_case: Whether texts are lower-cased before tokenizing, an old sentence-transformers setting.
        prompts: Prompt name → text put before each text.
        default_prompt_name: The prompt that `encode` uses if none is named.
        similarity: `cosine` or `dot`.
        matryoshka_dims: Shorter lengths to which vectors may be cut: `matryoshka_dimensions` of config.json, which vLLM
            reads, too, and sentence-transformers' `truncate_dim`.
        precision: The precision of the computation; other than `float32` only if tfchain saved the folder.
        vector_storage: How an index keeps vectors; other than float32 only if tfchain saved the folder.
        heads: Which tensors the folder may have that the encoder does not read; see `HeadTensors`.
    """

    encoder: EncoderConfig
    transformer_path: Path
    dense_paths: tuple[Path, ...] = ()
    max_length: int | None = None
    do_lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity: str = "cosine"
    matryoshka_dims: tuple[int, ...] = ()
    precision: str = "float32"
    vector_storage: VectorStorage = FLOAT_VECTORS
    heads: HeadTensors = "known"


def find_folder(name_or_path: str | Path) -> Path:
    """Returns the folder of a path or a hub name; a hub model is downloaded into the Hugging Face cache.

    Args:
        name_or_path: A folder, or a name such as `sentence-transformers/all-MiniLM-L6-v2`.

    Raises:
        ModelFolderError: if the folder does not exist and cannot be downloaded.
    """
    if not isinstance(name_or_path, str | Path):
        raise ModelFolderError(
            f"A model must be a folder or a hub name. Received: {name_or_path!r:.80} of type "
            f"{type(name_or_path).__name__}."
        )
    path = Path(name_or_path).expanduser()
    if not str(name_or_path).strip():
        raise ModelFolderError(f"A model must be a folder or a hub name. Received: {str(name_or_path)!r}.")
    if path.is_dir():
        return path
    if path.exists():
        raise ModelFolderError(f"A model must be a folder. Received: {path}, which is a file. Use the file's folder.")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=[*FILES, *(f"*/{name}" for name in FILES)]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelFolderError(
            f"No model folder {str(name_or_path)!r}: the path does not exist, and the download from the Hugging Face "
            f"hub failed ({type(error).__name__}). Check the path, or download the model's folder first."
        ) from error


def read_folder(path: str | Path, *, kinds: FolderKinds = "encoder") -> ModelFolder:
    """Reads a model folder's configuration.

    A folder with modules.json is a sentence-transformers folder. A plain Hugging Face folder gets mean pooling and no
    normalisation, as in sentence-transformers, and a warning is logged.

    Args:
        path: The folder.
        kinds: `encoder` reads models with one vector per text, and language models. `any` also reads only the
            transformer of a model of another kind, such as a reranker. Default: `encoder`.

    Raises:
        ModelFolderError: if a file is missing or broken, or names something that tfchain does not support, or if the
            model is of another kind.
    """
    path = Path(path)
    if kinds not in get_args(FolderKinds):
        raise InputError(f"`kinds` must be one of {', '.join(get_args(FolderKinds))}. Received: kinds={kinds!r}.")
    try:
        if not (path / "modules.json").is_file():
            return _read_plain(path, kinds)
        modules, settings = read_json(path / "modules.json"), _read_model_settings(path)
        other_kind = find_other_kind(settings, modules)
        if other_kind is None:
            return _read_modules(path, modules, settings)
        if kinds == "encoder":
            raise make_kind_error(path, other_kind)
        return _read_transformer(path / modules[0].get("path", ""), other_kind, "any")
    except InputError as error:
        raise ModelFolderError(f"{path} has a configuration that cannot be read: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelFolderError(
            f"{path} has a configuration that cannot be read: {type(error).__name__}: {error}. Get the folder again."
        ) from error


def _read_plain(path: Path, kinds: FolderKinds) -> ModelFolder:
    """Reads a Hugging Face folder, which does not set the pooling."""
    other_kind = find_other_architecture(read_json(path / "config.json"), path)
    if other_kind is not None and kinds == "encoder":
        raise make_kind_error(path, other_kind)
    return _read_transformer(path, other_kind, "any" if kinds == "any" else "language")


def _read_transformer(path: Path, other_kind: str | None, heads: HeadTensors) -> ModelFolder:
    values = read_json(path / "config.json")
    transformer = to_transformer_config(values, path)
    if other_kind is not None:
        logger.warning("%s holds %s: only its transformer is used, and mean pooling is assumed.", path, other_kind)
    else:
        logger.warning(
            "%s does not set the pooling: mean pooling is assumed. A language model's vectors rank poorly before "
            "training (`fit`).",
            path,
        )
    encoder = EncoderConfig(transformer=transformer)
    dims = _read_matryoshka_dims(values, {}, encoder.embedding_dim, path)
    return ModelFolder(encoder=encoder, transformer_path=path, matryoshka_dims=dims, heads=heads)


def _read_model_settings(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = read_json(path / "config_sentence_transformers.json", needed=False)
    return settings


def _read_modules(path: Path, listed: Any, settings: dict[str, Any]) -> ModelFolder:
    modules = [(check_module(module["type"], path), path / module["path"]) for module in listed]
    kinds = [kind for kind, _ in modules if kind != "Dropout"]
    has_head = kinds[-2:] == ["Normalize", "Dense"] or (kinds[-1:] == ["Dense"] and bool(settings.get("head")))
    order = sorted(kinds[:-1] if has_head else kinds, key=MODULES.index) + kinds[-1:] * has_head
    if kinds != order or kinds.count("Transformer") != 1 or kinds.count("Pooling") > 1:
        raise ModelFolderError(
            f"modules.json of {path} must list one Transformer, then one Pooling, then Dense modules, then "
            f"Normalize, then a Dense head. "
            f"Received: {', '.join(kinds) or 'none'}. Use another model."
        )
    places = {kind: place for kind, place in modules if kind in ("Transformer", "Pooling")}
    dense_paths = tuple(place for kind, place in modules if kind == "Dense")
    dense = [to_dense_config(read_json(place / "config.json"), place) for place in dense_paths]
    place = places["Transformer"]
    values = read_json(place / "config.json")
    encoder = EncoderConfig(
        transformer=to_transformer_config(values, place),
        pooling=to_pooling_config(read_json(places["Pooling"] / "config.json"), places["Pooling"])
        if "Pooling" in places
        else PoolingConfig(),
        dense=tuple(dense[:-1] if has_head else dense),
        normalize="Normalize" in kinds,
        head=dense[-1] if has_head else None,
    )
    tokens: dict[str, Any] = next(
        (read_json(place / name) for name in TRANSFORMER_SETTINGS if (place / name).is_file()), {}
    )
    max_length = _read_max_length(tokens.get("max_seq_length"), encoder.transformer.max_length, path)
    check_transformer_settings(tokens, max_length or encoder.transformer.max_length, place)
    similarity = settings.get("similarity_fn_name") or "cosine"
    if similarity not in ("cosine", "dot"):
        logger.warning("%s sets the similarity %s, which tfchain does not support: cosine is used.", path, similarity)
        similarity = "cosine"
    precision = settings.get("precision") or "float32"
    check_precision(precision)
    return ModelFolder(
        encoder=encoder,
        transformer_path=place,
        dense_paths=dense_paths,
        max_length=max_length,
        do_lower_case=bool(tokens.get("do_lower_case", False)),
        prompts=dict(settings.get("prompts") or {}),
        default_prompt_name=settings.get("default_prompt_name"),
        similarity=similarity,
        matryoshka_dims=_read_matryoshka_dims(values, settings, encoder.embedding_dim, path),
        precision=precision,
        vector_storage=VectorStorage.from_dict(settings.get("vector_storage")),
    )


def _read_matryoshka_dims(
    values: Mapping[str, Any], settings: Mapping[str, Any], width: int, path: Path
) -> tuple[int, ...]:
    """Returns the shorter lengths that a folder declares for its vectors, shortest first.

    sentence-transformers cuts the vectors of a folder with `truncate_dim` to it; here they keep their length.
    """
    listed, cut = values.get("matryoshka_dimensions") or [], settings.get("truncate_dim")
    dims = [*listed, *([] if cut is None else [cut])] if isinstance(listed, list) else [listed]
    if not all(isinstance(dim, int) and not isinstance(dim, bool) and dim > 0 for dim in dims):
        raise ModelFolderError(
            f"{path} must declare the lengths of its vectors (`matryoshka_dimensions`, `truncate_dim`) as whole "
            f"numbers of at least 1. Received: {dims!r:.100}. Get the folder again."
        )
    if cut is not None and cut < width:
        logger.warning(
            "%s sets truncate_dim=%d, to which sentence-transformers cuts its vectors of %d: tfchain keeps them whole. "
            "ReduceDimensions(%d) cuts them.",
            *(path, cut, width, cut),
        )
    return tuple(sorted({dim for dim in dims if dim < width}))


def check_module(name: str, path: Path) -> str:
    """Returns a sentence-transformers module's kind, such as `Pooling`; raises for kinds that are not supported."""
    kind = name.rsplit(".", 1)[-1]
    if kind not in MODULES or not name.startswith("sentence_transformers."):
        raise ModelFolderError(
            f"modules.json of {path} lists a module {name!r}, which tfchain does not support; it supports "
            "sentence-transformers' Transformer, Pooling, Dense and Normalize. Use another model."
        )
    return kind


def _read_max_length(length: Any, positions: int, path: Path) -> int | None:
    """Returns the folder's maximum, at most the positions: old folders include RoBERTa's two unused positions."""
    if length is None or length <= positions:
        return length
    logger.warning("%s sets a maximum of %s tokens; the model has positions for %d.", path, length, positions)
    return positions


def read_json(path: Path, *, needed: bool = True) -> Any:
    """Reads a JSON file; returns `{}` if it is missing and not needed, and raises if it is missing or not JSON."""
    if not path.is_file():
        if not needed:
            return {}
        raise ModelFolderError(
            f"{path.parent} is not a model folder: it has no {path.name}. Use a folder written by save_pretrained of "
            "sentence-transformers or transformers."
        )
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFolderError(f"{path} is not JSON: {error}. Get the file again.") from error


def to_transformer_config(values: Mapping[str, Any], path: Path) -> TransformerConfig:
    """Reads a Hugging Face config.json, or the shape that tfchain wrote into it.

    Args:
        values: The file's content.
        path: The folder, for error messages.

    Raises:
        ModelFolderError: for an architecture or a setting that tfchain does not support.
    """
    if "tfchain" in values:
        check_known_settings(values["tfchain"], [item.name for item in dataclasses.fields(TransformerConfig)])
        return TransformerConfig(**values["tfchain"])
    architecture = values.get("model_type")
    if architecture not in READERS:
        raise ModelFolderError(
            f"{path / 'config.json'} has the architecture {architecture!r}; tfchain reads {', '.join(READERS)}. "
            "Use a model of these, or wrap a keras-hub backbone with tfchain.models.hub.wrap_backbone."
        )
    for key, plain in {"position_embedding_type": "absolute", "is_decoder": False}.items():
        if values.get(key, plain) != plain:
            raise ModelFolderError(
                f"{path / 'config.json'} has {key}={values[key]!r}; tfchain reads models with {plain!r} only."
            )
    try:
        return TransformerConfig(architecture=architecture, **READERS[architecture](values))
    except KeyError as error:
        raise ModelFolderError(f"{path / 'config.json'} lacks {error}. Get the file again.") from error
    except InputError as error:
        raise ModelFolderError(f"{path / 'config.json'}: {error}") from error


def _to_activation(name: str) -> Any:
    if name not in ACTIVATIONS:
        raise InputError(f"The activation must be one of {', '.join(ACTIVATIONS)}. Received: {name!r}.")
    return ACTIVATIONS[name]


def _read_bert(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["hidden_size"],
        "num_layers": values["num_hidden_layers"],
        "num_heads": values["num_attention_heads"],
        "intermediate_dim": values["intermediate_size"],
        "max_positions": values["max_position_embeddings"],
        "num_token_types": values.get("type_vocab_size", 2),
        "activation": _to_activation(values.get("hidden_act", "gelu")),
        "norm_epsilon": values.get("layer_norm_eps", 1e-12),
        "dropout": values.get("hidden_dropout_prob", 0.1),
        "attention_dropout": values.get("attention_probs_dropout_prob", 0.1),
        "pad_token_id": values.get("pad_token_id") or 0,
    }


def _read_roberta(values: Mapping[str, Any]) -> dict[str, Any]:
    pad = values.get("pad_token_id", 1)
    return {**_read_bert(values), "pad_token_id": pad, "position_offset": pad + 1}


def _read_mpnet(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_read_bert({**values, "type_vocab_size": 0}),
        "pad_token_id": 1,
        "position_offset": 2,  # transformers fixes MPNet's padding id at 1
        "relative_attention_buckets": values.get("relative_attention_num_buckets", 32),
    }


def _read_distilbert(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["dim"],
        "num_layers": values["n_layers"],
        "num_heads": values["n_heads"],
        "intermediate_dim": values["hidden_dim"],
        "max_positions": values["max_position_embeddings"],
        "activation": _to_activation(values.get("activation", "gelu")),
        "dropout": values.get("dropout", 0.1),
        "attention_dropout": values.get("attention_dropout", 0.1),
        "pad_token_id": values.get("pad_token_id") or 0,
    }


READERS = {
    "bert": _read_bert,
    "distilbert": _read_distilbert,
    "roberta": _read_roberta,
    "xlm-roberta": _read_roberta,
    "mpnet": _read_mpnet,
}


def to_pooling_config(values: Mapping[str, Any], path: Path) -> PoolingConfig:
    """Reads a Pooling module's config.json, written by sentence-transformers 6 (`pooling_mode`) or older."""
    modes: Any = values.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in OLD_POOLING_KEYS.items() if values.get(key)] or ["mean"]
    if isinstance(modes, str):
        modes = [modes]
    try:
        return PoolingConfig(
            modes=tuple(modes),
            include_prompt=bool(values.get("include_prompt", True)),
        )
    except InputError as error:
        raise ModelFolderError(f"{path / 'config.json'}: {error}") from error


def to_dense_config(values: Mapping[str, Any], path: Path) -> DenseConfig:
    """Reads a Dense module's config.json; raises for an activation or a setting that tfchain does not support."""
    activation = str(values.get("activation_function", "torch.nn.modules.activation.Tanh")).rsplit(".", 1)[-1]
    unknown = [key for key in ("use_residual",) if values.get(key)]
    plain = "sentence_embedding"
    for key in ("module_input_name", "module_output_name"):
        if (values.get(key) or plain) != plain:
            unknown.append(key)
    if activation not in DENSE_ACTIVATIONS or unknown:
        raise ModelFolderError(
            f"{path / 'config.json'}: tfchain reads Dense modules on sentence embeddings with the activations "
            f"{', '.join(DENSE_ACTIVATIONS)}. Received: {activation}{', ' + ', '.join(unknown) if unknown else ''}."
        )
    return DenseConfig(
        in_dim=values["in_features"],
        out_dim=values["out_features"],
        use_bias=values.get("bias", True),
        activation=DENSE_ACTIVATIONS[activation],  # type: ignore[arg-type]
    )
