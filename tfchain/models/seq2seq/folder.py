"""Folders of models that translate, as transformers writes them, read without PyTorch and written back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfchain.core.errors import InputError, ModelFolderError
from tfchain.models.seq2seq.config import Seq2SeqConfig
from tfchain.models.seq2seq.families import FAMILIES
from tfchain.models.seq2seq.generation_options import DEFAULT_LENGTH, GenerationOptions
from tfchain.models.seq2seq.tokenizer import Seq2SeqTokenizer
from tfchain.models.seq2seq.tokenizer_folder import FILES, read_tokenizer
from tfchain.models.seq2seq.transformer import Seq2SeqTransformer, make_blank_transformer
from tfchain.models.seq2seq.weights import load_weights, to_tensors
from tfchain.models.weights.folder_contents import WEIGHTS, check_not_quantized, list_names, make_missing_error
from tfchain.models.weights.json_file import read_json
from tfchain.models.weights.tensor_files import TensorFiles, write_tensors

GENERATION = "generation_config.json"
LANGUAGES = "languages.json"  # tfchain's own: the languages that a model translates unless others are named


@dataclass(frozen=True)
class Seq2SeqFolder:
    """What a folder holds.

    Args:
        transformer: Encoder and decoder with the folder's weights.
        tokenizer: The tokenizers.
        tokenizer_files: The tokenizers' files by name, to be written again.
        options: How the decoder writes unless it is told otherwise.
        languages: The source and the target language that are translated unless others are named; None for none.
    """

    transformer: Seq2SeqTransformer
    tokenizer: Seq2SeqTokenizer
    tokenizer_files: dict[str, bytes]
    options: GenerationOptions
    languages: tuple[str | None, str | None]


def is_seq2seq_folder(path: Path) -> bool:
    """Returns whether a folder's config.json names a model with an encoder and a decoder that tfchain has."""
    values = read_json(path / "config.json", needed=False)
    if not isinstance(values, Mapping) or values.get("model_type") not in FAMILIES:
        return False
    classes = values.get("architectures") or [FAMILIES[values["model_type"]].model_class]
    return FAMILIES[values["model_type"]].model_class in classes


def read_seq2seq_folder(path: Path) -> Seq2SeqFolder:
    """Reads a folder of transformers, or one that `write_seq2seq_folder` wrote.

    Args:
        path: The folder: config.json, the weights in safetensors or PyTorch's format, and the tokenizers' files.

    Raises:
        ModelFolderError: if the folder lacks something, is damaged, or holds a model that tfchain does not have.
    """
    if not (path / "config.json").is_file():
        raise make_missing_error(path, list_names(path))
    values = read_json(path / "config.json")
    check_not_quantized(path, values)
    tensors = TensorFiles(path)
    config = read_config(values, set(tensors), path)
    transformer = make_blank_transformer(config)
    load_weights(transformer, tensors)
    settings = read_json(path / "tokenizer_config.json", needed=False)
    named = read_json(path / LANGUAGES, needed=False) or settings
    return Seq2SeqFolder(
        transformer=transformer,
        tokenizer=read_tokenizer(path, config),
        tokenizer_files={name: (path / name).read_bytes() for name in FILES if (path / name).is_file()},
        options=_read_options(path, values, config),
        languages=(named.get("src_lang"), named.get("tgt_lang")),
    )


def read_config(values: Any, tensors: set[str], path: Path) -> Seq2SeqConfig:
    """Reads config.json.

    Args:
        values: Its content.
        tensors: The names of the folder's tensors.
        path: The folder, for messages.

    Raises:
        ModelFolderError: if the model is of another kind, or a value is missing or not supported.
    """
    family = values.get("model_type") if isinstance(values, Mapping) else None
    if family not in FAMILIES:
        raise ModelFolderError(
            f"{path} must hold a model that translates: one of {', '.join(FAMILIES)}. Received: model_type={family!r}."
        )
    try:
        return Seq2SeqConfig(family=family, **FAMILIES[family].read(values, tensors))
    except KeyError as error:
        raise ModelFolderError(f"{path / 'config.json'} lacks {error}. Get the folder again.") from error
    except (InputError, TypeError) as error:
        raise ModelFolderError(f"{path / 'config.json'} has a value that tfchain does not read: {error}") from error


def write_seq2seq_folder(
    path: Path,
    transformer: Seq2SeqTransformer,
    *,
    tokenizer_files: Mapping[str, bytes],
    options: GenerationOptions,
    languages: tuple[str | None, str | None] = (None, None),
) -> None:
    """Writes a folder that transformers and tfchain read.

    Args:
        path: An empty folder.
        transformer: Encoder and decoder.
        tokenizer_files: The tokenizers' files by name.
        options: How the decoder writes unless it is told otherwise.
        languages: The source and the target language that are translated unless others are named. Default: none.
    """
    config = transformer.config
    family = FAMILIES[config.family]
    values = {
        "architectures": [family.model_class],
        "model_type": config.family,
        "is_encoder_decoder": True,
        "dtype": "float32",
        **family.write(config),
    }
    own = {name: getattr(config, name) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
    written = {**own, "max_length": options.max_length, **options.to_dict()}
    for name, content in (("config.json", values), (GENERATION, written)):
        (path / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    for name, data in tokenizer_files.items():
        (path / name).write_bytes(data)
    if any(languages):
        named = dict(zip(("src_lang", "tgt_lang"), languages, strict=True))
        (path / LANGUAGES).write_text(json.dumps(named) + "\n", encoding="utf-8")
    write_tensors(path / WEIGHTS, to_tensors(transformer))


def _read_options(path: Path, values: Mapping[str, Any], config: Seq2SeqConfig) -> GenerationOptions:
    """Reads generation_config.json, or an old folder's config.json; the length is at most what positions allow."""
    stored = read_json(path / GENERATION, needed=False) or values
    longest = DEFAULT_LENGTH if config.positions == "relative" else config.max_positions
    try:
        options = GenerationOptions.from_hugging_face({"max_length": min(DEFAULT_LENGTH, longest), **stored})
    except (InputError, TypeError) as error:
        raise ModelFolderError(f"{path} has options of generation that tfchain does not have: {error}") from error
    if config.positions != "relative" and options.max_length > longest:
        options = options.replace(max_length=longest)
    return options
