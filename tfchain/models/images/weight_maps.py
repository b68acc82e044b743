"""Which tensor of a Hugging Face folder is which weight of the towers: tables, one line a weight, read in both ways.

A table's line is the path of our weight and the name of the tensor; `{n}` stands for a layer's number.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfchain.core.errors import ModelFolderError
from tfchain.models.images.config import ImageTextConfig

_CLIP_LAYER = {
    "attention/query": "self_attn.q_proj",
    "attention/key": "self_attn.k_proj",
    "attention/value": "self_attn.v_proj",
    "attention/output": "self_attn.out_proj",
    "attention_norm": "layer_norm1",
    "feed_forward/intermediate": "mlp.fc1",
    "feed_forward/output": "mlp.fc2",
    "output_norm": "layer_norm2",
}
_BERT_LAYER = {
    "attention/query": "attention.self.query",
    "attention/key": "attention.self.key",
    "attention/value": "attention.self.value",
    "attention/output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "feed_forward/intermediate": "intermediate.dense",
    "feed_forward/output": "output.dense",
    "output_norm": "output.LayerNorm",
}
_IMAGE = {
    "positions/table": "vision_model.embeddings.position_embedding.weight",
    "embeddings/kernel": "vision_model.embeddings.patch_embedding.weight",
    "final_norm/gamma": "vision_model.post_layernorm.weight",
    "final_norm/beta": "vision_model.post_layernorm.bias",
}
_CLIP_IMAGE = {
    **_IMAGE,
    "positions/class_token": "vision_model.embeddings.class_embedding",
    "embeddings_norm/gamma": "vision_model.pre_layrnorm.weight",  # so misspelt in the checkpoints
    "embeddings_norm/beta": "vision_model.pre_layrnorm.bias",
    "projection/kernel": "visual_projection.weight",
}
_SIGLIP_IMAGE = {
    **_IMAGE,
    "embeddings/bias": "vision_model.embeddings.patch_embedding.bias",
    "pool/probe": "vision_model.head.probe",
    **{
        f"pool/attention/{name}/{ours}": f"vision_model.head.attention.in_proj_{theirs}"
        for name in ("query", "key", "value")
        for ours, theirs in (("kernel", "weight"), ("bias", "bias"))
    },
    "pool/attention/output/kernel": "vision_model.head.attention.out_proj.weight",
    "pool/attention/output/bias": "vision_model.head.attention.out_proj.bias",
    "pool/norm/gamma": "vision_model.head.layernorm.weight",
    "pool/norm/beta": "vision_model.head.layernorm.bias",
    "pool/feed_forward/intermediate/kernel": "vision_model.head.mlp.fc1.weight",
    "pool/feed_forward/intermediate/bias": "vision_model.head.mlp.fc1.bias",
    "pool/feed_forward/output/kernel": "vision_model.head.mlp.fc2.weight",
    "pool/feed_forward/output/bias": "vision_model.head.mlp.fc2.bias",
}
_TEXT = {
    "token_embeddings/embeddings": "text_model.embeddings.token_embedding.weight",
    "positions/table": "text_model.embeddings.position_embedding.weight",
    "final_norm/gamma": "text_model.final_layer_norm.weight",
    "final_norm/beta": "text_model.final_layer_norm.bias",
}
_CLIP_TEXT = {**_TEXT, "projection/kernel": "text_projection.weight"}
_SIGLIP_TEXT = {
    **_TEXT,
    "projection/kernel": "text_model.head.weight",
    "projection/bias": "text_model.head.bias",
}
_BERT_TEXT = {
    "token_embeddings/embeddings": "text_model.embeddings.word_embeddings.weight",
    "positions/table": "text_model.embeddings.position_embeddings.weight",
    "embeddings_norm/gamma": "text_model.embeddings.LayerNorm.weight",
    "embeddings_norm/beta": "text_model.embeddings.LayerNorm.bias",
    "projection/kernel": "text_projection.weight",
}
TOKEN_TYPES = "text_model.embeddings.token_type_embeddings.weight"
LOGIT_SCALE, LOGIT_BIAS = "logit_scale", "logit_bias"
_IDLE = ("position_ids", "text_model.pooler.")  # buffers, and a head that no vector passes
_FUSED = ("query", "key", "value")  # in the order of the rows of `in_proj_weight`


@dataclass(frozen=True)
class FamilyMap:
    """The tensors of a family of models.

    Args:
        image: The lines of the tower of images that are in no layer.
        text: Those of the tower of texts.
        text_layers: The tensors before a layer's number in the tower of texts.
        text_layer: The lines of a layer of texts; those of images are CLIP's in all families.
    """

    image: Mapping[str, str]
    text: Mapping[str, str]
    text_layers: str
    text_layer: Mapping[str, str]


MAPS = {
    "clip": FamilyMap(_CLIP_IMAGE, _CLIP_TEXT, "text_model.encoder.layers", _CLIP_LAYER),
    "siglip": FamilyMap(_SIGLIP_IMAGE, _SIGLIP_TEXT, "text_model.encoder.layers", _CLIP_LAYER),
    "chinese_clip": FamilyMap(_CLIP_IMAGE, _BERT_TEXT, "text_model.encoder.layer", _BERT_LAYER),
}


def read_towers(config: ImageTextConfig, tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Returns the weights of both towers by path, from a folder's tensors.

    Args:
        config: The model's shape.
        tensors: Name → array, each read when it is asked for.

    Returns:
        `image` and `text`: path → array, float32.

    Raises:
        ModelFolderError: if a tensor is missing, or one is left over.
    """
    used = {LOGIT_SCALE, LOGIT_BIAS}
    towers: dict[str, dict[str, np.ndarray]] = {}
    for tower in ("image", "text"):
        towers[tower] = {}
        for path, name in _list_lines(config, tower):
            if name not in tensors:
                raise ModelFolderError(
                    f"The folder lacks the tensor {name}, the weight {path} of its tower of {tower}s. Get it again."
                )
            used.add(name)
            towers[tower][path] = _to_ours(config, path, np.asarray(tensors[name], np.float32))
    if config.text.has_token_types and TOKEN_TYPES in tensors:  # every text has the first type
        used.add(TOKEN_TYPES)
        table = towers["text"]["positions/table"]
        towers["text"]["positions/table"] = table + np.asarray(tensors[TOKEN_TYPES], np.float32)[0]
    left = [name for name in tensors if name not in used and not any(part in name for part in _IDLE)]
    if left:
        raise ModelFolderError(
            f"The folder has tensors that tfchain does not know: {', '.join(sorted(left)[:5])}, {len(left)} in all. "
            "Use a folder of CLIP, SigLIP or Chinese-CLIP without added parts."
        )
    return towers


