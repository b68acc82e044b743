"""Reads the configuration of a Hugging Face or sentence-transformers model folder as plain values."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from tfchain.core.checks import check_known_settings
from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.encoders.config import EncoderConfig, Module, PoolingConfig, TransformerConfig
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.indexes.storage import FLOAT_VECTORS, VectorStorage
from tfchain.models.precision import check_precision
from tfchain.models.text_encoder_checks import check_route_width
from tfchain.models.weights.adapters import list_adapters
from tfchain.models.weights.architectures import FAMILIES, find_architecture
from tfchain.models.weights.folder_contents import check_adapter, check_not_quantized, list_names, make_missing_error
from tfchain.models.weights.folder_kind import find_other_architecture, find_other_kind, make_kind_error
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.layer_pooling import LAYER_POOLING, read_layer_weights
from tfchain.models.weights.router import has_router, read_routes
from tfchain.models.weights.static_folder import MODEL2VEC_LENGTH, is_model2vec, read_static_shape
from tfchain.models.weights.transformer_settings import FILES as TRANSFORMER_SETTINGS
from tfchain.models.weights.transformer_settings import apply_config_options, to_transformer_settings
from tfchain.models.weights.weight_maps import HeadTensors

logger = logging.getLogger(__name__)

FolderKinds = Literal["encoder", "any"]
DENSE_ACTIVATIONS = {
    "Tanh": "tanh",
    "Identity": "linear",
    "ReLU": "relu",
    "GELU": "gelu",
    "Sigmoid": "sigmoid",
}
# A StaticEmbedding stands in the place of Transformer and Pooling.
MODULES = (
    *("StaticEmbedding", "Transformer", LAYER_POOLING, "Pooling"),
    *("Dense", "Dropout", "LayerNorm", "Normalize"),
)
FIRST_MODULES = ("StaticEmbedding", "Transformer", "Pooling")
# Transformer modules with code of their own, and the architecture whose checkpoints have them.
OWN_CODE = {"custom_st.Transformer": "jina_embeddings_v3"}
# What sentence-transformers has for older models and other inputs, by the name of its module.
OTHER_MODULES = {
    "BoW": "a bag of words, whose vectors have a number for each word; tfchain.data.lexical.bm25 ranks by words",
    "CLIPModel": "a model of images and texts",
    "CNN": "a network on word vectors, without a transformer",
    "LSTM": "a network on word vectors, without a transformer",
    "WordEmbeddings": "a table of word vectors with its own tokenizer; make_static_encoder makes one of any encoder",
    "WordWeights": "weights of words for WordEmbeddings",
}
UNSEEN = ("Dropout", LAYER_POOLING)  # Dropout changes nothing here, and a mean over layers is the transformer's
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
        norm_paths: The folder of each LayerNorm module.
        max_length: The maximum number of tokens in a text; None if the folder does not set it.
        query_length: That of a query; None for `max_length`.
        document_length: That of a document; None for `max_length`.
        do_lower_case: Whether texts are lower-cased before tokenizing, an old sentence-transformers setting.
        tokenizer_options: Arguments with which transformers reads the tokenizer.
        prompts: Prompt name → text put before each text.
        default_prompt_name: The prompt that `encode` uses if none is named.
        similarity: `cosine` or `dot`.
        matryoshka_dims: Shorter lengths to which vectors may be cut: `matryoshka_dimensions` of config.json, which vLLM
            reads, too, and sentence-transformers' `truncate_dim`.
        precision: The precision of the computation; other than `float32` only if tfchain saved the folder.
        vector_storage: How an index keeps vectors; other than float32 only if tfchain saved the folder.
        heads: Which tensors the folder may have that the encoder does not read; see `HeadTensors`.
        query_route: The modules for queries, if a Router gives them modules of their own.
        drops_unknown: Whether unknown words are left out of the mean of a static encoder, as model2vec does.
        adapters: The names of the adapters in the checkpoint, one for each task.
        adapter: The adapter that is merged into the weights; None for none.
        dense_modules: Instead of `dense_paths` and `norm_paths`, the names of the modules' tensors beside the
            transformer's: the head of a classifier.
        score_tokens: Instead of both, the tokens whose rows of the output embedding are the head: the first one's, less
            the second one's.
    """

    encoder: EncoderConfig
    transformer_path: Path
    dense_paths: tuple[Path, ...] = ()
    norm_paths: tuple[Path, ...] = ()
    max_length: int | None = None
    query_length: int | None = None
    document_length: int | None = None
    do_lower_case: bool = False
    tokenizer_options: Mapping[str, Any] = field(default_factory=dict)
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity: str = "cosine"
    matryoshka_dims: tuple[int, ...] = ()
    precision: str = "float32"
    vector_storage: VectorStorage = FLOAT_VECTORS
    heads: HeadTensors = "known"
    drops_unknown: bool = False
    adapters: tuple[str, ...] = ()
    adapter: str | None = None
    query_route: "ModelFolder | None" = None
    dense_modules: Mapping[str, str] = field(default_factory=dict)
    score_tokens: tuple[int, ...] = ()


