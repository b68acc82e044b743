"""Small random models in Hugging Face and sentence-transformers folders, one for each way such folders differ."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling, Transformer

from tests.parity import small_tokenizers

MAX_LENGTH = 40
LONG_MAX_LENGTH = 140  # long enough for most distance buckets of MPNet
SHAPE = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
OTHER_EPSILON = SHAPE | {"layer_norm_eps": 1e-3}  # far from the default, so that it shows when it is not read
DISTILBERT_SHAPE = {"dim": 24, "n_layers": 3, "n_heads": 4, "hidden_dim": 40}
BERT_TENSORS_OF_2018 = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
MODULE_TYPES_OF_2021 = {
    "Transformer": "sentence_transformers.models.Transformer",
    "Pooling": "sentence_transformers.models.Pooling",
    "Dense": "sentence_transformers.models.Dense",
    "Normalize": "sentence_transformers.models.Normalize",
}


@dataclass(frozen=True)
class SmallModel:
    """One fixture.

    Args:
        model_class: The class of transformers that is saved, with a head or without.
        configuration: Arguments of its configuration class.
        make_tokenizer: Called with the maximum length.
        max_length: Tokens, special ones included.
        pooling: Mode or modes of sentence-transformers; None leaves a plain Hugging Face folder.
        include_prompt: Whether the prompt's tokens are pooled too.
        dense: Width and activation of a Dense module; None for no such module.
        normalize: Whether a Normalize module ends the chain.
        prompts: Prompts by name.
        default_prompt_name: The prompt that `encode` applies unasked.
        old_format: Write the folder as old releases did: see `age`.
        do_lower_case: Whether sentence_bert_config.json says that texts are lower-cased.
    """

    model_class: str
    configuration: Mapping[str, Any]
    make_tokenizer: Callable[[int], transformers.PreTrainedTokenizerFast]
    max_length: int = MAX_LENGTH
    pooling: str | tuple[str, ...] | None = None
    include_prompt: bool = True
    dense: tuple[int, Callable[[], torch.nn.Module]] | None = None
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    old_format: bool = False
    do_lower_case: bool = False


SMALL_MODELS: Mapping[str, SmallModel] = {
    "bert": SmallModel("BertModel", SHAPE, small_tokenizers.bert_tokenizer),
    "bert_masked_lm": SmallModel("BertForMaskedLM", SHAPE, small_tokenizers.bert_tokenizer, old_format=True),
    "bert_concatenated": SmallModel(
        "BertModel",
        SHAPE,
        small_tokenizers.bert_tokenizer,
        max_length=20,
        pooling=("cls", "mean"),
        dense=(12, torch.nn.Identity),
        old_format=True,
    ),
    "bert_prompt_excluded": SmallModel(
        "BertModel",
        SHAPE | {"num_hidden_layers": 1},
        small_tokenizers.bert_tokenizer,
        pooling="mean",
        include_prompt=False,
        prompts={"query": "search for: ", "document": "text of a: "},
    ),
    "bert_cut_left": SmallModel(
        "BertModel",
        SHAPE | {"num_hidden_layers": 1},
        lambda max_length: small_tokenizers.bert_tokenizer(max_length, lower=False, truncation_side="left"),
        max_length=12,
        pooling="weightedmean",
        do_lower_case=True,
    ),
    "distilbert": SmallModel(
        "DistilBertModel",
        DISTILBERT_SHAPE,
        lambda max_length: small_tokenizers.bert_tokenizer(max_length, lower=False),
        pooling="cls",
        dense=(16, torch.nn.Tanh),
        normalize=True,
    ),
    "distilbert_masked_lm": SmallModel("DistilBertForMaskedLM", DISTILBERT_SHAPE, small_tokenizers.bert_tokenizer),
    "roberta": SmallModel(
        "RobertaModel",
        OTHER_EPSILON,
        small_tokenizers.roberta_tokenizer,
        pooling="max",
        prompts={"query": "ask ", "document": "tell "},
    ),
    "roberta_masked_lm": SmallModel("RobertaForMaskedLM", SHAPE, small_tokenizers.roberta_tokenizer),
    "xlm_roberta": SmallModel(
        "XLMRobertaModel",
        SHAPE,
        small_tokenizers.xlm_roberta_tokenizer,
        pooling="weightedmean",
        normalize=True,
        prompts={"query": "query: ", "document": "passage: "},
        default_prompt_name="query",
    ),
    "mpnet": SmallModel(
        "MPNetModel",
        OTHER_EPSILON,
        small_tokenizers.mpnet_tokenizer,
        max_length=LONG_MAX_LENGTH,
        pooling="lasttoken",
    ),
}


def save_small_model(name: str, folder: Path) -> None:
    """Writes the model of that name: configuration, weights, tokenizer, and the modules where it has any.

    The weights depend on the model's and the tensors' names alone.
    """
    small = SMALL_MODELS[name]
    tokenizer = small.make_tokenizer(small.max_length)
    model_class = getattr(transformers, small.model_class)
    configuration = model_class.config_class(
        **small.configuration,
        vocab_size=len(tokenizer),
        # RoBERTa's kind counts positions from behind the padding's id.
        max_position_embeddings=max(small.max_length, MAX_LENGTH) + (2 if tokenizer.pad_token_id == 1 else 0),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **({"type_vocab_size": 1} if "Roberta" in small.model_class else {}),
    )
    model = model_class(configuration)
    fill_with_noise(model, name)
    if small.pooling is None:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    else:
        save_modules(small, name, model, tokenizer, folder)
    if small.old_format:
        age(folder)
    if small.do_lower_case:  # releases before 6 wrote it
        path = folder / "sentence_bert_config.json"
        write_json(path, json.loads(path.read_text(encoding="utf-8")) | {"do_lower_case": True})


def save_modules(
    small: SmallModel,
    name: str,
    model: transformers.PreTrainedModel,
    tokenizer: transformers.PreTrainedTokenizerFast,
    folder: Path,
) -> None:
    """Writes a sentence-transformers folder around a model."""
    plain = folder.with_name(f"{folder.name}.plain")
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    pooling = Pooling(model.config.hidden_size, small.pooling, include_prompt=small.include_prompt)
    modules: list[torch.nn.Module] = [Transformer(str(plain)), pooling]
    if small.dense is not None:
        width, activation = small.dense
        dense = Dense(pooling.get_embedding_dimension(), width, activation_function=activation())
        fill_with_noise(dense, f"{name}.dense")
        modules.append(dense)
    if small.normalize:
        modules.append(Normalize())
    whole = SentenceTransformer(
        modules=modules,
        device="cpu",
        prompts=dict(small.prompts),
        default_prompt_name=small.default_prompt_name,
    )
    whole.save_pretrained(str(folder), create_model_card=False)
    for file in plain.iterdir():
        file.unlink()
    plain.rmdir()


def fill_with_noise(module: torch.nn.Module, name: str) -> None:
    """Draws every parameter, biases and LayerNorms too, so that a tensor that goes astray shows."""
    for path, parameter in module.named_parameters():
        seed = list(f"{name} {path}".encode())
        noise = np.random.default_rng(seed).normal(0.0, 0.2, size=tuple(parameter.shape)).astype(np.float32)
        if "norm" in path.lower() and path.endswith("weight"):
            noise += 1.0
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(noise))


def age(folder: Path) -> None:
    """Turns a folder into what releases of 2018 to 2021 wrote, which hubs are full of.

    Plain folders: `gamma` and `beta` for the LayerNorms, a left-over `position_ids`, no vocabulary but `vocab.txt`.
    sentence-transformers folders: the old module types, a switch for each pooling mode, the maximum length in
    sentence_bert_config.json alone.
    """
    if not (folder / "modules.json").exists():
        age_plain(folder)
        return
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    for module in modules:
        kind = module["type"].rsplit(".", 1)[-1]
        module["type"] = MODULE_TYPES_OF_2021[kind]
        if kind == "Pooling":
            age_pooling(folder / module["path"] / "config.json")
    write_json(folder / "modules.json", modules)
    tokenizer_config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    max_length = tokenizer_config.pop("model_max_length")
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"__version__": {"sentence_transformers": "2.0.0"}})


def age_plain(folder: Path) -> None:
    """Old tensor names and an old tokenizer's files."""
    aged = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        for new, old in BERT_TENSORS_OF_2018.items():
            name = name.replace(new, old)
        aged[name] = tensor
    aged["bert.embeddings.position_ids"] = np.arange(MAX_LENGTH, dtype=np.int64)[None]
    save_file(aged, folder / "model.safetensors", metadata={"format": "pt"})
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = sorted(tokenizer["model"]["vocab"].items(), key=lambda item: item[1])
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token, _ in vocabulary), encoding="utf-8")
    (folder / "tokenizer.json").unlink()
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True, "model_max_length": MAX_LENGTH})


def age_pooling(path: Path) -> None:
    """One switch for each mode instead of a list of modes."""
    configuration = json.loads(path.read_text(encoding="utf-8"))
    modes = configuration["pooling_mode"]
    aged = {
        "word_embedding_dimension": configuration["embedding_dimension"],
        "pooling_mode_cls_token": "cls" in modes,
        "pooling_mode_mean_tokens": "mean" in modes,
        "pooling_mode_max_tokens": "max" in modes,
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens" in modes,
    }
    write_json(path, aged)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
