"""Folders of late interaction: Stanford's ColBERT, PyLate's, and sentence-transformers' MultiVectorEncoder."""

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.dense_config import DenseConfig
from tfchain.models.weights.folder import find_place, to_dense_config
from tfchain.models.weights.folder_kind import COLBERT_FILE, MULTI_VECTOR, find_other_architecture, find_other_kind
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.tensor_files import TensorFiles
from tfchain.models.weights.transformer_settings import FILES as TRANSFORMER_SETTINGS
from tfchain.models.weights.transformer_settings import TransformerSettings, to_transformer_settings

MaxSimScale = Literal["sum", "mean"]
SCALES: Mapping[str, MaxSimScale] = {"maxsim": "sum", "meanmaxsim": "mean"}
STANFORD_MARKERS = {"query": "[unused0]", "document": "[unused1]"}
QUERY_LENGTH = 32  # of ColBERT's queries where a folder says nothing else
LINEAR = "linear"  # Stanford's projection, beside the transformer's tensors
PYLATE = ("do_query_expansion", "attend_to_expansion_tokens", "query_prefix", "document_prefix", "skiplist_words")
MODULES = ("Transformer", "Dense", "MultiVectorMask", "Normalize")
SETTINGS = "config_sentence_transformers.json"


@dataclass(frozen=True)
class Expansion:
    """How shorter queries are expanded.

    Args:
        length: The tokens of an expanded query.
        attends: Whether other tokens attend to those that it is expanded with.
        truncates: Whether longer queries are truncated to `length`.
        token: The token; None for the tokenizer's mask.
    """

    length: int
    attends: bool = False
    truncates: bool = True
    token: str | None = None


@dataclass(frozen=True, kw_only=True)
class LateFolder:
    """What a folder of late interaction says.

    Args:
        place: The folder with config.json, the transformer's weights and the tokenizer.
        dense: The projections of token vectors, in order.
        dense_paths: Their folders; none for Stanford's, whose tensors are beside the transformer's.
        normalize: Whether token vectors are scaled to length one.
        settings: Lengths, lower-casing and the tokenizer's options.
        prompts: The texts before queries and documents, their markers included.
        markers: Texts that are one token each, registered as special ones if the vocabulary has them.
        expansion: How queries are expanded; None if they are not.
        skipped_words: Tokens of documents that have no vector.
        scale: Whether a score is the sum over a query's tokens, or their mean.
    """

    place: Path
    dense: tuple[DenseConfig, ...]
    dense_paths: tuple[Path, ...] = ()
    normalize: bool = True
    settings: TransformerSettings
    prompts: Mapping[str, str]
    markers: tuple[str, ...] = ()
    expansion: Expansion | None = None
    skipped_words: tuple[str, ...] = ()
    scale: MaxSimScale = "sum"


def read_late_folder(path: Path, positions: int) -> LateFolder:
    """Reads a folder of late interaction.

    Args:
        path: A folder for which `find_late_place` returns a place.
        positions: How many tokens its transformer has positions for.

    Raises:
        ModelFolderError: if a file is broken, or the folder asks for something that tfchain does not have.
    """
    try:
        if (path / "modules.json").is_file():
            return _read_modules(path, positions)
        return _read_stanford(path, positions)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} has a configuration that cannot be read: {type(error).__name__}: {error}. Get the folder again."
        ) from error


def is_late_folder(path: Path) -> bool:
    """Returns whether a folder holds a model of late interaction."""
    if (path / "modules.json").is_file():
        modules, settings = read_json(path / "modules.json"), read_json(path / SETTINGS, needed=False)
        return find_other_kind(settings, modules) == MULTI_VECTOR
    return find_other_architecture(read_json(path / "config.json", needed=False), path) == MULTI_VECTOR


def find_late_place(path: Path) -> Path:
    """Returns the folder of the transformer of a model of late interaction.

    Raises:
        ModelFolderError: if the folder holds another kind of model.
    """
    is_late = is_late_folder(path)
    if (path / "modules.json").is_file():
        modules = read_json(path / "modules.json")
        if is_late:
            return find_place(path, str(modules[0].get("path", "")))
        kinds = ", ".join(str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules)
        found = f"a sentence-transformers folder of {kinds}"
    else:
        values = read_json(path / "config.json", needed=False)
        if is_late:
            return path
        found = ", ".join(map(str, values.get("architectures") or ())) or "a folder without `architectures`"
    raise ModelFolderError(
        f"{path} must hold a model of late interaction: Stanford's ColBERT, PyLate's, or a MultiVectorEncoder. "
        f"Received: {found}. To train one from an encoder, use tfchain.LateInteractionReranker(model=...) and `fit`."
    )


def _read_stanford(path: Path, positions: int) -> LateFolder:
    values: dict[str, Any] = read_json(path / COLBERT_FILE, needed=False)
    if values.get("similarity", "cosine") != "cosine":
        raise ModelFolderError(
            f"{path / COLBERT_FILE} must have similarity='cosine'. Received: {values['similarity']!r}. Use another "
            "model."
        )
    markers = {
        role: values.get(key) or STANFORD_MARKERS[role]
        for role, key in (("query", "query_token_id"), ("document", "doc_token_id"))
    }
    out_dim, in_dim = TensorFiles(path).shape(f"{LINEAR}.weight")
    length = values.get("query_maxlen") or QUERY_LENGTH
    settings = to_transformer_settings({"document_length": values.get("doc_maxlen")}, positions, path)
    return LateFolder(
        place=path,
        dense=(DenseConfig(in_dim=in_dim, out_dim=out_dim, use_bias=False, activation="linear"),),
        settings=settings,
        prompts={role: f"{marker} " for role, marker in markers.items()},
        markers=tuple(markers.values()),
        expansion=Expansion(int(length), bool(values.get("attend_to_mask_tokens"))),
        skipped_words=tuple(string.punctuation) if values.get("mask_punctuation", True) else (),
    )


