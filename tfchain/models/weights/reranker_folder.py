"""Folders of cross-encoders: sentence-transformers' CrossEncoder, old and new, and plain sequence classification."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.encoders.anatomy import LAYER_NORM, LAYER_NORM_EPSILON, list_dense, list_modules
from tfchain.models.encoders.config import HEAD, EncoderConfig, PairMode, PoolingConfig, TransformerConfig
from tfchain.models.weights.classifier_heads import ClassifierHead, find_classifier_head, read_classifier_head
from tfchain.models.weights.folder import ModelFolder, to_transformer_config
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.logit_score import read_logit_scorer
from tfchain.models.weights.tensor_files import TensorFiles

ScoreActivation = Literal["sigmoid", "identity"]
ACTIVATION_PLACES = {
    "sigmoid": "torch.nn.modules.activation.Sigmoid",
    "identity": "torch.nn.modules.linear.Identity",
}
DECODERS = ("ForCausalLM",)  # rerankers by the probability of a token, such as Qwen3-Reranker
MOST_POSITIONS = 1 << 30  # no bound


@dataclass(frozen=True)
class RerankerFolder:
    """What a cross-encoder's folder says.

    Args:
        model: Its plain values, with the places of the head's tensors.
        activation: What makes a score of an output.
    """

    model: ModelFolder
    activation: ScoreActivation


def read_reranker_folder(path: Path) -> RerankerFolder:
    """Reads the configuration of a cross-encoder.

    Args:
        path: A CrossEncoder's folder of sentence-transformers 2 to 6, or a plain one of a `…ForSequenceClassification`.

    Raises:
        ModelFolderError: if a file is missing or broken, the model has no classifier, or its architecture or its
            activation is not supported.
    """
    settings: dict[str, Any] = read_json(path / "config_sentence_transformers.json", needed=False)
    place = _find_transformer(path, settings)
    values: dict[str, Any] = read_json(place / "config.json")
    names = [str(name) for name in values.get("architectures") or ()]
    if any(name.endswith(DECODERS) for name in names):
        modules = read_json(path / "modules.json", needed=False)
        if not modules:
            raise ModelFolderError(
                f"{path} holds a language model ({', '.join(names)}), and does not say by which tokens it scores a "
                "pair. Expected: a CrossEncoder's folder with a LogitScore module, as Qwen3-Reranker has. Save it with "
                "sentence-transformers 6, or use a cross-encoder with a classifier."
            )
        scorer = read_logit_scorer(path, modules, settings, _read_max_length(place, MOST_POSITIONS))
        return RerankerFolder(scorer, _read_activation(path, settings, values, 1))
    if not any(name.endswith("ForSequenceClassification") for name in names):
        raise ModelFolderError(
            f"{path} must hold a model with a classifier (`architectures` ending in ForSequenceClassification). "
            f"Received: {', '.join(names) or 'no `architectures`'}. To train a reranker from an encoder, make one with "
            "tfchain.Reranker(model=...) and call `fit`."
        )
    transformer = to_transformer_config(values, place)
    head = read_classifier_head(transformer.architecture, values)
    if values.get("pooler_hidden_act", head.activation) != head.activation:  # DeBERTa names it
        raise ModelFolderError(
            f"{place / 'config.json'} must have pooler_hidden_act={head.activation!r}. "
            f"Received: {values['pooler_hidden_act']!r}. Use another model."
        )
    tensors = TensorFiles(place)
    num_labels = tensors.shape(f"{head.outputs}.weight")[0]
    encoder = to_pair_encoder(transformer, num_labels, pairs=find_pair_mode(place, transformer), head=head)
    model = ModelFolder(
        encoder=encoder,
        transformer_path=place,
        max_length=_read_max_length(place, transformer.max_length),
        dense_modules=head.modules,
    )
    return RerankerFolder(model, _read_activation(path, settings, values, num_labels))


def to_pair_encoder(
    transformer: TransformerConfig,
    num_labels: int,
    *,
    pairs: PairMode | None = None,
    head: ClassifierHead | None = None,
) -> EncoderConfig:
    """Returns the shape of a cross-encoder with the head that its architecture has in transformers.

    Args:
        transformer: The transformer's shape.
        num_labels: The number of outputs.
        pairs: Whether the two texts have token types. Default: if the transformer has two.
        head: The head. Default: that of the architecture.

    Raises:
        ModelFolderError: if the architecture has no such head, or another epsilon than its normalisation.
    """
    head = head or find_classifier_head(transformer.architecture)
    if head.norm is not None and transformer.norm_epsilon != LAYER_NORM_EPSILON:
        raise ModelFolderError(
            f"A {head.class_name} must have norm_eps={LAYER_NORM_EPSILON}, with which its head normalises. "
            f"Received: norm_eps={transformer.norm_epsilon}. Use another model."
        )
    if pairs is None:
        pairs = "typed" if transformer.num_token_types > 1 else "plain"
    dense, outputs = head.list_dense(transformer, num_labels)
    return EncoderConfig(
        transformer=dataclasses.replace(transformer, pairs=pairs),
        pooling=PoolingConfig(modes=(head.pooling,)),
        dense=(dense,),
        head=outputs,
        order=head.order,
    )


def to_classifier_tensors(config: EncoderConfig, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the head's tensors by their names in a folder.

    Args:
        config: The shape of a cross-encoder.
        weights: Path → array.
    """
    modules, tensors = find_classifier_head(config.transformer.architecture).modules, {}
    for name, dense in list_dense(config):
        tensors[f"{modules[name]}.weight"] = np.ascontiguousarray(weights[f"{name}/kernel"].T)
        if dense.use_bias:
            tensors[f"{modules[name]}.bias"] = np.asarray(weights[f"{name}/bias"])
    for name in list_modules(config):
        if name.startswith(LAYER_NORM):
            beta, layer = np.asarray(weights[f"{name}/beta"]), config.transformer.layer
            tensors[f"{modules[name]}.weight"] = np.asarray(weights[f"{name}/gamma"])
            if layer is None or layer.norm_bias:
                tensors[f"{modules[name]}.bias"] = beta
            else:  # the outputs' bias takes it up: W(γx + β) + b = Wγx + (Wβ + b)
                tensors[f"{modules[HEAD]}.bias"] = tensors[f"{modules[HEAD]}.bias"] + beta @ weights[f"{HEAD}/kernel"]
    return tensors


