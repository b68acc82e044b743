"""Merges the weights of models of one shape into one model, tensor by tensor, without training."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import EncoderConfig
from tfchain.models.encoders.keras_weights import KerasWeights
from tfchain.models.shared_model import SharedModel
from tfchain.models.text_encoder import TextEncoder
from tfchain.models.text_encoder_folder import read_parts
from tfchain.models.tokenizers.host import HostTokenizer
from tfchain.models.weights.computed_weights import ComputedWeights
from tfchain.models.weights.pretrained import make_encoder
from tfchain.models.weights.stored_encoder import StoredEncoder
from tfchain.optimization.merge_formulas import merge_linear, merge_slerp, merge_ties

MergeMethod = Literal["linear", "slerp", "ties"]
UNIMPORTANT = ("dropout", "attention_dropout")  # of a shape: they change no vector
MOST_NAMED = 5  # differences in an error


def merge_encoders(
    models: Sequence[TextEncoder | str | Path],
    *,
    method: MergeMethod = "linear",
    weights: Sequence[float] | None = None,
    base: TextEncoder | str | Path | None = None,
    density: float = 0.2,
    scale: float = 1.0,
) -> TextEncoder:
    """Merges models that were trained from one model into one that knows what each has learned.

    Use it for models that were fine-tuned from one base on different data, or with different hyperparameters: models
    that do not share their origin have nothing to average. Evaluate the result; merging trains nothing.

    | method | what it does | use it |
    |---|---|---|
    | `linear` | the weighted mean | first |
    | `slerp` | a point on the arc between two models, which keeps the weights' length | for two models |
    | `ties` | the mean of the largest changes of the base, of the sign that most have | for different tasks |

    Papers: Wortsman et al. 2022, model soups (https://arxiv.org/abs/2203.05482); Shoemake 1985
    (https://doi.org/10.1145/325334.325242); Yadav et al. 2023, TIES (https://arxiv.org/abs/2306.01708).

    Models in folders are read tensor by tensor: the memory is that of the result, and of one tensor of each model, in
    float64.

    Args:
        models: Two or more text encoders (of a chain: `chain.text_encoder`), folders, or names on the Hugging Face hub,
            with the same shape and the same tokenizer. Length, prompts and similarity are the first one's.
        method: One of the above. Default: `linear`.
        weights: A number of at least 0 for each model; only their ratios count. Default: all equal.
        base: For `ties`: what the models were trained from, in the same form. Default: none.
        density: For `ties`: the share of each tensor's changes that is kept, in (0, 1]. Default: 0.2, as in the paper.
        scale: For `ties`: the factor of the merged change, above 0. Default: 1.

    Returns:
        A text encoder in float32. `save` writes its folder, with which `NeuralSearchChain.from_pretrained` searches.

    Raises:
        InputError: if there are too few models or too many, their shapes or tokenizers differ, a model's queries have
            an encoder of their own (a Router), or a value does not suit the method.
        ModelFolderError: if a folder cannot be read.
    """
    listed = _check_models(models, method)
    shares = _check_weights(weights, len(listed))
    if (base is not None) != (method == "ties"):
        raise InputError(
            f"`base`, what the models were trained from, is for method='ties', which needs it. Received: "
            f"method={method!r}, base={base!r:.100}."
        )
    if not _is_number(density) or not 0 < density <= 1:
        raise InputError(f"`density` must be above 0 and at most 1. Received: density={density!r}. Try 0.2.")
    if not _is_number(scale) or scale <= 0:
        raise InputError(f"`scale` must be a finite number above 0. Received: scale={scale!r}. Try 1.")
    sources = [_open(model, f"models[{number}]") for number, model in enumerate(listed)]
    origin = None if base is None else _open(base, "base")
    first = sources[0]
    for other in [*sources[1:], *([] if origin is None else [origin])]:
        _check_same(first, other)

    def merge(path: str) -> np.ndarray:
        tensors = [source.weights[path] for source in sources]
        if origin is not None:
            return merge_ties(origin.weights[path], tensors, shares, density=density, scale=scale)
        if method == "slerp":
            return merge_slerp(tensors[0], tensors[1], shares[1] / sum(shares))
        return merge_linear(tensors, shares)

    merged = ComputedWeights(first.weights, merge)
    made = SharedModel(make_encoder(first.config, merged), is_private=True)
    dims = set(first.settings["matryoshka_dims"] or ()).intersection(
        *(source.settings["matryoshka_dims"] or () for source in sources[1:])
    )
    settings = {**first.settings, "matryoshka_dims": tuple(sorted(dims))}
    return TextEncoder(first.tokenizer.source, made, **settings)


@dataclass(frozen=True)
class _Source:
    """A model to merge: its weights by path, read on access, and what it is."""

    name: str
    config: EncoderConfig
    weights: Mapping[str, np.ndarray]
    tokenizer: HostTokenizer
    settings: Mapping[str, Any]


def _open(model: TextEncoder | str | Path, name: str) -> _Source:
    """Opens a model; a folder's weights stay in the folder until they are read."""
    if isinstance(model, TextEncoder):
        encoder = model
        weights: Any = model._shared.weights
        has_route = model.query_route is not None
    else:
        parts = read_parts(model, {})
        plain = {key: value for key, value in parts.settings.items() if key not in ("precision", "vector_storage")}
        plain.pop("calibration", None)
        encoder = TextEncoder(parts.tokenizer, parts.shared, **plain)
        weights = parts.shared.weights
        has_route = parts.query_route is not None
    if has_route:
        raise InputError(
            f"`{name}` must have one encoder. Received: one whose queries have an encoder of their own (a Router). "
            "Merge each side alone: the `query_route` of each text encoder, and copies with `query_route = None`."
        )
    if encoder.config is None:
        raise InputError(
            f"`{name}` must have one of tfchain's own encoders. Received: {type(encoder.own_encoder).__name__}. "
            "Average the weights of a Keras model of your own with `get_weights` and `set_weights`."
        )
    return _Source(
        name=name,
        config=encoder.config,
        weights=weights if isinstance(weights, StoredEncoder) else KerasWeights(weights),
        tokenizer=encoder.tokenizer,
        settings=encoder.settings(),
    )


def _check_models(models: Any, method: Any) -> list[TextEncoder | str | Path]:
    if not isinstance(method, str) or method not in get_args(MergeMethod):
        raise InputError(f"`method` must be one of {', '.join(get_args(MergeMethod))}. Received: method={method!r}.")
    if not isinstance(models, list | tuple):
        raise InputError(
            f"`models` must be a list of text encoders or folders. Received: {type(models).__name__}. Give two or more."
        )
    for number, model in enumerate(models):
        if not isinstance(model, TextEncoder | str | Path):
            raise InputError(
                f"`models` must be text encoders, folders or names. Received: {type(model).__name__} at position "
                f"{number}. Of a chain, give `chain.text_encoder`."
            )
    if len(models) < 2 or (method == "slerp" and len(models) != 2):
        expected = "exactly two models" if method == "slerp" else "two models or more"
        raise InputError(f"method={method!r} merges {expected}. Received: {len(models)}.")
    return list(models)


def _check_weights(weights: Any, count: int) -> list[float]:
    if weights is None:
        return [1.0] * count
    listed = list(weights) if isinstance(weights, list | tuple | np.ndarray) else []
    if len(listed) != count or not all(_is_number(weight) and weight >= 0 for weight in listed) or not sum(listed) > 0:
        raise InputError(
            f"`weights` must be {count} numbers of at least 0, one for each model and not all 0. "
            f"Received: weights={weights!r:.100}."
        )
    return [float(weight) for weight in listed]


def _is_number(value: Any) -> bool:
    return not isinstance(value, bool | str) and isinstance(value, int | float | np.number) and math.isfinite(value)


def _check_same(first: _Source, other: _Source) -> None:
    """Raises an `InputError` that names what differs."""
    ours, theirs = _flatten(first.config.to_dict()), _flatten(other.config.to_dict())
    differing = sorted(key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key))
    if differing:
        named = "; ".join(f"{key}: {ours.get(key)!r} and {theirs.get(key)!r}" for key in differing[:MOST_NAMED])
        raise InputError(
            f"Models to merge must have one shape. Received: `{first.name}` and `{other.name}`, which differ in "
            f"{named}. Merge models that were trained from one model."
        )
    vocabulary = first.tokenizer.source.get_vocab()
    other_vocabulary = other.tokenizer.source.get_vocab()
    reason = ""
    if vocabulary != other_vocabulary:
        changed = {token for token, _ in vocabulary.items() ^ other_vocabulary.items()}
        examples = ", ".join(map(repr, sorted(changed)[:MOST_NAMED]))
        reason = f"{len(changed)} tokens have other ids, {examples} among them"
    elif _probe(first.tokenizer) != _probe(other.tokenizer):
        reason = "the same texts get other ids"
    if reason:
        raise InputError(
            f"Models to merge must have one tokenizer. Received: `{first.name}` and `{other.name}`, in which {reason}. "
            "Merge models that were trained from one model."
        )


def _probe(tokenizer: HostTokenizer) -> Any:
    """The ids of a few texts, whatever the model's length."""
    whole = HostTokenizer(tokenizer.source, max_length=10_000, do_lower_case=tokenizer.do_lower_case)
    return whole.describe()["probe"]


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and all(isinstance(part, Mapping) for part in value):
            found[f"{prefix}{key}"] = [_flatten(part) for part in value]
        elif key not in UNIMPORTANT:
            found[f"{prefix}{key}"] = value
    return found
