"""A family of sequence-to-sequence checkpoints: its config.json, read and written, and the names of its tensors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tfchain.models.seq2seq.config import Seq2SeqConfig

# The part of a weight's name after the last point, by the part of its path after the last slash.
LEAVES = {"kernel": "weight", "embeddings": "weight", "gamma": "weight", "beta": "bias", "bias": "bias"}


@dataclass(frozen=True, kw_only=True)
class Seq2SeqFamily:
    """Everything that tfchain knows of a family's folders.

    Args:
        model_class: The class of transformers that config.json names.
        read: From the content of config.json and the names of the folder's tensors to the arguments of
            `Seq2SeqConfig`. It raises a `KeyError` for what is missing and an `InputError` for what tfchain does not
            support.
        write: From a shape to the keys of config.json that `read` reads.
        ends: Part outside the layers → the folder's modules or tensors, of which the first that is there is read.
        encoder_layers: The prefix of the encoder's layer `{}`.
        decoder_layers: The prefix of the decoder's layer `{}`.
        encoder: Part of an encoder's layer → the folder's modules; several are concatenated along the output.
        decoder: The same for a decoder's layer.
        ignored: Endings of names that a folder may have beside: tables that are computed, and copies of shared weights.
    """

    model_class: str
    read: Callable[[Mapping[str, Any], set[str]], dict[str, Any]]
    write: Callable[[Seq2SeqConfig], dict[str, Any]]
    ends: Mapping[str, tuple[str, ...]]
    encoder_layers: str
    decoder_layers: str
    encoder: Mapping[str, tuple[str, ...]]
    decoder: Mapping[str, tuple[str, ...]]
    ignored: tuple[str, ...] = ()


def make_attention(path: str, module: str, names: str, output: str) -> dict[str, tuple[str, ...]]:
    """Returns the map of an attention to the target.

    Args:
        path: Its path in a layer.
        module: Its name in the folder.
        names: The names of query, key and value with `{}` for q, k or v.
        output: The name of the output.
    """
    return {
        f"{path}/query_key_value": tuple(f"{module}.{names.format(part)}" for part in "qkv"),
        f"{path}/output": (f"{module}.{output}",),
    }


def make_source_attention(module: str, names: str, output: str) -> dict[str, tuple[str, ...]]:
    """Returns the map of a decoder's attention to the source; arguments as for `make_attention`."""
    return {
        "source_attention/query": (f"{module}.{names.format('q')}",),
        "source_attention/key_value": tuple(f"{module}.{names.format(part)}" for part in "kv"),
        "source_attention/output": (f"{module}.{output}",),
    }