def _find_transformer(path: Path, settings: Mapping[str, Any]) -> Path:
    """Returns the folder of config.json: a module's in the format of sentence-transformers 6."""
    if not (path / "modules.json").is_file():
        return path
    modules = read_json(path / "modules.json")
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    if settings.get("model_type") != "CrossEncoder":
        raise ModelFolderError(
            f"{path} must hold a CrossEncoder. Received: a sentence-transformers folder of {', '.join(kinds)}. To "
            "train a reranker from its transformer, make one with tfchain.Reranker(model=...) and call `fit`."
        )
    if kinds != ["Transformer"] and "LogitScore" not in kinds:
        raise ModelFolderError(
            f"modules.json of {path} must list one Transformer with a classifier. Received: {', '.join(kinds)}. Use "
            "another model."
        )
    return path / str(modules[0].get("path", ""))


def find_pair_mode(path: Path, transformer: TransformerConfig) -> PairMode:
    """Returns whether the tokenizer gives the model token types, which transformers asks of `model_input_names`."""
    listed = read_json(path / "tokenizer_config.json", needed=False).get("model_input_names")
    has_types = transformer.num_token_types > 1 and (listed is None or "token_type_ids" in listed)
    return "typed" if has_types else "plain"


def _read_max_length(path: Path, positions: int) -> int | None:
    """Returns the maximum that sentence_bert_config.json sets; None for the tokenizer's own."""
    found = read_json(path / "sentence_bert_config.json", needed=False).get("max_seq_length")
    return None if found is None else min(int(found), positions)


def _read_activation(
    path: Path, settings: Mapping[str, Any], values: Mapping[str, Any], num_labels: int
) -> ScoreActivation:
    """Returns the activation that a folder names, in the places where sentence-transformers has kept it."""
    named = settings.get("activation_fn") or (values.get("sentence_transformers") or {}).get("activation_fn")
    named = named or values.get("sbert_ce_default_activation_function")
    if named is None:
        return "sigmoid" if num_labels == 1 else "identity"
    kind = str(named).rsplit(".", 1)[-1].lower()
    if kind not in ACTIVATION_PLACES:
        raise ModelFolderError(
            f"{path} makes scores with {named}; tfchain has {', '.join(ACTIVATION_PLACES)}. Use another model."
        )
    return kind  # type: ignore[return-value]