def read_folder(path: str | Path, *, kinds: FolderKinds = "encoder", adapter: str | None = None) -> ModelFolder:
    """Reads a model folder's configuration.

    A folder with modules.json is a sentence-transformers folder. A plain Hugging Face folder gets mean pooling, a
    decoder's that of the last token, and no normalisation, as in sentence-transformers, and a warning is logged.

    Args:
        path: The folder.
        kinds: `encoder` reads models with one vector per text, and language models. `any` also reads only the
            transformer of a model of another kind, such as a reranker. Default: `encoder`.
        adapter: The adapter of the checkpoint to merge into the weights, such as `retrieval.query` of
            jina-embeddings-v3. Default: none.

    Raises:
        ModelFolderError: if a file is missing or broken, or names something that tfchain does not support, or if the
            model is of another kind.
    """
    path = Path(path)
    if kinds not in get_args(FolderKinds):
        raise InputError(f"`kinds` must be one of {', '.join(get_args(FolderKinds))}. Received: kinds={kinds!r}.")
    folder = _read_kind(path, kinds)
    if folder.adapters and adapter is None:
        logger.info("%s has adapters, none of which is used: %s.", path, ", ".join(folder.adapters))
    return dataclasses.replace(folder, adapter=adapter)


def _read_kind(path: Path, kinds: FolderKinds) -> ModelFolder:
    try:
        if not (path / "modules.json").is_file():
            return _read_plain(path, kinds)
        modules, settings = read_json(path / "modules.json"), _read_model_settings(path)
        other_kind = find_other_kind(settings, modules)
        if other_kind is None:
            if not has_router(modules):
                return _read_modules(path, modules, settings)
            documents, queries = read_routes(path, modules)
            folder = _read_modules(path, documents, settings)
            if queries == documents:
                return folder
            route = _read_modules(path, queries, settings)
            check_route_width(route.encoder.embedding_dim, folder.encoder.embedding_dim)
            return dataclasses.replace(folder, query_route=route)
        if kinds == "encoder":
            raise make_kind_error(path, other_kind)
        return _read_transformer(find_place(path, modules[0].get("path", "")), other_kind, "any")
    except InputError as error:
        raise ModelFolderError(f"{path} has a configuration that cannot be read: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError) as error:
        raise ModelFolderError(
            f"{path} has a configuration that cannot be read: {type(error).__name__}: {error}. Get the folder again."
        ) from error


def _read_plain(path: Path, kinds: FolderKinds) -> ModelFolder:
    """Reads a Hugging Face folder, which does not set the pooling, or a folder of model2vec."""
    check_adapter(path)
    if not (path / "config.json").is_file():
        raise make_missing_error(path, list_names(path))
    values = read_json(path / "config.json")
    if is_model2vec(values):
        encoder = read_static_shape(path, normalize=bool(values.get("normalize", False)))
        return ModelFolder(encoder=encoder, transformer_path=path, max_length=MODEL2VEC_LENGTH, drops_unknown=True)
    other_kind = find_other_architecture(values, path)
    if other_kind is not None and kinds == "encoder":
        raise make_kind_error(path, other_kind)
    return _read_transformer(path, other_kind, "any" if kinds == "any" else "language")


def _read_transformer(path: Path, other_kind: str | None, heads: HeadTensors) -> ModelFolder:
    values = read_json(path / "config.json")
    check_not_quantized(path, values)
    transformer = to_transformer_config(values, path)
    family = FAMILIES.get(values.get("model_type", ""))
    known = None if family is None else family.pooling
    is_decoder = transformer.layer is not None and transformer.layer.is_causal
    is_decoder &= str((values.get("architectures") or [""])[0]).endswith("ForCausalLM")
    pooling = PoolingConfig(modes=(known or ("lasttoken" if is_decoder else "mean"),))
    name = "pooling of the last token" if is_decoder else "mean pooling"
    if other_kind is not None:
        logger.warning("%s holds %s: only its transformer is used, and %s is assumed.", path, other_kind, name)
    elif known is None:
        logger.warning(
            "%s does not set the pooling: %s is assumed. A language model's vectors rank poorly before training "
            "(`fit`).",
            *(path, name),
        )
    encoder = EncoderConfig(transformer=transformer, pooling=pooling)
    dims = _read_matryoshka_dims(values, {}, encoder.embedding_dim, path)
    return ModelFolder(
        encoder=encoder, transformer_path=path, matryoshka_dims=dims, heads=heads, adapters=list_adapters(values)
    )


def _read_model_settings(path: Path) -> dict[str, Any]:
    settings: dict[str, Any] = read_json(path / "config_sentence_transformers.json", needed=False)
    return settings


def _read_modules(path: Path, listed: Any, settings: dict[str, Any]) -> ModelFolder:
    modules = [(find_module(module, path), find_place(path, module["path"])) for module in listed]
    order, has_head = _read_order([kind for kind, _ in modules], bool(settings.get("head")), path)
    places = {kind: place for kind, place in modules if kind in FIRST_MODULES}
    norm_paths = tuple(place for kind, place in modules if kind == "LayerNorm")
    dense_paths = tuple(place for kind, place in modules if kind == "Dense")
    dense = [to_dense_config(read_json(place / "config.json"), place) for place in dense_paths]
    is_static = "StaticEmbedding" in places
    place = places["StaticEmbedding" if is_static else "Transformer"]
    given: dict[str, Any] = next(
        (read_json(place / name) for name in TRANSFORMER_SETTINGS if (place / name).is_file()), {}
    )
    check_adapter(place)
    if not is_static and not (place / "config.json").is_file():
        raise make_missing_error(place, list_names(place))
    values = apply_config_options(read_json(place / "config.json", needed=not is_static), given)
    check_not_quantized(place, values)
    if is_static:
        transformer = read_static_shape(place, normalize=False).transformer
    else:
        transformer = to_transformer_config(values, place)
        layer_weights = read_layer_weights(modules, values, transformer.num_layers, path)
        if layer_weights:
            transformer = dataclasses.replace(transformer, layer_weights=layer_weights)
    encoder = EncoderConfig(
        transformer=transformer,
        pooling=to_pooling_config(read_json(places["Pooling"] / "config.json"), places["Pooling"])
        if "Pooling" in places
        else PoolingConfig(),
        dense=tuple(dense[:-1] if has_head else dense),
        normalize="normalize" in order,
        head=dense[-1] if has_head else None,
        order=order,
        tokens=settings.get("tokens"),
    )
    tokens = to_transformer_settings(given, encoder.transformer.max_length, place)
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
        norm_paths=norm_paths,
        max_length=tokens.max_length,
        query_length=tokens.query_length,
        document_length=tokens.document_length,
        do_lower_case=tokens.do_lower_case,
        tokenizer_options=tokens.tokenizer_options,
        prompts={name: prompt or "" for name, prompt in (settings.get("prompts") or {}).items()},
        default_prompt_name=settings.get("default_prompt_name"),
        similarity=similarity,
        matryoshka_dims=_read_matryoshka_dims(values, settings, encoder.embedding_dim, path),
        precision=precision,
        vector_storage=VectorStorage.from_dict(settings.get("vector_storage")),
        adapters=list_adapters(values),
    )


