"""The files of a model folder: which of them are its weights, and what a folder is that has none for tfchain."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.json_file import read_json

WEIGHTS = "model.safetensors"
CALIBRATION = "calibration.json"  # texts as token ids, by which int8 measures ranges
INT8_WEIGHTS = "model.int8.safetensors"  # other libraries do not look for it: they would take the numbers for weights
TORCH_WEIGHTS = "pytorch_model.bin"
ADAPTER = "adapter_config.json"
# Endings of files that hold a model for another program, and what it is.
OTHER_WEIGHTS = {
    ".gguf": "weights for llama.cpp (GGUF)",
    ".onnx": "an ONNX graph",
    "openvino_model.xml": "an OpenVINO graph",
    "tf_model.h5": "weights for the TensorFlow models of old transformers",
    ".msgpack": "weights for Flax",
    "rust_model.ot": "weights for rust-bert",
    ".ckpt": "a training checkpoint",
    ".pt": "a PyTorch program or checkpoint",
    ".pth": "a PyTorch program or checkpoint",
    ".mlmodel": "a Core ML model",
    ".tflite": "a LiteRT model",
    ".safetensors": "safetensors under another name",
    ".bin": "PyTorch weights under another name",
}
MOST_NAMES = 4


def list_weight_files(path: Path) -> list[str]:
    """Returns the names of the files with a folder's weights: safetensors, or PyTorch's where there are none.

    Args:
        path: The folder, in which a large model's weights are in several files with an index.

    Raises:
        ModelFolderError: if the folder has no weights, or the index is damaged.
    """
    for index, single in ((f"{WEIGHTS}.index.json", INT8_WEIGHTS), ("", WEIGHTS), (f"{TORCH_WEIGHTS}.index.json", "")):
        if index and (path / index).is_file():
            return read_index(path / index)
        if single and (path / single).is_file():
            return [single]
    if (path / TORCH_WEIGHTS).is_file():
        return [TORCH_WEIGHTS]
    raise make_weights_error(path, list_names(path))


def read_index(path: Path) -> list[str]:
    """Returns the names of the files in an index, all in the index's own folder."""
    try:
        names = sorted(set(read_json(path)["weight_map"].values()))
        if not names or any(not isinstance(name, str) or Path(name).name != name for name in names):
            raise ValueError("a file is not in the index's folder")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ModelFolderError(
            f"{path} must have a `weight_map` from tensors to files beside it. Received: {type(error).__name__}: "
            f"{error}. Get the folder again."
        ) from error
    missing = [name for name in names if not (path.parent / name).is_file()]
    if missing:
        raise ModelFolderError(
            f"{path.parent} lacks {', '.join(missing[:MOST_NAMES])}, {len(missing)} of the {len(names)} files that "
            f"{path.name} lists. Get the missing files."
        )
    return names


def list_names(path: Path) -> list[str]:
    """Returns the paths of the files in a folder and in the folders directly in it."""
    found = (file for pattern in ("*", "*/*") for file in path.glob(pattern) if file.is_file())
    return sorted(str(file.relative_to(path)) for file in found)


def make_weights_error(path: Path | str, names: Collection[str]) -> ModelFolderError:
    """Makes the error for a folder without weights that tfchain reads.

    Args:
        path: The folder, or a name on the hub.
        names: The paths of its files.
    """
    others = describe_others(names)
    return ModelFolderError(
        f"{path} has no weights to read. Expected: {WEIGHTS} or {TORCH_WEIGHTS}. Received: {others or 'neither'}. "
        + ("Use the checkpoint from which they were made, or one" if others else "Use a folder")
        + " that save_pretrained of transformers or sentence-transformers wrote."
    )


def make_missing_error(path: Path | str, names: Collection[str]) -> ModelFolderError:
    """Makes the error for a folder without config.json; the arguments are those of `make_weights_error`."""
    others = describe_others(names)
    return ModelFolderError(
        f"{path} is not a model folder: it has no config.json"
        + (f", but {others}. Use the checkpoint from which they were made" if others else ". Use a folder")
        + ", as save_pretrained of sentence-transformers or transformers writes it."
    )


def describe_others(names: Collection[str]) -> str:
    """Returns what a folder's files hold for other programs, such as `an ONNX graph (onnx/model.onnx)`."""
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        kind = next((kind for end, kind in OTHER_WEIGHTS.items() if name.endswith(end)), None)
        if kind is not None:
            found.setdefault(kind, []).append(name)
    return ", ".join(
        f"{kind} ({', '.join(files[:MOST_NAMES])}{' …' if len(files) > MOST_NAMES else ''})"
        for kind, files in found.items()
    )


def check_adapter(path: Path) -> None:
    """Raises a `ModelFolderError` if a folder holds a PEFT adapter, with which PyTorch's models would be changed."""
    if not (path / ADAPTER).is_file():
        return
    values = read_json(path / ADAPTER)
    values = values if isinstance(values, Mapping) else {}
    kind, base = values.get("peft_type", "LORA"), values.get("base_model_name_or_path")
    raise ModelFolderError(
        f"{path} holds a PEFT adapter ({kind}) for {base or 'another model'}, not a whole model. Merge it with the "
        "package peft, by `AutoPeftModel.from_pretrained(folder).merge_and_unload()`, save the result with "
        "save_pretrained, and use that folder."
    )


def check_not_quantized(path: Path, config: Mapping[str, Any]) -> None:
    """Raises a `ModelFolderError` if the content of a folder's config.json says that its weights are quantized."""
    quantized = config.get("quantization_config")
    if quantized:
        method = quantized.get("quant_method") if isinstance(quantized, Mapping) else None
        raise ModelFolderError(
            f"{path} holds weights quantized by {method or 'an unnamed method'} (`quantization_config`), which tfchain "
            "does not read. Use the checkpoint in float32, float16 or bfloat16; `precision='int8'` quantizes it here."
        )
