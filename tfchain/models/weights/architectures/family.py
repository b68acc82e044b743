"""A family of checkpoints: how its config.json is read and written, and what its tensors are called."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tfchain.core.errors import InputError
from tfchain.models.encoders.config import PoolingMode, TransformerConfig
from tfchain.models.weights.folded_tensors import Tensors

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "gelu_fast": "gelu_new",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}


@dataclass(frozen=True, kw_only=True)
class WeightMap:
    """The names of a family's tensors.

    Args:
        prefix: The prefix of each name if the folder holds a model with a head.
        other_prefixes: Prefixes of the same encoder in other models. Default: none.
        embeddings: tfchain's part before the layers → the folder's modules, of which `weight` and `bias` are read.
        layers: The prefix of layer `{}`.
        parts: tfchain's part of a layer → the folder's modules; several are concatenated along the output.
        language_heads: Prefixes of a language model's tensors that an encoder does not need.
        task_heads: Prefixes of the head's tensors in a model trained for a task, such as a classifier.
        renamed: Endings of names in old folders → their endings in newer folders.
        buffers: Endings of names of buffers that old folders have beside the weights.
    """

    prefix: str
    embeddings: Mapping[str, tuple[str, ...]]
    layers: str
    parts: Mapping[str, tuple[str, ...]]
    other_prefixes: tuple[str, ...] = ()
    language_heads: tuple[str, ...] = ("pooler.", "cls.", "lm_head.", "vocab_")
    task_heads: tuple[str, ...] = ("classifier.", "pre_classifier.", "qa_outputs.")
    renamed: Mapping[str, str] = field(
        default_factory=lambda: {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
    )
    buffers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Family:
    """Everything that tfchain knows of a family's folders.

    Args:
        model_class: The class of transformers that `save_pretrained` names in config.json.
        weights: The names of the tensors, as tfchain writes them.
        other_weights: Other names that a folder may have, of which all must be there. Default: none.
        read: From the content of config.json to the arguments of `TransformerConfig`; without `architecture`, unless
            it is another family's. It raises a `KeyError` for what is missing and an `InputError` for what tfchain does
            not support.
        write: From a shape to the keys of config.json that `read` reads, beside the common ones.
        fold: Computes tensors that the folder splits into several, before names are matched. Default: none does.
        pooling: The pooling of a plain folder. Default: none is known, and mean pooling is assumed.
    """

    model_class: str
    weights: WeightMap
    read: Callable[[Mapping[str, Any]], dict[str, Any]]
    write: Callable[[TransformerConfig], dict[str, Any]]
    fold: Callable[[Tensors], Tensors] | None = None
    pooling: PoolingMode | None = None
    other_weights: tuple[WeightMap, ...] = ()


def to_activation(name: str) -> Any:
    """Returns tfchain's name of an activation.

    Raises:
        InputError: if tfchain does not have it.
    """
    if name not in ACTIVATIONS:
        raise InputError(f"The activation must be one of {', '.join(ACTIVATIONS)}. Received: {name!r}.")
    return ACTIVATIONS[name]


def read_shape(
    values: Mapping[str, Any], *, token_types: int, activation: str = "gelu", dropout: float, attention_dropout: float
) -> dict[str, Any]:
    """Reads the sizes that BERT and the families after it have in their config.json under the same keys.

    Args:
        values: The config.json.
        token_types: The number of token types if `values` does not have it.
        activation: The activation if `values` does not have it.
        dropout: The dropout if `values` does not have it.
        attention_dropout: The dropout of attention if `values` does not have it.
    """
    return {
        "vocabulary_size": values["vocab_size"],
        "hidden_dim": values["hidden_size"],
        "num_layers": values["num_hidden_layers"],
        "num_heads": values["num_attention_heads"],
        "intermediate_dim": values["intermediate_size"],
        "max_positions": values["max_position_embeddings"],
        "num_token_types": values.get("type_vocab_size", token_types),
        "activation": to_activation(values.get("hidden_act", activation)),
        "norm_epsilon": values.get("layer_norm_eps", 1e-12),
        "dropout": values.get("hidden_dropout_prob", dropout),
        "attention_dropout": values.get("attention_probs_dropout_prob", attention_dropout),
        "pad_token_id": values.get("pad_token_id") or 0,
    }


def write_shape(shape: TransformerConfig) -> dict[str, Any]:
    """Writes what `read_shape` reads, without the vocabulary, the positions and the token types."""
    return {
        "hidden_size": shape.hidden_dim,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.layer_heads[0],
        "intermediate_size": shape.layer_intermediate_dims[0],
        "hidden_act": shape.activation,
        "layer_norm_eps": shape.norm_epsilon,
        "hidden_dropout_prob": shape.dropout,
        "attention_probs_dropout_prob": shape.attention_dropout,
    }