def write_towers(config: ImageTextConfig, towers: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the tensors of a folder, name → array, from the weights of both towers by path."""
    tensors: dict[str, np.ndarray] = {}
    fused: dict[str, dict[str, np.ndarray]] = {}
    for tower in ("image", "text"):
        for path, name in _list_lines(config, tower):
            array = _to_theirs(config, path, towers[tower][path])
            if "in_proj_" in name:
                fused.setdefault(name, {})[path.split("/")[2]] = array
            else:
                tensors[name] = array
    for name, parts in fused.items():
        tensors[name] = np.concatenate([parts[part] for part in _FUSED])
    if config.text.has_token_types:
        tensors[TOKEN_TYPES] = np.zeros((2, config.text.layers.hidden_dim), np.float32)
    return tensors


def _list_lines(config: ImageTextConfig, tower: str) -> Iterator[tuple[str, str]]:
    """Yields our paths with the names of the tensors."""
    found = MAPS[config.family]
    yield from (found.image if tower == "image" else found.text).items()
    layers = config.image.layers if tower == "image" else config.text.layers
    place = "vision_model.encoder.layers" if tower == "image" else found.text_layers
    table = _CLIP_LAYER if tower == "image" else found.text_layer
    for number in range(layers.num_layers):
        for ours, theirs in table.items():
            names = ("gamma", "beta") if ours.endswith("norm") else ("kernel", "bias")
            for name, kind in zip(names, ("weight", "bias"), strict=True):
                yield f"layer_{number}/{ours}/{name}", f"{place}.{number}.{theirs}.{kind}"


def _to_ours(config: ImageTextConfig, path: str, array: np.ndarray) -> np.ndarray:
    if path.startswith("pool/attention/") and array.shape[0] == 3 * config.image.layers.hidden_dim:
        array = np.split(array, 3)[_FUSED.index(path.split("/")[2])]
    if path == "embeddings/kernel":  # a convolution's (out, channels, rows, columns)
        return array.transpose(2, 3, 1, 0).reshape(-1, array.shape[0])
    return array.T if path.endswith("/kernel") else array


def _to_theirs(config: ImageTextConfig, path: str, array: np.ndarray) -> np.ndarray:
    if path == "embeddings/kernel":
        size = config.image.patch_size
        return array.reshape(size, size, 3, -1).transpose(3, 2, 0, 1)
    return array.T if path.endswith("/kernel") else array


def set_tower(tower: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a Keras model by their paths.

    Raises:
        ModelFolderError: if a weight is missing, left over, or has another shape.
    """
    variables = {find_path(variable): variable for variable in tower.weights}
    if set(variables) != set(weights):
        raise ModelFolderError(
            f"Weights do not fit the {tower.name}: missing {sorted(set(variables) - set(weights))[:3]}, "
            f"left over {sorted(set(weights) - set(variables))[:3]}. Get the folder again."
        )
    for path, variable in variables.items():
        if tuple(variable.shape) != weights[path].shape:
            raise ModelFolderError(
                f"The weight {path} of the {tower.name} has the shape {weights[path].shape}; its config.json says "
                f"{tuple(variable.shape)}. Get the folder again."
            )
        variable.assign(weights[path])


def get_tower(tower: Any) -> dict[str, np.ndarray]:
    """Returns the weights of a Keras model by their paths, float32."""
    return {find_path(variable): np.asarray(variable, np.float32) for variable in tower.weights}


def find_path(variable: Any) -> str:
    """Returns a variable's path inside its tower."""
    return str(variable.path)
