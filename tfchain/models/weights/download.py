"""Finds a model's folder: on this machine, or on the Hugging Face hub, from which only what is needed is fetched."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tfchain.core.errors import ModelFolderError
from tfchain.models.weights.folder import FolderKinds, ModelFolder, find_place, read_folder, to_transformer_config
from tfchain.models.weights.folder_contents import (
    ADAPTER,
    CALIBRATION,
    INT8_WEIGHTS,
    TORCH_WEIGHTS,
    WEIGHTS,
    check_adapter,
    check_not_quantized,
    list_names,
    list_weight_files,
    make_missing_error,
    make_weights_error,
)
from tfchain.models.weights.folder_kind import COLBERT_FILE
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.layer_pooling import find_layer_poolings
from tfchain.models.weights.static_folder import find_static_places

# What says which model a folder holds: small files, fetched first.
CONFIGURATION = (
    *("config.json", "modules.json", "config_sentence_transformers.json", "sentence_*_config.json"),
    *(f"*/{name}" for name in ("config.json", "sentence_*_config.json", ADAPTER)),
    *(ADAPTER, COLBERT_FILE, "*/config_sentence_transformers.json", "router_config.json", "*/router_config.json"),
)
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "chat_template.jinja"),
    *("sentencepiece.bpe.model", "tokenizer.model", "spiece.model", "spm.model", "bpe.codes"),
)
# The second line has what tfchain itself saves beside.
SAFETENSORS = (
    *(WEIGHTS, f"{WEIGHTS}.index.json", "model-*-of-*.safetensors"),
    *(INT8_WEIGHTS, CALIBRATION),
)
TORCH = (TORCH_WEIGHTS, f"{TORCH_WEIGHTS}.index.json", "pytorch_model-*-of-*.bin")


def find_model(
    name_or_path: str | Path, *, kinds: FolderKinds = "encoder", adapter: str | None = None
) -> tuple[Path, ModelFolder]:
    """Returns a model's folder and its configuration; a hub model is fetched into the Hugging Face cache.

    The configuration is fetched and read first, so that a model that tfchain does not support is refused before its
    weights are fetched. Of these only safetensors are fetched or, where there are none, PyTorch's files.

    Args:
        name_or_path: A folder, or a name such as `sentence-transformers/all-MiniLM-L6-v2`.
        kinds: As for `read_folder`.
        adapter: As for `read_folder`.

    Raises:
        ModelFolderError: if the folder does not exist and cannot be fetched, or `read_folder` refuses it.
    """
    path = find_local(name_or_path)
    if path is not None:
        return path, read_folder(path, kinds=kinds, adapter=adapter)
    name = str(name_or_path)
    path = _fetch_configuration(name)
    tables = find_static_places(path)
    if tables:
        path = fetch_files(name, _in_folders(SAFETENSORS, path, tables), path)
    layer_poolings = find_layer_poolings(path)
    if layer_poolings:  # a few numbers, which are part of the shape
        path = fetch_files(name, _in_folders((*SAFETENSORS, *TORCH), path, layer_poolings), path)
    folder = read_folder(path, kinds=kinds, adapter=adapter)
    for route in (folder, folder.query_route):
        if route is not None:
            path = _fetch_weights(name, path, [route.transformer_path, *route.dense_paths, *route.norm_paths])
    return path, folder


def find_folder(name_or_path: str | Path) -> Path:
    """Returns the folder of a model of any kind; of a hub model, with its weights and its transformer's tokenizer.

    Raises:
        ModelFolderError: if the folder does not exist and cannot be fetched, or tfchain does not have its architecture.
    """
    path = find_local(name_or_path)
    if path is not None:
        return path
    name = str(name_or_path)
    path = _fetch_configuration(name)
    modules = read_json(path / "modules.json", needed=False)
    listed = modules if isinstance(modules, list) and modules else [{}]
    place = find_place(path, str(listed[0].get("path", "")))
    dense = [module for module in listed[1:] if str(module.get("type")).endswith("Dense")]
    values = read_json(place / "config.json")
    check_not_quantized(place, values)
    to_transformer_config(values, place)
    return _fetch_weights(name, path, [place, *(find_place(path, str(module["path"])) for module in dense)])


def find_tokenizer(name_or_path: str | Path) -> Path:
    """Returns the folder of a tokenizer; of a hub model only the tokenizer's files are fetched.

    Raises:
        ModelFolderError: if the folder does not exist and cannot be fetched.
    """
    return find_local(name_or_path) or fetch_files(str(name_or_path), (*TOKENIZER, "config.json"))


def find_local(name_or_path: str | Path) -> Path | None:
    """Returns the folder that a path names; None if it may be the name of a model on the hub.

    Raises:
        ModelFolderError: if it names a file, or nothing.
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
        what = "which is a file. Use the file's folder."
        if path.suffix == ".gguf":
            what = "weights for llama.cpp. Use the checkpoint from which they were made."
        raise ModelFolderError(f"A model must be a folder. Received: {path}, {what}")
    return None


def _fetch_configuration(name: str) -> Path:
    """Fetches what says which model a hub model is."""
    path = fetch_files(name, CONFIGURATION)
    check_adapter(path)
    if not any((path / file).is_file() for file in ("config.json", "modules.json")):
        raise make_missing_error(name, _list_files(name, path))
    return path


def _fetch_weights(name: str, path: Path, places: Sequence[Path]) -> Path:
    """Fetches the weights of modules in a hub model, and the files of a tokenizer in the first one's folder."""
    files = [*_in_folders(SAFETENSORS, path, places), *_in_folders(TOKENIZER, path, [path, places[0]])]
    path = fetch_files(name, files, path)
    lacking = [place for place in places if not has_weights(place)]
    if lacking:
        path = fetch_files(name, _in_folders(TORCH, path, lacking), path)
    if not all(map(has_weights, lacking)):
        raise make_weights_error(name, _list_files(name, path))
    return path


def fetch_files(name: str, files: Iterable[str], path: Path | None = None) -> Path:
    """Fetches files of a hub model into the Hugging Face cache.

    Args:
        name: The model's name.
        files: Patterns of the files' paths; those that the model lacks are left out.
        path: A folder that an earlier call returned, whose version is kept. Default: the newest version.

    Returns:
        The folder of the files.

    Raises:
        ModelFolderError: if the hub cannot be reached or has no such model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    version: dict[str, Any] = {} if path is None or path.parent.name != "snapshots" else {"revision": path.name}
    try:
        return Path(snapshot_download(name, allow_patterns=sorted(set(files)), **version))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ModelFolderError(
            f"No model folder {name!r}: the path does not exist, and the download from the Hugging Face "
            f"hub failed ({type(error).__name__}). Check the path, or download the model's folder first."
        ) from error


def _list_files(name: str, path: Path) -> list[str]:
    """Returns the paths of a hub model's files, or of those that are here if the hub cannot be asked."""
    from huggingface_hub import list_repo_files
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return list(list_repo_files(name, revision=path.name if path.parent.name == "snapshots" else None))
    except (HfHubHTTPError, OfflineModeIsEnabled, OSError):
        return list_names(path)


def _in_folders(files: Sequence[str], path: Path, places: Iterable[Path]) -> list[str]:
    """Returns patterns of files in folders inside a model's folder."""
    roots = dict.fromkeys(place.relative_to(path).as_posix() for place in places)
    return [file if root == "." else f"{root}/{file}" for root in roots for file in files]


def has_weights(place: Path) -> bool:
    """Returns whether a folder has the files of its weights."""
    try:
        return bool(list_weight_files(place))
    except ModelFolderError:
        return False
