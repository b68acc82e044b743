"""Makes the folders of `checkpoints.py` with PyTorch, and what sentence-transformers makes of them."""

import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.models.tokenizers.bpe_tokenizers import make_backend, wrap
from tests.parity import small_tokenizers
from tests.parity.checkpoints import Checkpoint
from tests.parity.make_fixtures import MODELS
from tests.parity.small_models import SmallModel, save_small_model, write_json
from tests.parity.static_models import STATIC_MODELS, save_static_model
from tests.parity.texts import SMALL_MODEL_TEXTS

# Bases that are a small model with another tokenizer.
VARIANTS = {
    "bert_unigram": dataclasses.replace(MODELS["bert"], make_tokenizer=small_tokenizers.xlm_roberta_tokenizer),
    "albert_unigram": dataclasses.replace(MODELS["albert"], make_tokenizer=small_tokenizers.xlm_roberta_tokenizer),
    "roberta_wordpiece": dataclasses.replace(
        MODELS["roberta"],
        make_tokenizer=small_tokenizers.bert_tokenizer,
        configuration={**MODELS["roberta"].configuration, "max_position_embeddings": 42},
    ),
    "gte_wordpiece": dataclasses.replace(MODELS["gte"], make_tokenizer=small_tokenizers.bert_tokenizer),
}
TEXTS = list(SMALL_MODEL_TEXTS)
PAIRS = [(TEXTS[0], text) for text in TEXTS]
SHARDS = 3
ONE_LAYER = ({"num_hidden_layers": 1}, {"n_layers": 1})  # DistilBERT's name is another


def unigram_tokenizer(max_length: int) -> Any:
    """XLM-RoBERTa's kind without a piece for NUL, which no checkpoint has."""
    tokenizer = small_tokenizers.xlm_roberta_tokenizer(max_length)
    values = json.loads(tokenizer.backend_tokenizer.to_str())
    values["model"]["vocab"] = [entry for entry in values["model"]["vocab"] if "\0" not in entry[0]]
    ids = {piece: number for number, (piece, _) in enumerate(values["model"]["vocab"])}
    for token in values["added_tokens"]:
        token["id"] = ids[token["content"]]
    names = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    made = Tokenizer.from_str(json.dumps(values))
    return PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=max_length, **names)


def make_bpe(kind: str, max_length: int) -> PreTrainedTokenizerFast:
    """A trained BPE tokenizer of a kind, with `<s>` before a text and `</s>` after it."""
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    return wrap(make_backend(kind), model_max_length=max_length, **names)


# The tokenizers that are not the base's own.
MAKERS = {
    "Unigram": unigram_tokenizer,
    "byte-level BPE (Qwen)": functools.partial(make_bpe, "qwen"),
    "byte-level BPE (Llama 3)": functools.partial(make_bpe, "llama"),
    "BPE with byte fallback": functools.partial(make_bpe, "gemma"),
}


def make_small(item: Checkpoint) -> SmallModel:
    """The small model of a checkpoint."""
    base = VARIANTS.get(item.base) or MODELS[item.base]
    keeps_layers = {"layer_types", "num_hidden_groups"} & set(base.configuration)
    shape = {**base.configuration, **({} if keeps_layers else ONE_LAYER[base.model_class == "DistilBertModel"])}
    changes: dict[str, Any] = {
        "configuration": shape, "pooling": item.pooling, "normalize": item.normalize, "prompts": item.prompts,
        "settings": item.settings, "old_format": item.old, "default_prompt_name": None, "do_lower_case": False,
        "dense": (item.dense, torch.nn.Tanh) if item.dense else None, "dense_last": False, "include_prompt": True,
        "layer_norm": False,
    }  # fmt: skip
    if item.tokenizer in MAKERS:
        changes["make_tokenizer"] = MAKERS[item.tokenizer]
    return dataclasses.replace(base, model_class=item.model_class or base.model_class, **changes)


def make_folder(item: Checkpoint, folder: Path) -> dict[str, np.ndarray]:
    """Writes a checkpoint's folder.

    Args:
        item: The checkpoint.
        folder: Where to write.

    Returns:
        The vectors of sentence-transformers by method, for `TEXTS`; none if tfchain is to refuse the folder.
    """
    if item.base in STATIC_MODELS:
        save_static_model(item.base, folder)
        return encode(folder)
    small = make_small(item)
    save_small_model(small, item.base, folder)
    for place in sorted({path.parent for path in folder.rglob("model.safetensors")}):
        store(place, item.files)
    found = {} if item.says else encode(folder, small.adapt)
    if small.finish is not None and not item.says:
        small.finish(folder)
    for name, values in item.changes.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        merges = isinstance(values, dict) and path.is_file()
        write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **values} if merges else values)
    if item.files_instead:
        for path in folder.rglob("*.safetensors"):
            path.unlink()
        for name in item.files_instead:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
    return found


def encode(folder: Path, adapt: Callable[[Any], None] | None = None) -> dict[str, np.ndarray]:
    """Vectors by sentence-transformers, computed in float32 however they are stored."""
    whole = SentenceTransformer(str(folder), device="cpu", local_files_only=True, model_kwargs={"dtype": torch.float32})
    if adapt is not None:
        adapt(whole[0].auto_model)
    return {
        "encode": whole.encode(TEXTS, show_progress_bar=False),
        "encode_query": whole.encode_query(TEXTS, show_progress_bar=False),
        "encode_document": whole.encode_document(TEXTS, show_progress_bar=False),
    }


def score(folder: Path) -> np.ndarray:
    """The scores of `PAIRS` by sentence-transformers' CrossEncoder."""
    whole = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    return np.asarray(whole.predict(PAIRS, show_progress_bar=False))


def store(place: Path, files: str) -> None:
    """Writes the tensors of a folder's model.safetensors in another way."""
    path = place / "model.safetensors"
    tensors = load_file(path)
    if files == "safetensors":
        return
    path.unlink()
    if files in ("float16", "bfloat16"):
        dtype = getattr(torch, files)
        halves = {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
        save_file(halves, path, metadata={"format": "pt"})
    elif files == "training":
        torch.save({"state_dict": tensors, "epoch": 3}, place / "pytorch_model.bin")
    elif files == "program":
        torch.save(torch.nn.Linear(2, 2), place / "pytorch_model.bin")
    elif files in ("bin", "old bin"):
        torch.save(tensors, place / "pytorch_model.bin", _use_new_zipfile_serialization=files == "bin")
    else:
        split(place, tensors, is_torch=files == "sharded bin")


def split(place: Path, tensors: dict[str, torch.Tensor], *, is_torch: bool) -> None:
    """Writes tensors into several files with an index, as transformers does with a large transformer."""
    if place.name.endswith("_Dense"):
        (torch.save if is_torch else save_file)(
            tensors, place / ("pytorch_model.bin" if is_torch else "model.safetensors")
        )
        return
    stem, ending = ("pytorch_model", "bin") if is_torch else ("model", "safetensors")
    weight_map = {}
    for number in range(SHARDS):
        part = {name: tensors[name] for name in list(tensors)[number::SHARDS]}
        name = f"{stem}-{number + 1:05d}-of-{SHARDS:05d}.{ending}"
        if is_torch:
            torch.save(part, place / name)
        else:
            save_file(part, place / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(part, name)
    write_json(place / f"{stem}.{ending}.index.json", {"metadata": {}, "weight_map": weight_map})