def _read_order(listed: Sequence[str], has_head: bool, path: Path) -> tuple[tuple[Module, ...], bool]:
    """Reads the order of the modules after the pooling.

    Args:
        listed: The kinds of all modules.
        has_head: Whether the folder says that its last module is a task's head.
        path: The folder, for error messages.

    Returns:
        The dense modules and normalisations before a head, and whether there is a head. Dense behind a normalisation
        at the end is one.
    """
    kinds = [kind for kind in listed if kind not in UNSEEN]
    start = next((place for place, kind in enumerate(kinds) if kind not in FIRST_MODULES), len(kinds))
    # sentence-transformers' Normalize does nothing before there is a vector.
    skipped = kinds[1:].index("Pooling") + 1 if kinds[:2] == ["Transformer", "Normalize"] and "Pooling" in kinds else 0
    if skipped and set(kinds[1:skipped]) == {"Normalize"}:
        kinds, start = [kinds[0], *kinds[skipped:]], 2
    after = kinds[start:]
    begins = (["Transformer"], ["Transformer", "Pooling"], ["StaticEmbedding"])
    if kinds[:start] not in begins or set(after) - {"Dense", "LayerNorm", "Normalize"}:
        raise ModelFolderError(
            f"modules.json of {path} must list one Transformer, then one Pooling (or one StaticEmbedding), then Dense, "
            f"LayerNorm and Normalize modules. Received: {', '.join(kinds) or 'none'}. Use another model."
        )
    usual = sorted(after[:-1], key=MODULES.index) + after[-1:]
    has_head |= after[-2:] == ["Normalize", "Dense"] and after == usual and after.count("Normalize") == 1
    has_head &= after[-1:] == ["Dense"]
    order: list[Module] = []
    for kind in after[:-1] if has_head else after:
        if kind == "Dense":
            order.append("dense")
        elif kind == "LayerNorm":
            order.append("layer_norm")
        elif order[-1:] != ["normalize"]:  # a second time changes nothing
            order.append("normalize")
    return tuple(order), has_head


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


