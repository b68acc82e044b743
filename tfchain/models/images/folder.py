"""Folders of CLIP, SigLIP and Chinese-CLIP: read and written without PyTorch, as transformers has them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.images.config import (
    ImageTextConfig,
    ImageTowerConfig,
    LayersConfig,
    PictureConfig,
    TextTowerConfig,
)
from tfchain.models.images.weight_maps import LOGIT_BIAS, LOGIT_SCALE, read_towers, write_towers
from tfchain.models.weights.download import SAFETENSORS, TOKENIZER, fetch_files, find_local
from tfchain.models.weights.folder_contents import check_not_quantized
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.tensor_files import TensorFiles, write_tensors

PREPROCESSOR = "preprocessor_config.json"
MODEL_TYPES = {"clip": "clip", "siglip": "siglip", "chinese_clip": "chinese_clip"}  # config.json's → the family
ACTIVATIONS = {"quick_gelu": "quick_gelu", "gelu": "gelu", "gelu_pytorch_tanh": "gelu_tanh", "gelu_new": "gelu_tanh"}
# The defaults of transformers' configuration classes, where a folder's config.json leaves a value out.
_TEXT_DEFAULTS: dict[str, dict[str, Any]] = {
    "clip": {
        "hidden_size": 512,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 8,
        "vocab_size": 49408,
        "max_position_embeddings": 77,
        "hidden_act": "quick_gelu",
        "layer_norm_eps": 1e-5,
        "eos_token_id": 49407,
    },
    "siglip": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 32000,
        "max_position_embeddings": 64,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    "chinese_clip": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "vocab_size": 30522,
        "max_position_embeddings": 512,
        "hidden_act": "gelu",
        "layer_norm_eps": 1e-12,
    },
}
_IMAGE_DEFAULTS = {
    "clip": {"patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
    "siglip": {"patch_size": 16, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
    "chinese_clip": {"patch_size": 32, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5},
}
_IMAGE_SHAPE = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
}
_CLIP_MEAN, _CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_PREPROCESSORS = {"clip": "CLIPImageProcessor", "siglip": "SiglipImageProcessor"}
_PREPROCESSORS["chinese_clip"] = "ChineseCLIPImageProcessor"


@dataclass(frozen=True)
class ImageTextFolder:
    """The content of a folder, without the tokenizer.

    Args:
        path: The folder.
        config: The model's shape.
        pictures: How pictures become its input.
        towers: The weights of `image` and `text`, path → array.
        logit_scale: The logarithm of the temperature's inverse, by which cosines are multiplied.
        logit_bias: What is added to the products; 0 without one.
    """

    path: Path
    config: ImageTextConfig
    pictures: PictureConfig
    towers: Mapping[str, Mapping[str, np.ndarray]]
    logit_scale: float
    logit_bias: float


def read_image_text_folder(name_or_path: str | Path) -> ImageTextFolder:
    """Reads a folder.

    Args:
        name_or_path: A folder, or a name on the Hugging Face hub, whose files are fetched.

    Raises:
        ModelFolderError: if it cannot be read, or holds another kind of model.
    """
    path = find_local(name_or_path)
    if path is None:
        path = fetch_files(str(name_or_path), ("config.json", PREPROCESSOR))
        read_config(path)
        path = fetch_files(str(name_or_path), (*SAFETENSORS, *TOKENIZER, PREPROCESSOR, "config.json"), path)
    config = read_config(path)
    pictures = read_picture_config(path, config)
    tensors = TensorFiles(path)
    try:
        towers = read_towers(config, tensors)
        scale = float(np.asarray(tensors[LOGIT_SCALE], np.float32).reshape(()))
        bias = float(np.asarray(tensors[LOGIT_BIAS], np.float32).reshape(())) if config.has_logit_bias else 0.0
    except ModelFolderError as error:
        raise ModelFolderError(f"{path}: {error}") from error
    return ImageTextFolder(path, config, pictures, towers, scale, bias)


def read_config(path: Path) -> ImageTextConfig:
    """Reads config.json.

    Raises:
        ModelFolderError: if it describes another kind of model, or a value is out of range.
    """
    values = read_json(path / "config.json")
    check_not_quantized(path, values)
    kind = values.get("model_type") if isinstance(values, Mapping) else None
    if kind == "siglip2":
        raise ModelFolderError(
            f"{path} holds a SigLIP 2 of flexible resolution (NaFlex, model_type 'siglip2'), which tfchain does not "
            "read. Use a checkpoint of fixed resolution, such as google/siglip2-base-patch16-224."
        )
    if kind not in MODEL_TYPES:
        raise ModelFolderError(
            f"{path} holds no model of images and texts. Expected a model_type of {', '.join(MODEL_TYPES)}. "
            f"Received: {kind!r}."
        )
    family: Any = MODEL_TYPES[kind]
    text = {**_TEXT_DEFAULTS[family], **(values.get("text_config") or {})}
    image = {**_IMAGE_SHAPE, **_IMAGE_DEFAULTS[family], **(values.get("vision_config") or {})}
    try:
        _check_supported(family, text, image)
        return ImageTextConfig(
            family=family,
            image=_read_image_tower(family, image),
            text=_read_text_tower(family, text),
            embedding_dim=int(image["hidden_size"] if family == "siglip" else values.get("projection_dim", 512)),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFolderError(f"{path / 'config.json'} cannot be read: {type(error).__name__}: {error}.") from error


def _check_supported(family: str, text: Mapping[str, Any], image: Mapping[str, Any]) -> None:
    if image.get("num_channels", 3) != 3:
        raise InputError(f"`num_channels` must be 3. Received: {image['num_channels']}.")
    if not image.get("vision_use_head", True):
        raise InputError("A tower of images without its pooling head (`vision_use_head`) gives no vectors.")
    for values in (text, image):
        if values["hidden_act"] not in ACTIVATIONS:
            raise InputError(f"`hidden_act` must be one of {', '.join(ACTIVATIONS)}. Got {values['hidden_act']!r}.")
    if family == "siglip" and text.get("projection_size", text["hidden_size"]) != image["hidden_size"]:
        raise InputError("The towers' vectors must have one width: `projection_size` and the image's `hidden_size`.")
    if family == "chinese_clip" and text.get("position_embedding_type", "absolute") != "absolute":
        raise InputError(f"`position_embedding_type` must be absolute. Got {text['position_embedding_type']!r}.")


def _read_layers(values: Mapping[str, Any], *, is_post: bool = False) -> LayersConfig:
    activation: Any = ACTIVATIONS[values["hidden_act"]]
    return LayersConfig(
        hidden_dim=int(values["hidden_size"]),
        num_layers=int(values["num_hidden_layers"]),
        num_heads=int(values["num_attention_heads"]),
        intermediate_dim=int(values["intermediate_size"]),
        activation=activation,
        norm_epsilon=float(values["layer_norm_eps"]),
        norm_place="post" if is_post else "pre",
        dropout=float(values.get("hidden_dropout_prob", values.get("attention_dropout", 0.0))),
    )


def _read_image_tower(family: str, values: Mapping[str, Any]) -> ImageTowerConfig:
    return ImageTowerConfig(
        layers=_read_layers(values),
        image_size=int(values["image_size"]),
        patch_size=int(values["patch_size"]),
        pooling="attention" if family == "siglip" else "class",
    )


def _read_text_tower(family: str, values: Mapping[str, Any]) -> TextTowerConfig:
    eos = values.get("eos_token_id")
    is_bert, is_siglip = family == "chinese_clip", family == "siglip"
    return TextTowerConfig(
        layers=_read_layers(values, is_post=is_bert),
        vocabulary_size=int(values["vocab_size"]),
        max_length=int(values["max_position_embeddings"]),
        pooling="first" if is_bert else "last" if is_siglip else "eos",
        eos_id=None if family != "clip" or eos in (2, None) else int(eos),  # 2 is what early ones say
        is_causal=family == "clip",
        pads_to_length=is_siglip,
        has_token_types=is_bert,
    )


def read_picture_config(path: Path, config: ImageTextConfig) -> PictureConfig:
    """Reads preprocessor_config.json, or processor_config.json's part for pictures.

    Raises:
        ModelFolderError: if it is missing, or has a value that tfchain does not know.
    """
    values = read_json(path / PREPROCESSOR, needed=not (path / "processor_config.json").is_file())
    values = values or read_json(path / "processor_config.json").get("image_processor", {})
    is_siglip = config.family == "siglip"
    side = config.image.image_size
    try:
        if not values.get("do_resize", True):
            raise InputError("Pictures must be resized (`do_resize`): the model takes one size.")
        cuts = values.get("do_center_crop", not is_siglip)
        scales, norms = values.get("do_rescale", True), values.get("do_normalize", True)
        made = PictureConfig(
            size=_read_size(values.get("size", {"height": side, "width": side} if is_siglip else side), cuts),
            resample=int(values.get("resample", 3)),
            crop=_read_crop(values.get("crop_size", side)) if cuts else None,
            scale=float(values.get("rescale_factor", 1 / 255)) if scales else 1.0,
            mean=tuple(values.get("image_mean", (0.5,) * 3 if is_siglip else _CLIP_MEAN)) if norms else (0.0,) * 3,
            std=tuple(values.get("image_std", (0.5,) * 3 if is_siglip else _CLIP_STD)) if norms else (1.0,) * 3,
        )
        if made.shape != (side, side):
            raise InputError(f"Pictures become {made.shape}, and the model takes {(side, side)}.")
        return made
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelFolderError(f"{path / PREPROCESSOR} cannot be read: {type(error).__name__}: {error}") from error


def _read_size(size: Any, keeps_proportions: bool) -> int | tuple[int, int]:
    if isinstance(size, int):  # of older folders: the shorter side where pictures are cut afterwards
        return size if keeps_proportions else (size, size)
    if "shortest_edge" in size:
        if size.get("longest_edge"):
            raise InputError(f"`size` with a `longest_edge` is not supported. Received: {dict(size)}.")
        return int(size["shortest_edge"])
    return int(size["height"]), int(size["width"])


def _read_crop(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size["height"]), int(size["width"]))


def write_image_text_folder(
    path: Path,
    config: ImageTextConfig,
    pictures: PictureConfig,
    towers: Mapping[str, Mapping[str, np.ndarray]],
    *,
    logit_scale: float,
    logit_bias: float,
) -> None:
    """Writes a folder without its tokenizer, as transformers reads it.

    Args:
        path: The folder, which exists.
        config: The model's shape.
        pictures: How pictures become its input.
        towers: The weights of `image` and `text`, path → array.
        logit_scale: See `ImageTextFolder`.
        logit_bias: See `ImageTextFolder`.
    """
    tensors = write_towers(config, towers)
    shape: tuple[int, ...] = (1,) if config.has_logit_bias else ()
    tensors[LOGIT_SCALE] = np.full(shape, logit_scale, np.float32)
    if config.has_logit_bias:
        tensors[LOGIT_BIAS] = np.full(shape, logit_bias, np.float32)
    write_tensors(path / "model.safetensors", tensors)
    _write_json(path / "config.json", to_config_json(config))
    _write_json(path / PREPROCESSOR, to_preprocessor_json(config, pictures))


def to_config_json(config: ImageTextConfig) -> dict[str, Any]:
    """Returns the content of config.json."""
    kind = {"clip": "CLIPModel", "siglip": "SiglipModel", "chinese_clip": "ChineseCLIPModel"}[config.family]
    text, image = _to_layers_json(config.text.layers), _to_layers_json(config.image.layers)
    text |= {"vocab_size": config.text.vocabulary_size, "max_position_embeddings": config.text.max_length}
    image |= {"image_size": config.image.image_size, "patch_size": config.image.patch_size}
    if config.family != "chinese_clip":  # CLIP's own are beyond a smaller vocabulary, of which transformers warns
        text |= {"bos_token_id": None, "eos_token_id": None}
    if config.family == "clip":
        text["eos_token_id"] = 2 if config.text.eos_id is None else config.text.eos_id
    if config.family == "siglip":
        text["projection_size"] = config.embedding_dim
    if config.family == "chinese_clip":
        text |= {"type_vocab_size": 2, "hidden_dropout_prob": config.text.layers.dropout}
    dims = {} if config.family == "siglip" else {"projection_dim": config.embedding_dim}
    text["model_type"], image["model_type"] = f"{config.family}_text_model", f"{config.family}_vision_model"
    made = {"model_type": config.family, "architectures": [kind], "text_config": text, "vision_config": image}
    return {**made, **dims, "torch_dtype": "float32"}


def _to_layers_json(layers: LayersConfig) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in reversed(ACTIVATIONS.items())}
    return {
        "hidden_size": layers.hidden_dim,
        "num_hidden_layers": layers.num_layers,
        "num_attention_heads": layers.num_heads,
        "intermediate_size": layers.intermediate_dim,
        "hidden_act": names[layers.activation],
        "layer_norm_eps": layers.norm_epsilon,
        "attention_dropout": layers.dropout,
    }


def to_preprocessor_json(config: ImageTextConfig, pictures: PictureConfig) -> dict[str, Any]:
    """Returns the content of preprocessor_config.json."""
    size = pictures.size
    named = {"shortest_edge": size} if isinstance(size, int) else {"height": size[0], "width": size[1]}
    crop = {} if pictures.crop is None else {"crop_size": {"height": pictures.crop[0], "width": pictures.crop[1]}}
    return {
        "image_processor_type": _PREPROCESSORS[config.family],
        "do_resize": True,
        "size": named,
        "resample": pictures.resample,
        "do_center_crop": pictures.crop is not None,
        **crop,
        "do_rescale": True,
        "rescale_factor": pictures.scale,
        "do_normalize": True,
        "image_mean": list(pictures.mean),
        "image_std": list(pictures.std),
        "do_convert_rgb": True,
    }


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