def _read_modules(path: Path, positions: int) -> LateFolder:
    modules, settings = read_json(path / "modules.json"), read_json(path / SETTINGS, needed=False)
    listed = [(str(module["type"]).rsplit(".", 1)[-1], find_place(path, module["path"])) for module in modules]
    kinds = [kind for kind, _ in listed]
    is_older = settings.get("model_type") != "MultiVectorEncoder"  # masks and normalises without such modules
    if kinds[:1] != ["Transformer"] or set(kinds) - set(MODULES) or kinds.count("Transformer") > 1:
        raise ModelFolderError(
            f"modules.json of {path} must list one Transformer, then Dense, MultiVectorMask and Normalize. Received: "
            f"{', '.join(kinds)}. Use another model."
        )
    if "Normalize" in kinds and "Dense" in kinds[kinds.index("Normalize") :]:
        raise ModelFolderError(f"modules.json of {path} must list Normalize after Dense. Use another model.")
    place = listed[0][1]
    file = next((name for name in TRANSFORMER_SETTINGS if (place / name).is_file()), TRANSFORMER_SETTINGS[0])
    given: dict[str, Any] = read_json(place / file, needed=False)
    knobs = _read_knobs(settings) | {name: value for name, value in given.items() if value is not None}
    expansion = knobs.pop("query_expansion", None)
    dense_paths = tuple(folder for kind, folder in listed if kind == "Dense")
    mask = next((folder for kind, folder in listed if kind == "MultiVectorMask"), None)
    name = settings.get("similarity_fn_name")
    prompts, markers = _read_prompts(settings)
    return LateFolder(
        place=place,
        dense=tuple(_read_dense(folder) for folder in dense_paths),
        dense_paths=dense_paths,
        normalize=is_older or "Normalize" in kinds,
        settings=to_transformer_settings(knobs, positions, place),
        prompts=prompts,
        markers=markers,
        expansion=None if expansion is None else _read_expansion(expansion, path),
        skipped_words=_read_skipped(settings, mask),
        scale=SCALES.get(str(name), "sum"),
    )


def _read_knobs(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns lengths and expansion as PyLate keeps them, beside what sentence-transformers keeps there."""
    lengths = ("query_length", "document_length")
    knobs = {name: settings[name] for name in lengths if settings.get(name) is not None}
    if "query_expansion" in settings:
        return knobs | {"query_expansion": settings["query_expansion"]}
    if not any(name in settings for name in (*PYLATE, *lengths)) or settings.get("do_query_expansion") is False:
        return knobs
    attends = settings.get("attend_to_expansion_tokens", settings.get("attend_to_mask_tokens"))
    length = knobs.pop("query_length", None) or QUERY_LENGTH
    return knobs | {"query_expansion": {"strategy": "fixed", "attend": bool(attends), "length": length}}


def _read_expansion(values: Mapping[str, Any], path: Path) -> Expansion:
    known = {"strategy", "attend", "token", "length"}
    if values.get("strategy") not in ("fixed", "min") or set(values) - known or not isinstance(values["length"], int):
        raise ModelFolderError(
            f"{path} expands queries by {dict(values)!r:.200}. Expected: `strategy` fixed or min, `length`, `attend` "
            "and `token`. Use another model."
        )
    is_fixed = values["strategy"] == "fixed"
    return Expansion(values["length"], bool(values.get("attend")), is_fixed, values.get("token"))


def _read_dense(path: Path) -> DenseConfig:
    values = dict(read_json(path / "config.json"))
    names = [values.pop(key, None) for key in ("module_input_name", "module_output_name")]
    if set(names) - {None, "token_embeddings"}:
        raise ModelFolderError(
            f"{path / 'config.json'} must project token vectors. Received: {names}. Use another model."
        )
    return to_dense_config(values, path)


def _read_prompts(settings: Mapping[str, Any]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Returns the prompts, with PyLate's markers before them, and the markers."""
    prompts = {name: prompt or "" for name, prompt in (settings.get("prompts") or {}).items()}
    markers = []
    for key, role in (("query_prefix", "query"), ("document_prefix", "document")):
        if key in settings:
            prefix = settings[key] or ""
            prompts[role] = prefix + prompts.get(role, "").removeprefix(prefix)
            markers.append(prefix)
    return prompts, tuple(filter(str.strip, markers))


def _read_skipped(settings: Mapping[str, Any], mask: Path | None) -> tuple[str, ...]:
    if mask is None:
        words: Sequence[str] | None = settings.get("skiplist_words")
        is_pylate = settings.get("model_type") == "ColBERT" or "query_prefix" in settings
        return tuple(string.punctuation if words is None and is_pylate else words or ())
    values: dict[str, Any] = read_json(mask / "config.json", needed=False)
    words = values.get("skiplist_words") or []
    tasks = values.get("skiplist_tasks") or ["document"]
    if (words and list(tasks) != ["document"]) or values.get("keep_only_token_ids"):
        raise ModelFolderError(
            f"{mask / 'config.json'} must skip tokens of documents alone. Received: skiplist_tasks={tasks!r}, "
            f"keep_only_token_ids={values.get('keep_only_token_ids')!r:.60}. Use another model."
        )
    return tuple(words)