def find_place(path: Path, module: str) -> Path:
    """Returns a module's folder; raises a `ModelFolderError` if it does not lie in the model's folder."""
    if Path(module).is_absolute() or ".." in Path(module).parts:
        raise ModelFolderError(
            f"modules.json of {path} must name folders in it. Received: {module!r:.100}. Get the folder again."
        )
    return path / module


def find_module(module: Mapping[str, Any], path: Path) -> str:
    """Returns the kind of a module in modules.json: a module's own, or that of code which tfchain computes by itself.

    Args:
        module: The module's entry.
        path: The model's folder.

    Raises:
        ModelFolderError: if tfchain does not support it.
    """
    architecture = OWN_CODE.get(module["type"])
    if architecture is not None:
        values = read_json(find_place(path, module["path"]) / "config.json", needed=False)
        if find_architecture(values) == architecture:
            return "Transformer"
    return check_module(module["type"], path)


def check_module(name: str, path: Path) -> str:
    """Returns a sentence-transformers module's kind, such as `Pooling`; raises for kinds that are not supported."""
    kind = name.rsplit(".", 1)[-1]
    if kind not in MODULES or not name.startswith("sentence_transformers."):
        why = f": it is {OTHER_MODULES[kind]}" if kind in OTHER_MODULES else ""
        raise ModelFolderError(
            f"modules.json of {path} lists a module {name!r}, which tfchain does not support{why}. It supports "
            "sentence-transformers' Transformer, WeightedLayerPooling, Pooling, StaticEmbedding, Dense, LayerNorm, "
            "Dropout and Normalize. Use another model."
        )
    return kind


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
    architecture = find_architecture(values)
    if architecture is None:
        raise ModelFolderError(
            f"{path / 'config.json'} has the architecture {values.get('model_type')!r}; tfchain reads "
            f"{', '.join(FAMILIES)}. Use a model of these, or wrap a keras-hub backbone with models.hub.wrap_backbone."
        )
    try:
        return TransformerConfig(**{"architecture": architecture, **FAMILIES[architecture].read(values)})
    except KeyError as error:
        raise ModelFolderError(f"{path / 'config.json'} lacks {error}. Get the file again.") from error
    except InputError as error:
        raise ModelFolderError(f"{path / 'config.json'}: {error}") from error


def to_pooling_config(values: Mapping[str, Any], path: Path) -> PoolingConfig:
    """Reads a Pooling module's config.json, written by sentence-transformers 6 (`pooling_mode`) or older."""
    modes: Any = values.get("pooling_mode")
    if modes is None:
        modes = [mode for key, mode in OLD_POOLING_KEYS.items() if values.get(key)] or ["mean"]
    if isinstance(modes, str):
        modes = [modes]
    try:
        return PoolingConfig(modes=tuple(modes), include_prompt=bool(values.get("include_prompt", True)))
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
        dropout=values.get("dropout", 0.0),
    )
